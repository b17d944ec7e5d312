#include "daemon/rpc/handlers_domain_device.h"

#include <libvirt/libvirt.h>

#include "daemon/rpc/completion.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {

Nothing domain_fd_associate(Call& call, const DomainFdAssociateArgs& arguments) {
  Session& session = call.session();
  session.hypervisor().associate_descriptors(session.caller(), to_driver(arguments.dom.uuid), arguments.name,
                                             call.take_descriptors(), arguments.flags);
  return {};
}

// The calls without flags are of the running domain.
void domain_attach_device(Call& call, const DomainAttachDeviceArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().attach_device(session.caller(), to_driver(arguments.dom.uuid), arguments.xml,
                                     VIR_DOMAIN_AFFECT_LIVE, when_done(std::move(reply)));
}

void domain_attach_device_flags(Call& call, const DomainAttachDeviceFlagsArgs& arguments,
                                Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().attach_device(session.caller(), to_driver(arguments.dom.uuid), arguments.xml,
                                     arguments.flags, when_done(std::move(reply)));
}

void domain_detach_device(Call& call, const DomainDetachDeviceArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().detach_device(session.caller(), to_driver(arguments.dom.uuid), arguments.xml,
                                     VIR_DOMAIN_AFFECT_LIVE, when_done(std::move(reply)));
}

void domain_detach_device_flags(Call& call, const DomainDetachDeviceFlagsArgs& arguments,
                                Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().detach_device(session.caller(), to_driver(arguments.dom.uuid), arguments.xml,
                                     arguments.flags, when_done(std::move(reply)));
}

void domain_detach_device_alias(Call& call, const DomainDetachDeviceAliasArgs& arguments,
                                Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().detach_device_alias(session.caller(), to_driver(arguments.dom.uuid), arguments.alias,
                                           arguments.flags, when_done(std::move(reply)));
}

void domain_update_device_flags(Call& call, const DomainUpdateDeviceFlagsArgs& arguments,
                                Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().update_device(session.caller(), to_driver(arguments.dom.uuid), arguments.xml,
                                     arguments.flags, when_done(std::move(reply)));
}

}  // namespace warren::daemon::rpc::handlers
