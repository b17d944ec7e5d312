#include "vmm-core/vfio/region.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>

#include <linux/vfio.h>
#include <sys/types.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::vfio {
namespace {

// The information with its capabilities; the kernel's own are a few hundred bytes.
constexpr std::size_t kLargestInformation = 64 << 10;
constexpr std::size_t kMostCapabilities = 64;

template <typename T>
bool load(std::span<const std::byte> bytes, std::uint64_t offset, T& value) noexcept {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return false;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return true;
}

std::vector<std::byte> region_information(DeviceFile& file, std::uint32_t index) {
  std::vector<std::byte> bytes(sizeof(vfio_region_info));
  for (;;) {
    vfio_region_info header{};
    header.argsz = static_cast<std::uint32_t>(bytes.size());
    header.index = index;
    std::memcpy(bytes.data(), &header, sizeof header);
    const int result = file.request(VFIO_DEVICE_GET_REGION_INFO, bytes.data());
    if (result < 0) throw Error::from_errno(-result, "ask for region " + std::to_string(index));
    std::memcpy(&header, bytes.data(), sizeof header);
    // It says how much it has to say, at most once more than there is room for.
    if (header.argsz <= bytes.size() || bytes.size() > sizeof header) return bytes;
    bytes.assign(std::min<std::size_t>(header.argsz, kLargestInformation), std::byte{0});
  }
}

void add_area(std::vector<Area>& areas, const Area& area, std::uint64_t region_size) {
  std::uint64_t end = 0;
  if (area.size == 0 || area.offset % kPageSize != 0 || area.size % kPageSize != 0 ||
      __builtin_add_overflow(area.offset, area.size, &end) || end > region_size)
    return;
  const auto touches = [&](const Area& other) {
    return area.offset < other.offset + other.size && other.offset < end;
  };
  if (std::ranges::none_of(areas, touches)) areas.push_back(area);
}

// Whether there is a list of areas, which it then takes.
bool take_sparse_areas(std::span<const std::byte> bytes, Region& region) {
  vfio_region_info information{};
  std::memcpy(&information, bytes.data(), sizeof information);
  if ((information.flags & VFIO_REGION_INFO_FLAG_CAPS) == 0) return false;
  std::uint64_t place = information.cap_offset;
  for (std::size_t count = 0; place != 0 && count < kMostCapabilities; ++count) {
    vfio_info_cap_header header{};
    if (!load(bytes, place, header)) return false;
    if (header.id != VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
      place = header.next;
      continue;
    }
    using Sparse = vfio_region_info_cap_sparse_mmap;
    std::uint32_t areas = 0;
    if (!load(bytes, place + offsetof(Sparse, nr_areas), areas)) return true;
    for (std::uint32_t i = 0; i < areas; ++i) {
      vfio_region_sparse_mmap_area area{};
      if (!load(bytes, place + offsetof(Sparse, areas) + std::uint64_t{i} * sizeof area, area)) break;
      add_area(region.mappable, {area.offset, area.size}, region.size);
    }
    return true;
  }
  return false;
}

}  // namespace

Region read_region(DeviceFile& file, std::uint32_t index) {
  const std::vector<std::byte> bytes = region_information(file, index);
  vfio_region_info information{};
  std::memcpy(&information, bytes.data(), sizeof information);
  Region region{.position = information.offset,
                .size = information.size,
                .readable = (information.flags & VFIO_REGION_INFO_FLAG_READ) != 0,
                .writable = (information.flags & VFIO_REGION_INFO_FLAG_WRITE) != 0,
                .mappable = {}};
  std::uint64_t end = 0;
  if (__builtin_add_overflow(region.position, region.size, &end) ||
      end > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()))
    throw Error(std::errc::value_too_large, "region " + std::to_string(index) + " is beyond every file");
  if ((information.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0 && !take_sparse_areas(bytes, region))
    add_area(region.mappable, {0, region.size}, region.size);
  std::ranges::sort(region.mappable, {}, &Area::offset);
  return region;
}

std::vector<Area> without(std::span<const Area> areas, std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t first = offset / kPageSize * kPageSize;
  const std::uint64_t end = (offset + size + kPageSize - 1) / kPageSize * kPageSize;
  std::vector<Area> rest;
  for (const Area& area : areas) {
    const std::uint64_t area_end = area.offset + area.size;
    if (end <= area.offset || area_end <= first) {
      rest.push_back(area);
      continue;
    }
    if (area.offset < first) rest.push_back({area.offset, first - area.offset});
    if (end < area_end) rest.push_back({end, area_end - end});
  }
  return rest;
}

}  // namespace warren::vmm::vfio
