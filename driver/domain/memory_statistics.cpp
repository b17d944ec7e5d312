#include "driver/domain/memory_statistics.h"

#include <limits>

#include <libvirt/libvirt.h>

namespace warren::driver::domain {

namespace {

constexpr int kTime = -1;  // not one of the guest's numbers: when they came

struct Statistic {
  int guest_tag;  // virtio 1.2 §5.5.6.4
  int tag;        // virDomainMemoryStatTags
  bool is_bytes;
  const char* name;
};
constexpr Statistic kStatistics[] = {
    {0, VIR_DOMAIN_MEMORY_STAT_SWAP_IN, true, "swap_in"},
    {1, VIR_DOMAIN_MEMORY_STAT_SWAP_OUT, true, "swap_out"},
    {2, VIR_DOMAIN_MEMORY_STAT_MAJOR_FAULT, false, "major_fault"},
    {3, VIR_DOMAIN_MEMORY_STAT_MINOR_FAULT, false, "minor_fault"},
    {4, VIR_DOMAIN_MEMORY_STAT_UNUSED, true, "unused"},
    {5, VIR_DOMAIN_MEMORY_STAT_AVAILABLE, true, "available"},
    {6, VIR_DOMAIN_MEMORY_STAT_USABLE, true, "usable"},
    {kTime, VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE, false, "last-update"},
    {7, VIR_DOMAIN_MEMORY_STAT_DISK_CACHES, true, "disk_caches"},
    {8, VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGALLOC, false, "hugetlb_pgalloc"},
    {9, VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGFAIL, false, "hugetlb_pgfail"},
};

}  // namespace

std::vector<MemoryStatistic> balloon_statistics(const Snapshot& domain) {
  if (domain.live->devices.balloon() == nullptr || !domain.counters)
    return {{VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, domain.live->memory.current_kib}};
  const BalloonFigures balloon = domain.counters->balloon();
  std::vector<MemoryStatistic> list = {{VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, balloon.actual_bytes / 1024}};
  for (const Statistic& statistic : kStatistics) {
    if (statistic.guest_tag == kTime) {
      list.push_back({statistic.tag, balloon.statistics_time});
      continue;
    }
    const auto index = static_cast<std::size_t>(statistic.guest_tag);
    const std::uint64_t value = balloon.statistics[index];
    // A guest that does not know says so by the largest number there is.
    if ((balloon.statistics_present >> index & 1) == 0 || value == std::numeric_limits<std::uint64_t>::max())
      continue;
    list.push_back({statistic.tag, statistic.is_bytes ? value / 1024 : value});
  }
  return list;
}

const char* statistic_name(int tag) {
  for (const Statistic& statistic : kStatistics)
    if (statistic.tag == tag) return statistic.name;
  return nullptr;
}

}  // namespace warren::driver::domain
