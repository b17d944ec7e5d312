// Another backing file's name in the header of an image that is there already, so that every prefix of what
// reaches the disk names the one or the other, with its format.
//
// The first sector is the only thing that is written whole or not at all. So a new name is put where nothing
// is, behind the sector, and one write of the sector then switches over to it; or all fits into the sector.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/qcow2/format.h"

namespace warren::vmm::block::qcow2 {

struct BackingNameChange {
  std::array<std::byte, kHeaderSector> sector{};
  std::optional<std::uint64_t> outside;  // where the name goes first; synced, before the sector is written
};

// Both empty: no backing file any more. Throws Error, where the header has no room too; `name` is the
// image's, for messages. Nothing is written.
BackingNameChange plan_backing_name(HostFile& file, const std::string& name, const std::string& backing_file,
                                    const std::string& backing_format);
// Does it all, to an image that nobody has open for writing. Throws Error.
void write_backing_name(HostFile& file, const std::string& name, const std::string& backing_file,
                        const std::string& backing_format);

}  // namespace warren::vmm::block::qcow2
