// Transfers that O_DIRECT does not take as they are: whole blocks through memory of ours. What else is in the
// blocks at the ends of a write is read first, so a disk whose sectors are smaller than the host's blocks
// works with cache='none' too, slowly.
//
// A file whose length is no multiple of the alignment grows to one when its last block is written so; one
// whose length is the disk's is cut off again behind that.
#pragma once

#include <cstdint>

#include "vmm-core/block/raw_image.h"

namespace warren::vmm::block {

// What a read finds beyond the end of the file.
enum class BeyondEnd : std::uint8_t {
  error,  // the end is fixed, and has been cut off: EIO
  zeros,  // the file grows when it is written there
};

// A read or write on the calling thread, from where the request is; what is done of it is done when it fails.
// Writes of this kind to one image take turns, since they may share a block; those that share none, and go
// past this, may be under way meanwhile. 0 or an errno.
int bounce(const RawImage& image, Request& request, BeyondEnd beyond) noexcept;

// Writes zeros, by bounce() where that is not aligned. 0 or an errno.
int bounce_zeros(const RawImage& image, std::uint64_t offset, std::uint64_t length) noexcept;

}  // namespace warren::vmm::block
