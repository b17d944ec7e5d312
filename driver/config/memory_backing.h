// What guest RAM is made of on the host.
//
// Format: libvirt's formatdomain, "Memory Backing". Guest RAM is the worker's own where nothing is said, and
// else a shared mapping of a memfd: what says otherwise is refused, and what follows from it anyway is taken.
#pragma once

#include <cstdint>
#include <optional>

namespace warren::driver::config {

enum class MemorySource { memfd };
enum class MemoryAccess { shared };
enum class MemoryAllocation { immediate, on_demand };

// <memoryBacking>
struct MemoryBacking {
  bool huge_pages = false;                     // <hugepages/>
  std::optional<std::uint64_t> huge_page_kib;  // <page size=…/>: 2048 or 1048576; none: 2048
  bool no_share_pages = false;                 // a memfd, which is never merged
  std::optional<MemorySource> source;
  std::optional<MemoryAccess> access;
  std::optional<MemoryAllocation> allocation;
  bool discard = false;  // a memfd's pages go with its last user: true by nature
  bool operator==(const MemoryBacking&) const = default;
};

// The size of the pages the guest's memory is to be made of; 0: the host's usual ones.
std::uint64_t huge_page_kib(const MemoryBacking& backing);

}  // namespace warren::driver::config
