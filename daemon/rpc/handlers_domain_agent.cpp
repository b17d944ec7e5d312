#include "daemon/rpc/handlers_domain_agent.h"

#include <libvirt/libvirt.h>

#include "daemon/rpc/completion.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {

void domain_agent_command(Call& call, const DomainAgentCommandArgs& arguments,
                          Reply<DomainAgentCommandResult> reply) {
  Session& session = call.session();
  session.hypervisor().agent_command(
      session.caller(), to_driver(arguments.dom.uuid), arguments.cmd, arguments.timeout, arguments.flags,
      when_done<DomainAgentCommandResult, std::string>(std::move(reply), [](const std::string& text) {
        return DomainAgentCommandResult{.result = text};
      }));
}

void domain_agent_set_response_timeout(Call& call, const DomainAgentSetResponseTimeoutArgs& arguments,
                                       Reply<DomainAgentSetResponseTimeoutResult> reply) {
  Session& session = call.session();
  session.hypervisor().set_agent_response_timeout(
      session.caller(), to_driver(arguments.dom.uuid), arguments.timeout, arguments.flags,
      [reply = std::move(reply)](std::expected<void, driver::Error> outcome) mutable {
        if (!outcome) return reply(std::unexpected(outcome.error()));
        reply(DomainAgentSetResponseTimeoutResult{.result = 0});
      });
}

void domain_get_hostname(Call& call, const DomainGetHostnameArgs& arguments,
                         Reply<DomainGetHostnameResult> reply) {
  Session& session = call.session();
  session.hypervisor().guest_hostname(
      session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
      when_done<DomainGetHostnameResult, std::string>(std::move(reply), [](const std::string& name) {
        return DomainGetHostnameResult{.hostname = name};
      }));
}

void domain_get_time(Call& call, const DomainGetTimeArgs& arguments, Reply<DomainGetTimeResult> reply) {
  Session& session = call.session();
  session.hypervisor().guest_time(
      session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
      when_done<DomainGetTimeResult, driver::GuestTime>(std::move(reply), [](const driver::GuestTime& time) {
        return DomainGetTimeResult{.seconds = time.seconds, .nseconds = time.nanoseconds};
      }));
}

void domain_set_time(Call& call, const DomainSetTimeArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_guest_time(session.caller(), to_driver(arguments.dom.uuid),
                                      {.seconds = arguments.seconds, .nanoseconds = arguments.nseconds},
                                      arguments.flags, when_done(std::move(reply)));
}

namespace {

template <class Result>
driver::Completion<driver::TypedParameters> when_parameters(Reply<Result> reply) {
  return when_done<Result, driver::TypedParameters>(
      std::move(reply), [](const driver::TypedParameters& parameters) {
        Result result;
        for (const driver::TypedParameter& parameter : parameters)
          result.params.push_back(to_protocol(parameter));
        return result;
      });
}

}  // namespace

void domain_get_guest_info(Call& call, const DomainGetGuestInfoArgs& arguments,
                           Reply<DomainGetGuestInfoResult> reply) {
  Session& session = call.session();
  session.hypervisor().guest_info(session.caller(), to_driver(arguments.dom.uuid), arguments.types,
                                  arguments.flags, when_parameters(std::move(reply)));
}

void domain_get_guest_vcpus(Call& call, const DomainGetGuestVcpusArgs& arguments,
                            Reply<DomainGetGuestVcpusResult> reply) {
  Session& session = call.session();
  session.hypervisor().guest_vcpus(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                                   when_parameters(std::move(reply)));
}

void domain_set_guest_vcpus(Call& call, const DomainSetGuestVcpusArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_guest_vcpus(session.caller(), to_driver(arguments.dom.uuid), arguments.cpumap,
                                       arguments.state, arguments.flags, when_done(std::move(reply)));
}

void domain_set_user_password(Call& call, const DomainSetUserPasswordArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  if (!arguments.user || !arguments.password)
    return reply(std::unexpected(driver::invalid_argument("user and password must be given")));
  session.hypervisor().set_user_password(session.caller(), to_driver(arguments.dom.uuid), *arguments.user,
                                         *arguments.password, arguments.flags, when_done(std::move(reply)));
}

