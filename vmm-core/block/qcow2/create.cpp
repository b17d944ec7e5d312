#include "vmm-core/block/qcow2/create.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <vector>

#include "vmm-core/block/qcow2/geometry.h"
#include "vmm-core/block/qcow2/refcount_block.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(std::errc::invalid_argument, what);
}

Geometry geometry_of(const CreateOptions& options) {
  return {.cluster_bits = options.cluster_bits,
          .refcount_order = options.refcount_order,
          .extended_l2 = options.extended_l2,
          .has_zero_flag = options.version >= 3};
}

// Where everything is: header, refcount table, its blocks, the L1 table.
struct Layout {
  std::uint64_t table_clusters = 1, blocks = 1, l1_entries = 0, l1_clusters = 0;
  std::uint64_t clusters() const noexcept { return 1 + table_clusters + blocks + l1_clusters; }
};

Layout layout_of(const CreateOptions& options) {
  const Geometry geometry = geometry_of(options);
  Layout layout;
  layout.l1_entries = std::max<std::uint64_t>(geometry.l1_entries_for(options.size), 1);
  layout.l1_clusters = divide_up(layout.l1_entries * 8, geometry.cluster_size());
  while (true) {
    const std::uint64_t blocks = divide_up(layout.clusters(), geometry.refcounts_per_block());
    const std::uint64_t table = divide_up(blocks * 8, geometry.cluster_size());
    if (blocks == layout.blocks && table == layout.table_clusters) return layout;
    layout.blocks = std::max(blocks, layout.blocks);
    layout.table_clusters = std::max(table, layout.table_clusters);
  }
}

void add_extension(std::vector<std::byte>& bytes, std::uint32_t type, std::span<const std::byte> data) {
  const std::size_t at = bytes.size();
  bytes.resize(at + 8 + round_up(data.size(), 8));
  store(bytes.data() + at, type);
  store(bytes.data() + at + 4, static_cast<std::uint32_t>(data.size()));
  std::ranges::copy(data, bytes.data() + at + 8);
}

// "Feature name table"
std::vector<std::byte> feature_names() {
  struct Feature {
    unsigned type, bit;
    std::string_view name;
  };
  static constexpr std::array kFeatures = std::to_array<Feature>({
      {0, 0, "dirty bit"},
      {0, 1, "corrupt bit"},
      {0, 2, "external data file"},
      {0, 3, "compression type"},
      {0, 4, "extended L2 entries"},
      {1, 0, "lazy refcounts"},
      {2, 0, "bitmaps"},
      {2, 1, "raw external data"},
  });
  constexpr std::size_t kEntry = 48;
  std::vector<std::byte> table(kFeatures.size() * kEntry);
  for (std::size_t i = 0; i < kFeatures.size(); ++i) {
    std::byte* at = table.data() + i * kEntry;
    at[0] = static_cast<std::byte>(kFeatures[i].type);
    at[1] = static_cast<std::byte>(kFeatures[i].bit);
    std::ranges::copy(std::as_bytes(std::span(kFeatures[i].name)), at + 2);
  }
  return table;
}

std::uint64_t incompatible_of(const CreateOptions& options) {
  return (options.data_file.empty() ? 0 : std::uint64_t{kExternalData}) |
         (options.compression == Compression::zlib ? 0 : std::uint64_t{kCompressionType}) |
         (options.extended_l2 ? std::uint64_t{kExtendedL2} : 0);
}

std::vector<std::byte> header_of(const CreateOptions& options, const Layout& layout) {
  const std::uint64_t cluster = std::uint64_t{1} << options.cluster_bits;
  std::vector<std::byte> bytes(options.version == 2 ? kHeaderLength2 : kHeaderLengthWithCompression);
  store(bytes.data() + field::kMagic, kMagic);
  store(bytes.data() + field::kVersion, options.version);
  store(bytes.data() + field::kClusterBits, std::uint32_t{options.cluster_bits});
  store(bytes.data() + field::kSize, options.size);
  store(bytes.data() + field::kL1Size, static_cast<std::uint32_t>(layout.l1_entries));
  store(bytes.data() + field::kL1Offset, (1 + layout.table_clusters + layout.blocks) * cluster);
  store(bytes.data() + field::kRefcountTableOffset, cluster);
  store(bytes.data() + field::kRefcountTableClusters, static_cast<std::uint32_t>(layout.table_clusters));
  if (options.version >= 3) {
    store(bytes.data() + field::kIncompatible, incompatible_of(options));
    store(bytes.data() + field::kCompatible, options.lazy_refcounts ? std::uint64_t{kLazyRefcounts} : 0);
    store(bytes.data() + field::kAutoclear, options.raw_data_file ? std::uint64_t{kRawExternalData} : 0);
    store(bytes.data() + field::kRefcountOrder, std::uint32_t{options.refcount_order});
    store(bytes.data() + field::kHeaderLength, static_cast<std::uint32_t>(bytes.size()));
    bytes[field::kCompressionType] = static_cast<std::byte>(options.compression);
  }
  const auto text = [](const std::string& string) { return std::as_bytes(std::span(string)); };
  if (!options.backing_format.empty())
    add_extension(bytes, kBackingFormatExtension, text(options.backing_format));
  if (!options.data_file.empty()) add_extension(bytes, kDataFileExtension, text(options.data_file));
  if (options.version >= 3 && cluster >= 4096) add_extension(bytes, kFeatureNamesExtension, feature_names());
  bytes.resize(bytes.size() + 8);  // "End of the header extension area"
  if (!options.backing_file.empty()) {
    store(bytes.data() + field::kBackingOffset, std::uint64_t{bytes.size()});
    store(bytes.data() + field::kBackingSize, static_cast<std::uint32_t>(options.backing_file.size()));
    const auto name = text(options.backing_file);
    bytes.insert(bytes.end(), name.begin(), name.end());
  }
  if (bytes.size() > cluster)
    refuse("the names of other files do not fit into the header of such small clusters");
  bytes.resize(cluster);
  return bytes;
}

}  // namespace

