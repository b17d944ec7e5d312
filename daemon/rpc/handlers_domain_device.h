// Calls by which devices come to, go from and change in a domain.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/domain.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

Nothing domain_fd_associate(Call& call, const DomainFdAssociateArgs& arguments);
void domain_attach_device(Call& call, const DomainAttachDeviceArgs& arguments, Reply<Nothing> reply);
void domain_attach_device_flags(Call& call, const DomainAttachDeviceFlagsArgs& arguments,
                                Reply<Nothing> reply);
void domain_detach_device(Call& call, const DomainDetachDeviceArgs& arguments, Reply<Nothing> reply);
void domain_detach_device_flags(Call& call, const DomainDetachDeviceFlagsArgs& arguments,
                                Reply<Nothing> reply);
void domain_detach_device_alias(Call& call, const DomainDetachDeviceAliasArgs& arguments,
                                Reply<Nothing> reply);
void domain_update_device_flags(Call& call, const DomainUpdateDeviceFlagsArgs& arguments,
                                Reply<Nothing> reply);

}  // namespace warren::daemon::rpc::handlers
