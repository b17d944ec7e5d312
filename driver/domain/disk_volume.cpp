#include "driver/domain/disk_volume.h"

#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

void find_volume(const VolumeSources* pools, config::Disk& disk) {
  if (!disk.volume || !disk.source.empty()) return;
  if (pools == nullptr) {
    throw Error(VIR_ERR_NO_STORAGE_POOL,
                fmt::format("no storage pool with matching name '{}'", disk.volume->pool));
  }
  VolumeSource found = pools->volume_source(disk.volume->pool, disk.volume->name);
  if (found.is_block && disk.startup_policy)
    throw Error(VIR_ERR_XML_ERROR, "'startupPolicy' is only valid for 'file' type volume");
  disk.source = std::move(found.path);
  disk.source_type = found.is_block ? config::DiskSourceType::block : config::DiskSourceType::file;
}

void find_volumes(const VolumeSources* pools, config::Devices& devices) {
  for (config::Disk& disk : devices.disks) {
    try {
      find_volume(pools, disk);
    } catch (const Error& error) {
      const bool is_missing = error.code() == VIR_ERR_NO_STORAGE_VOL ||
                              error.code() == VIR_ERR_NO_STORAGE_POOL ||
                              error.code() == VIR_ERR_CONFIG_UNSUPPORTED;
      if (!is_missing || disk.startup_policy != config::StartupPolicy::optional) throw;
    }
  }
}

}  // namespace warren::driver::domain
