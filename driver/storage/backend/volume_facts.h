// What there is to know of an open file or device that is a volume.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "driver/storage/volume_definition.h"

namespace warren::driver::storage::backend {

// Fills size, permissions, times and, for a pool whose volumes are images, format, backing and features.
// `records` are the declared formats of images that cannot carry their mark. Throws driver::Error.
void read_image_facts(int file, const std::string& path, std::span<const NamedValue> records,
                      VolumeDefinition& volume);
// The same without looking into it.
void read_device_facts(int file, VolumeDefinition& volume);

// The bytes of a file or block device. Throws driver::Error.
std::uint64_t data_bytes(int file);

}  // namespace warren::driver::storage::backend