void check_options(const CreateOptions& options) {
  if (options.version != 2 && options.version != 3) refuse("compat: version 2 (0.10) or 3 (1.1)");
  if (options.cluster_bits < kMinimumClusterBits || options.cluster_bits > kMaximumClusterBits)
    refuse("cluster_size: a power of two from 512 bytes to 2 MiB");
  if (options.refcount_order > kMaximumRefcountOrder) refuse("refcount_bits: a power of two up to 64");
  if (options.size % 512 != 0) refuse("size: no multiple of 512 bytes");
  if (options.version < 3) {
    if (options.refcount_order != 4) refuse("refcount_bits: version 2 has 16");
    if (options.lazy_refcounts) refuse("lazy_refcounts: needs version 3");
    if (options.extended_l2) refuse("extended_l2: needs version 3");
    if (!options.data_file.empty()) refuse("data_file: needs version 3");
    if (options.compression != Compression::zlib) refuse("compression_type: needs version 3");
  }
  if (options.extended_l2 && options.cluster_bits < kMinimumExtendedClusterBits)
    refuse("extended_l2: needs clusters of 16 KiB or more");
  if (options.raw_data_file && options.data_file.empty()) refuse("data_file_raw: needs data_file");
  if (options.raw_data_file && !options.backing_file.empty())
    refuse("data_file_raw: cannot have a backing file");
  if (!options.backing_file.empty() && options.backing_format.empty())
    refuse("backing_fmt: the format of a backing file must be said; it is never guessed");
  if (options.backing_file.size() > kMaximumBackingName) refuse("backing_file: more than 1023 bytes");
  if (!options.backing_file.empty() && options.preallocation != Preallocation::off && !options.extended_l2)
    refuse("preallocation: would hide the backing file, but with extended_l2");
  if (options.size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
      geometry_of(options).l1_entries_for(options.size) * 8 > kMaximumL1Bytes)
    refuse("size: too large for clusters of this size");
}

void create(HostFile& file, const CreateOptions& options, const std::string& name) {
  check_options(options);
  const Geometry geometry = geometry_of(options);
  const Layout layout = layout_of(options);
  const auto header = header_of(options, layout);
  const std::uint64_t cluster = geometry.cluster_size();
  const auto check = [&name](int error) {
    if (error != 0) throw Error::from_errno(error, name + ": create");
  };
  std::vector<std::byte> table(static_cast<std::size_t>(layout.table_clusters * cluster));
  std::vector<std::byte> block(static_cast<std::size_t>(cluster));
  for (std::uint64_t i = 0; i < layout.blocks; ++i) {
    const std::uint64_t offset = (1 + layout.table_clusters + i) * cluster;
    const std::uint64_t first = i * geometry.refcounts_per_block();
    std::ranges::fill(block, std::byte{0});
    for (std::uint64_t j = 0; j < geometry.refcounts_per_block() && first + j < layout.clusters(); ++j)
      set_refcount(block.data(), options.refcount_order, j, 1);
    check(file.write_bytes(offset, block));
    store(table.data() + i * 8, offset);
  }
  check(file.write_bytes(cluster, table));
  std::ranges::fill(block, std::byte{0});
  for (std::uint64_t i = 0; i < layout.l1_clusters; ++i)
    check(file.write_bytes((1 + layout.table_clusters + layout.blocks + i) * cluster, block));
  check(file.sync());
  // It is an image only now.
  check(file.write_bytes(0, header));
  check(file.sync());
}

}  // namespace warren::vmm::block::qcow2
