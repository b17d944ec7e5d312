#include "driver/storage/backend/backend.h"

#include <system_error>

#include <fmt/format.h>

#include "driver/storage/backend/directory_backend.h"
#include "driver/storage/backend/disk_backend.h"
#include "driver/storage/backend/file_system_backend.h"
#include "driver/storage/backend/iscsi_backend.h"
#include "driver/storage/backend/iscsi_direct_backend.h"
#include "driver/storage/backend/logical_backend.h"
#include "driver/storage/backend/rbd_backend.h"
#include "driver/storage/backend/scsi_backend.h"
#include "driver/storage/backend/zfs_backend.h"

namespace warren::driver::storage::backend {

Error storage_error(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_STORAGE};
}

Error host_error(int error_number, std::string_view context) {
  return Error(VIR_ERR_SYSTEM_ERROR,
               fmt::format("{}: {}", context, std::generic_category().message(error_number)),
               VIR_FROM_STORAGE);
}

void Backend::build() {
  throw storage_error(VIR_ERR_NO_SUPPORT, "pool does not support pool creation");
}
void Backend::remove() {
  throw storage_error(VIR_ERR_NO_SUPPORT, "pool does not support pool deletion");
}
std::vector<PoolSource> Backend::find_sources() {
  throw storage_error(VIR_ERR_NO_SUPPORT, fmt::format("pool type '{}' does not support source discovery",
                                                      traits_of(pool_.type).name));
}
void Backend::create(const VolumeDefinition&, Reporter&) {
  throw storage_error(VIR_ERR_NO_SUPPORT, "storage pool does not support volume creation");
}
void Backend::clone(const VolumeDefinition&, Reporter&) {
  throw storage_error(VIR_ERR_NO_SUPPORT,
                      "storage pool does not support volume creation from an existing volume");
}
void Backend::remove_volume(const VolumeDefinition&) {
  throw storage_error(VIR_ERR_NO_SUPPORT, "storage pool does not support vol deletion");
}
void Backend::resize(const VolumeDefinition&, std::uint64_t) {
  throw storage_error(VIR_ERR_NO_SUPPORT, "storage pool does not support changing of volume capacity");
}
vmm::FileDescriptor Backend::open_data(const VolumeDefinition&, int) {
  throw storage_error(VIR_ERR_NO_SUPPORT,
                      "the data of volumes of this type of storage pool cannot be reached from here");
}

std::string image_format_of(const PoolDefinition& pool, const VolumeDefinition& volume) {
  const bool has_images = traits_of(pool.type).default_volume_format == "raw";
  return has_images && !volume.target.format.empty() ? volume.target.format : "raw";
}

std::unique_ptr<Backend> make_backend(const Request& request) {
  switch (request.pool.type) {
    case PoolType::dir:
      return std::make_unique<DirectoryBackend>(request);
    case PoolType::fs:
    case PoolType::netfs:
      return std::make_unique<FileSystemBackend>(request);
    case PoolType::logical:
      return std::make_unique<LogicalBackend>(request);
    case PoolType::disk:
      return std::make_unique<DiskBackend>(request);
    case PoolType::iscsi:
      return std::make_unique<IscsiBackend>(request);
    case PoolType::iscsi_direct:
      return std::make_unique<IscsiDirectBackend>(request);
    case PoolType::scsi:
      return std::make_unique<ScsiBackend>(request);
    case PoolType::rbd:
      return std::make_unique<RbdBackend>(request);
    case PoolType::zfs:
      return std::make_unique<ZfsBackend>(request);
  }
  throw storage_error(VIR_ERR_NO_SUPPORT, "there is no such type of pool");
}

}  // namespace warren::driver::storage::backend
