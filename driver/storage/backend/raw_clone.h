// A clone into a device that is there already.
#pragma once

#include <string>

#include "driver/storage/backend/backend.h"

namespace warren::driver::storage::backend {

// The data of request.original, whatever format it has there, raw. Throws driver::Error.
void clone_to_device(const Request& request, const std::string& device, Reporter& reporter);

}  // namespace warren::driver::storage::backend
