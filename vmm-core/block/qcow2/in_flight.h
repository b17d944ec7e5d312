// Transfers that were begun by a mapping that may have changed since: space that a mapping gave up is used
// again only when the last of them is done.
//
// Any number of threads enter and leave without waiting; the owner of the metadata asks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace warren::vmm::block::qcow2 {

class InFlight {
 public:
  // Before the mapping is looked at. The result is for leave().
  unsigned enter() noexcept {
    while (true) {
      const std::uint64_t epoch = epoch_.load();
      const unsigned parity = static_cast<unsigned>(epoch & 1);
      count_[parity].fetch_add(1);
      if (epoch_.load() == epoch) return parity;
      count_[parity].fetch_sub(1);
    }
  }
  void leave(unsigned parity) noexcept { count_[parity].fetch_sub(1); }

  // Owner: when the mapping has changed; the result is for has_passed().
  std::uint64_t mark() const noexcept { return epoch_.load(); }
  // Whether all that entered before mark() have left. An epoch ends when nothing of the one before is left,
  // so nothing of the marked one is left two epochs later.
  bool has_passed(std::uint64_t mark) noexcept {
    while (epoch_.load() < mark + 2) {
      if (count_[(epoch_.load() + 1) & 1].load() != 0) return false;
      epoch_.fetch_add(1);
    }
    return true;
  }

 private:
  std::atomic<std::uint64_t> epoch_{1};
  std::array<std::atomic<std::uint32_t>, 2> count_{};
};

}  // namespace warren::vmm::block::qcow2
