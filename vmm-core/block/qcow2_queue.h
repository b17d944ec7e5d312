// The queue of a disk on a qcow2 image, and all that it is backed by.
#pragma once

#include <memory>

#include "vmm-core/block/block_queue.h"
#include "vmm-core/block/qcow2/file.h"

namespace warren::vmm::block {

// Transfers to clusters that have their place go straight to the host by the queues of the raw files below
// (raw_image.h); everything else is done, in turn, by one thread of each queue. The file outlives its queues.
// Throws Error.
std::unique_ptr<BlockQueue> make_qcow2_queue(qcow2::File& file, unsigned depth);

}  // namespace warren::vmm::block
