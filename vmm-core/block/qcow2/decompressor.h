// Compressed clusters, unpacked into exactly one cluster and never more, whatever they say (class T10).
//
// One thread at a time; its memory is allocated at first use and kept.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "vmm-core/block/qcow2/format.h"

namespace warren::vmm::block::qcow2 {

class Decompressor {
 public:
  explicit Decompressor(Compression compression);
  ~Decompressor();
  // Fills `to` from `from`, which may go on with what belongs to others. EIO when it does not fill it,
  // ENOMEM.
  int unpack(std::span<const std::byte> from, std::span<std::byte> to) noexcept;

 private:
  class Zlib;
  class Zstd;
  int unpack_zlib(std::span<const std::byte> from, std::span<std::byte> to) noexcept;
  int unpack_zstd(std::span<const std::byte> from, std::span<std::byte> to) noexcept;

  const Compression compression_;
  std::unique_ptr<Zlib> zlib_;
  std::unique_ptr<Zstd> zstd_;
};

}  // namespace warren::vmm::block::qcow2
