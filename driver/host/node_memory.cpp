#include "driver/host/node_memory.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <unistd.h>

#include "driver/config/kernel_text.h"
#include "driver/contract/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::host {

namespace {

namespace fs = std::filesystem;

// A field of meminfo in KiB: "MemFree:  1 kB", and "Node 0 MemFree: 1 kB" of a cell.
std::uint64_t kib_field(const std::string& text, std::string_view key) {
  const std::string_view value = config::text_field(text, key);
  return config::parse_number<std::uint64_t>(value.substr(0, value.find(' '))).value_or(0);
}

std::uint32_t page_kib() {
  return static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE) / 1024);
}

Error node_error(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_NONE};
}

void write_number(const fs::path& path, std::uint64_t value) {
  const std::string text = std::to_string(value);
  const vmm::FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw system_error(errno, fmt::format("set {} to {}", path.native(), text));
}

// The parameters of kernel same-page merging by their names in the API and in sysfs.
struct MergingParameter {
  const char* name;
  const char* file;
  bool is_wide;  // unsigned long long, else unsigned int
  bool is_writable;
};
constexpr MergingParameter kMerging[] = {
    {VIR_NODE_MEMORY_SHARED_PAGES_TO_SCAN, "pages_to_scan", false, true},
    {VIR_NODE_MEMORY_SHARED_SLEEP_MILLISECS, "sleep_millisecs", false, true},
    {VIR_NODE_MEMORY_SHARED_PAGES_SHARED, "pages_shared", true, false},
    {VIR_NODE_MEMORY_SHARED_PAGES_SHARING, "pages_sharing", true, false},
    {VIR_NODE_MEMORY_SHARED_PAGES_UNSHARED, "pages_unshared", true, false},
    {VIR_NODE_MEMORY_SHARED_PAGES_VOLATILE, "pages_volatile", true, false},
    {VIR_NODE_MEMORY_SHARED_FULL_SCANS, "full_scans", true, false},
    {VIR_NODE_MEMORY_SHARED_MERGE_ACROSS_NODES, "merge_across_nodes", false, true},
};

}  // namespace

NodeMemory::NodeMemory(const config::HostFacts& facts, fs::path root) : root_(std::move(root)) {
  for (const config::NumaCell& cell : facts.cells) last_cell_ = std::max(last_cell_, cell.id);
  std::error_code ignored;
  has_cells_ = fs::exists(root_ / "sys/devices/system/node/online", ignored);
}

fs::path NodeMemory::cell_directory(int cell) const {
  return root_ / "sys/devices/system/node" / fmt::format("node{}", cell);
}

fs::path NodeMemory::pool_directory(int cell, std::uint32_t size_kib) const {
  const fs::path all =
      cell < 0 || !has_cells_ ? root_ / "sys/kernel/mm/hugepages" : cell_directory(cell) / "hugepages";
  return all / fmt::format("hugepages-{}kB", size_kib);
}

std::vector<NodeStatistic> NodeMemory::statistics(int cell) const {
  if (cell == VIR_NODE_MEMORY_STATS_ALL_CELLS) {
    const std::string text = config::read_text(root_ / "proc/meminfo");
    return {{VIR_NODE_MEMORY_STATS_TOTAL, kib_field(text, "MemTotal")},
            {VIR_NODE_MEMORY_STATS_FREE, kib_field(text, "MemFree")},
            {VIR_NODE_MEMORY_STATS_BUFFERS, kib_field(text, "Buffers")},
            {VIR_NODE_MEMORY_STATS_CACHED, kib_field(text, "Cached")}};
  }
  if (cell < 0 || cell > last_cell())
    throw node_error(VIR_ERR_INVALID_ARG,
                     fmt::format("cell {} is none of the host's, which are 0 to {}", cell, last_cell()));
  if (!has_cells_) {
    auto all = statistics(VIR_NODE_MEMORY_STATS_ALL_CELLS);
    all.resize(2);
    return all;
  }
  const std::string text = config::read_text(cell_directory(cell) / "meminfo");
  if (text.empty()) throw node_error(VIR_ERR_INVALID_ARG, fmt::format("the host has no cell {}", cell));
  return {{VIR_NODE_MEMORY_STATS_TOTAL, kib_field(text, fmt::format("Node {} MemTotal", cell))},
          {VIR_NODE_MEMORY_STATS_FREE, kib_field(text, fmt::format("Node {} MemFree", cell))}};
}

std::uint64_t NodeMemory::free_kib(int cell) const {
  if (cell < 0 || !has_cells_) return kib_field(config::read_text(root_ / "proc/meminfo"), "MemFree");
  return kib_field(config::read_text(cell_directory(cell) / "meminfo"), fmt::format("Node {} MemFree", cell));
}

std::uint64_t NodeMemory::free_bytes() const {
  return free_kib(-1) * 1024;
}

int NodeMemory::end_of_range(int first, std::uint32_t count) const {
  if (first < -1 || first > last_cell())
    throw node_error(VIR_ERR_INTERNAL_ERROR,
                     fmt::format("start cell {} out of range (0-{})", first, last_cell()));
  const std::int64_t last = static_cast<std::int64_t>(first) + count - 1;
  return static_cast<int>(std::min<std::int64_t>(last, last_cell()));
}

