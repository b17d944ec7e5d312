// Pools of partitions: a whole disk with a partition table, changed by parted(8).
#pragma once

#include "driver/storage/backend/backend.h"

namespace warren::driver::storage::backend {

class DiskBackend final : public Backend {
 public:
  using Backend::Backend;

  bool is_there() override;
  void start() override;
  void build() override;
  void remove() override;
  void refresh(Reporter& reporter) override;
  void create(const VolumeDefinition& wanted, Reporter& reporter) override;
  void clone(const VolumeDefinition& wanted, Reporter& reporter) override;
  void remove_volume(const VolumeDefinition& volume) override;
  VolumeDefinition inspect(const VolumeDefinition& volume) override;
  vmm::FileDescriptor open_data(const VolumeDefinition& volume, int access) override;

 private:
  struct Table;
  const std::string& device() const { return pool_.source.devices.at(0).path; }
  // The device node of a partition: sdb1, nvme0n1p1.
  std::string partition_path(unsigned number) const;
  Table read_table() const;
  std::vector<VolumeDefinition> list(const Table& table) const;
  // Makes a partition; its device.
  std::string make(const VolumeDefinition& wanted);
};

}  // namespace warren::driver::storage::backend
