// The table of an image's internal snapshots ("Snapshots"), between disk and memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/qcow2/header.h"

namespace warren::vmm::block::qcow2 {

struct Snapshot {
  std::string id, name;
  std::uint64_t l1_offset = 0;
  std::uint32_t l1_size = 0;                   // entries
  std::uint32_t seconds = 0, nanoseconds = 0;  // when it was taken, since the Epoch
  std::uint64_t guest_nanoseconds = 0;         // how long the guest had been running
  std::uint64_t vm_state_bytes = 0;
  std::uint64_t disk_size = 0;   // bytes of the disk; the image's where an old table does not say
  std::vector<std::byte> extra;  // what its extra data holds beyond these
};

struct SnapshotTable {
  std::vector<Snapshot> snapshots;
  std::uint64_t bytes = 0;  // on disk
};

// Throws Error for what contradicts the format or its limits.
SnapshotTable read_snapshots(HostFile& file, const Header& header, const std::string& name);
// As it is on disk.
std::vector<std::byte> format_snapshots(const std::vector<Snapshot>& snapshots);

}  // namespace warren::vmm::block::qcow2