void domain_authorized_ssh_keys_get(Call& call, const DomainAuthorizedSshKeysGetArgs& arguments,
                                    Reply<DomainAuthorizedSshKeysGetResult> reply) {
  using Keys = std::vector<std::string>;
  Session& session = call.session();
  session.hypervisor().authorized_ssh_keys(
      session.caller(), to_driver(arguments.dom.uuid), arguments.user, arguments.flags,
      when_done<DomainAuthorizedSshKeysGetResult, Keys>(std::move(reply), [](const Keys& keys) {
        DomainAuthorizedSshKeysGetResult result;
        result.keys.assign(keys.begin(), keys.end());
        return result;
      }));
}

void domain_authorized_ssh_keys_set(Call& call, const DomainAuthorizedSshKeysSetArgs& arguments,
                                    Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_authorized_ssh_keys(session.caller(), to_driver(arguments.dom.uuid),
                                               arguments.user, arguments.keys, arguments.flags,
                                               when_done(std::move(reply)));
}

void domain_interface_addresses(Call& call, const DomainInterfaceAddressesArgs& arguments,
                                Reply<DomainInterfaceAddressesResult> reply) {
  using Interfaces = std::vector<driver::GuestInterface>;
  Session& session = call.session();
  // The table's rule: asking the guest takes more than reading.
  if (session.caller().read_only && arguments.source == VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT) {
    return reply(std::unexpected(driver::Error(
        VIR_ERR_OPERATION_DENIED, "read only access prevents virDomainInterfaceAddresses", VIR_FROM_DOMAIN)));
  }
  session.hypervisor().interface_addresses(
      session.caller(), to_driver(arguments.dom.uuid), arguments.source, arguments.flags,
      when_done<DomainInterfaceAddressesResult, Interfaces>(
          std::move(reply), [](const Interfaces& interfaces) {
            DomainInterfaceAddressesResult result;
            for (const driver::GuestInterface& interface : interfaces) {
              DomainInterface& made = result.ifaces.emplace_back();
              made.name = interface.name;
              made.hwaddr = interface.hardware_address;
              for (const driver::GuestAddress& address : interface.addresses)
                made.addrs.push_back(
                    {.type = address.type, .addr = address.address, .prefix = address.prefix});
            }
            return result;
          }));
}

void domain_get_fsinfo(Call& call, const DomainGetFsinfoArgs& arguments, Reply<DomainGetFsinfoResult> reply) {
  using Filesystems = std::vector<driver::GuestFilesystem>;
  Session& session = call.session();
  session.hypervisor().filesystems(
      session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
      when_done<DomainGetFsinfoResult, Filesystems>(std::move(reply), [](const Filesystems& filesystems) {
        DomainGetFsinfoResult result;
        for (const driver::GuestFilesystem& filesystem : filesystems) {
          DomainFsinfo& made = result.info.emplace_back();
          made.mountpoint = filesystem.mountpoint;
          made.name = filesystem.name;
          made.fstype = filesystem.type;
          made.dev_aliases.assign(filesystem.disks.begin(), filesystem.disks.end());
        }
        result.ret = static_cast<std::uint32_t>(filesystems.size());
        return result;
      }));
}

void domain_fsfreeze(Call& call, const DomainFsfreezeArgs& arguments, Reply<DomainFsfreezeResult> reply) {
  Session& session = call.session();
  session.hypervisor().freeze_filesystems(
      session.caller(), to_driver(arguments.dom.uuid), arguments.mountpoints, arguments.flags,
      when_done<DomainFsfreezeResult, int>(
          std::move(reply), [](int count) { return DomainFsfreezeResult{.filesystems = count}; }));
}

void domain_fsthaw(Call& call, const DomainFsthawArgs& arguments, Reply<DomainFsthawResult> reply) {
  Session& session = call.session();
  session.hypervisor().thaw_filesystems(
      session.caller(), to_driver(arguments.dom.uuid), arguments.mountpoints, arguments.flags,
      when_done<DomainFsthawResult, int>(std::move(reply),
                                         [](int count) { return DomainFsthawResult{.filesystems = count}; }));
}

void domain_fstrim(Call& call, const DomainFstrimArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().trim_filesystems(session.caller(), to_driver(arguments.dom.uuid),
                                        arguments.mount_point, arguments.minimum, arguments.flags,
                                        when_done(std::move(reply)));
}

}  // namespace warren::daemon::rpc::handlers
