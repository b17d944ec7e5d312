// Pools of files in a directory: `dir`, and what `fs` and `netfs` are once they are mounted.
#pragma once

#include "driver/storage/backend/backend.h"
#include "driver/storage/backend/directory.h"

namespace warren::driver::storage::backend {

class DirectoryBackend : public Backend {
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

 protected:
  // Makes the directory with its permissions.
  void make_directory();

 private:
  void report_pool(const Directory& directory, Reporter& reporter);
  void create_subdirectory(const Directory& directory, const VolumeDefinition& wanted);
  void create_raw(PendingFile& file, const VolumeDefinition& wanted, int source, Reporter& reporter);
  void finish(PendingFile& file, const Directory& directory, const VolumeDefinition& wanted,
              Reporter& reporter);
};

}  // namespace warren::driver::storage::backend
