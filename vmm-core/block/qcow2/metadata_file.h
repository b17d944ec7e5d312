// The file of an image as its metadata is written to it: every write is checked against what the place is
// known as, and the first contradiction ends all writing (class T10).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <span>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/qcow2/structure_map.h"

namespace warren::vmm::block::qcow2 {

class MetadataFile {
 public:
  MetadataFile(HostFile& file, unsigned cluster_bits) : file_(file), structures_(cluster_bits) {}

  int read(std::uint64_t offset, std::span<std::byte> to) noexcept { return file_.read_bytes(offset, to); }
  int write(Structure structure, std::uint64_t offset, std::span<const std::byte> from) noexcept {
    if (is_corrupt()) return EIO;
    if (!structures_.holds(structure, offset, from.size())) {
      note_corruption();
      return EIO;
    }
    return file_.write_bytes(offset, from);
  }
  // A new table, of which nothing is to be read that was there before.
  int write_zeros(Structure structure, std::uint64_t offset, std::uint64_t bytes) noexcept {
    static constexpr std::array<std::byte, 65536> kZeros{};
    while (bytes != 0) {
      const std::size_t piece = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kZeros.size()));
      if (const int error = write(structure, offset, {kZeros.data(), piece})) return error;
      offset += piece;
      bytes -= piece;
    }
    return 0;
  }
  int sync() noexcept { return file_.sync(); }

  HostFile& file() noexcept { return file_; }
  StructureMap& structures() noexcept { return structures_; }

  // Found while the image was in use; reading goes on. Any thread may ask.
  bool is_corrupt() const noexcept { return corrupt_.load(std::memory_order_relaxed); }
  void note_corruption() noexcept { corrupt_.store(true, std::memory_order_relaxed); }

 private:
  HostFile& file_;
  StructureMap structures_;
  std::atomic<bool> corrupt_{false};
};

}  // namespace warren::vmm::block::qcow2
