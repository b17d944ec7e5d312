// Pools of a SCSI host's units, its disks: found, never made.
#pragma once

#include "driver/storage/backend/backend.h"

namespace warren::driver::storage::backend {

class ScsiBackend final : public Backend {
 public:
  using Backend::Backend;

  bool is_there() override;
  void start() override;
  void refresh(Reporter& reporter) override;
  VolumeDefinition inspect(const VolumeDefinition& volume) override;
  vmm::FileDescriptor open_data(const VolumeDefinition& volume, int access) override;
};

// The disks of the SCSI host with this number, below the pool's target.
std::vector<VolumeDefinition> units_of_host(unsigned host, const std::string& target);
// Asks a host to look for units again.
void scan_host(unsigned host);
// Reports `units`, and the pool as their sum.
void report_units(const std::vector<VolumeDefinition>& units, PoolDefinition pool, Reporter& reporter);

}  // namespace warren::driver::storage::backend
