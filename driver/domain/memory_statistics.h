// What a running guest's balloon says of its memory, in libvirt's terms. Loop's thread.
#pragma once

#include <vector>

#include "driver/contract/domain_statistics.h"
#include "driver/domain/snapshot.h"

namespace warren::driver::domain {

// Of an active domain: what it has, and those of the statistics that the guest gives. In KiB, but for faults,
// huge pages and times.
std::vector<MemoryStatistic> balloon_statistics(const Snapshot& domain);

// The name of a virDomainMemoryStatTags in the statistics group "balloon"; null for one that is not there.
const char* statistic_name(int tag);

}  // namespace warren::driver::domain
