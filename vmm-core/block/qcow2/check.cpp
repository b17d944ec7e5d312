#include "vmm-core/block/qcow2/check.h"

#include <algorithm>
#include <set>

#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/block/qcow2/refcount_block.h"
#include "vmm-core/block/qcow2/reference_walk.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

// One image, looked at and mended.
class Checker {
 public:
  Checker(HostFile& file, const std::string& name)
      : file_(file),
        name_(name),
        header_(read_header(file, name)),
        geometry_(header_.geometry),
        walk_(file, header_, result_, name) {
    walk_.follow();
    // What has been said so far is about the mapping, which counting anew does not mend.
    mapping_is_sane_ = result_.corruptions == 0;
    walk_.follow_refcounts();
  }

  void compare();
  void check_flags(bool mend);
  void mend_counts(RepairLevel level);
  void finish(bool clean);
  bool mapping_is_sane() const noexcept { return mapping_is_sane_; }
  const CheckResult& result() const noexcept { return result_; }

 private:
  std::vector<std::byte> read_block(std::uint64_t offset);
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void sync();
  void compare_block(std::uint64_t number, const std::vector<std::byte>& block);
  bool is_missing_a_block();
  void rebuild();
  void plan(std::set<std::uint64_t>& blocks, std::uint64_t& first, std::uint64_t& table_clusters);
  void check_flag(std::uint64_t entry, std::uint64_t& mended, const char* what);

  HostFile& file_;
  const std::string name_;
  Header header_;
  const Geometry geometry_;
  CheckResult result_;
  ReferenceWalk walk_;
  bool mapping_is_sane_ = false;
};

std::vector<std::byte> Checker::read_block(std::uint64_t offset) {
  std::vector<std::byte> block(static_cast<std::size_t>(geometry_.cluster_size()));
  if (const int error = file_.read_bytes(offset, block))
    throw Error::from_errno(error, name_ + ": read refcounts");
  return block;
}

void Checker::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (const int error = file_.write_bytes(offset, bytes)) throw Error::from_errno(error, name_ + ": repair");
}

void Checker::sync() {
  if (const int error = file_.sync()) throw Error::from_errno(error, name_ + ": repair");
}

void Checker::compare_block(std::uint64_t number, const std::vector<std::byte>& block) {
  const std::uint64_t per_block = geometry_.refcounts_per_block();
  for (std::uint64_t i = 0; i < per_block; ++i) {
    const std::uint64_t counted = get_refcount(block.data(), geometry_.refcount_order, i);
    const std::uint64_t found = walk_.counts().get(number * per_block + i);
    if (counted > found) ++result_.leaks;
    if (counted < found)
      walk_.complain(message("cluster ", number * per_block + i, " is counted ", counted,
                             " times, and referred to ", found, " times"));
  }
}

void Checker::compare() {
  const auto& blocks = walk_.blocks();
  for (std::uint64_t number = 0; number < blocks.size(); ++number) {
    if (blocks[number] != 0) compare_block(number, read_block(blocks[number]));
  }
  walk_.counts().each([&](std::uint64_t cluster, std::uint64_t count) {
    const std::uint64_t number = cluster / geometry_.refcounts_per_block();
    if (number >= blocks.size() || blocks[number] == 0)
      walk_.complain(message("cluster ", cluster, " is not counted, and referred to ", count, " times"));
  });
}

void Checker::check_flag(std::uint64_t entry, std::uint64_t& mended, const char* what) {
  const bool single = walk_.counts().get((entry & kOffsetMask) >> geometry_.cluster_bits) == 1;
  mended = single ? entry | kCopied : entry & ~kCopied;
  if (mended == entry) return;
  // A missing flag costs a copy that was not needed; a wrong one would have others' data overwritten.
  if (single) {
    ++result_.leaks;
  } else {
    walk_.complain(message(what, " ", hex(entry), ": its copied flag is wrong"));
  }
}

// "1 for standard clusters whose refcount is exactly one", of what is reachable from the active L1 table.
void Checker::check_flags(bool mend) {
  if (!mapping_is_sane_ || header_.has_external_data()) return;
  auto l1 = walk_.active_l1();
  const unsigned words = geometry_.entry_words();
  std::array<std::byte, 8> raw{};
  const auto put = [&](std::uint64_t offset, std::uint64_t entry) {
    store(raw.data(), entry);
    write(offset, raw);
  };
  for (std::size_t i = 0; i < l1.size(); ++i) {
    const std::uint64_t table = l1[i] & kOffsetMask;
    if (table == 0) continue;
    std::uint64_t mended = 0;
    check_flag(l1[i], mended, "L1 entry");
    if (mend && mended != l1[i]) put(header_.l1_offset + i * 8, mended);
    const auto entries = walk_.read_table(table, geometry_.cluster_size() / 8);
    for (std::size_t j = 0; j < entries.size(); j += words) {
      if ((entries[j] & kCompressed) != 0 || (entries[j] & kOffsetMask) == 0) continue;
      check_flag(entries[j], mended, "L2 entry");
      if (mend && mended != entries[j]) put(table + j * 8, mended);
    }
  }
}

bool Checker::is_missing_a_block() {
  bool missing = walk_.has_bad_blocks();
  const auto& blocks = walk_.blocks();
  walk_.counts().each([&](std::uint64_t cluster, std::uint64_t) {
    const std::uint64_t number = cluster / geometry_.refcounts_per_block();
    missing |= number >= blocks.size() || blocks[number] == 0;
  });
  return missing;
}

