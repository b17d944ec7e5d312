// Every reference of an image to its clusters, followed once.
#pragma once

#include <functional>
#include <string>

#include "vmm-core/block/qcow2/check.h"
#include "vmm-core/block/qcow2/header.h"
#include "vmm-core/block/qcow2/reference_counts.h"

namespace warren::vmm::block::qcow2 {

class ReferenceWalk {
 public:
  ReferenceWalk(HostFile& file, const Header& header, CheckResult& result, const std::string& name);

  // All but the refcount structures. Throws Error when the file cannot be read.
  void follow();
  // The refcount table and its blocks. Misplaced blocks are told of, and left out of `blocks`.
  void follow_refcounts();

  ReferenceCounts& counts() noexcept { return counts_; }
  // Block number -> offset, 0: none.
  const std::vector<std::uint64_t>& blocks() const noexcept { return blocks_; }
  bool has_bad_blocks() const noexcept { return bad_blocks_; }
  const std::vector<std::uint64_t>& active_l1() const noexcept { return active_l1_; }

  void complain(const std::string& what);
  std::vector<std::uint64_t> read_table(std::uint64_t offset, std::uint64_t entries);

 private:
  void add(std::uint64_t offset, std::uint64_t bytes, std::uint64_t count, const char* what);
  void collect_l1(std::uint64_t offset, std::uint64_t entries, bool active);
  void follow_l2(std::uint64_t offset, std::uint64_t count);
  void follow_entry(const Entry& entry, std::uint64_t count);
  void count_disk();

  HostFile& file_;
  const Header& header_;
  const Geometry geometry_;
  CheckResult& result_;
  const std::string name_;
  const std::uint64_t file_clusters_;
  ReferenceCounts counts_;
  std::unordered_map<std::uint64_t, std::uint64_t> l2_tables_;  // offset -> how often they are referred to
  std::vector<std::uint64_t> active_l1_, blocks_;
  std::uint64_t l1_clusters_ = 0;  // of all L1 tables so far
  bool bad_blocks_ = false;
};

}  // namespace warren::vmm::block::qcow2
