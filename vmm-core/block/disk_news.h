// The mailbox between a disk's I/O threads, which post without a lock, and the control thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "vmm-core/block/disk_policy.h"

namespace warren::vmm::block {

class DiskMailbox {
 public:
  // Each returns whether the mailbox was empty: somebody is to be told then.
  bool post(DiskFault fault) noexcept {
    const std::uint32_t posted = pack(fault);
    std::uint32_t before = fault_.load(std::memory_order_relaxed);
    do {
      // A fault that stops the machine is not covered by one that does not.
      if ((before >> kActionShift) > (posted >> kActionShift)) break;
    } while (!fault_.compare_exchange_weak(before, posted, std::memory_order_acq_rel));
    return !told_.exchange(true, std::memory_order_acq_rel);
  }
  bool post(ThresholdCrossed crossed) noexcept {
    excess_.store(crossed.excess, std::memory_order_relaxed);
    crossed_.store(crossed.threshold, std::memory_order_release);
    return !told_.exchange(true, std::memory_order_acq_rel);
  }
  DiskNews take() noexcept {
    told_.store(false, std::memory_order_seq_cst);  // what is posted from here on is told of again
    DiskNews news;
    if (const std::uint32_t fault = fault_.exchange(0, std::memory_order_acq_rel)) news.fault = unpack(fault);
    if (const std::uint64_t threshold = crossed_.exchange(0, std::memory_order_acq_rel))
      news.crossed = {threshold, excess_.load(std::memory_order_relaxed)};
    return news;
  }

 private:
  static constexpr unsigned kWritesShift = 16, kActionShift = 17;

  static std::uint32_t pack(DiskFault fault) noexcept {
    return (static_cast<std::uint32_t>(fault.action) + 1) << kActionShift |
           std::uint32_t{fault.writes} << kWritesShift | (static_cast<std::uint32_t>(fault.error) & 0xffff);
  }
  static DiskFault unpack(std::uint32_t word) noexcept {
    return {.writes = (word >> kWritesShift & 1) != 0,
            .error = static_cast<int>(word & 0xffff),
            .action = static_cast<DiskFault::Action>((word >> kActionShift) - 1)};
  }

  std::atomic<std::uint32_t> fault_{0};
  std::atomic<std::uint64_t> crossed_{0}, excess_{0};
  std::atomic<bool> told_{false};
};

}  // namespace warren::vmm::block
