// Pools of logical volumes: a volume group of LVM2.
#pragma once

#include "driver/storage/backend/backend.h"

namespace warren::driver::storage::backend {

class LogicalBackend final : public Backend {
 public:
  using Backend::Backend;

  bool is_there() override;
  void start() override;
  void stop() override;
  void build() override;
  void remove() override;
  void refresh(Reporter& reporter) override;
  std::vector<PoolSource> find_sources() override;
  void create(const VolumeDefinition& wanted, Reporter& reporter) override;
  void clone(const VolumeDefinition& wanted, Reporter& reporter) override;
  void remove_volume(const VolumeDefinition& volume) override;
  void resize(const VolumeDefinition& volume, std::uint64_t capacity) override;
  VolumeDefinition inspect(const VolumeDefinition& volume) override;
  vmm::FileDescriptor open_data(const VolumeDefinition& volume, int access) override;

 private:
  std::vector<VolumeDefinition> list() const;
  void make(const VolumeDefinition& wanted);
  std::string path_of(const std::string& name) const { return pool_.target_path + "/" + name; }
};

}  // namespace warren::driver::storage::backend
