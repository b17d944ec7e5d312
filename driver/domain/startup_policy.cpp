#include "driver/domain/startup_policy.h"

#include <cerrno>

#include <sys/stat.h>

namespace warren::driver::domain {

namespace {

bool is_missing(const config::Disk& disk) {
  struct stat status{};
  if (disk.is_empty() || !disk.descriptor_group.empty() ||
      disk.startup_policy != config::StartupPolicy::optional)
    return false;
  if (disk.source.empty()) return true;  // a volume that its pool does not have
  return ::stat(disk.source.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

}  // namespace

std::vector<DiskChangeEvent> drop_missing_sources(config::Devices& devices) {
  std::vector<DiskChangeEvent> events;
  for (config::Disk& disk : devices.disks) {
    if (!is_missing(disk)) continue;
    const bool empties = disk.device == config::DiskDevice::cdrom;
    events.push_back({.old_source = disk.source.empty() ? disk.volume->name : disk.source,
                      .new_source = {},
                      .alias = disk.target,
                      .reason = empties ? VIR_DOMAIN_EVENT_DISK_CHANGE_MISSING_ON_START
                                        : VIR_DOMAIN_EVENT_DISK_DROP_MISSING_ON_START});
    if (!empties) continue;
    disk.source.clear();
    disk.volume.reset();
  }
  std::erase_if(devices.disks, is_missing);
  return events;
}

}  // namespace warren::driver::domain
