// Reading and changing parts of a domain's configuration: memory, vCPUs, autostart, name, metadata.
//
// `flags` choose the live or the persistent definition (VIR_DOMAIN_AFFECT_*, or the function's own set, which
// has the same values). Changes run in the domain's queue and are on disk when they complete. Loop's thread;
// getters throw Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/handle.h"

namespace warren::driver {

struct VcpuInfo {  // virVcpuInfo with its CPU map
  std::uint32_t number = 0;
  int state = 0;  // virVcpuState
  std::uint64_t cpu_time_ns = 0;
  int cpu = -1;                       // host CPU it last ran on; -1 when not running
  std::vector<std::uint8_t> cpu_map;  // host CPUs it may use, bit n of byte n/8
};

class DomainConfiguration {
 public:
  virtual std::uint64_t maximum_memory_kib(const Caller& caller, const Uuid& domain) const = 0;
  // `flags` are VIR_DOMAIN_MEM_*; with VIR_DOMAIN_MEM_MAXIMUM it sets the maximum.
  virtual void set_memory(const Caller& caller, const Uuid& domain, std::uint64_t kib, unsigned int flags,
                          Completion<void> completion) = 0;
  // How often the guest is asked for its memory statistics; 0: never.
  virtual void set_memory_statistics_period(const Caller& caller, const Uuid& domain, std::int32_t seconds,
                                            unsigned int flags, Completion<void> completion) = 0;

  // `flags` are VIR_DOMAIN_VCPU_*.
  virtual int vcpus(const Caller& caller, const Uuid& domain, unsigned int flags) const = 0;
  virtual void set_vcpus(const Caller& caller, const Uuid& domain, unsigned int count, unsigned int flags,
                         Completion<void> completion) = 0;
  // virDomainSetVcpu: `vcpus` is a list such as "1-2,4", `state` 1 for there and 0 for not; `flags` are
  // VIR_DOMAIN_AFFECT_*.
  virtual void set_vcpu_states(const Caller& caller, const Uuid& domain, std::string vcpus, int state,
                               unsigned int flags, Completion<void> completion) = 0;
  // Of a running domain, those that are there: virDomainGetVcpus.
  virtual std::vector<VcpuInfo> vcpu_info(const Caller& caller, const Uuid& domain) const = 0;
  // One CPU map for each vCPU: virDomainGetVcpuPinInfo.
  virtual std::vector<std::vector<std::uint8_t>> vcpu_pins(const Caller& caller, const Uuid& domain,
                                                           unsigned int flags) const = 0;

  virtual void set_autostart(const Caller& caller, const Uuid& domain, bool autostart,
                             Completion<void> completion) = 0;
  virtual void rename(const Caller& caller, const Uuid& domain, std::string new_name, unsigned int flags,
                      Completion<void> completion) = 0;

  // `type` is a virDomainMetadataType; `uri` names the namespace of VIR_DOMAIN_METADATA_ELEMENT.
  virtual std::string metadata(const Caller& caller, const Uuid& domain, int type,
                               const std::optional<std::string>& uri, unsigned int flags) const = 0;
  // Absent text removes the entry.
  struct MetadataChange {
    int type = 0;
    std::optional<std::string> text;
    std::optional<std::string> key;  // namespace prefix
    std::optional<std::string> uri;
  };
  virtual void set_metadata(const Caller& caller, const Uuid& domain, MetadataChange change,
                            unsigned int flags, Completion<void> completion) = 0;

 protected:
  ~DomainConfiguration() = default;
};

}  // namespace warren::driver
