// Checking an image that nobody uses, and repairing it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm-core/block/host_file.h"

namespace warren::vmm::block::qcow2 {

struct CheckResult {
  std::uint64_t corruptions = 0;  // what would lose data, or has
  std::uint64_t leaks = 0;        // clusters counted that nothing refers to; flags missing that save copies
  std::uint64_t allocated_clusters = 0, compressed_clusters = 0, total_clusters = 0;  // of the disk
  std::uint64_t image_end = 0;                                                        // byte offset
  std::vector<std::string> messages;                                                  // the first of them
  bool is_clean() const noexcept { return corruptions == 0 && leaks == 0; }
};

enum class RepairLevel : std::uint8_t { leaks, all };

// Throws Error for an image that cannot be read as one at all.
CheckResult check(HostFile& file, const std::string& name);
// Leaves the image with right reference counts, where its mapping makes sense, and then marks it clean;
// `all`: also what is counted too low, by a new set of counts where need be, and flags that follow from them.
// Returns what is left. Throws Error.
CheckResult repair(HostFile& file, const std::string& name, RepairLevel level);

}  // namespace warren::vmm::block::qcow2
