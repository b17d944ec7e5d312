// Persistent dirty bitmaps ("Bitmaps"), as far as an image that has them is to be kept whole: where they lie,
// and which of them a write would make untrue.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/qcow2/header.h"

namespace warren::vmm::block::qcow2 {

// An entry of a bitmap table that stands for a cluster of ones, without one.
inline constexpr std::uint64_t kAllOnes = 1;

struct Bitmap {
  std::uint64_t table_offset = 0;
  std::vector<std::uint64_t> entries;  // of the table: offsets of clusters of data, 0 or kAllOnes
  bool in_use = false;                 // its last user has not saved it: it says nothing
  bool records = false;                // it has to reflect every change of the disk
  bool understood = false;             // nothing about it is unknown, so that it may be changed
};

struct BitmapRange {
  std::uint64_t offset = 0, bytes = 0;  // in whole clusters
};

// Throws Error for what contradicts the format or lies beyond the end of the file.
std::vector<Bitmap> read_bitmaps(HostFile& file, const Header& header, const std::string& name);
// The directory, every table and every cluster of data.
std::vector<BitmapRange> ranges_of(const std::vector<Bitmap>& bitmaps, const Header& header);

}  // namespace warren::vmm::block::qcow2
