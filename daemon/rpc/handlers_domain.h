// Calls on domains: finding and reading them, their life cycle, their configuration, figures, consoles.
//
// Each handler translates one call to the contract and back; meaning lives below the contract.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/domain.h"
#include "daemon/rpc/protocol/domain_statistics.h"
#include "daemon/rpc/protocol/domain_tuning.h"
#include "daemon/rpc/protocol/stream.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

// ---- handlers_domain.cpp: finding and reading
DomainLookupByIdResult domain_lookup_by_id(Call& call, const DomainLookupByIdArgs& arguments);
DomainLookupByNameResult domain_lookup_by_name(Call& call, const DomainLookupByNameArgs& arguments);
DomainLookupByUuidResult domain_lookup_by_uuid(Call& call, const DomainLookupByUuidArgs& arguments);
ConnectListAllDomainsResult connect_list_all_domains(Call& call, const ConnectListAllDomainsArgs& arguments);
ConnectListDomainsResult connect_list_domains(Call& call, const ConnectListDomainsArgs& arguments);
ConnectNumOfDomainsResult connect_num_of_domains(Call& call, const Nothing&);
ConnectListDefinedDomainsResult connect_list_defined_domains(Call& call,
                                                             const ConnectListDefinedDomainsArgs& arguments);
ConnectNumOfDefinedDomainsResult connect_num_of_defined_domains(Call& call, const Nothing&);
DomainGetInfoResult domain_get_info(Call& call, const DomainGetInfoArgs& arguments);
DomainGetStateResult domain_get_state(Call& call, const DomainGetStateArgs& arguments);
DomainGetXmlDescResult domain_get_xml_desc(Call& call, const DomainGetXmlDescArgs& arguments);
DomainGetOsTypeResult domain_get_os_type(Call& call, const DomainGetOsTypeArgs& arguments);
DomainIsActiveResult domain_is_active(Call& call, const DomainIsActiveArgs& arguments);
DomainIsPersistentResult domain_is_persistent(Call& call, const DomainIsPersistentArgs& arguments);
DomainIsUpdatedResult domain_is_updated(Call& call, const DomainIsUpdatedArgs& arguments);
DomainHasManagedSaveImageResult domain_has_managed_save_image(Call& call,
                                                              const DomainHasManagedSaveImageArgs& arguments);
DomainGetAutostartResult domain_get_autostart(Call& call, const DomainGetAutostartArgs& arguments);
DomainGetMessagesResult domain_get_messages(Call& call, const DomainGetMessagesArgs& arguments);
DomainGetControlInfoResult domain_get_control_info(Call& call, const DomainGetControlInfoArgs& arguments);
DomainGetJobInfoResult domain_get_job_info(Call& call, const DomainGetJobInfoArgs& arguments);

// ---- handlers_domain_lifecycle.cpp
void domain_define_xml(Call& call, const DomainDefineXmlArgs& arguments, Reply<DomainDefineXmlResult> reply);
void domain_define_xml_flags(Call& call, const DomainDefineXmlFlagsArgs& arguments,
                             Reply<DomainDefineXmlFlagsResult> reply);
void domain_undefine(Call& call, const DomainUndefineArgs& arguments, Reply<Nothing> reply);
void domain_undefine_flags(Call& call, const DomainUndefineFlagsArgs& arguments, Reply<Nothing> reply);
void domain_create_xml(Call& call, const DomainCreateXmlArgs& arguments, Reply<DomainCreateXmlResult> reply);
void domain_create_xml_with_files(Call& call, const DomainCreateXmlWithFilesArgs& arguments,
                                  Reply<DomainCreateXmlWithFilesResult> reply);
void domain_create(Call& call, const DomainCreateArgs& arguments, Reply<Nothing> reply);
void domain_create_with_flags(Call& call, const DomainCreateWithFlagsArgs& arguments,
                              Reply<DomainCreateWithFlagsResult> reply);
void domain_create_with_files(Call& call, const DomainCreateWithFilesArgs& arguments,
                              Reply<DomainCreateWithFilesResult> reply);
