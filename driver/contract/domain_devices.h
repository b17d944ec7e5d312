// Devices that come to, go from and change in a domain that is running or defined: virDomainAttachDeviceFlags
// and its kin. Loop's thread; completes with Error. `xml` is one element of <devices>; `flags` are
// VIR_DOMAIN_AFFECT_*. A change that is refused or fails leaves both definitions as they were.
#pragma once

#include <string>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/handle.h"

namespace warren::driver {

class DomainDevices {
 public:
  virtual void attach_device(const Caller& caller, const Uuid& domain, std::string xml, unsigned int flags,
                             Completion<void> completion) = 0;
  // Of a running domain: the guest is asked, and may take its time or refuse. Completes when it has let go,
  // or after a few seconds with the removal pending; a DeviceRemovedEvent tells of the end.
  virtual void detach_device(const Caller& caller, const Uuid& domain, std::string xml, unsigned int flags,
                             Completion<void> completion) = 0;
  // Does not wait for the guest.
  virtual void detach_device_alias(const Caller& caller, const Uuid& domain, std::string alias,
                                   unsigned int flags, Completion<void> completion) = 0;
  // VIR_DOMAIN_DEVICE_MODIFY_FORCE is taken, and has nothing to force.
  virtual void update_device(const Caller& caller, const Uuid& domain, std::string xml, unsigned int flags,
                             Completion<void> completion) = 0;

 protected:
  ~DomainDevices() = default;
};

}  // namespace warren::driver
