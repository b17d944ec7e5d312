// Pools of ZFS volumes, by zpool(8) and zfs(8).
#pragma once

#include "driver/storage/backend/backend.h"

namespace warren::driver::storage::backend {

class ZfsBackend final : public Backend {
 public:
  using Backend::Backend;

  bool is_there() override;
  void build() override;
  void remove() override;
  void refresh(Reporter& reporter) override;
  void create(const VolumeDefinition& wanted, Reporter& reporter) override;
  void clone(const VolumeDefinition& wanted, Reporter& reporter) override;
  void remove_volume(const VolumeDefinition& volume) override;
  void resize(const VolumeDefinition& volume, std::uint64_t capacity) override;
  VolumeDefinition inspect(const VolumeDefinition& volume) override;
  vmm::FileDescriptor open_data(const VolumeDefinition& volume, int access) override;

 private:
  std::vector<VolumeDefinition> list() const;
  std::string dataset(const std::string& name) const;
  void make(const VolumeDefinition& wanted);
};

}  // namespace warren::driver::storage::backend
