// Pools that are mounted first: `fs` from a device, `netfs` from a server.
#pragma once

#include "driver/storage/backend/directory_backend.h"

namespace warren::driver::storage::backend {

class FileSystemBackend final : public DirectoryBackend {
 public:
  using DirectoryBackend::DirectoryBackend;

  bool is_there() override;
  void start() override;
  void stop() override;
  void build() override;
  std::vector<PoolSource> find_sources() override;

 private:
  std::string source() const;
};

// What blkid(8) sees on a device: "ext4", "LVM2_member", "gpt"; empty for nothing. Throws driver::Error.
std::string probe_device(const std::string& device);
// Guards a build: with VIR_STORAGE_POOL_BUILD_NO_OVERWRITE throws OPERATION_INVALID unless the device is
// empty.
void check_overwrite(const std::string& device, const std::string& wanted, std::uint32_t flags);

}  // namespace warren::driver::storage::backend
