// Requests of a disk to the export of an NBD server.
#pragma once

#include <memory>

#include "vmm-core/block/block_queue.h"
#include "vmm-core/block/nbd/connection.h"

namespace warren::vmm::block::nbd {

// Throws Error.
std::unique_ptr<BlockQueue> make_queue(std::shared_ptr<Connection> connection, unsigned depth);

}  // namespace warren::vmm::block::nbd
