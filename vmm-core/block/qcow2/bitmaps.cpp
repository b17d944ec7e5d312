#include "vmm-core/block/qcow2/bitmaps.h"

#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

constexpr std::size_t kEntryBytes = 24;  // of the directory, before extra data and name
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

void add_table(HostFile& file, const Geometry& geometry, std::uint64_t offset, std::uint64_t entries,
               std::vector<BitmapRange>& ranges, const std::string& name) {
  if (entries == 0) return;
  if (offset == 0 || (offset & geometry.cluster_mask()) != 0 || entries * 8 > kMaximumTableBytes)
    refuse(name, message("a table of ", entries, " entries at ", hex(offset)));
  const auto table = read_piece(file, offset, entries * 8, name);
  ranges.push_back({offset, round_up(table.size(), geometry.cluster_size())});
  for (std::size_t at = 0; at < table.size(); at += 8) {
    const auto entry = load<std::uint64_t>(table.data() + at);
    const std::uint64_t data = entry & kOffsetMask;
    if ((entry & ~(kOffsetMask | 1)) != 0 || (data & geometry.cluster_mask()) != 0 ||
        (data != 0 && (entry & 1) != 0))
      refuse(name, message("table entry ", hex(entry)));
    if (data != 0) ranges.push_back({data, geometry.cluster_size()});
  }
}

}  // namespace

std::vector<BitmapRange> bitmap_ranges(HostFile& file, const Header& header, const std::string& name) {
  std::vector<BitmapRange> ranges;
  if (!header.bitmaps) return ranges;
  const Geometry& geometry = header.geometry;
  const auto directory =
      read_piece(file, header.bitmaps->directory_offset, header.bitmaps->directory_size, name);
  ranges.push_back({header.bitmaps->directory_offset, round_up(directory.size(), geometry.cluster_size())});
  std::uint64_t at = 0;
  for (std::uint32_t i = 0; i < header.bitmaps->count; ++i) {
    if (directory.size() - at < kEntryBytes) refuse(name, "the directory is too short");
    const std::byte* entry = directory.data() + at;
    const std::uint64_t bytes = round_up(
        kEntryBytes + load<std::uint16_t>(entry + 18) + std::uint64_t{load<std::uint32_t>(entry + 20)}, 8);
    if (bytes > directory.size() - at) refuse(name, "an entry ends beyond the directory");
    add_table(file, geometry, load<std::uint64_t>(entry), load<std::uint32_t>(entry + 8), ranges, name);
    // Each has its own clusters, so that all of them are no more than the file has.
    if (ranges.size() > file.size() / geometry.cluster_size() + 1) refuse(name, "they overlap");
    at += bytes;
  }
  if (at != directory.size()) refuse(name, "the directory is longer than its entries");
  return ranges;
}

}  // namespace warren::vmm::block::qcow2
