#include "vmm-core/block/qcow2/bitmaps.h"

#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

constexpr std::size_t kEntryBytes = 24;  // of the directory, before extra data and name
constexpr std::uint32_t kInUse = 1, kAuto = 2, kExtraDataCompatible = 4;
constexpr std::uint8_t kDirtyTracking = 1;
constexpr std::uint64_t kMaximumTableBytes = std::uint64_t{64} << 20;

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw Error(std::errc::invalid_argument, name + ": bitmaps: " + what);
}

std::vector<std::byte> read_piece(HostFile& file, std::uint64_t offset, std::uint64_t bytes,
                                  const std::string& name) {
  std::uint64_t end = 0;
  // A table is no longer than the file, whatever it claims.
  if (__builtin_add_overflow(offset, bytes, &end) || end > file.size())
    refuse(name, "beyond the end of the file");
  std::vector<std::byte> piece(bytes);
  if (const int error = file.read_bytes(offset, piece))
    throw Error::from_errno(error, name + ": read bitmaps");
  return piece;
}

void read_table(HostFile& file, const Geometry& geometry, std::uint64_t count, Bitmap& bitmap,
                const std::string& name) {
  if (count == 0) return;
  if (bitmap.table_offset == 0 || (bitmap.table_offset & geometry.cluster_mask()) != 0 ||
      count * 8 > kMaximumTableBytes)
    refuse(name, message("a table of ", count, " entries at ", hex(bitmap.table_offset)));
  const auto table = read_piece(file, bitmap.table_offset, count * 8, name);
  for (std::size_t at = 0; at < table.size(); at += 8) {
    const auto entry = load<std::uint64_t>(table.data() + at);
    const std::uint64_t data = entry & kOffsetMask;
    if ((entry & ~(kOffsetMask | kAllOnes)) != 0 || (data & geometry.cluster_mask()) != 0 ||
        (data != 0 && (entry & kAllOnes) != 0))
      refuse(name, message("table entry ", hex(entry)));
    bitmap.entries.push_back(entry);
  }
}

Bitmap parse_entry(const std::byte* entry) {
  const auto flags = load<std::uint32_t>(entry + 12);
  const auto extra_bytes = load<std::uint32_t>(entry + 20);
  Bitmap bitmap{.table_offset = load<std::uint64_t>(entry)};
  bitmap.in_use = (flags & kInUse) != 0;
  bitmap.records = (flags & kAuto) != 0;
  bitmap.understood = (flags & ~(kInUse | kAuto | kExtraDataCompatible)) == 0 &&
                      (extra_bytes == 0 || (flags & kExtraDataCompatible) != 0) &&
                      std::to_integer<std::uint8_t>(entry[16]) == kDirtyTracking;
  return bitmap;
}

}  // namespace

std::vector<Bitmap> read_bitmaps(HostFile& file, const Header& header, const std::string& name) {
  std::vector<Bitmap> bitmaps;
  if (!header.bitmaps) return bitmaps;
  const Geometry& geometry = header.geometry;
  const auto directory =
      read_piece(file, header.bitmaps->directory_offset, header.bitmaps->directory_size, name);
  // Each has its own clusters, so that all of them are no more than the file has.
  std::uint64_t left = file.size() / geometry.cluster_size() + 1;
  const auto take = [&](std::uint64_t clusters) {
    if (clusters > left) refuse(name, "they overlap");
    left -= clusters;
  };
  std::uint64_t at = 0;
  for (std::uint32_t i = 0; i < header.bitmaps->count; ++i) {
    if (directory.size() - at < kEntryBytes) refuse(name, "the directory is too short");
    const std::byte* entry = directory.data() + at;
    const std::uint64_t bytes = round_up(
        kEntryBytes + load<std::uint16_t>(entry + 18) + std::uint64_t{load<std::uint32_t>(entry + 20)}, 8);
    if (bytes > directory.size() - at) refuse(name, "an entry ends beyond the directory");
    Bitmap& bitmap = bitmaps.emplace_back(parse_entry(entry));
    const auto count = load<std::uint32_t>(entry + 8);
    take(divide_up(std::uint64_t{count} * 8, geometry.cluster_size()));
    read_table(file, geometry, count, bitmap, name);
    for (const std::uint64_t data : bitmap.entries) take((data & kOffsetMask) != 0 ? 1 : 0);
    at += bytes;
  }
  if (at != directory.size()) refuse(name, "the directory is longer than its entries");
  return bitmaps;
}

std::vector<BitmapRange> ranges_of(const std::vector<Bitmap>& bitmaps, const Header& header) {
  std::vector<BitmapRange> ranges;
  if (!header.bitmaps) return ranges;
  const std::uint64_t cluster = header.geometry.cluster_size();
  ranges.push_back({header.bitmaps->directory_offset, round_up(header.bitmaps->directory_size, cluster)});
  for (const Bitmap& bitmap : bitmaps) {
    if (!bitmap.entries.empty())
      ranges.push_back({bitmap.table_offset, round_up(bitmap.entries.size() * 8, cluster)});
    for (const std::uint64_t entry : bitmap.entries) {
      if ((entry & kOffsetMask) != 0) ranges.push_back({entry & kOffsetMask, cluster});
    }
  }
  return ranges;
}

}  // namespace warren::vmm::block::qcow2
