#include "vmm-core/block/qcow2/header.h"

#include <cerrno>
#include <limits>

#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw Error(std::errc::invalid_argument, name + ": " + what);
}
[[noreturn]] void refuse_support(const std::string& name, const std::string& what) {
  throw Error(std::errc::not_supported, name + ": " + what);
}

std::vector<std::byte> read_all(HostFile& file, const std::string& name, std::uint64_t offset,
                                std::uint64_t size) {
  std::vector<std::byte> bytes(size);
  if (const int error = file.read_bytes(offset, bytes))
    throw Error::from_errno(error, name + ": read the qcow2 header");
  return bytes;
}

// Printable, whatever wrote it.
std::string text_of(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    const auto character = static_cast<unsigned char>(byte);
    if (character == 0) break;
    text += character < 0x20 || character == 0x7f ? '?' : static_cast<char>(character);
  }
  return text;
}

// A file name may hold what is not printable, but no NUL.
std::string path_of(std::span<const std::byte> bytes, const std::string& name, const char* what) {
  std::string path(reinterpret_cast<const char*>(bytes.data()), bytes.size());  // bytes of a name are chars
  if (path.find('\0') != std::string::npos) refuse(name, message("the ", what, " holds a NUL"));
  return path;
}

void read_fields(Header& header, const std::string& name) {
  const std::byte* at = header.sector.data();
  if (load<std::uint32_t>(at) != kMagic) refuse(name, "no qcow2 image (its magic number is another)");
  header.version = load<std::uint32_t>(at + field::kVersion);
  if (header.version != 2 && header.version != 3)
    refuse_support(name, message("qcow2 version ", header.version, "; 2 and 3 are known"));
  header.geometry.cluster_bits = load<std::uint32_t>(at + field::kClusterBits);
  header.size = load<std::uint64_t>(at + field::kSize);
  header.l1_size = load<std::uint32_t>(at + field::kL1Size);
  header.l1_offset = load<std::uint64_t>(at + field::kL1Offset);
  header.refcount_table_offset = load<std::uint64_t>(at + field::kRefcountTableOffset);
  header.refcount_table_clusters = load<std::uint32_t>(at + field::kRefcountTableClusters);
  header.snapshots = load<std::uint32_t>(at + field::kSnapshots);
  header.snapshots_offset = load<std::uint64_t>(at + field::kSnapshotsOffset);
  header.length = kHeaderLength2;
  header.geometry.has_zero_flag = header.version >= 3;
  if (header.version == 2) return;
  header.incompatible = load<std::uint64_t>(at + field::kIncompatible);
  header.compatible = load<std::uint64_t>(at + field::kCompatible);
  header.autoclear = load<std::uint64_t>(at + field::kAutoclear);
  header.geometry.refcount_order = load<std::uint32_t>(at + field::kRefcountOrder);
  header.length = load<std::uint32_t>(at + field::kHeaderLength);
}

void check_sizes(Header& header, const std::string& name) {
  Geometry& geometry = header.geometry;
  if (geometry.cluster_bits < kMinimumClusterBits || geometry.cluster_bits > kMaximumClusterBits)
    refuse(name, message("clusters of 2^", geometry.cluster_bits, " bytes; 2^9 to 2^21 are possible"));
  if (geometry.refcount_order > kMaximumRefcountOrder)
    refuse(name,
           message("reference counts of 2^", geometry.refcount_order, " bits; 2^0 to 2^6 are possible"));
  if (header.version == 3 &&
      (header.length < kHeaderLength3 || header.length % 8 != 0 || header.length > geometry.cluster_size()))
    refuse(name, message("a header of ", header.length, " bytes"));
}

void check_encryption(const Header& header, const std::string& name) {
  switch (load<std::uint32_t>(header.sector.data() + field::kCryptMethod)) {
    case 0:
      return;
    case 1:
      refuse_support(name, "its data is encrypted with AES, which is obsolete and not supported");
    case 2:
      refuse_support(name, "its data is encrypted with LUKS, which is not supported");
    default:
      refuse(name, "its data is encrypted by a method that is not known");
  }
}

