// Defining domains and moving them between their states: virDomainDefineXML … virDomainDestroy.
//
// Each is a change and runs in its domain's queue; one that cannot be taken because a job is at work
// completes at once with VIR_ERR_OPERATION_INVALID or VIR_ERR_OPERATION_TIMEOUT naming the job, its owner and
// its start. When a change completes, its snapshot is published and its durable part is on disk. Loop's
// thread.
#pragma once

#include <string>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/handle.h"

namespace warren::driver {

class DomainLifecycle {
 public:
  // `flags` are VIR_DOMAIN_DEFINE_*.
  virtual void define(const Caller& caller, std::string xml, unsigned int flags,
                      Completion<DomainHandle> completion) = 0;
  // `flags` are VIR_DOMAIN_UNDEFINE_*.
  virtual void undefine(const Caller& caller, const Uuid& domain, unsigned int flags,
                        Completion<void> completion) = 0;
  // Transient: virDomainCreateXML. `flags` are VIR_DOMAIN_START_*; the handle has the new id.
  virtual void create_from_xml(const Caller& caller, std::string xml, unsigned int flags,
                               Completion<DomainHandle> completion) = 0;
  // Starts a defined domain: virDomainCreateWithFlags.
  virtual void create(const Caller& caller, const Uuid& domain, unsigned int flags,
                      Completion<DomainHandle> completion) = 0;

  // Asks the guest: VIR_DOMAIN_SHUTDOWN_*, VIR_DOMAIN_REBOOT_*. Completes when it has been asked.
  virtual void shutdown(const Caller& caller, const Uuid& domain, unsigned int flags,
                        Completion<void> completion) = 0;
  virtual void reboot(const Caller& caller, const Uuid& domain, unsigned int flags,
                      Completion<void> completion) = 0;
  virtual void reset(const Caller& caller, const Uuid& domain, unsigned int flags,
                     Completion<void> completion) = 0;
  virtual void suspend(const Caller& caller, const Uuid& domain, Completion<void> completion) = 0;
  virtual void resume(const Caller& caller, const Uuid& domain, Completion<void> completion) = 0;
  // Always taken, over any job. `flags` are VIR_DOMAIN_DESTROY_*.
  virtual void destroy(const Caller& caller, const Uuid& domain, unsigned int flags,
                       Completion<void> completion) = 0;

  // virDomainAbortJobFlags: there must be a job that can be aborted. `flags` are VIR_DOMAIN_ABORT_JOB_*.
  virtual void abort_job(const Caller& caller, const Uuid& domain, unsigned int flags,
                         Completion<void> completion) = 0;

  // A client's connection is gone, in whatever way: its VIR_DOMAIN_START_AUTODESTROY domains go too.
  virtual void connection_closed(std::uint64_t connection_id) = 0;

 protected:
  ~DomainLifecycle() = default;
};

}  // namespace warren::driver
