// What a daemon writes down about a running domain so that the next one finds it again.
//
// A <domstatus> document around the live <domain>, in the runtime directory. The start is noted before there
// is a worker, so that one that was interrupted is rolled back. What the <domain> does not say (where volumes
// are, how far block jobs have come) stands before it, in <private>. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "driver/config/domain_definition.h"
#include "driver/domain/block_job.h"
#include "driver/domain/host_devices.h"

namespace warren::driver::domain {

struct LiveStatus {
  enum class Phase { starting, running };

  Phase phase = Phase::starting;
  config::DomainDefinition live;
  pid_t pid = -1;                // of the worker; -1 while it is not there yet
  std::uint64_t start_time = 0;  // of the process, see WorkerProcess
  int state = 0;                 // virDomainState
  int reason = 0;
  std::uint64_t resets = 0;                // guest resets that have been told of
  bool reboot_requested = false;           // a shutdown of the guest is to end in a restart
  std::int64_t started = 0;                // seconds since the epoch
  int agent_timeout = -2;                  // virDomainAgentResponseTimeoutValues, or in seconds
  std::vector<BoundDevice> bound_devices;  // that the host is to have back
  std::vector<BlockJobRecord> block_jobs;
};

std::string format_status(const LiveStatus& status);
// Throws Error naming what is wrong.
LiveStatus parse_status(std::string_view text);

}  // namespace warren::driver::domain
