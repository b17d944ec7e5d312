// Images of formats other than raw, made, grown and converted by qemu-img(1).
#pragma once

#include <string>

#include "driver/storage/backend/reporter.h"
#include "driver/storage/volume_definition.h"

namespace warren::driver::storage::backend {

// Into `path`, an empty file that is there. `flags` are virStorageVolCreateFlags. Throws driver::Error.
void create_image(const std::string& path, const VolumeDefinition& wanted, std::uint32_t flags,
                  Reporter& reporter);

struct Conversion {
  std::string source;
  std::string source_format;  // declared, never found out
  std::string target;
  bool target_exists = false;  // a device: written to as it is
};
void convert_image(const Conversion& conversion, const VolumeDefinition& wanted, std::uint32_t flags,
                   Reporter& reporter);

void resize_image(const std::string& path, const std::string& format, std::uint64_t capacity, bool shrink);

}  // namespace warren::driver::storage::backend
