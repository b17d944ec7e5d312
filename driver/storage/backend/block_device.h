// Block devices as volumes: their stable names and their facts.
#pragma once

#include <string>

#include "driver/storage/volume_definition.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::storage::backend {

// The name below the pool's target (such as /dev/disk/by-path) of a device; the device itself where the
// target is no directory of links; empty where there is none. Waits a little for udev to make it.
std::string stable_path(const std::string& target, const std::string& device);
// Opens a block device. Throws driver::Error.
vmm::FileDescriptor open_device(const std::string& path, int access);
// Size, permissions and times of the device at the volume's path.
void fill_from_device(VolumeDefinition& volume);
// Owner and mode, as far as they were asked for. Throws driver::Error.
void set_permissions(const std::string& path, const Permissions& permissions);
// Its serial number; empty if none can be had.
std::string serial_of(const std::string& device);
// Waits for udev to be done with what has just appeared, where there is an udev.
void settle_devices();

}  // namespace warren::driver::storage::backend
