// The file that guest memory is in.
#pragma once

#include <cstdint>

#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm {

// A memfd of `size` bytes, which stays its size; of huge pages of that many bytes (2 MiB or 1 GiB), or of the
// host's usual ones for 0. Throws Error.
FileDescriptor make_memory_file(std::uint64_t size, std::uint64_t huge_page_bytes);

}  // namespace warren::vmm
