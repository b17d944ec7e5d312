// A disk as a virtio device sees it: a size, and queues of requests to it. The back end behind it is a raw
// image (raw_image.h), or what a test puts there.
#pragma once

#include <cstdint>
#include <memory>

#include "vmm-core/block/block_queue.h"

namespace warren::vmm::block {

class Image {
 public:
  virtual ~Image() = default;
  // Bytes that can be addressed, a multiple of 512. Any thread.
  virtual std::uint64_t size() const noexcept = 0;
  virtual bool read_only() const noexcept = 0;
  // Makes the image `bytes` long, a multiple of 512; requests that were checked against the old size may
  // still be under way. Throws Error, and nothing has changed then. Control thread.
  virtual void resize(std::uint64_t bytes) = 0;
  // A queue for `depth` requests at once. Throws Error. The image outlives its queues.
  virtual std::unique_ptr<BlockQueue> make_queue(unsigned depth) const = 0;
};

}  // namespace warren::vmm::block
