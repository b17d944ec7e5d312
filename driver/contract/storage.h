// Storage: pools of volumes, and the volumes in them (virStoragePool*, virStorageVol*).
//
// Flags, states, errors and events are those of libvirt's storage driver. Everything is called on the loop's
// thread. Getters answer at once from what the last refresh or change found; whatever touches a disk, a mount
// or a server completes later and never holds up another pool.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <libvirt/libvirt.h>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/stream.h"
#include "driver/contract/uuid.h"

namespace warren::driver {

// Looked up by its UUID alone.
struct PoolHandle {
  std::string name;
  Uuid uuid;

  friend bool operator==(const PoolHandle&, const PoolHandle&) = default;
};

// Looked up by the names of pool and volume; the key is what it was when the handle was made.
struct VolumeHandle {
  std::string pool;
  std::string name;
  std::string key;

  friend bool operator==(const VolumeHandle&, const VolumeHandle&) = default;
};

struct PoolInfo {
  int state = VIR_STORAGE_POOL_INACTIVE;  // virStoragePoolState
  std::uint64_t capacity = 0;             // bytes, as the others
  std::uint64_t allocation = 0;
  std::uint64_t available = 0;
};

struct VolumeInfo {
  int type = VIR_STORAGE_VOL_FILE;  // virStorageVolType
  std::uint64_t capacity = 0;       // bytes a guest sees
  std::uint64_t allocation = 0;     // bytes in use, or with VIR_STORAGE_VOL_GET_PHYSICAL bytes of the host
};

struct PoolEvent {
  PoolHandle pool;
  int id = VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE;  // virStoragePoolEventID
  int event = 0;                                 // of a lifecycle event: virStoragePoolEventLifecycleType
};

class StoragePools {
 public:
  // `flags` are VIR_CONNECT_LIST_STORAGE_POOLS_*. Ordered by name.
  virtual std::vector<PoolHandle> list_pools(const Caller& caller, unsigned int flags) const = 0;
  // They throw VIR_ERR_NO_STORAGE_POOL, as do all that follow for a UUID that is not known.
  virtual PoolHandle pool_by_name(const Caller& caller, const std::string& name) const = 0;
  virtual PoolHandle pool_by_uuid(const Caller& caller, const Uuid& uuid) const = 0;
  virtual PoolHandle pool_by_target_path(const Caller& caller, const std::string& path) const = 0;
  virtual PoolInfo pool_info(const Caller& caller, const Uuid& pool) const = 0;
  virtual std::string pool_xml(const Caller& caller, const Uuid& pool, unsigned int flags) const = 0;
  virtual bool pool_is_active(const Caller& caller, const Uuid& pool) const = 0;
  virtual bool pool_is_persistent(const Caller& caller, const Uuid& pool) const = 0;
  virtual bool pool_autostart(const Caller& caller, const Uuid& pool) const = 0;
  virtual std::string pool_capabilities(const Caller& caller, unsigned int flags) const = 0;

  // `flags` are VIR_STORAGE_POOL_CREATE_*.
  virtual void create_pool(const Caller& caller, std::string xml, unsigned int flags,
                           Completion<PoolHandle> completion) = 0;
  virtual void define_pool(const Caller& caller, std::string xml, unsigned int flags,
                           Completion<PoolHandle> completion) = 0;
  virtual void undefine_pool(const Caller& caller, const Uuid& pool, Completion<void> completion) = 0;
  virtual void start_pool(const Caller& caller, const Uuid& pool, unsigned int flags,
                          Completion<void> completion) = 0;
  virtual void stop_pool(const Caller& caller, const Uuid& pool, Completion<void> completion) = 0;
  virtual void build_pool(const Caller& caller, const Uuid& pool, unsigned int flags,
                          Completion<void> completion) = 0;
  virtual void delete_pool(const Caller& caller, const Uuid& pool, unsigned int flags,
                           Completion<void> completion) = 0;
  virtual void refresh_pool(const Caller& caller, const Uuid& pool, unsigned int flags,
                            Completion<void> completion) = 0;
  virtual void set_pool_autostart(const Caller& caller, const Uuid& pool, bool autostart,
                                  Completion<void> completion) = 0;
  // A document of what could be a pool's source: virConnectFindStoragePoolSources.
  virtual void find_pool_sources(const Caller& caller, std::string type,
                                 std::optional<std::string> specification, unsigned int flags,
                                 Completion<std::string> completion) = 0;

