#include "vmm-core/block/qcow2/reference_walk.h"

#include <algorithm>

#include "vmm-core/block/qcow2/bitmaps.h"
#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/block/qcow2/snapshot_table.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {
constexpr std::size_t kMaximumMessages = 32;
}

ReferenceWalk::ReferenceWalk(HostFile& file, const Header& header, CheckResult& result,
                             const std::string& name)
    : file_(file),
      header_(header),
      geometry_(header.geometry),
      result_(result),
      name_(name),
      file_clusters_(divide_up(file.size(), header.geometry.cluster_size())) {}

void ReferenceWalk::complain(const std::string& what) {
  ++result_.corruptions;
  if (result_.messages.size() < kMaximumMessages) result_.messages.push_back(what);
}

std::vector<std::uint64_t> ReferenceWalk::read_table(std::uint64_t offset, std::uint64_t entries) {
  std::vector<std::uint64_t> table(entries);
  if (const int error = file_.read_bytes(offset, std::as_writable_bytes(std::span(table))))
    throw Error::from_errno(error, message(name_, ": read the table at ", hex(offset)));
  for (std::uint64_t& entry : table) entry = swap_bytes(entry);
  return table;
}

void ReferenceWalk::add(std::uint64_t offset, std::uint64_t bytes, std::uint64_t count, const char* what) {
  if (bytes == 0) return;
  const std::uint64_t first = offset >> geometry_.cluster_bits;
  const std::uint64_t last = (offset + bytes - 1) >> geometry_.cluster_bits;
  // A preallocated file may be shorter than its last cluster, and no more than that.
  if (last >= file_clusters_)
    return complain(message(what, " at ", hex(offset), " is beyond the end of the file"));
  for (std::uint64_t cluster = first; cluster <= last; ++cluster) counts_.add(cluster, count);
}

void ReferenceWalk::collect_l1(std::uint64_t offset, std::uint64_t entries, bool active) {
  const std::uint64_t before = result_.corruptions;
  add(offset, entries * 8, 1, "an L1 table");
  // Tables that share no cluster are together no larger than the file; others are not worth the time.
  l1_clusters_ += divide_up(entries * 8, geometry_.cluster_size());
  if (l1_clusters_ > file_clusters_) complain("the L1 tables overlap");
  if (result_.corruptions != before) return;
  auto table = read_table(offset, entries);
  for (const std::uint64_t entry : table) {
    const std::uint64_t l2 = entry & kOffsetMask;
    if ((entry & ~(kOffsetMask | kCopied)) != 0 || (l2 & geometry_.cluster_mask()) != 0) {
      complain(message("L1 entry ", hex(entry), " makes no sense"));
    } else if (l2 != 0) {
      ++l2_tables_[l2];
    }
  }
  if (active) active_l1_ = std::move(table);
}

void ReferenceWalk::follow_entry(const Entry& entry, std::uint64_t count) {
  Cluster cluster;
  if (!decode(geometry_, header_.has_external_data(), entry, cluster))
    return complain(message("L2 entry ", hex(entry.word), " makes no sense"));
  if (header_.has_external_data() || cluster.kind == Cluster::Kind::none) return;
  const bool compressed = cluster.kind == Cluster::Kind::compressed;
  add(cluster.host, compressed ? cluster.host_size : geometry_.cluster_size(), count,
      compressed ? "a compressed cluster" : "a cluster");
}

void ReferenceWalk::follow_l2(std::uint64_t offset, std::uint64_t count) {
  add(offset, geometry_.cluster_size(), count, "an L2 table");
  if (offset >> geometry_.cluster_bits >= file_clusters_) return;
  const auto table = read_table(offset, geometry_.cluster_size() / 8);
  const unsigned words = geometry_.entry_words();
  for (std::size_t i = 0; i < table.size(); i += words) {
    const Entry entry{table[i], words == 2 ? table[i + 1] : 0};
    if (entry != Entry{}) follow_entry(entry, count);
  }
}

void ReferenceWalk::count_disk() {
  result_.total_clusters = divide_up(header_.size, geometry_.cluster_size());
  const unsigned words = geometry_.entry_words();
  for (const std::uint64_t l1 : active_l1_) {
    const std::uint64_t offset = l1 & kOffsetMask;
    if (offset == 0 || offset >> geometry_.cluster_bits >= file_clusters_) continue;
    const auto table = read_table(offset, geometry_.cluster_size() / 8);
    for (std::size_t i = 0; i < table.size(); i += words) {
      Cluster cluster;
      if (!decode(geometry_, header_.has_external_data(), {table[i], words == 2 ? table[i + 1] : 0}, cluster))
        continue;
      if (cluster.kind != Cluster::Kind::none) ++result_.allocated_clusters;
      if (cluster.kind == Cluster::Kind::compressed) ++result_.compressed_clusters;
    }
  }
}

void ReferenceWalk::follow() {
  add(0, 1, 1, "the header");
  collect_l1(header_.l1_offset, header_.l1_size, true);
  const SnapshotTable snapshots = read_snapshots(file_, header_, name_);
  add(header_.snapshots_offset, snapshots.bytes, 1, "the snapshot table");
  for (const Snapshot& snapshot : snapshots.snapshots)
    collect_l1(snapshot.l1_offset, snapshot.l1_size, false);
  // Each table once, however often it is referred to: the work is bounded by the file.
  for (const auto& [offset, count] : l2_tables_) follow_l2(offset, count);
  for (const BitmapRange& range : ranges_of(read_bitmaps(file_, header_, name_), header_))
    add(range.offset, range.bytes, 1, "a bitmap");
  count_disk();
}

void ReferenceWalk::follow_refcounts() {
  const std::uint64_t bytes = header_.refcount_table_clusters * geometry_.cluster_size();
  add(header_.refcount_table_offset, bytes, 1, "the refcount table");
  blocks_ = read_table(header_.refcount_table_offset, bytes / 8);
  for (std::uint64_t& block : blocks_) {
    if (block == 0) continue;
    const bool sane =
        (block & geometry_.cluster_mask()) == 0 && block >> geometry_.cluster_bits < file_clusters_;
    if (!sane || counts_.get(block >> geometry_.cluster_bits) != 0) {
      complain(message("the refcount block at ", hex(block), " is misplaced"));
      bad_blocks_ = true;
      block = 0;
      continue;
    }
    counts_.add(block >> geometry_.cluster_bits, 1);
  }
  result_.image_end = counts_.end() << geometry_.cluster_bits;
}

}  // namespace warren::vmm::block::qcow2
