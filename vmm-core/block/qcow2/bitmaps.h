// Persistent dirty bitmaps ("Bitmaps"), as far as an image that has them is to be kept whole: where they lie.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/qcow2/header.h"

namespace warren::vmm::block::qcow2 {

struct BitmapRange {
  std::uint64_t offset = 0, bytes = 0;  // in whole clusters
};

// The directory, every table and every cluster of data. Throws Error for what contradicts the format or lies
// beyond the end of the file.
std::vector<BitmapRange> bitmap_ranges(HostFile& file, const Header& header, const std::string& name);

}  // namespace warren::vmm::block::qcow2