void Checker::mend_counts(RepairLevel level) {
  if (level == RepairLevel::all && is_missing_a_block()) return rebuild();
  const auto& blocks = walk_.blocks();
  const std::uint64_t per_block = geometry_.refcounts_per_block();
  for (std::uint64_t number = 0; number < blocks.size(); ++number) {
    if (blocks[number] == 0) continue;
    auto block = read_block(blocks[number]);
    bool changed = false;
    for (std::uint64_t i = 0; i < per_block; ++i) {
      const std::uint64_t counted = get_refcount(block.data(), geometry_.refcount_order, i);
      const std::uint64_t found = walk_.counts().get(number * per_block + i);
      if (counted == found || (counted < found && level == RepairLevel::leaks)) continue;
      if (found > geometry_.maximum_refcount())
        throw Error(std::errc::value_too_large,
                    name_ + ": its reference counts are too narrow to be repaired");
      set_refcount(block.data(), geometry_.refcount_order, i, found);
      changed = true;
    }
    if (changed) write(blocks[number], block);
  }
  sync();
}

// Which blocks a new set of counts has, with those that count the set itself, which begins at cluster
// `first`.
void Checker::plan(std::set<std::uint64_t>& blocks, std::uint64_t& first, std::uint64_t& table_clusters) {
  const std::uint64_t per_block = geometry_.refcounts_per_block();
  first = std::max(walk_.counts().end(), divide_up(file_.size(), geometry_.cluster_size()));
  walk_.counts().each([&](std::uint64_t cluster, std::uint64_t) { blocks.insert(cluster / per_block); });
  while (true) {
    table_clusters = divide_up((*blocks.rbegin() + 1) * 8, geometry_.cluster_size());
    const std::uint64_t end = first + blocks.size() + table_clusters;
    const std::size_t before = blocks.size();
    for (std::uint64_t number = first / per_block; number <= (end - 1) / per_block; ++number)
      blocks.insert(number);
    if (blocks.size() == before &&
        divide_up((*blocks.rbegin() + 1) * 8, geometry_.cluster_size()) == table_clusters)
      break;
  }
  if (table_clusters * geometry_.cluster_size() > kMaximumRefcountTableBytes)
    throw Error(std::errc::value_too_large, name_ + ": a repaired refcount table would be too large");
}

// A whole new set behind everything else; the header changes to it in one sector.
void Checker::rebuild() {
  auto& counts = walk_.counts();
  for (const std::uint64_t block : walk_.blocks()) {
    if (block != 0) counts.clear(block >> geometry_.cluster_bits);
  }
  for (std::uint64_t i = 0; i < header_.refcount_table_clusters; ++i) {
    const std::uint64_t cluster = (header_.refcount_table_offset >> geometry_.cluster_bits) + i;
    if (counts.get(cluster) == 1) counts.clear(cluster);
  }
  std::set<std::uint64_t> blocks;
  std::uint64_t first = 0, table_clusters = 0;
  plan(blocks, first, table_clusters);
  for (std::uint64_t i = 0; i < blocks.size() + table_clusters; ++i) counts.add(first + i, 1);
  std::vector<std::byte> table(static_cast<std::size_t>(table_clusters * geometry_.cluster_size()));
  std::uint64_t at = (first + table_clusters) << geometry_.cluster_bits;
  const std::uint64_t per_block = geometry_.refcounts_per_block();
  for (const std::uint64_t number : blocks) {
    std::vector<std::byte> block(static_cast<std::size_t>(geometry_.cluster_size()));
    for (std::uint64_t i = 0; i < per_block; ++i) {
      const std::uint64_t found = counts.get(number * per_block + i);
      if (found > geometry_.maximum_refcount())
        throw Error(std::errc::value_too_large,
                    name_ + ": its reference counts are too narrow to be repaired");
      if (found != 0) set_refcount(block.data(), geometry_.refcount_order, i, found);
    }
    write(at, block);
    store(table.data() + number * 8, at);
    at += geometry_.cluster_size();
  }
  write(first << geometry_.cluster_bits, table);
  sync();
  header_.refcount_table_offset = first << geometry_.cluster_bits;
  header_.refcount_table_clusters = static_cast<std::uint32_t>(table_clusters);
  update_sector(header_);
  write(0, header_.sector);
  sync();
}

void Checker::finish(bool clean) {
  sync();
  if (!clean || header_.version < 3) return;
  header_.incompatible &= ~std::uint64_t{kDirty | kCorrupt};
  update_sector(header_);
  write(0, header_.sector);
  sync();
}

}  // namespace

CheckResult check(HostFile& file, const std::string& name) {
  Checker checker(file, name);
  checker.compare();
  checker.check_flags(false);
  return checker.result();
}

CheckResult repair(HostFile& file, const std::string& name, RepairLevel level) {
  {
    Checker checker(file, name);
    if (!checker.mapping_is_sane()) {
      throw Error(std::errc::io_error, name + ": cannot be repaired, its mapping contradicts itself: " +
                                           checker.result().messages.front());
    }
    checker.mend_counts(level);
    if (level == RepairLevel::all) checker.check_flags(true);
  }
  Checker checker(file, name);
  checker.compare();
  checker.check_flags(false);
  if (level == RepairLevel::all) checker.finish(checker.result().corruptions == 0);
  return checker.result();
}

}  // namespace warren::vmm::block::qcow2
