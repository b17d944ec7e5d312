// Overwrites a volume so that what was in it cannot be read from it again.
#pragma once

#include <string>

#include "driver/storage/backend/reporter.h"

namespace warren::driver::storage::backend {

// `file` is open for writing; `path` leads the tool for the patterns to the same. `algorithm` is a
// virStorageVolWipeAlgorithm: zero and random are done here, trim by discarding, the others by scrub(1).
// Throws driver::Error.
void wipe_data(int file, const std::string& path, std::uint32_t algorithm, Reporter& reporter);

}  // namespace warren::driver::storage::backend
