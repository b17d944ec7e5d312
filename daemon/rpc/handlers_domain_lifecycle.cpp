#include "daemon/rpc/completion.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/handlers_domain.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

// The WITH_FILES calls hand the first process of a container its descriptors; a virtual machine has no such
// process.
template <class Result>
bool refuse_descriptors(Call& call, Reply<Result>& reply) {
  if (call.take_descriptors().empty()) return false;
  reply(std::unexpected(driver::Error(VIR_ERR_ARGUMENT_UNSUPPORTED,
                                      "a virtual machine takes no file descriptors at its start",
                                      VIR_FROM_DOMAIN)));
  return true;
}

}  // namespace

void domain_define_xml(Call& call, const DomainDefineXmlArgs& arguments, Reply<DomainDefineXmlResult> reply) {
  Session& session = call.session();
  session.hypervisor().define(session.caller(), arguments.xml, 0, when_domain(std::move(reply)));
}

void domain_define_xml_flags(Call& call, const DomainDefineXmlFlagsArgs& arguments,
                             Reply<DomainDefineXmlFlagsResult> reply) {
  Session& session = call.session();
  session.hypervisor().define(session.caller(), arguments.xml, arguments.flags,
                              when_domain(std::move(reply)));
}

void domain_undefine(Call& call, const DomainUndefineArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().undefine(session.caller(), to_driver(arguments.dom.uuid), 0,
                                when_done(std::move(reply)));
}

void domain_undefine_flags(Call& call, const DomainUndefineFlagsArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().undefine(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                                when_done(std::move(reply)));
}

void domain_create_xml(Call& call, const DomainCreateXmlArgs& arguments, Reply<DomainCreateXmlResult> reply) {
  Session& session = call.session();
  session.hypervisor().create_from_xml(session.caller(), arguments.xml_desc, arguments.flags,
                                       when_domain(std::move(reply)));
}

void domain_create_xml_with_files(Call& call, const DomainCreateXmlWithFilesArgs& arguments,
                                  Reply<DomainCreateXmlWithFilesResult> reply) {
  if (refuse_descriptors(call, reply)) return;
  Session& session = call.session();
  session.hypervisor().create_from_xml(session.caller(), arguments.xml_desc, arguments.flags,
                                       when_domain(std::move(reply)));
}

void domain_create(Call& call, const DomainCreateArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().create(session.caller(), to_driver(arguments.dom.uuid), 0,
                              when_done<Nothing, driver::DomainHandle>(
                                  std::move(reply), [](const driver::DomainHandle&) { return Nothing{}; }));
}

void domain_create_with_flags(Call& call, const DomainCreateWithFlagsArgs& arguments,
                              Reply<DomainCreateWithFlagsResult> reply) {
  Session& session = call.session();
  session.hypervisor().create(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                              when_domain(std::move(reply)));
}

void domain_create_with_files(Call& call, const DomainCreateWithFilesArgs& arguments,
                              Reply<DomainCreateWithFilesResult> reply) {
  if (refuse_descriptors(call, reply)) return;
  Session& session = call.session();
  session.hypervisor().create(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                              when_domain(std::move(reply)));
}

void domain_shutdown(Call& call, const DomainShutdownArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().shutdown(session.caller(), to_driver(arguments.dom.uuid), 0,
                                when_done(std::move(reply)));
}

void domain_shutdown_flags(Call& call, const DomainShutdownFlagsArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().shutdown(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                                when_done(std::move(reply)));
}

void domain_reboot(Call& call, const DomainRebootArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().reboot(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                              when_done(std::move(reply)));
}

void domain_reset(Call& call, const DomainResetArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().reset(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                             when_done(std::move(reply)));
}

void domain_suspend(Call& call, const DomainSuspendArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().suspend(session.caller(), to_driver(arguments.dom.uuid), when_done(std::move(reply)));
}

void domain_resume(Call& call, const DomainResumeArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().resume(session.caller(), to_driver(arguments.dom.uuid), when_done(std::move(reply)));
}

void domain_destroy(Call& call, const DomainDestroyArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().destroy(session.caller(), to_driver(arguments.dom.uuid), 0,
                               when_done(std::move(reply)));
}

void domain_destroy_flags(Call& call, const DomainDestroyFlagsArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().destroy(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                               when_done(std::move(reply)));
}

void domain_abort_job(Call& call, const DomainAbortJobArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().abort_job(session.caller(), to_driver(arguments.dom.uuid), 0,
                                 when_done(std::move(reply)));
}

}  // namespace warren::daemon::rpc::handlers
