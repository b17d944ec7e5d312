// Arguments and results of the calls on domains: lookup, lists, life cycle, definition, devices.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct DomainAttachDeviceArgs {
  Domain dom;
  std::string xml;
};

struct DomainCreateArgs {
  Domain dom;
};

struct DomainCreateXmlArgs {
  std::string xml_desc;
  std::uint32_t flags = 0;
};

struct DomainCreateXmlResult {
  Domain dom;
};

struct DomainDefineXmlArgs {
  std::string xml;
};

struct DomainDefineXmlResult {
  Domain dom;
};

struct DomainDestroyArgs {
  Domain dom;
};

struct DomainDetachDeviceArgs {
  Domain dom;
  std::string xml;
};

struct DomainGetXmlDescArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetXmlDescResult {
  std::string xml;
};

struct DomainGetAutostartArgs {
  Domain dom;
};

struct DomainGetAutostartResult {
  std::int32_t autostart = 0;
};

struct DomainGetInfoArgs {
  Domain dom;
};

struct DomainGetInfoResult {
  std::uint8_t state = 0;
  std::uint64_t max_mem = 0;
  std::uint64_t memory = 0;
  std::uint16_t nr_virt_cpu = 0;
  std::uint64_t cpu_time = 0;
};

struct DomainGetMaxMemoryArgs {
  Domain dom;
};

struct DomainGetMaxMemoryResult {
  std::uint64_t memory = 0;
};

struct DomainGetMaxVcpusArgs {
  Domain dom;
};

struct DomainGetMaxVcpusResult {
  std::int32_t num = 0;
};

struct DomainGetOsTypeArgs {
  Domain dom;
};

struct DomainGetOsTypeResult {
  std::string type;
};

struct ConnectListDefinedDomainsArgs {
  std::int32_t maxnames = 0;
};

struct ConnectListDefinedDomainsResult {
  Array<std::string, kDomainListMax> names;
};

struct DomainLookupByIdArgs {
  std::int32_t id = 0;
};

struct DomainLookupByIdResult {
  Domain dom;
};

struct DomainLookupByNameArgs {
  std::string name;
};

struct DomainLookupByNameResult {
  Domain dom;
};

struct DomainLookupByUuidArgs {
  Uuid uuid{};
};

struct DomainLookupByUuidResult {
  Domain dom;
};

struct ConnectNumOfDefinedDomainsResult {
  std::int32_t num = 0;
};

struct DomainRebootArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainResumeArgs {
  Domain dom;
};

struct DomainSetAutostartArgs {
  Domain dom;
  std::int32_t autostart = 0;
};

struct DomainSetMaxMemoryArgs {
  Domain dom;
  std::uint64_t memory = 0;
};

struct DomainSetMemoryArgs {
  Domain dom;
  std::uint64_t memory = 0;
};

struct DomainSetVcpusArgs {
  Domain dom;
  std::uint32_t nvcpus = 0;
};

struct DomainShutdownArgs {
  Domain dom;
};

struct DomainSuspendArgs {
  Domain dom;
};

struct DomainUndefineArgs {
  Domain dom;
};

struct ConnectListDomainsArgs {
  std::int32_t maxids = 0;
};

struct ConnectListDomainsResult {
  Array<std::int32_t, kDomainListMax> ids;
};

struct ConnectNumOfDomainsResult {
  std::int32_t num = 0;
};

struct DomainCoreDumpArgs {
  Domain dom;
  std::string to;
  std::uint32_t flags = 0;
};

struct DomainRestoreArgs {
  std::string from;
};

struct DomainSaveArgs {
  Domain dom;
  std::string to;
};

struct DomainGetSecurityLabelArgs {
  Domain dom;
};

struct DomainGetSecurityLabelResult {
  CharArray<kSecurityLabelMax> label;
  std::int32_t enforcing = 0;
};

struct DomainIsActiveArgs {
  Domain dom;
};

struct DomainIsActiveResult {
  std::int32_t active = 0;
};

struct DomainIsPersistentArgs {
  Domain dom;
};

struct DomainIsPersistentResult {
  std::int32_t persistent = 0;
};

struct DomainAttachDeviceFlagsArgs {
  Domain dom;
  std::string xml;
  std::uint32_t flags = 0;
};

struct DomainDetachDeviceFlagsArgs {
  Domain dom;
  std::string xml;
  std::uint32_t flags = 0;
};

struct DomainUpdateDeviceFlagsArgs {
  Domain dom;
  std::string xml;
  std::uint32_t flags = 0;
};

struct DomainManagedSaveArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainHasManagedSaveImageArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainHasManagedSaveImageResult {
  std::int32_t result = 0;
};

struct DomainManagedSaveRemoveArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainCreateWithFlagsArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainCreateWithFlagsResult {
  Domain dom;
};

struct DomainSetVcpusFlagsArgs {
  Domain dom;
  std::uint32_t nvcpus = 0;
  std::uint32_t flags = 0;
};

struct DomainGetVcpusFlagsArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetVcpusFlagsResult {
  std::int32_t num = 0;
};

struct DomainIsUpdatedArgs {
  Domain dom;
};

struct DomainIsUpdatedResult {
  std::int32_t updated = 0;
};

