// File descriptors that a client lends a domain: virDomainFDAssociate. Loop's thread.
#pragma once

#include <string>
#include <vector>

#include "driver/contract/caller.h"
#include "driver/contract/handle.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver {

class DomainDescriptors {
 public:
  // Under `name`, in place of what was there, for as long as the caller's connection lasts; disks whose
  // <source> names it as fdgroup= are made of them. No descriptor: nothing changes. `flags` are
  // VIR_DOMAIN_FD_ASSOCIATE_*; there are no labels to be set or restored. Throws Error.
  virtual void associate_descriptors(const Caller& caller, const Uuid& domain, const std::string& name,
                                     std::vector<vmm::FileDescriptor> descriptors, unsigned int flags) = 0;

 protected:
  ~DomainDescriptors() = default;
};

}  // namespace warren::driver
