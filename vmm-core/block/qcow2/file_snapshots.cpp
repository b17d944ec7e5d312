// Internal snapshots: another L1 table that refers to the same clusters ("Snapshots").
//
// Counts and flags change in many places at once. Version 3 says so by its dirty bit, and an image that was
// left in the middle is counted anew when it is opened. Version 2 has only the order: flags fall before
// counts rise, and counts fall when nothing refers to them any more.
#include <algorithm>
#include <cerrno>

#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {

class SnapshotChange {
 public:
  explicit SnapshotChange(File& file) : file_(file), metadata_(*file.metadata_), geometry_(file.geometry_) {
    if (file.options_.read_only) throw Error(std::errc::read_only_file_system, file.name_ + ": read-only");
    if (file.data_)
      throw Error(std::errc::operation_not_supported,
                  file.name_ + ": internal snapshots and external data exclude each other");
    check(metadata_.begin_changes());
    check(metadata_.commit());
    check(metadata_.commit());  // and what the first one freed
    table_ = read_snapshots(*file.file_, metadata_.header(), file.name_);
    check(metadata_.mark_dirty(true));
  }

  std::vector<Snapshot>& snapshots() noexcept { return table_.snapshots; }
  void check(int error) const { file_.check(error, "internal snapshot"); }

  Snapshot& find(const std::string& id_or_name) {
    auto found = std::ranges::find(table_.snapshots, id_or_name, &Snapshot::id);
    if (found == table_.snapshots.end())
      found = std::ranges::find(table_.snapshots, id_or_name, &Snapshot::name);
    if (found == table_.snapshots.end()) {
      end();
      throw Error(std::errc::no_such_file_or_directory,
                  message(file_.name_, ": there is no internal snapshot '", id_or_name, "'"));
    }
    return *found;
  }

  std::string unused_id() const {
    std::uint64_t highest = 0;
    for (const Snapshot& snapshot : table_.snapshots)
      highest = std::max<std::uint64_t>(highest, std::strtoull(snapshot.id.c_str(), nullptr, 10));
    return std::to_string(highest + 1);
  }

  std::vector<std::uint64_t> read_l1(const Snapshot& snapshot) {
    std::vector<std::uint64_t> l1(snapshot.l1_size);
    check(metadata_.file().read(snapshot.l1_offset, std::as_writable_bytes(std::span(l1))));
    for (std::uint64_t& entry : l1) entry = swap_bytes(entry) & ~kCopied;
    return l1;
  }

  // Every cluster that is reachable from the table counts one more, or less. All or nothing.
  void count_all(const std::vector<std::uint64_t>& l1, std::int64_t by) {
    std::uint64_t done = 0;
    if (const int error = count_first(l1, by, ~std::uint64_t{0}, done)) {
      std::uint64_t undone = 0;
      if (by > 0) count_first(l1, -by, done, undone);
      if (error == ERANGE) {
        end();
        throw Error(std::errc::value_too_large,
                    message(file_.name_, ": its reference counts of ", geometry_.refcount_bits(),
                            " bits cannot count another snapshot"));
      }
      check(error);
    }
  }

  // A copy of an L1 table in clusters of its own, synced, and with it all counts.
  std::uint64_t write_l1(const std::vector<std::uint64_t>& l1, Structure structure) {
    std::vector<std::byte> bytes(round_up(std::max<std::size_t>(l1.size(), 1) * 8, geometry_.cluster_size()));
    for (std::size_t i = 0; i < l1.size(); ++i) store(bytes.data() + i * 8, l1[i]);
    return write_new(bytes, structure);
  }

  // The table as it is now, in the header's stead, and the old one freed.
  void write_table() {
    const Header& header = metadata_.header();
    const std::uint64_t old_offset = header.snapshots_offset, old_bytes = table_.bytes;
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes = format_snapshots(table_.snapshots);
    if (bytes.size() > kMaximumSnapshotTableBytes || table_.snapshots.size() > kMaximumSnapshots)
      throw Error(std::errc::file_too_large, file_.name_ + ": has too many internal snapshots");
    table_.bytes = bytes.size();
    if (!bytes.empty()) offset = write_new(bytes, Structure::snapshot_table);
    check(metadata_.header_store().change([&](Header& fields) {
      fields.snapshots_offset = offset;
      fields.snapshots = static_cast<std::uint32_t>(table_.snapshots.size());
    }));
    check(metadata_.sync());
    free(Structure::snapshot_table, old_offset, old_bytes);
  }

