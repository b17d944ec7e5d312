// The most elements, or bytes, that each counted field of a message may have (those of libvirt 9.0.0).
#pragma once

#include <cstdint>

namespace warren::daemon::rpc::protocol {

inline constexpr std::uint32_t kConnectIdentityParamsMax = 20;
inline constexpr std::uint32_t kDomainListMax = 16384;
inline constexpr std::uint32_t kCpumapMax = 2048;
inline constexpr std::uint32_t kVcpuinfoMax = 16384;
inline constexpr std::uint32_t kCpumapsMax = 8388608;
inline constexpr std::uint32_t kIothreadInfoMax = 16384;
inline constexpr std::uint32_t kMigrateCookieMax = 4194304;
inline constexpr std::uint32_t kNetworkListMax = 16384;
inline constexpr std::uint32_t kNetworkPortListMax = 16384;
inline constexpr std::uint32_t kInterfaceListMax = 16384;
inline constexpr std::uint32_t kStoragePoolListMax = 16384;
inline constexpr std::uint32_t kStorageVolListMax = 16384;
inline constexpr std::uint32_t kNodeDeviceListMax = 65536;
inline constexpr std::uint32_t kNodeDeviceCapsListMax = 65536;
inline constexpr std::uint32_t kNwfilterListMax = 16384;
inline constexpr std::uint32_t kNwfilterBindingListMax = 16384;
inline constexpr std::uint32_t kDomainSchedulerParametersMax = 16;
inline constexpr std::uint32_t kDomainBlkioParametersMax = 16;
inline constexpr std::uint32_t kDomainMemoryParametersMax = 16;
inline constexpr std::uint32_t kDomainBlockIoTuneParametersMax = 32;
inline constexpr std::uint32_t kDomainNumaParametersMax = 16;
inline constexpr std::uint32_t kDomainPerfEventsMax = 64;
inline constexpr std::uint32_t kDomainBlockCopyParametersMax = 16;
inline constexpr std::uint32_t kNodeCpuStatsMax = 16;
inline constexpr std::uint32_t kNodeMemoryStatsMax = 16;
inline constexpr std::uint32_t kDomainBlockStatsParametersMax = 16;
inline constexpr std::uint32_t kNodeMaxCells = 1024;
inline constexpr std::uint32_t kAuthSaslDataMax = 65536;
inline constexpr std::uint32_t kAuthTypeListMax = 20;
inline constexpr std::uint32_t kDomainMemoryStatsMax = 1024;
inline constexpr std::uint32_t kDomainCheckpointListMax = 16384;
inline constexpr std::uint32_t kDomainSnapshotListMax = 16384;
inline constexpr std::uint32_t kDomainBlockPeekBufferMax = 4194304;
inline constexpr std::uint32_t kDomainMemoryPeekBufferMax = 4194304;
inline constexpr std::uint32_t kSecurityLabelListMax = 64;
inline constexpr std::uint32_t kSecurityModelMax = 257;
inline constexpr std::uint32_t kSecurityLabelMax = 4097;
inline constexpr std::uint32_t kSecurityDoiMax = 257;
inline constexpr std::uint32_t kSecretValueMax = 65536;
inline constexpr std::uint32_t kSecretListMax = 16384;
inline constexpr std::uint32_t kCpuBaselineMax = 256;
inline constexpr std::uint32_t kDomainSendKeyMax = 16;
inline constexpr std::uint32_t kDomainInterfaceParametersMax = 16;
inline constexpr std::uint32_t kDomainGetCpuStatsMax = 2048;
inline constexpr std::uint32_t kDomainDiskErrorsMax = 256;
inline constexpr std::uint32_t kNodeMemoryParametersMax = 64;
inline constexpr std::uint32_t kDomainMigrateParamListMax = 64;
inline constexpr std::uint32_t kDomainSaveParamsMax = 64;
inline constexpr std::uint32_t kDomainJobStatsMax = 64;
inline constexpr std::uint32_t kConnectCpuModelsMax = 8192;
inline constexpr std::uint32_t kDomainFsfreezeMountpointsMax = 256;
inline constexpr std::uint32_t kNetworkDhcpLeasesMax = 65536;
inline constexpr std::uint32_t kConnectGetAllDomainStatsMax = 262144;
inline constexpr std::uint32_t kDomainEventTunableMax = 2048;
inline constexpr std::uint32_t kDomainFsinfoMax = 256;
inline constexpr std::uint32_t kDomainFsinfoDisksMax = 256;
inline constexpr std::uint32_t kDomainInterfaceMax = 2048;
inline constexpr std::uint32_t kDomainIpAddrMax = 2048;
inline constexpr std::uint32_t kDomainGuestVcpuParamsMax = 64;
inline constexpr std::uint32_t kDomainIothreadParamsMax = 64;
inline constexpr std::uint32_t kNodeSevInfoMax = 64;
inline constexpr std::uint32_t kDomainLaunchSecurityInfoParamsMax = 64;
inline constexpr std::uint32_t kDomainLaunchSecurityStateParamsMax = 64;
inline constexpr std::uint32_t kDomainGuestInfoParamsMax = 2048;
inline constexpr std::uint32_t kNetworkPortParametersMax = 16;
inline constexpr std::uint32_t kDomainAuthorizedSshKeysMax = 2048;
inline constexpr std::uint32_t kDomainMessagesMax = 2048;
inline constexpr std::uint32_t kDomainEventGraphicsIdentityMax = 20;
inline constexpr std::uint32_t kAdminServerListMax = 16384;
inline constexpr std::uint32_t kAdminServerThreadpoolParametersMax = 32;
inline constexpr std::uint32_t kAdminClientListMax = 16384;
inline constexpr std::uint32_t kAdminClientInfoParametersMax = 64;
inline constexpr std::uint32_t kAdminServerClientLimitsMax = 32;

}  // namespace warren::daemon::rpc::protocol
