// The NUMA nodes a guest sees: which vCPUs and how much memory each has, and how far they are apart.
//
// Format: libvirt's formatdomain, "Guest NUMA topology". Values only; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "driver/config/cpu_set.h"

namespace warren::driver::config {

// <cell>. Cells are kept in the order of their ids, which count from 0.
struct GuestNumaCell {
  CpuSet cpus;
  std::uint64_t memory_kib = 0;
  bool shared = false;   // memAccess='shared': as guest memory always is
  bool discard = false;  // discard='yes': as its pages always are
  // <distances>: to the cell of that index; 0: not given, which is 10 to itself and 20 to another.
  std::vector<std::uint8_t> distances;
  bool operator==(const GuestNumaCell&) const = default;
};

// How far `to` is from `from`, as the guest is told.
std::uint8_t numa_distance(const std::vector<GuestNumaCell>& cells, std::size_t from, std::size_t to);

}  // namespace warren::driver::config
