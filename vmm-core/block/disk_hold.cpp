#include "vmm-core/block/disk_hold.h"

#include <algorithm>
#include <utility>

namespace warren::vmm::block {

// The lock is never held while another thread is waited for. A stream that has no thread yet is used by
// nobody until it has one, which it gets under the lock.
DiskHold::DiskHold(Disk& disk) : disk_(disk) {
  std::vector<std::pair<DiskStream*, EventThread*>> running;
  {
    const std::lock_guard lock(disk_.streams_mutex_);
    running.reserve(disk_.streams_.size());
    disk_.held_ = disk_.has_holder_ = true;
    for (DiskStream* stream : disk_.streams_) {
      if (stream->thread_ == nullptr) {
        stream->hold();
      } else {
        running.emplace_back(stream, stream->thread_);
      }
    }
  }
  for (const auto& [stream, thread] : running) {
    thread->run([this, one = stream] {
      if (disk_.has(one)) one->hold();
    });
  }
}

DiskHold::~DiskHold() {
  std::vector<std::pair<DiskStream*, EventThread*>> all;
  {
    const std::lock_guard lock(disk_.streams_mutex_);
    disk_.held_ = false;
    for (DiskStream* stream : disk_.streams_) {
      if (stream->thread_ == nullptr) {
        stream->release(take_next(stream));
      } else {
        all.emplace_back(stream, stream->thread_);
      }
    }
  }
  for (const auto& [stream, thread] : all) {
    thread->run([this, one = stream] {
      if (disk_.has(one)) one->release(take_next(one));
    });
  }
  {
    const std::lock_guard lock(disk_.streams_mutex_);
    disk_.has_holder_ = false;
  }
  disk_.released_.notify_all();
}

std::unique_ptr<BlockQueue> DiskHold::take_next(const DiskStream* stream) noexcept {
  const auto found = std::ranges::find(next_, stream, &Next::stream);
  return found == next_.end() ? nullptr : std::move(found->queue);
}

void DiskHold::change(const std::function<void()>& change, const std::function<void()>& undo) {
  const std::lock_guard lock(disk_.streams_mutex_);
  change();
  std::vector<Next> next;
  try {
    next.reserve(disk_.streams_.size());
    for (DiskStream* stream : disk_.streams_)
      next.push_back({stream, disk_.image_->make_queue(stream->depth_)});
  } catch (...) {
    next.clear();
    undo();
    throw;
  }
  next_ = std::move(next);
}

void DiskHold::follow(WriteMap* map) noexcept {
  const std::lock_guard lock(disk_.streams_mutex_);
  disk_.write_map_ = map;
}

}  // namespace warren::vmm::block
