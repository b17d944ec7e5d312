// Pools of RADOS block devices, by Ceph's rbd(8): images in a cluster, reached over the network.
#pragma once

#include "driver/storage/backend/backend.h"

namespace warren::driver::storage::backend {

class RbdBackend final : public Backend {
 public:
  using Backend::Backend;

  void start() override;
  void refresh(Reporter& reporter) override;
  void create(const VolumeDefinition& wanted, Reporter& reporter) override;
  void remove_volume(const VolumeDefinition& volume) override;
  void resize(const VolumeDefinition& volume, std::uint64_t capacity) override;
  VolumeDefinition inspect(const VolumeDefinition& volume) override;

 private:
  // The output of rbd or ceph with the way to the cluster.
  std::string run(const std::string& tool, std::vector<std::string> arguments) const;
  std::vector<VolumeDefinition> list() const;
  std::string image(const std::string& name) const;
};

}  // namespace warren::driver::storage::backend
