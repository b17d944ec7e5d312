// All that a hypervisor connection offers, one interface for each ability: what the RPC and D-Bus fronts
// call.
//
// Names, flags and errors are those of libvirt's public API (virConnect*, virDomain*). Flags are validated
// here, below the contract: a bit that is not known throws (or completes with) VIR_ERR_INVALID_ARG. Whether
// the caller may do a thing at all is decided by the front door's procedure table before it calls. Everything
// is called on the loop's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "driver/contract/domain_agent.h"
#include "driver/contract/domain_block_jobs.h"
#include "driver/contract/domain_configuration.h"
#include "driver/contract/domain_descriptors.h"
#include "driver/contract/domain_devices.h"
#include "driver/contract/domain_disks.h"
#include "driver/contract/domain_inspection.h"
#include "driver/contract/domain_lifecycle.h"
#include "driver/contract/domain_registry.h"
#include "driver/contract/domain_statistics.h"
#include "driver/contract/domain_tuning.h"
#include "driver/contract/events.h"
#include "driver/contract/stream.h"

namespace warren::driver {

class DomainConsole {
 public:
  // Bytes to and from the domain's console or serial port: the first one, or that with the alias `device`.
  // `flags` are VIR_DOMAIN_CONSOLE_*: FORCE takes it from the client that has it, SAFE refuses unless the
  // console is exclusive (which it is here always). Throws Error.
  virtual std::unique_ptr<Stream> open_console(const Caller& caller, const Uuid& domain,
                                               const std::optional<std::string>& device,
                                               unsigned int flags) = 0;
  // The same of a channel on a socket or a pseudo terminal: the first one, or that with the alias or target
  // name `name`. `flags` are VIR_DOMAIN_CHANNEL_*. Throws Error.
  virtual std::unique_ptr<Stream> open_channel(const Caller& caller, const Uuid& domain,
                                               const std::optional<std::string>& name,
                                               unsigned int flags) = 0;

 protected:
  ~DomainConsole() = default;
};

class HypervisorDriver : public DomainRegistry,
                         public DomainLifecycle,
                         public DomainConfiguration,
                         public DomainStatisticsSource,
                         public DomainTuning,
                         public DomainDescriptors,
                         public DomainDevices,
                         public DomainDisks,
                         public DomainBlockJobs,
                         public DomainInspection,
                         public DomainAgent,
                         public DomainConsole,
                         public EventSource {
 public:
  virtual ~HypervisorDriver() = default;
};

}  // namespace warren::driver
