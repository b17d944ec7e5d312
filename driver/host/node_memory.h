// The host's memory: statistics, pools of huge pages, and kernel same-page merging.
//
// Reads and writes procfs and sysfs below `root`; any thread. What writes may block for long: the kernel
// compacts memory. Throws driver::Error.
#pragma once

#include <filesystem>
#include <vector>

#include "driver/config/host_facts.h"
#include "driver/contract/host.h"

namespace warren::driver::host {

class NodeMemory {
 public:
  NodeMemory(const config::HostFacts& facts, std::filesystem::path root);

  std::vector<NodeStatistic> statistics(int cell) const;
  std::uint64_t free_bytes() const;
  std::vector<std::uint64_t> cells_free(int first, int most) const;
  std::vector<std::uint64_t> free_pages(const std::vector<std::uint32_t>& sizes_kib, int first,
                                        std::uint32_t cells) const;
  int allocate_pages(const PageAllocation& pages, bool set) const;

  TypedParameters merging() const;
  void set_merging(const TypedParameters& parameters) const;

 private:
  int last_cell() const { return static_cast<int>(last_cell_); }
  // Throws unless `first` is a cell, or -1; the last of `count` cells from there.
  int end_of_range(int first, std::uint32_t count) const;
  std::filesystem::path cell_directory(int cell) const;
  std::filesystem::path pool_directory(int cell, std::uint32_t size_kib) const;
  std::uint64_t free_kib(int cell) const;
  std::uint64_t free_pages_of(int cell, std::uint32_t size_kib) const;
  void resize_pool(int cell, std::uint32_t size_kib, std::uint64_t count, bool set) const;

  std::filesystem::path root_;
  std::uint32_t last_cell_ = 0;
  bool has_cells_ = false;  // the kernel tells NUMA cells apart
};

}  // namespace warren::driver::host
