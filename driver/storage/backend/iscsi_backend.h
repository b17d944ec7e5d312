// Pools of an iSCSI target's units, which the kernel's initiator logs in to by iscsiadm(8).
#pragma once

#include "driver/storage/backend/backend.h"

namespace warren::driver::storage::backend {

class IscsiBackend final : public Backend {
 public:
  using Backend::Backend;

  bool is_there() override;
  void start() override;
  void stop() override;
  void refresh(Reporter& reporter) override;
  std::vector<PoolSource> find_sources() override;
  VolumeDefinition inspect(const VolumeDefinition& volume) override;
  vmm::FileDescriptor open_data(const VolumeDefinition& volume, int access) override;

 private:
  const std::string& target_name() const { return pool_.source.devices.at(0).path; }
  std::string portal() const;
  // The number of the session with the target; empty: none.
  std::string session() const;
  unsigned host_of_session() const;
  std::vector<std::string> interface_arguments();
  void set_node(const std::string& name, const std::string& value);
};

}  // namespace warren::driver::storage::backend
