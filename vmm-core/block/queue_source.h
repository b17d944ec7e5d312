// A file (host_file.h) that takes requests by itself, asynchronously: one that is not of this host.
#pragma once

#include <memory>

#include "vmm-core/block/block_queue.h"

namespace warren::vmm::block {

class QueueSource {
 public:
  // For `depth` requests at once; it may outlive the file. Throws Error.
  virtual std::unique_ptr<BlockQueue> make_queue(unsigned depth) const = 0;

 protected:
  ~QueueSource() = default;
};

}  // namespace warren::vmm::block