std::string unknown_features(std::uint64_t bits, std::span<const std::byte> names) {
  constexpr std::size_t kEntry = 48;  // "Feature name table"
  std::string list;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((bits >> bit & 1) == 0) continue;
    std::string feature = message("bit ", bit);
    for (std::size_t at = 0; at + kEntry <= names.size(); at += kEntry) {
      if (names[at] != std::byte{0} || static_cast<unsigned>(names[at + 1]) != bit) continue;
      const std::string text = text_of(names.subspan(at + 2, kEntry - 2));
      if (!text.empty()) feature = message("'", text, "'");
    }
    list += (list.empty() ? "" : ", ") + feature;
  }
  return list;
}

void read_bitmaps(Header& header, std::span<const std::byte> data, const std::string& name) {
  if (data.size() != 24) refuse(name, message("a bitmaps extension of ", data.size(), " bytes"));
  BitmapsExtension bitmaps;
  bitmaps.count = load<std::uint32_t>(data.data());
  bitmaps.directory_size = load<std::uint64_t>(data.data() + 8);
  bitmaps.directory_offset = load<std::uint64_t>(data.data() + 16);
  if (bitmaps.count == 0 || bitmaps.count > 65535 || bitmaps.directory_size > (std::uint64_t{64} << 20) ||
      bitmaps.directory_offset % header.geometry.cluster_size() != 0 || bitmaps.directory_offset == 0)
    refuse(name, "a bitmaps extension that makes no sense");
  header.bitmaps = bitmaps;
}

// Leaves the feature names in `features`.
void read_extensions(Header& header, std::span<const std::byte> cluster, std::uint64_t end,
                     std::span<const std::byte>& features, const std::string& name) {
  std::uint64_t at = header.length;
  while (at + 8 <= end) {
    const auto type = load<std::uint32_t>(cluster.data() + at);
    const auto size = load<std::uint32_t>(cluster.data() + at + 4);
    at += 8;
    if (type == kEndOfExtensions) return;
    if (size > end - at) refuse(name, message("header extension ", hex(type), " ends beyond the header"));
    const auto data = cluster.subspan(at, size);
    switch (type) {
      case kBackingFormatExtension:
        header.backing_format = text_of(data);
        break;
      case kFeatureNamesExtension:
        features = data;
        break;
      case kBitmapsExtension:
        read_bitmaps(header, data, name);
        break;
      case kDataFileExtension:
        header.data_file = path_of(data, name, "name of the external data file");
        break;
      default:
        break;  // "other: Unknown header extension, can be safely ignored"
    }
    at = round_up(at + size, 8);
  }
}

void check_features(const Header& header, std::span<const std::byte> names, const std::string& name) {
  const Geometry& geometry = header.geometry;
  if (const std::uint64_t unknown = header.incompatible & ~std::uint64_t{kKnownIncompatible})
    refuse_support(name, "uses features that are not known: " + unknown_features(unknown, names));
  if ((header.incompatible & kExtendedL2) != 0 && geometry.cluster_bits < kMinimumExtendedClusterBits)
    refuse(name, "extended L2 entries need clusters of 16 KiB or more");
  if ((header.incompatible & kExternalData) == 0 && header.data_file)
    refuse(name, "names an external data file, but has no external data");
  if ((header.autoclear & kRawExternalData) != 0 && !header.has_external_data())
    refuse(name, "has raw external data, but no external data");
  if ((header.autoclear & kBitmapsConsistent) != 0 && !header.bitmaps)
    refuse(name, "has consistent bitmaps, but no bitmaps");
  if (header.has_external_data() && header.snapshots != 0)
    refuse(name, "has both external data and internal snapshots");
}

void check_compression(Header& header, const std::string& name) {
  std::uint8_t type = 0;
  if (header.length > field::kCompressionType)
    type = static_cast<std::uint8_t>(header.sector[field::kCompressionType]);
  if (((header.incompatible & kCompressionType) != 0) != (type != 0))
    refuse(name, message("compression type ", type, " contradicts the feature bit"));
  if (type > 1) refuse_support(name, message("compression type ", type, " is not known"));
  header.compression = static_cast<Compression>(type);
}

