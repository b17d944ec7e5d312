// Reads a worker's counters page without asking the worker.
//
// The page is a file of a process that is not trusted: it is read with pread(2), not mapped, so that a worker
// that cuts it short cannot kill the daemon with SIGBUS. A missing counter reads as 0. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct BlockFigures {
  std::uint64_t read_requests = 0, read_bytes = 0, read_nanoseconds = 0;
  std::uint64_t write_requests = 0, write_bytes = 0, write_nanoseconds = 0;
  std::uint64_t flush_requests = 0, flush_nanoseconds = 0;
  std::uint64_t errors = 0, malformed_chains = 0;
};

struct NetFigures {
  std::uint64_t receive_bytes = 0, receive_packets = 0, receive_errors = 0, receive_drops = 0;
  std::uint64_t transmit_bytes = 0, transmit_packets = 0, transmit_errors = 0, transmit_drops = 0;
};

struct BalloonFigures {
  std::uint64_t actual_bytes = 0;              // 0: no balloon
  std::uint64_t statistics_time = 0;           // seconds since 1970; 0: the guest gave none
  std::uint64_t statistics_present = 0;        // bit n: statistics[n] is one
  std::array<std::uint64_t, 16> statistics{};  // by the tag of virtio 1.2 §5.5.6.4
};

class CountersReader {
 public:
  // Throws Error unless it is a page of a layout that is known here.
  explicit CountersReader(vmm::FileDescriptor page);

  // By the device's alias; zeros for one that the page has no slot of.
  BlockFigures disk(std::string_view alias) const;
  NetFigures interface(std::string_view alias) const;
  BalloonFigures balloon() const;
  std::uint64_t vcpu_thread(std::size_t index) const;

 private:
  vmm::FileDescriptor page_;
};

}  // namespace warren::driver::domain
