// The host and what a hypervisor connection says of it: virConnectGet*, virNode*, CPU models.
//
// Loop's thread. Reads answer at once, from what was found at start-up or from procfs and sysfs; throws
// Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/typed_parameter.h"

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

struct NodeStatistic {  // virNodeCPUStats, virNodeMemoryStats
  std::string name;
  std::uint64_t value = 0;
};

struct SecurityModel {  // virSecurityModel
  std::string model;
  std::string doi;
};

// What virNodeAllocPages is asked: `counts[i]` pages of `sizes_kib[i]`, in each of the cells.
struct PageAllocation {
  std::vector<std::uint32_t> sizes_kib;
  std::vector<std::uint64_t> counts;
  int first_cell = 0;
  std::uint32_t cells = 0;
};

// What virConnectGetDomainCapabilities and the calls about a hypervisor's CPU are asked; an absent member
// means the default.
struct DomainCapabilitiesQuery {
  std::optional<std::string> emulator;
  std::optional<std::string> architecture;
  std::optional<std::string> machine;
  std::optional<std::string> virtualization_type;
};

// The connection as a hypervisor, and what it can run.
class HypervisorFacts {
 public:
  virtual std::string type(const Caller& caller) const = 0;  // "Warren" or "QEMU"
  virtual std::uint64_t hypervisor_version(
      const Caller& caller) const = 0;                                    // 1,000,000 major + 1,000 minor + …
  virtual std::uint64_t library_version(const Caller& caller) const = 0;  // of libvirt's API
  virtual int maximum_vcpus(const Caller& caller, const std::optional<std::string>& type) const = 0;
  virtual std::string capabilities_xml(const Caller& caller) const = 0;
  virtual std::string domain_capabilities_xml(const Caller& caller, const DomainCapabilitiesQuery& query,
                                              unsigned int flags) const = 0;

 protected:
  ~HypervisorFacts() = default;
};

// The host: CPUs, memory, firmware.
class NodeDriver {
 public:
  virtual std::string hostname(const Caller& caller) const = 0;
  virtual NodeInfo node_info(const Caller& caller) const = 0;
  virtual NodeCpuMap node_cpu_map(const Caller& caller, unsigned int flags) const = 0;
  virtual SecurityModel security_model(const Caller& caller) const = 0;
  // Nanoseconds since boot of one CPU, or of all: VIR_NODE_CPU_STATS_ALL_CPUS.
  virtual std::vector<NodeStatistic> cpu_statistics(const Caller& caller, int cpu,
                                                    unsigned int flags) const = 0;
  // KiB of one cell, or of all: VIR_NODE_MEMORY_STATS_ALL_CELLS.
  virtual std::vector<NodeStatistic> memory_statistics(const Caller& caller, int cell,
                                                       unsigned int flags) const = 0;
  virtual std::uint64_t free_memory_bytes(const Caller& caller) const = 0;
  // Bytes in each of at most `most` cells from `first` on.
  virtual std::vector<std::uint64_t> cells_free_memory(const Caller& caller, int first, int most) const = 0;
  // For each of the cells (-1: the host as a whole) the free pages of each size.
  virtual std::vector<std::uint64_t> free_pages(const Caller& caller,
                                                const std::vector<std::uint32_t>& sizes_kib, int first_cell,
                                                std::uint32_t cells, unsigned int flags) const = 0;
  // Changes the pools of huge pages: `flags` is VIR_NODE_ALLOC_PAGES_*. Gives the number of pools changed.
  virtual void allocate_pages(const Caller& caller, PageAllocation pages, unsigned int flags,
                              Completion<int> completion) = 0;
  // Kernel same-page merging: VIR_NODE_MEMORY_SHARED_*.
  virtual TypedParameters memory_parameters(const Caller& caller, unsigned int flags) const = 0;
  virtual void set_memory_parameters(const Caller& caller, TypedParameters parameters, unsigned int flags,
                                     Completion<void> completion) = 0;
  // DEVNOTE: always refused. Guests would stop without having been told, and the host's own power management
  // (systemd-logind) has the inhibitors and hooks for it.
  virtual void suspend(const Caller& caller, unsigned int target, std::uint64_t seconds,
                       unsigned int flags) const = 0;
  virtual std::string sysinfo_xml(const Caller& caller, unsigned int flags) const = 0;

 protected:
  ~NodeDriver() = default;
};

// CPU models by name, and CPUs compared. XML documents are libvirt's <cpu>, of a host or of a guest.
class CpuDriver {
 public:
  virtual std::vector<std::string> model_names(const Caller& caller, const std::string& architecture,
                                               unsigned int flags) const = 0;
  // virCPUCompareResult of a CPU against the host's own, or, with a query, against what KVM can give a guest.
  virtual int compare(const Caller& caller, const std::string& xml, unsigned int flags) const = 0;
  virtual int compare_with_hypervisor(const Caller& caller, const DomainCapabilitiesQuery& query,
                                      const std::string& xml, unsigned int flags) const = 0;
  // The best guest CPU that all of `xmls` have, or that also this hypervisor can give.
  virtual std::string baseline(const Caller& caller, const std::vector<std::string>& xmls,
                               unsigned int flags) const = 0;
  virtual std::string baseline_with_hypervisor(const Caller& caller, const DomainCapabilitiesQuery& query,
                                               const std::vector<std::string>& xmls,
                                               unsigned int flags) const = 0;

 protected:
  ~CpuDriver() = default;
};

class HostDriver : public HypervisorFacts, public NodeDriver, public CpuDriver {
 public:
  virtual ~HostDriver() = default;
};

}  // namespace warren::driver
