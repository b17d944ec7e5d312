// A region of an assigned device: where in its file, how large, and what of it can be mapped
// (VFIO_DEVICE_GET_REGION_INFO).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm-core/vfio/device_file.h"

namespace warren::vmm::vfio {

inline constexpr std::uint64_t kPageSize = 4096;

struct Area {
  std::uint64_t offset = 0;  // in the region
  std::uint64_t size = 0;
  friend bool operator==(const Area&, const Area&) = default;
};

struct Region {
  std::uint64_t position = 0;  // in the device's file
  std::uint64_t size = 0;      // 0: there is none
  bool readable = false;
  bool writable = false;
  std::vector<Area> mappable;  // whole pages inside it, ascending, none touches another's bytes
};

// Nothing the device says leads outside: ranges that overflow, and areas that are no pages of the region, are
// left out. Throws Error naming `index` when the request fails.
Region read_region(DeviceFile& file, std::uint32_t index);

// `areas` without the pages that [offset, offset + size) touches; the range lies in the region.
std::vector<Area> without(std::span<const Area> areas, std::uint64_t offset, std::uint64_t size);

}  // namespace warren::vmm::vfio