struct DomainSetMemoryFlagsArgs {
  Domain dom;
  std::uint64_t memory = 0;
  std::uint32_t flags = 0;
};

struct DomainInjectNmiArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetStateArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetStateResult {
  std::int32_t state = 0;
  std::int32_t reason = 0;
};

struct DomainSendKeyArgs {
  Domain dom;
  std::uint32_t codeset = 0;
  std::uint32_t holdtime = 0;
  Array<std::uint32_t, kDomainSendKeyMax> keycodes;
  std::uint32_t flags = 0;
};

struct DomainUndefineFlagsArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainSaveFlagsArgs {
  Domain dom;
  std::string to;
  std::optional<std::string> dxml;
  std::uint32_t flags = 0;
};

struct DomainRestoreFlagsArgs {
  std::string from;
  std::optional<std::string> dxml;
  std::uint32_t flags = 0;
};

struct DomainDestroyFlagsArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainSaveImageGetXmlDescArgs {
  std::string file;
  std::uint32_t flags = 0;
};

struct DomainSaveImageGetXmlDescResult {
  std::string xml;
};

struct DomainSaveImageDefineXmlArgs {
  std::string file;
  std::string dxml;
  std::uint32_t flags = 0;
};

struct DomainResetArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainOpenGraphicsArgs {
  Domain dom;
  std::uint32_t idx = 0;
  std::uint32_t flags = 0;
};

struct DomainBlockResizeArgs {
  Domain dom;
  std::string disk;
  std::uint64_t size = 0;
  std::uint32_t flags = 0;
};

struct DomainShutdownFlagsArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainSetMetadataArgs {
  Domain dom;
  std::int32_t type = 0;
  std::optional<std::string> metadata;
  std::optional<std::string> key;
  std::optional<std::string> uri;
  std::uint32_t flags = 0;
};

struct DomainGetMetadataArgs {
  Domain dom;
  std::int32_t type = 0;
  std::optional<std::string> uri;
  std::uint32_t flags = 0;
};

struct DomainGetMetadataResult {
  std::string metadata;
};

struct ConnectListAllDomainsArgs {
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct ConnectListAllDomainsResult {
  Array<Domain, kDomainListMax> domains;
  std::uint32_t ret = 0;
};

struct DomainGetSecurityLabelListArgs {
  Domain dom;
};

struct DomainGetSecurityLabelListResult {
  Array<DomainGetSecurityLabelResult, kSecurityLabelListMax> labels;
  std::int32_t ret = 0;
};

struct DomainSendProcessSignalArgs {
  Domain dom;
  std::int64_t pid_value = 0;
  std::uint32_t signum = 0;
  std::uint32_t flags = 0;
};

struct DomainCreateXmlWithFilesArgs {
  std::string xml_desc;
  std::uint32_t flags = 0;
};

struct DomainCreateXmlWithFilesResult {
  Domain dom;
};

struct DomainCreateWithFilesArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainCreateWithFilesResult {
  Domain dom;
};

struct DomainCoreDumpWithFormatArgs {
  Domain dom;
  std::string to;
  std::uint32_t dumpformat = 0;
  std::uint32_t flags = 0;
};

struct DomainOpenGraphicsFdArgs {
  Domain dom;
  std::uint32_t idx = 0;
  std::uint32_t flags = 0;
};

struct DomainDefineXmlFlagsArgs {
  std::string xml;
  std::uint32_t flags = 0;
};

struct DomainDefineXmlFlagsResult {
  Domain dom;
};

struct DomainRenameArgs {
  Domain dom;
  std::optional<std::string> new_name;
  std::uint32_t flags = 0;
};

struct DomainRenameResult {
  std::int32_t retcode = 0;
};

struct DomainSetVcpuArgs {
  Domain dom;
  std::string cpumap;
  std::int32_t state = 0;
  std::uint32_t flags = 0;
};

struct DomainManagedSaveGetXmlDescArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainManagedSaveGetXmlDescResult {
  std::string xml;
};

struct DomainManagedSaveDefineXmlArgs {
  Domain dom;
  std::optional<std::string> dxml;
  std::uint32_t flags = 0;
};

struct DomainSetLifecycleActionArgs {
  Domain dom;
  std::uint32_t type = 0;
  std::uint32_t action = 0;
  std::uint32_t flags = 0;
};

struct DomainDetachDeviceAliasArgs {
  Domain dom;
  std::string alias;
  std::uint32_t flags = 0;
};

struct DomainGetLaunchSecurityInfoArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetLaunchSecurityInfoResult {
  Array<TypedParam, kDomainLaunchSecurityInfoParamsMax> params;
};

struct DomainSetLaunchSecurityStateArgs {
  Domain dom;
  Array<TypedParam, kDomainLaunchSecurityStateParamsMax> params;
  std::uint32_t flags = 0;
};

struct DomainSaveParamsArgs {
  Domain dom;
  Array<TypedParam, kDomainSaveParamsMax> params;
  std::uint32_t flags = 0;
};

struct DomainRestoreParamsArgs {
  Array<TypedParam, kDomainSaveParamsMax> params;
  std::uint32_t flags = 0;
};

struct DomainFdAssociateArgs {
  Domain dom;
  std::string name;
  std::uint32_t flags = 0;
};

}  // namespace warren::daemon::rpc::protocol
