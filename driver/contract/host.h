// The host as a hypervisor connection describes it: virConnectGet*, virNodeGet*.
//
// Loop's thread. Everything answers at once from what was found at start-up or from procfs; throws Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/contract/caller.h"

namespace warren::driver {

struct NodeInfo {  // virNodeInfo
  std::string model;
  std::uint64_t memory_kib = 0;
  std::uint32_t cpus = 0;
  std::uint32_t mhz = 0;
  std::uint32_t nodes = 1;
  std::uint32_t sockets = 1;
  std::uint32_t cores = 1;
  std::uint32_t threads = 1;
};

struct NodeCpuMap {           // virNodeGetCPUMap
  std::uint32_t present = 0;  // CPUs the host has, online or not
  std::uint32_t online = 0;
  std::vector<std::uint8_t> map;  // bit n of byte n/8: CPU n is online
};

// What virConnectGetDomainCapabilities is asked; an absent member means the default.
struct DomainCapabilitiesQuery {
  std::optional<std::string> emulator;
  std::optional<std::string> architecture;
  std::optional<std::string> machine;
  std::optional<std::string> virtualization_type;
};

class HostDriver {
 public:
  virtual std::string type(const Caller& caller) const = 0;  // "Warren" or "QEMU"
  virtual std::uint64_t hypervisor_version(
      const Caller& caller) const = 0;                                    // 1,000,000 major + 1,000 minor + …
  virtual std::uint64_t library_version(const Caller& caller) const = 0;  // of libvirt's API
  virtual std::string hostname(const Caller& caller) const = 0;
  virtual int maximum_vcpus(const Caller& caller, const std::optional<std::string>& type) const = 0;
  virtual NodeInfo node_info(const Caller& caller) const = 0;
  virtual NodeCpuMap node_cpu_map(const Caller& caller, unsigned int flags) const = 0;
  virtual std::uint64_t free_memory_bytes(const Caller& caller) const = 0;
  virtual std::string capabilities_xml(const Caller& caller) const = 0;
  virtual std::string domain_capabilities_xml(const Caller& caller, const DomainCapabilitiesQuery& query,
                                              unsigned int flags) const = 0;

 protected:
  ~HostDriver() = default;
};

}  // namespace warren::driver
