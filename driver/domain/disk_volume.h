// Disks of type volume: where theirs is, by its pool as that is now. Loop's thread.
#pragma once

#include "driver/config/domain_definition.h"
#include "driver/contract/volume_sources.h"

namespace warren::driver::domain {

// Fills in the source of a disk that names a volume which nobody has looked for yet. `pools` may be null:
// there are none. Throws Error as VolumeSources::volume_source() does, and VIR_ERR_XML_ERROR for a startup
// policy of what is no file.
void find_volume(const VolumeSources* pools, config::Disk& disk);
// For a start. A disk that may be missing keeps no source where its volume is; the startup policy drops it.
void find_volumes(const VolumeSources* pools, config::Devices& devices);

}  // namespace warren::driver::domain
