// A disk stands still for a moment, while its machine runs on: so that its image can become another one.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "vmm-core/block/disk_stream.h"

namespace warren::vmm::block {

// While this is there, none of the disk's requests is with its image; those that come wait in line. One at a
// time for each disk, on a thread that is none of the disk's streams'. The disk outlives it.
class DiskHold {
 public:
  // Waits for what is in flight.
  explicit DiskHold(Disk& disk);
  DiskHold(const DiskHold&) = delete;
  DiskHold& operator=(const DiskHold&) = delete;
  ~DiskHold();

  // Changes what the disk's image is made of. `change` does not fail. When there can be no queues for what it
  // makes, `undo` is called, and Error thrown.
  void change(const std::function<void()>& change, const std::function<void()>& undo);
  // Whom every write is told to from now on; null: nobody. It outlives the next hold in which that changes.
  void follow(WriteMap* map) noexcept;

 private:
  struct Next {
    DiskStream* stream = nullptr;
    std::unique_ptr<BlockQueue> queue;
  };
  std::unique_ptr<BlockQueue> take_next(const DiskStream* stream) noexcept;

  Disk& disk_;
  std::vector<Next> next_;
};

}  // namespace warren::vmm::block
