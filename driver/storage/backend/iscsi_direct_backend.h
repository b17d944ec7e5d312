// Pools of an iSCSI target's units as a user-space initiator sees them: listed by libiscsi's tools.
#pragma once

#include "driver/storage/backend/backend.h"

namespace warren::driver::storage::backend {

class IscsiDirectBackend final : public Backend {
 public:
  using Backend::Backend;

  bool is_there() override { return false; }
  void refresh(Reporter& reporter) override;
  std::vector<PoolSource> find_sources() override;
  VolumeDefinition inspect(const VolumeDefinition& volume) override;

 private:
  std::string address() const;
  std::vector<std::string> arguments(std::vector<std::string> more) const;
  std::vector<VolumeDefinition> list() const;
};

}  // namespace warren::driver::storage::backend
