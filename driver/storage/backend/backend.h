// One kind of pool, as the storage helper works on it: mounts, tools, devices and files.
//
// One object for one piece of work in a process of its own: everything blocks, and may hang or be killed at
// any point. What is half-made must be recognizable as such by the next one. Throws driver::Error, whose
// detail the daemon hands to the client as it is.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "driver/storage/backend/reporter.h"
#include "driver/storage/backend_message.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::storage::backend {

Error storage_error(virErrorNumber code, std::string detail);
// From errno.
Error host_error(int error_number, std::string_view context);

class Backend {
 public:
  explicit Backend(const Request& request) : request_(request), pool_(request.pool) {}
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  // ---- the pool. Whether it is there (mounted, logged in, active) without being started.
  virtual bool is_there() { return false; }
  virtual void start() {}
  virtual void stop() {}
  virtual void build();
  virtual void remove();
  // Reports every volume and then the pool.
  virtual void refresh(Reporter& reporter) = 0;
  virtual std::vector<PoolSource> find_sources();

  // ---- volumes; those that a kind of pool cannot do throw NO_SUPPORT.
  virtual void create(const VolumeDefinition& wanted, Reporter& reporter);
  virtual void clone(const VolumeDefinition& wanted, Reporter& reporter);
  virtual void remove_volume(const VolumeDefinition& volume);
  virtual void resize(const VolumeDefinition& volume, std::uint64_t capacity);
  // What is known of a volume now.
  virtual VolumeDefinition inspect(const VolumeDefinition& volume) = 0;
  // Its data, for wiping, transfers and clones; `access` is O_RDONLY or O_RDWR.
  virtual vmm::FileDescriptor open_data(const VolumeDefinition& volume, int access);

 protected:
  const Request& request_;
  PoolDefinition pool_;
};

// What a volume's data is: its format where a pool's volumes are images, else raw.
std::string image_format_of(const PoolDefinition& pool, const VolumeDefinition& volume);

// Throws NO_SUPPORT for a kind of pool that was not built in.
std::unique_ptr<Backend> make_backend(const Request& request);

}  // namespace warren::driver::storage::backend
