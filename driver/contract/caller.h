// Who asks: carried by every call of a front door into the driver.
#pragma once

#include <cstdint>
#include <optional>

#include <sys/types.h>

namespace warren::driver {

// The hypervisor a connection shows itself as, by the URI it was opened with (DESIGN §1).
enum class UriFlavour { warren, qemu };

// Credentials are those the kernel vouches for (SO_PEERCRED) and absent on transports that have none.
struct Caller {
  std::optional<uid_t> user_id;
  std::optional<gid_t> group_id;
  std::optional<pid_t> process_id;
  bool read_only = false;
  // Of the client's connection, never reused while the daemon runs: ties domains started with
  // VIR_DOMAIN_START_AUTODESTROY to it. 0 is the daemon itself.
  std::uint64_t connection_id = 0;
  UriFlavour flavour = UriFlavour::warren;
};

}  // namespace warren::driver
