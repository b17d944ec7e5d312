// The header of an image, read with every check that can be made of it alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/qcow2/geometry.h"

namespace warren::vmm::block::qcow2 {

struct BitmapsExtension {
  std::uint32_t count = 0;
  std::uint64_t directory_size = 0, directory_offset = 0;
};

struct Header {
  std::uint32_t version = 3;
  std::uint64_t size = 0;  // bytes of the disk
  std::uint32_t l1_size = 0;
  std::uint64_t l1_offset = 0;
  std::uint64_t refcount_table_offset = 0;
  std::uint32_t refcount_table_clusters = 0;
  std::uint32_t snapshots = 0;
  std::uint64_t snapshots_offset = 0;
  std::uint64_t incompatible = 0, compatible = 0, autoclear = 0;
  std::uint32_t length = 0;
  Compression compression = Compression::zlib;
  Geometry geometry;
  std::string backing_file, backing_format;  // as they stand there: written by whoever, maybe a guest
  std::optional<std::string> data_file;
  std::optional<BitmapsExtension> bitmaps;
  // Its first sector, as it is on disk: what is rewritten keeps whatever is not understood.
  std::array<std::byte, kHeaderSector> sector{};

  bool has_external_data() const noexcept { return (incompatible & kExternalData) != 0; }
  bool is_dirty() const noexcept { return (incompatible & kDirty) != 0; }
  bool is_corrupt() const noexcept { return (incompatible & kCorrupt) != 0; }
};

// Throws Error: not qcow2, encrypted, features that are not known (by their names, where the image has them),
// or fields that contradict each other or the format's limits. `name` is for messages.
Header read_header(HostFile& file, const std::string& name);

// Puts the fields that change in the life of an image into its sector.
void update_sector(Header& header) noexcept;

}  // namespace warren::vmm::block::qcow2
