// The pools and volumes of one daemon, as they are known. Implementation header (Asio).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/loop/turn.h"
#include "driver/storage/helper_call.h"
#include "driver/storage/volume_definition.h"

namespace warren::driver::storage {

struct Volume {
  VolumeDefinition definition;
  bool is_building = false;  // in the making
  unsigned in_use = 0;       // read or written by work of ours
};

struct Pool {
  explicit Pool(boost::asio::io_context& loop) : turn(loop) {}

  PoolDefinition definition;
  std::optional<PoolDefinition> next;  // of the next start, where it was defined anew while active
  bool is_active = false;
  bool is_starting = false;
  bool is_persistent = false;
  bool autostart = false;
  unsigned jobs = 0;                                       // creations, clones, wipes and transfers under way
  std::map<std::string, std::shared_ptr<Volume>> volumes;  // by name
  loop::Turn turn;  // of what changes the pool as a whole, and of what has to have it unchanged
  std::weak_ptr<HelperCall> refresh;  // under way: a stop does not wait for it
};

using PoolPointer = std::shared_ptr<Pool>;
using VolumePointer = std::shared_ptr<Volume>;

// Counts a job of a pool, and one or two uses of volumes, as long as it lives.
class JobMark {
 public:
  explicit JobMark(PoolPointer pool, VolumePointer volume = nullptr)
      : pool_(std::move(pool)), volume_(std::move(volume)) {
    ++pool_->jobs;
    if (volume_) ++volume_->in_use;
  }
  JobMark(JobMark&& other) noexcept = default;
  JobMark& operator=(JobMark&&) = delete;
  ~JobMark() {
    if (!pool_) return;
    --pool_->jobs;
    if (volume_) --volume_->in_use;
  }

 private:
  PoolPointer pool_;
  VolumePointer volume_;
};

class PoolTable {
 public:
  // They throw NO_STORAGE_POOL.
  PoolPointer by_uuid(const Uuid& uuid) const;
  PoolPointer by_name(const std::string& name) const;
  PoolPointer find(const Uuid& uuid) const noexcept;
  PoolPointer find_name(const std::string& name) const noexcept;
  // Ordered by name.
  std::vector<PoolPointer> all() const;

  void add(const PoolPointer& pool) { pools_[pool->definition.uuid] = pool; }
  void remove(const Uuid& uuid) { pools_.erase(uuid); }

  // The pool that `definition` would be, or null for a new one. Throws OPERATION_FAILED if its name or UUID
  // is another's or its source belongs to another pool, OPERATION_INVALID if it is to be started and runs.
  PoolPointer check_new(const PoolDefinition& definition, bool is_to_start) const;

 private:
  std::map<Uuid, PoolPointer> pools_;
};

// Whether the two take their volumes from the same place.
bool have_same_source(const PoolDefinition& one, const PoolDefinition& other);

}  // namespace warren::driver::storage
