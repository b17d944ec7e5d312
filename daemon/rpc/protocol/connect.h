// Arguments and results of the calls about the connection itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct ConnectOpenArgs {
  std::optional<std::string> name;
  std::uint32_t flags = 0;
};

struct ConnectGetTypeResult {
  std::string type;
};

struct ConnectGetVersionResult {
  std::uint64_t hv_ver = 0;
};

struct ConnectGetMaxVcpusArgs {
  std::optional<std::string> type;
};

struct ConnectGetMaxVcpusResult {
  std::int32_t max_vcpus = 0;
};

struct ConnectGetCapabilitiesResult {
  std::string capabilities;
};

struct ConnectGetHostnameResult {
  std::string hostname;
};

struct ConnectSupportsFeatureArgs {
  std::int32_t feature = 0;
};

struct ConnectSupportsFeatureResult {
  std::int32_t supported = 0;
};

struct ConnectGetUriResult {
  std::string uri;
};

struct ConnectDomainXmlFromNativeArgs {
  std::string native_format;
  std::string native_config;
  std::uint32_t flags = 0;
};

struct ConnectDomainXmlFromNativeResult {
  std::string domain_xml;
};

struct ConnectDomainXmlToNativeArgs {
  std::string native_format;
  std::string domain_xml;
  std::uint32_t flags = 0;
};

struct ConnectDomainXmlToNativeResult {
  std::string native_config;
};

struct ConnectIsSecureResult {
  std::int32_t secure = 0;
};

struct ConnectGetLibVersionResult {
  std::uint64_t lib_ver = 0;
};

struct ConnectCompareCpuArgs {
  std::string xml;
  std::uint32_t flags = 0;
};

struct ConnectCompareCpuResult {
  std::int32_t result = 0;
};

struct ConnectBaselineCpuArgs {
  Array<std::string, kCpuBaselineMax> xml_cpus;
  std::uint32_t flags = 0;
};

struct ConnectBaselineCpuResult {
  std::string cpu;
};

struct ConnectGetSysinfoArgs {
  std::uint32_t flags = 0;
};

struct ConnectGetSysinfoResult {
  std::string sysinfo;
};

struct ConnectGetCpuModelNamesArgs {
  std::string arch;
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct ConnectGetCpuModelNamesResult {
  Array<std::string, kConnectCpuModelsMax> models;
  std::int32_t ret = 0;
};

struct ConnectGetDomainCapabilitiesArgs {
  std::optional<std::string> emulatorbin;
  std::optional<std::string> arch;
  std::optional<std::string> machine;
  std::optional<std::string> virttype;
  std::uint32_t flags = 0;
};

struct ConnectGetDomainCapabilitiesResult {
  std::string capabilities;
};

struct ConnectCompareHypervisorCpuArgs {
  std::optional<std::string> emulator;
  std::optional<std::string> arch;
  std::optional<std::string> machine;
  std::optional<std::string> virttype;
  std::string xml_cpu;
  std::uint32_t flags = 0;
};

struct ConnectCompareHypervisorCpuResult {
  std::int32_t result = 0;
};

struct ConnectBaselineHypervisorCpuArgs {
  std::optional<std::string> emulator;
  std::optional<std::string> arch;
  std::optional<std::string> machine;
  std::optional<std::string> virttype;
  Array<std::string, kCpuBaselineMax> xml_cpus;
  std::uint32_t flags = 0;
};

struct ConnectBaselineHypervisorCpuResult {
  std::string cpu;
};

struct ConnectSetIdentityArgs {
  Array<TypedParam, kConnectIdentityParamsMax> params;
  std::uint32_t flags = 0;
};

}  // namespace warren::daemon::rpc::protocol