  using Handler = std::function<void(const PoolEvent&)>;
  using SubscriptionId = std::uint64_t;
  // Events of one virStoragePoolEventID, of all pools or of one. Delivered from the loop, after the state
  // they tell of can be read. An id there is none of throws VIR_ERR_INVALID_ARG.
  virtual SubscriptionId subscribe(int event_id, std::optional<Uuid> pool, Handler handler) = 0;
  // No call of the handler begins after this returns. An unknown id is ignored.
  virtual void unsubscribe(SubscriptionId id) noexcept = 0;

 protected:
  ~StoragePools() = default;
};

class StorageVolumes {
 public:
  // Of an active pool, ordered by name.
  virtual std::vector<VolumeHandle> list_volumes(const Caller& caller, const Uuid& pool,
                                                 unsigned int flags) const = 0;
  // They throw VIR_ERR_NO_STORAGE_VOL, as do all that follow.
  virtual VolumeHandle volume_by_name(const Caller& caller, const Uuid& pool,
                                      const std::string& name) const = 0;
  virtual VolumeHandle volume_by_key(const Caller& caller, const std::string& key) const = 0;
  virtual VolumeHandle volume_by_path(const Caller& caller, const std::string& path) const = 0;
  virtual VolumeInfo volume_info(const Caller& caller, const VolumeHandle& volume,
                                 unsigned int flags) const = 0;
  virtual std::string volume_xml(const Caller& caller, const VolumeHandle& volume,
                                 unsigned int flags) const = 0;
  virtual std::string volume_path(const Caller& caller, const VolumeHandle& volume) const = 0;

  // A creation is aborted when the connection that asked for it goes away.
  virtual void create_volume(const Caller& caller, const Uuid& pool, std::string xml, unsigned int flags,
                             Completion<VolumeHandle> completion) = 0;
  virtual void clone_volume(const Caller& caller, const Uuid& pool, std::string xml,
                            const VolumeHandle& original, unsigned int flags,
                            Completion<VolumeHandle> completion) = 0;
  virtual void delete_volume(const Caller& caller, const VolumeHandle& volume, unsigned int flags,
                             Completion<void> completion) = 0;
  virtual void resize_volume(const Caller& caller, const VolumeHandle& volume, std::uint64_t capacity,
                             unsigned int flags, Completion<void> completion) = 0;
  // `algorithm` is a virStorageVolWipeAlgorithm.
  virtual void wipe_volume(const Caller& caller, const VolumeHandle& volume, unsigned int algorithm,
                           unsigned int flags, Completion<void> completion) = 0;
  // `length` 0: to the end. The streams are SparseStreams if the flags ask for it. They throw Error.
  virtual std::unique_ptr<Stream> upload_volume(const Caller& caller, const VolumeHandle& volume,
                                                std::uint64_t offset, std::uint64_t length,
                                                unsigned int flags) = 0;
  virtual std::unique_ptr<Stream> download_volume(const Caller& caller, const VolumeHandle& volume,
                                                  std::uint64_t offset, std::uint64_t length,
                                                  unsigned int flags) = 0;

 protected:
  ~StorageVolumes() = default;
};

class StorageDriver : public StoragePools, public StorageVolumes {
 public:
  virtual ~StorageDriver() = default;

  // A client's connection is gone, in whatever way: long work that it asked for is aborted.
  virtual void connection_closed(std::uint64_t connection_id) = 0;
};

}  // namespace warren::driver