void domain_shutdown(Call& call, const DomainShutdownArgs& arguments, Reply<Nothing> reply);
void domain_shutdown_flags(Call& call, const DomainShutdownFlagsArgs& arguments, Reply<Nothing> reply);
void domain_reboot(Call& call, const DomainRebootArgs& arguments, Reply<Nothing> reply);
void domain_reset(Call& call, const DomainResetArgs& arguments, Reply<Nothing> reply);
void domain_suspend(Call& call, const DomainSuspendArgs& arguments, Reply<Nothing> reply);
void domain_resume(Call& call, const DomainResumeArgs& arguments, Reply<Nothing> reply);
void domain_destroy(Call& call, const DomainDestroyArgs& arguments, Reply<Nothing> reply);
void domain_destroy_flags(Call& call, const DomainDestroyFlagsArgs& arguments, Reply<Nothing> reply);
void domain_abort_job(Call& call, const DomainAbortJobArgs& arguments, Reply<Nothing> reply);

// ---- handlers_domain_configuration.cpp
DomainGetMaxMemoryResult domain_get_max_memory(Call& call, const DomainGetMaxMemoryArgs& arguments);
void domain_set_max_memory(Call& call, const DomainSetMaxMemoryArgs& arguments, Reply<Nothing> reply);
void domain_set_memory(Call& call, const DomainSetMemoryArgs& arguments, Reply<Nothing> reply);
void domain_set_memory_flags(Call& call, const DomainSetMemoryFlagsArgs& arguments, Reply<Nothing> reply);
DomainGetMaxVcpusResult domain_get_max_vcpus(Call& call, const DomainGetMaxVcpusArgs& arguments);
void domain_get_vcpus_flags(Call& call, const DomainGetVcpusFlagsArgs& arguments,
                            Reply<DomainGetVcpusFlagsResult> reply);
void domain_set_vcpus(Call& call, const DomainSetVcpusArgs& arguments, Reply<Nothing> reply);
void domain_set_vcpu(Call& call, const DomainSetVcpuArgs& arguments, Reply<Nothing> reply);
void domain_set_vcpus_flags(Call& call, const DomainSetVcpusFlagsArgs& arguments, Reply<Nothing> reply);
DomainGetVcpusResult domain_get_vcpus(Call& call, const DomainGetVcpusArgs& arguments);
DomainGetVcpuPinInfoResult domain_get_vcpu_pin_info(Call& call, const DomainGetVcpuPinInfoArgs& arguments);
void domain_set_autostart(Call& call, const DomainSetAutostartArgs& arguments, Reply<Nothing> reply);
void domain_rename(Call& call, const DomainRenameArgs& arguments, Reply<DomainRenameResult> reply);
DomainGetMetadataResult domain_get_metadata(Call& call, const DomainGetMetadataArgs& arguments);
void domain_set_metadata(Call& call, const DomainSetMetadataArgs& arguments, Reply<Nothing> reply);

// ---- handlers_domain_statistics.cpp
void domain_get_block_info(Call& call, const DomainGetBlockInfoArgs& arguments,
                           Reply<DomainGetBlockInfoResult> reply);
DomainBlockStatsResult domain_block_stats(Call& call, const DomainBlockStatsArgs& arguments);
DomainBlockStatsFlagsResult domain_block_stats_flags(Call& call, const DomainBlockStatsFlagsArgs& arguments);
DomainInterfaceStatsResult domain_interface_stats(Call& call, const DomainInterfaceStatsArgs& arguments);
DomainMemoryStatsResult domain_memory_stats(Call& call, const DomainMemoryStatsArgs& arguments);
void connect_get_all_domain_stats(Call& call, const ConnectGetAllDomainStatsArgs& arguments,
                                  Reply<ConnectGetAllDomainStatsResult> reply);
void domain_open_console(Call& call, const DomainOpenConsoleArgs& arguments);
void domain_open_channel(Call& call, const DomainOpenChannelArgs& arguments);

}  // namespace warren::daemon::rpc::handlers
