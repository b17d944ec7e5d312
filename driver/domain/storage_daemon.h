// Disks on images that Warren does not read itself: a qemu-storage-daemon for each, out of a cage.
//
// It serves the disk over vhost-user. The worker gets the connection and the cage's lifeline: the storage
// daemon lives as long as the disk does, whatever becomes of the daemon.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>

#include <sys/types.h>

#include "driver/config/disk.h"
#include "driver/contract/secret_value.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

using PassphraseMap = std::map<Uuid, std::shared_ptr<const SecretValue>>;

struct StorageDaemonSettings {
  std::filesystem::path cage_program;  // warren-cage
  std::filesystem::path program;       // qemu-storage-daemon; below /usr
  std::filesystem::path directory;     // where its socket is for a moment
  uid_t user = 65534;                  // who it is when the daemon is root
  gid_t group = 65534;
  std::function<void(pid_t)> place = [](pid_t) {};  // where its limits are set
  PassphraseMap passphrases;                        // that the disks name
};

struct ServedDisk {
  vmm::FileDescriptor connection;
  vmm::FileDescriptor lifeline;  // when the last copy is closed, the image is put in order and let go
};

// Blocks until the image is open, or for some seconds: pool threads only. Throws Error naming the disk, with
// what the storage daemon said.
ServedDisk serve_caged_disk(const config::Disk& disk, const StorageDaemonSettings& settings);

}  // namespace warren::driver::domain