void check_table(const std::string& name, const char* what, std::uint64_t offset, std::uint64_t bytes,
                 const Geometry& geometry) {
  std::uint64_t end = 0;
  if (offset % geometry.cluster_size() != 0)
    refuse(name, message("the ", what, " at ", hex(offset), " does not begin at a cluster"));
  if (__builtin_add_overflow(offset, bytes, &end) || end > kMaximumOffset)
    refuse(name, message("the ", what, " at ", hex(offset), " is out of reach"));
  if (bytes != 0 && offset == 0) refuse(name, message("the ", what, " lies in the header"));
}

void check_tables(const Header& header, const std::string& name) {
  const Geometry& geometry = header.geometry;
  if (header.size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    refuse(name, message("a disk of ", header.size, " bytes is too large"));
  const std::uint64_t l1_bytes = std::uint64_t{header.l1_size} * 8;
  if (l1_bytes > kMaximumL1Bytes) refuse(name, "its L1 table is larger than 32 MiB");
  if (geometry.l1_entries_for(header.size) > header.l1_size)
    refuse(name,
           message("its L1 table of ", header.l1_size, " entries is too small for ", header.size, " bytes"));
  check_table(name, "L1 table", header.l1_offset, l1_bytes, geometry);
  const std::uint64_t refcount_bytes =
      std::uint64_t{header.refcount_table_clusters} * geometry.cluster_size();
  if (refcount_bytes > kMaximumRefcountTableBytes) refuse(name, "its refcount table is larger than 8 MiB");
  if (refcount_bytes == 0) refuse(name, "it has no refcount table");
  check_table(name, "refcount table", header.refcount_table_offset, refcount_bytes, geometry);
  if (header.snapshots > kMaximumSnapshots)
    refuse(name, message(header.snapshots, " snapshots are more than ", kMaximumSnapshots));
  check_table(name, "snapshot table", header.snapshots_offset, header.snapshots, geometry);
}

void read_backing(Header& header, std::span<const std::byte> cluster, const std::string& name) {
  const auto offset = load<std::uint64_t>(cluster.data() + field::kBackingOffset);
  const auto size = load<std::uint32_t>(cluster.data() + field::kBackingSize);
  if (offset == 0) return;
  std::uint64_t end = 0;
  if (size > kMaximumBackingName || offset < header.length || __builtin_add_overflow(offset, size, &end) ||
      end > cluster.size())
    refuse(name, "the name of its backing file does not lie in the header");
  header.backing_file = path_of(cluster.subspan(offset, size), name, "name of the backing file");
  if ((header.autoclear & kRawExternalData) != 0)
    refuse(name, "raw external data and a backing file exclude each other");
}

}  // namespace

Header read_header(HostFile& file, const std::string& name) {
  Header header;
  if (const int error = file.read_bytes(0, header.sector))
    throw Error::from_errno(error, name + ": read the qcow2 header");
  read_fields(header, name);
  check_sizes(header, name);
  check_encryption(header, name);
  const auto cluster = read_all(file, name, 0, header.geometry.cluster_size());
  std::uint64_t end = load<std::uint64_t>(cluster.data() + field::kBackingOffset);
  if (end == 0 || end > cluster.size()) end = cluster.size();
  std::span<const std::byte> names;
  read_extensions(header, cluster, end, names, name);
  check_features(header, names, name);
  header.geometry.extended_l2 = (header.incompatible & kExtendedL2) != 0;
  check_compression(header, name);
  check_tables(header, name);
  read_backing(header, cluster, name);
  return header;
}

void update_sector(Header& header) noexcept {
  std::byte* at = header.sector.data();
  store(at + field::kSize, header.size);
  store(at + field::kL1Size, header.l1_size);
  store(at + field::kL1Offset, header.l1_offset);
  store(at + field::kRefcountTableOffset, header.refcount_table_offset);
  store(at + field::kRefcountTableClusters, header.refcount_table_clusters);
  store(at + field::kSnapshots, header.snapshots);
  store(at + field::kSnapshotsOffset, header.snapshots_offset);
  if (header.version < 3) return;
  store(at + field::kIncompatible, header.incompatible);
  store(at + field::kCompatible, header.compatible);
  store(at + field::kAutoclear, header.autoclear);
}

}  // namespace warren::vmm::block::qcow2
