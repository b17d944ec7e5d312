// Calls on the agents inside guests, those of the QEMU program among them.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/domain.h"
#include "daemon/rpc/protocol/guest_agent.h"
#include "daemon/rpc/protocol/qemu.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

void domain_agent_command(Call& call, const DomainAgentCommandArgs& arguments,
                          Reply<DomainAgentCommandResult> reply);
void domain_agent_set_response_timeout(Call& call, const DomainAgentSetResponseTimeoutArgs& arguments,
                                       Reply<DomainAgentSetResponseTimeoutResult> reply);
void domain_get_hostname(Call& call, const DomainGetHostnameArgs& arguments,
                         Reply<DomainGetHostnameResult> reply);
void domain_get_time(Call& call, const DomainGetTimeArgs& arguments, Reply<DomainGetTimeResult> reply);
void domain_set_time(Call& call, const DomainSetTimeArgs& arguments, Reply<Nothing> reply);
void domain_get_guest_info(Call& call, const DomainGetGuestInfoArgs& arguments,
                           Reply<DomainGetGuestInfoResult> reply);
void domain_get_guest_vcpus(Call& call, const DomainGetGuestVcpusArgs& arguments,
                            Reply<DomainGetGuestVcpusResult> reply);
void domain_set_guest_vcpus(Call& call, const DomainSetGuestVcpusArgs& arguments, Reply<Nothing> reply);
void domain_set_user_password(Call& call, const DomainSetUserPasswordArgs& arguments, Reply<Nothing> reply);
void domain_authorized_ssh_keys_get(Call& call, const DomainAuthorizedSshKeysGetArgs& arguments,
                                    Reply<DomainAuthorizedSshKeysGetResult> reply);
void domain_authorized_ssh_keys_set(Call& call, const DomainAuthorizedSshKeysSetArgs& arguments,
                                    Reply<Nothing> reply);
void domain_interface_addresses(Call& call, const DomainInterfaceAddressesArgs& arguments,
                                Reply<DomainInterfaceAddressesResult> reply);
void domain_get_fsinfo(Call& call, const DomainGetFsinfoArgs& arguments, Reply<DomainGetFsinfoResult> reply);
void domain_fsfreeze(Call& call, const DomainFsfreezeArgs& arguments, Reply<DomainFsfreezeResult> reply);
void domain_fsthaw(Call& call, const DomainFsthawArgs& arguments, Reply<DomainFsthawResult> reply);
void domain_fstrim(Call& call, const DomainFstrimArgs& arguments, Reply<Nothing> reply);

}  // namespace warren::daemon::rpc::handlers
