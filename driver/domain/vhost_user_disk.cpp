#include "driver/domain/vhost_user_disk.h"

#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/domain/character_file.h"

namespace warren::driver::domain {

vmm::FileDescriptor connect_back_end(const config::Disk& disk) {
  try {
    return connect_character_socket(disk.vhost_user);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("disk {}: {}", disk.target, error.detail()));
  }
}

void require_own(const config::Disk& disk, std::string_view what) {
  if (disk.is_own()) return;
  throw operation_unsupported(
      fmt::format("disk '{}' is served by another program ({}): {} is not supported for it", disk.target,
                  disk.caged ? config::kCagedDriver : "vhostuser", what));
}

}  // namespace warren::driver::domain
