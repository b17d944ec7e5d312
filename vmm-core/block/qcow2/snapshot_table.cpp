#include "vmm-core/block/qcow2/snapshot_table.h"

#include <algorithm>

#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

constexpr std::size_t kEntryBytes = 40, kKnownExtra = 16;
constexpr std::uint32_t kMaximumExtra = 1024;

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw Error(std::errc::invalid_argument, name + ": snapshot table: " + what);
}

void read_at(HostFile& file, std::uint64_t offset, std::span<std::byte> to, const std::string& name) {
  if (const int error = file.read_bytes(offset, to))
    throw Error::from_errno(error, name + ": read the snapshot table");
}

std::string read_text(HostFile& file, std::uint64_t& at, std::size_t size, const std::string& name) {
  std::string text(size, '\0');
  read_at(file, at, std::as_writable_bytes(std::span(text)), name);
  at += size;
  return text;
}

void check(const Snapshot& snapshot, const Geometry& geometry, const std::string& name) {
  const std::uint64_t bytes = std::uint64_t{snapshot.l1_size} * 8;
  if ((snapshot.l1_offset & geometry.cluster_mask()) != 0 || bytes > kMaximumL1Bytes ||
      (bytes != 0 && snapshot.l1_offset == 0) || snapshot.l1_offset > kMaximumOffset - bytes)
    refuse(name, message("an L1 table of ", snapshot.l1_size, " entries at ", hex(snapshot.l1_offset)));
}

}  // namespace

SnapshotTable read_snapshots(HostFile& file, const Header& header, const std::string& name) {
  SnapshotTable table;
  const std::uint64_t file_size = file.size();
  std::uint64_t at = header.snapshots_offset;
  for (std::uint32_t i = 0; i < header.snapshots; ++i) {
    std::array<std::byte, kEntryBytes> entry{};
    if (at + kEntryBytes > file_size) refuse(name, "ends beyond the file");
    read_at(file, at, entry, name);
    at += kEntryBytes;
    Snapshot snapshot;
    snapshot.l1_offset = load<std::uint64_t>(entry.data());
    snapshot.l1_size = load<std::uint32_t>(entry.data() + 8);
    snapshot.seconds = load<std::uint32_t>(entry.data() + 16);
    snapshot.nanoseconds = load<std::uint32_t>(entry.data() + 20);
    snapshot.guest_nanoseconds = load<std::uint64_t>(entry.data() + 24);
    snapshot.vm_state_bytes = load<std::uint32_t>(entry.data() + 32);
    snapshot.disk_size = header.size;
    const auto extra_size = load<std::uint32_t>(entry.data() + 36);
    if (extra_size > kMaximumExtra) refuse(name, message("extra data of ", extra_size, " bytes"));
    std::vector<std::byte> extra(extra_size);
    read_at(file, at, extra, name);
    at += extra_size;
    if (extra_size >= 8) snapshot.vm_state_bytes = load<std::uint64_t>(extra.data());
    if (extra_size >= 16) snapshot.disk_size = load<std::uint64_t>(extra.data() + 8);
    if (extra_size > kKnownExtra) snapshot.extra.assign(extra.begin() + kKnownExtra, extra.end());
    snapshot.id = read_text(file, at, load<std::uint16_t>(entry.data() + 12), name);
    snapshot.name = read_text(file, at, load<std::uint16_t>(entry.data() + 14), name);
    at = round_up(at, 8);
    if (at - header.snapshots_offset > kMaximumSnapshotTableBytes) refuse(name, "is larger than 64 MiB");
    check(snapshot, header.geometry, name);
    table.snapshots.push_back(std::move(snapshot));
  }
  table.bytes = at - header.snapshots_offset;
  return table;
}

std::vector<std::byte> format_snapshots(const std::vector<Snapshot>& snapshots) {
  std::vector<std::byte> bytes;
  for (const Snapshot& snapshot : snapshots) {
    const std::size_t extra = kKnownExtra + snapshot.extra.size();
    const std::size_t size = round_up(kEntryBytes + extra + snapshot.id.size() + snapshot.name.size(), 8);
    const std::size_t begin = bytes.size();
    bytes.resize(begin + size);
    std::byte* at = bytes.data() + begin;
    store(at, snapshot.l1_offset);
    store(at + 8, snapshot.l1_size);
    store(at + 12, static_cast<std::uint16_t>(snapshot.id.size()));
    store(at + 14, static_cast<std::uint16_t>(snapshot.name.size()));
    store(at + 16, snapshot.seconds);
    store(at + 20, snapshot.nanoseconds);
    store(at + 24, snapshot.guest_nanoseconds);
    // "If this field is present [in the extra data], the 32-bit value is ignored."
    store(at + 32, static_cast<std::uint32_t>(std::min<std::uint64_t>(snapshot.vm_state_bytes, 0xffff'ffff)));
    store(at + 36, static_cast<std::uint32_t>(extra));
    store(at + 40, snapshot.vm_state_bytes);
    store(at + 48, snapshot.disk_size);
    at = std::ranges::copy(snapshot.extra, at + kEntryBytes + kKnownExtra).out;
    const auto put = [&at](const std::string& text) {
      at = std::ranges::copy(std::as_bytes(std::span(text)), at).out;
    };
    put(snapshot.id);
    put(snapshot.name);
  }
  return bytes;
}

}  // namespace warren::vmm::block::qcow2