  void free(Structure structure, std::uint64_t offset, std::uint64_t bytes) {
    if (bytes == 0) return;
    metadata_.file().structures().erase(structure, offset);
    check(metadata_.refcounts().add_all(offset >> geometry_.cluster_bits,
                                        divide_up(bytes, geometry_.cluster_size()), -1));
  }

  // Nothing in the active tables may be written in place from here on.
  void clear_flags() {
    update_flags([](std::uint64_t) { return false; });
  }
  // What is referred to once may be.
  void count_flags() {
    update_flags([this](std::uint64_t offset) {
      std::uint64_t count = 0;
      check(metadata_.refcounts().get(offset >> geometry_.cluster_bits, count));
      return count == 1;
    });
  }

  void sync_counts() {
    check(metadata_.refcounts().write_back());
    check(metadata_.sync());
  }
  void end() {
    check(metadata_.refcounts().write_back());
    check(metadata_.sync());
    // Lazy counts keep the image dirty for as long as it is open.
    if ((metadata_.header().compatible & kLazyRefcounts) == 0) check(metadata_.mark_dirty(false));
  }
  Metadata& metadata() noexcept { return metadata_; }

 private:
  std::uint64_t write_new(std::span<const std::byte> bytes, Structure structure) {
    std::uint64_t first = 0;
    check(
        metadata_.refcounts().allocate_contiguous(divide_up(bytes.size(), geometry_.cluster_size()), first));
    const std::uint64_t offset = first << geometry_.cluster_bits;
    check(metadata_.file().structures().insert(structure, offset, bytes.size()));
    check(metadata_.file().write(structure, offset, bytes));
    sync_counts();
    return offset;
  }

  int count_first(const std::vector<std::uint64_t>& l1, std::int64_t by, std::uint64_t most,
                  std::uint64_t& done) {
    std::vector<std::byte> table(static_cast<std::size_t>(geometry_.cluster_size()));
    const unsigned words = geometry_.entry_words();
    const auto count = [&](std::uint64_t first, std::uint64_t clusters) {
      if (done == most) return 0;
      const int error = metadata_.refcounts().add_all(first, clusters, by);
      if (error == 0) ++done;
      return error;
    };
    for (const std::uint64_t l1_entry : l1) {
      const std::uint64_t offset = l1_entry & kOffsetMask;
      if (offset == 0) continue;
      if (const int error = metadata_.file().read(offset, table)) return error;
      for (std::size_t at = 0; at < table.size(); at += words * 8) {
        Cluster cluster;
        const Entry entry{load<std::uint64_t>(table.data() + at),
                          words == 2 ? load<std::uint64_t>(table.data() + at + 8) : 0};
        if (entry == Entry{}) continue;
        if (!decode(geometry_, false, entry, cluster)) return EIO;
        if (cluster.kind == Cluster::Kind::none) continue;
        const std::uint64_t first = cluster.host >> geometry_.cluster_bits;
        const std::uint64_t last =
            (cluster.host + std::max<std::uint64_t>(cluster.host_size, 1) - 1) >> geometry_.cluster_bits;
        if (const int error = count(first, last - first + 1)) return error;
      }
      if (const int error = count(offset >> geometry_.cluster_bits, 1)) return error;
    }
    return 0;
  }

  void update_flags(auto&& is_single) {
    Mapping& mapping = metadata_.mapping();
    for (std::uint64_t table = 0; table < mapping.l1().size(); ++table) {
      const std::uint64_t l1_entry = mapping.l1()[table], offset = l1_entry & kOffsetMask;
      if (offset == 0) continue;
      const std::uint64_t wanted = offset | (is_single(offset) ? kCopied : 0);
      if (wanted != l1_entry) mapping.set_l1_entry(table, wanted);
      for (std::uint64_t i = 0; i < geometry_.l2_entries(); ++i) {
        const std::uint64_t cluster = (table << geometry_.l2_bits()) + i;
        Entry entry;
        check(mapping.get_entry(cluster, entry));
        const std::uint64_t host = entry.word & kOffsetMask;
        if ((entry.word & kCompressed) != 0 || host == 0) continue;
        Entry flagged = entry;
        flagged.word = is_single(host) ? entry.word | kCopied : entry.word & ~kCopied;
        if (flagged != entry) check(mapping.set_entry(cluster, flagged));
      }
    }
    check(metadata_.commit());
  }

