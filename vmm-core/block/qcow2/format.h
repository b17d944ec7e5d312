// The numbers of the qcow2 format, as QEMU's docs/interop/qcow2.txt has them. Section names in the comments
// of this folder are that document's. Everything on disk is big-endian.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace warren::vmm::block::qcow2 {

inline constexpr std::uint32_t kMagic = 0x514649fb;  // "QFI\xfb"
inline constexpr std::size_t kHeaderSector = 512;  // all fields of the header lie in it: it is written whole

// "Header": byte offsets.
namespace field {
inline constexpr std::size_t kMagic = 0, kVersion = 4, kBackingOffset = 8, kBackingSize = 16,
                             kClusterBits = 20, kSize = 24, kCryptMethod = 32, kL1Size = 36, kL1Offset = 40,
                             kRefcountTableOffset = 48, kRefcountTableClusters = 56, kSnapshots = 60,
                             kSnapshotsOffset = 64, kIncompatible = 72, kCompatible = 80, kAutoclear = 88,
                             kRefcountOrder = 96, kHeaderLength = 100, kCompressionType = 104;
}  // namespace field

inline constexpr std::size_t kHeaderLength2 = 72, kHeaderLength3 = 104, kHeaderLengthWithCompression = 112;

enum Incompatible : std::uint64_t {
  kDirty = 1,
  kCorrupt = 2,
  kExternalData = 4,
  kCompressionType = 8,
  kExtendedL2 = 16,
  kKnownIncompatible = 31,
};
enum Compatible : std::uint64_t { kLazyRefcounts = 1 };
enum Autoclear : std::uint64_t { kBitmapsConsistent = 1, kRawExternalData = 2, kKnownAutoclear = 3 };

// "Header extensions"
inline constexpr std::uint32_t kEndOfExtensions = 0, kBackingFormatExtension = 0xe2792aca,
                               kFeatureNamesExtension = 0x6803f857, kBitmapsExtension = 0x23852875,
                               kEncryptionExtension = 0x0537be77, kDataFileExtension = 0x44415441;

// Limits of this implementation, the same as QEMU's, so that what one makes the other opens.
inline constexpr unsigned kMinimumClusterBits = 9, kMaximumClusterBits = 21, kMinimumExtendedClusterBits = 14;
inline constexpr unsigned kMaximumRefcountOrder = 6;
inline constexpr std::uint64_t kMaximumL1Bytes = std::uint64_t{32} << 20;
inline constexpr std::uint64_t kMaximumRefcountTableBytes = std::uint64_t{8} << 20;
inline constexpr std::uint32_t kMaximumSnapshots = 65536;
inline constexpr std::uint64_t kMaximumSnapshotTableBytes = std::uint64_t{64} << 20;
inline constexpr std::uint32_t kMaximumBackingName = 1023;

// "L1 table entry", "L2 table entry"
inline constexpr std::uint64_t kCopied = std::uint64_t{1} << 63;
inline constexpr std::uint64_t kCompressed = std::uint64_t{1} << 62;
inline constexpr std::uint64_t kZero = 1;
inline constexpr std::uint64_t kOffsetMask = 0x00ff'ffff'ffff'fe00;  // bits 9-55
inline constexpr std::uint64_t kMaximumOffset = std::uint64_t{1} << 56;
inline constexpr std::uint64_t kRefcountOffsetMask = ~std::uint64_t{511};
inline constexpr unsigned kSubclusters = 32;  // of a cluster with extended L2 entries

enum class Compression : std::uint8_t { zlib = 0, zstd = 1 };

template <typename Integer>
Integer swap_bytes(Integer value) noexcept {
  if constexpr (sizeof(Integer) == 8) {
    return __builtin_bswap64(value);
  } else if constexpr (sizeof(Integer) == 4) {
    return __builtin_bswap32(value);
  } else {
    static_assert(sizeof(Integer) == 2);
    return __builtin_bswap16(value);
  }
}
static_assert(std::endian::native == std::endian::little);

template <typename Integer>
Integer load(const std::byte* from) noexcept {
  Integer value{};
  std::memcpy(&value, from, sizeof(value));
  return swap_bytes(value);
}
template <typename Integer>
void store(std::byte* to, Integer value) noexcept {
  value = swap_bytes(value);
  std::memcpy(to, &value, sizeof(value));
}

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) noexcept {
  return (value + unit - 1) / unit * unit;
}
constexpr std::uint64_t divide_up(std::uint64_t value, std::uint64_t unit) noexcept {
  return value / unit + (value % unit != 0);
}

}  // namespace warren::vmm::block::qcow2
