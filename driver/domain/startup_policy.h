// Sources of disks that are missing at a start: what <source startupPolicy> makes of them.
#pragma once

#include <vector>

#include "driver/config/domain_definition.h"
#include "driver/contract/events.h"

namespace warren::driver::domain {

// Empties the drives, and leaves out the disks, whose source may be missing and is; the events tell which, in
// no definition's order. What must be there is for whoever opens it. Blocks: pool threads only. Before the
// definition has aliases: the events have targets in their place.
std::vector<DiskChangeEvent> drop_missing_sources(config::Devices& devices);

}  // namespace warren::driver::domain