  File& file_;
  Metadata& metadata_;
  const Geometry geometry_;
  SnapshotTable table_;
};

std::string File::create_snapshot(const std::string& name, std::uint32_t seconds, std::uint32_t nanoseconds) {
  const std::lock_guard lock(owner_);
  if (name.empty() || name.size() > 255)
    throw Error(std::errc::invalid_argument, name_ + ": the name of a snapshot has 1 to 255 bytes");
  SnapshotChange change(*this);
  Snapshot snapshot{.id = change.unused_id(), .name = name, .seconds = seconds, .nanoseconds = nanoseconds};
  std::vector<std::uint64_t> l1 = metadata_->mapping().l1();
  for (std::uint64_t& entry : l1) entry &= ~kCopied;
  change.clear_flags();
  try {
    change.count_all(l1, 1);
  } catch (...) {
    change.count_flags();
    throw;
  }
  change.sync_counts();
  snapshot.l1_offset = change.write_l1(l1, Structure::inactive_l1_table);
  snapshot.l1_size = static_cast<std::uint32_t>(l1.size());
  snapshot.disk_size = size();
  change.snapshots().push_back(snapshot);
  change.write_table();
  change.end();
  finish(0);
  return snapshot.id;
}

void File::apply_snapshot(const std::string& id_or_name) {
  const std::lock_guard lock(owner_);
  SnapshotChange change(*this);
  const Snapshot snapshot = change.find(id_or_name);
  if (snapshot.disk_size != size() && header().bitmaps)
    throw Error(std::errc::operation_not_supported,
                name_ + ": has persistent bitmaps, which do not fit the size of the snapshot");
  if (geometry_.l1_entries_for(snapshot.disk_size) * 8 > kMaximumL1Bytes) {
    change.end();
    throw Error(std::errc::file_too_large, message(name_, ": the snapshot is of a disk of ",
                                                   snapshot.disk_size, " bytes, which is too large"));
  }
  std::vector<std::uint64_t> l1 = change.read_l1(snapshot);
  l1.resize(std::max<std::uint64_t>(l1.size(), geometry_.l1_entries_for(snapshot.disk_size)));
  change.count_all(l1, 1);
  change.sync_counts();
  StructureMap& structures = metadata_->file().structures();
  const std::uint64_t offset = change.write_l1(l1, Structure::l1_table);
  const std::uint64_t old_offset = header().l1_offset, old_bytes = std::uint64_t{header().l1_size} * 8;
  change.check(metadata_->header_store().change([&](Header& fields) {
    fields.l1_offset = offset;
    fields.l1_size = static_cast<std::uint32_t>(l1.size());
    fields.size = snapshot.disk_size;
  }));
  change.check(metadata_->sync());
  const std::vector<std::uint64_t> old_l1 = metadata_->mapping().l1();
  for (const std::uint64_t entry : old_l1) {
    if ((entry & kOffsetMask) != 0) structures.erase(Structure::l2_table, entry & kOffsetMask);
  }
  for (const std::uint64_t entry : l1) {
    if (entry != 0) change.check(structures.insert(Structure::l2_table, entry, geometry_.cluster_size()));
  }
  metadata_->mapping().replace_l1(std::move(l1));
  size_.store(snapshot.disk_size, std::memory_order_release);
  unpacked_host_ = ~std::uint64_t{0};
  change.count_all(old_l1, -1);
  change.free(Structure::l1_table, old_offset, old_bytes);
  change.count_flags();
  change.end();
  finish(0);
}

void File::delete_snapshot(const std::string& id_or_name) {
  const std::lock_guard lock(owner_);
  SnapshotChange change(*this);
  Snapshot& found = change.find(id_or_name);
  const Snapshot snapshot = found;
  const std::vector<std::uint64_t> l1 = change.read_l1(snapshot);
  change.snapshots().erase(change.snapshots().begin() + (&found - change.snapshots().data()));
  change.write_table();
  unpacked_host_ = ~std::uint64_t{0};
  change.count_all(l1, -1);
  change.free(Structure::inactive_l1_table, snapshot.l1_offset, std::uint64_t{snapshot.l1_size} * 8);
  change.sync_counts();
  change.count_flags();
  change.end();
  finish(0);
}

}  // namespace warren::vmm::block::qcow2