std::vector<std::uint64_t> NodeMemory::cells_free(int first, int most) const {
  if (first < 0) throw node_error(VIR_ERR_INVALID_ARG, "the first cell must not be negative");
  if (most <= 0) throw node_error(VIR_ERR_INVALID_ARG, "the number of cells must be above 0");
  std::vector<std::uint64_t> bytes;
  const int last = end_of_range(first, static_cast<std::uint32_t>(most));
  for (int cell = first; cell <= last; ++cell) bytes.push_back(free_kib(cell) * 1024);
  return bytes;
}

std::uint64_t NodeMemory::free_pages_of(int cell, std::uint32_t size_kib) const {
  if (size_kib == page_kib()) return free_kib(cell) / size_kib;
  const auto pages = config::read_number<std::uint64_t>(pool_directory(cell, size_kib) / "free_hugepages");
  if (!pages)
    throw node_error(VIR_ERR_OPERATION_FAILED,
                     fmt::format("there are no pages of {} KiB on cell {}", size_kib, cell));
  return *pages;
}

std::vector<std::uint64_t> NodeMemory::free_pages(const std::vector<std::uint32_t>& sizes_kib, int first,
                                                  std::uint32_t cells) const {
  if (sizes_kib.empty() || cells == 0)
    throw node_error(VIR_ERR_INVALID_ARG, "page sizes and cells must not be none");
  std::vector<std::uint64_t> counts;
  const int last = end_of_range(first, cells);
  for (int cell = first; cell <= last; ++cell)
    for (const std::uint32_t size : sizes_kib) counts.push_back(free_pages_of(cell, size));
  return counts;
}

void NodeMemory::resize_pool(int cell, std::uint32_t size_kib, std::uint64_t count, bool set) const {
  if (size_kib == page_kib())
    throw node_error(VIR_ERR_OPERATION_INVALID,
                     "the pool of the host's ordinary pages has no size to change");
  const fs::path file = pool_directory(cell, size_kib) / "nr_hugepages";
  const auto before = config::read_number<std::uint64_t>(file);
  if (!before)
    throw node_error(VIR_ERR_OPERATION_INVALID,
                     fmt::format("there are no pages of {} KiB on cell {}", size_kib, cell));
  std::uint64_t wanted = count;
  if (!set && __builtin_add_overflow(*before, count, &wanted))
    throw node_error(VIR_ERR_OVERFLOW, fmt::format("{} and {} pages", *before, count));
  write_number(file, wanted);
  // The kernel gives what it can, and tells by the number it then has.
  const auto after = config::read_number<std::uint64_t>(file);
  if (after.value_or(0) != wanted)
    throw node_error(VIR_ERR_OPERATION_FAILED,
                     fmt::format("of {} pages of {} KiB on cell {} the kernel could allocate {} only", wanted,
                                 size_kib, cell, after.value_or(0)));
}

int NodeMemory::allocate_pages(const PageAllocation& pages, bool set) const {
  if (pages.sizes_kib.empty() || pages.sizes_kib.size() != pages.counts.size() || pages.cells == 0)
    throw node_error(VIR_ERR_INVALID_ARG,
                     "each page size needs a count, and there must be some and some cells");
  const int last = end_of_range(pages.first_cell, pages.cells);
  int changed = 0;
  for (int cell = pages.first_cell; cell <= last; ++cell) {
    for (std::size_t i = 0; i < pages.sizes_kib.size(); ++i, ++changed)
      resize_pool(cell, pages.sizes_kib[i], pages.counts[i], set);
  }
  return changed;
}

TypedParameters NodeMemory::merging() const {
  TypedParameters parameters;
  for (const MergingParameter& entry : kMerging) {
    const auto value = config::read_number<std::uint64_t>(root_ / "sys/kernel/mm/ksm" / entry.file);
    if (!value) continue;  // a kernel without it
    if (entry.is_wide)
      parameters.push_back({entry.name, *value});
    else
      parameters.push_back({entry.name, static_cast<std::uint32_t>(*value)});
  }
  return parameters;
}

void NodeMemory::set_merging(const TypedParameters& parameters) const {
  std::vector<std::pair<fs::path, std::uint32_t>> writes;
  for (const TypedParameter& parameter : parameters) {
    const auto entry = std::find_if(
        std::begin(kMerging), std::end(kMerging),
        [&](const MergingParameter& known) { return known.is_writable && parameter.field == known.name; });
    if (entry == std::end(kMerging))
      throw node_error(VIR_ERR_ARGUMENT_UNSUPPORTED,
                       fmt::format("parameter '{}' not supported", parameter.field));
    const auto* value = std::get_if<std::uint32_t>(&parameter.value);
    if (value == nullptr)
      throw node_error(VIR_ERR_INVALID_ARG,
                       fmt::format("parameter '{}' must be an unsigned int", parameter.field));
    const fs::path file = root_ / "sys/kernel/mm/ksm" / entry->file;
    for (const auto& [other, ignored] : writes) {
      if (other == file)
        throw node_error(VIR_ERR_INVALID_ARG,
                         fmt::format("parameter '{}' occurs multiple times", parameter.field));
    }
    std::error_code missing;
    if (!fs::exists(file, missing))
      throw node_error(VIR_ERR_OPERATION_INVALID,
                       fmt::format("Parameter '{}' is not supported by this kernel", parameter.field));
    writes.emplace_back(file, *value);
  }
  for (const auto& [file, value] : writes) write_number(file, value);
}

}  // namespace warren::driver::host
