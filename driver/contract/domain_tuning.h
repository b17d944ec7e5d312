// What the host gives a domain: CPUs it may use, shares and limits, IOThreads, counters of the processor.
//
// `flags` are VIR_DOMAIN_AFFECT_*: the running machine, its stored definition, or both; none means what is
// there. Parameters have libvirt's names and types (VIR_DOMAIN_SCHEDULER_*, VIR_DOMAIN_MEMORY_*, …). A change
// is checked whole before any of it is applied. Loop's thread; getters throw Error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/handle.h"
#include "driver/contract/typed_parameter.h"

namespace warren::driver {

enum class PinnedThreads { vcpu, emulator, iothread };

// Which parameters: virDomain{Get,Set}{SchedulerParameters,MemoryParameters,BlkioParameters,NumaParameters,
// PerfEvents}.
enum class TuningGroup { scheduler, memory, blkio, numa, perf };

struct IoThreadInfo {  // virDomainIOThreadInfo
  std::uint32_t id = 0;
  std::vector<std::uint8_t> cpu_map;  // bit n of byte n/8
};

class DomainTuning {
 public:
  struct Pin {
    PinnedThreads threads = PinnedThreads::vcpu;
    std::uint32_t number = 0;           // of the vCPU or IOThread
    std::vector<std::uint8_t> cpu_map;  // must not be empty
  };
  virtual void pin(const Caller& caller, const Uuid& domain, Pin pin, unsigned int flags,
                   Completion<void> completion) = 0;
  virtual std::vector<std::uint8_t> emulator_pin(const Caller& caller, const Uuid& domain,
                                                 unsigned int flags) const = 0;

  virtual std::string scheduler_type(const Caller& caller, const Uuid& domain) const = 0;
  virtual TypedParameters tuning(const Caller& caller, const Uuid& domain, TuningGroup group,
                                 unsigned int flags) const = 0;
  virtual void set_tuning(const Caller& caller, const Uuid& domain, TuningGroup group,
                          TypedParameters parameters, unsigned int flags, Completion<void> completion) = 0;

  // `device` is the target ("vnet0") or the MAC address of an interface.
  virtual TypedParameters interface_tuning(const Caller& caller, const Uuid& domain,
                                           const std::string& device, unsigned int flags) const = 0;
  virtual void set_interface_tuning(const Caller& caller, const Uuid& domain, const std::string& device,
                                    TypedParameters parameters, unsigned int flags,
                                    Completion<void> completion) = 0;

  virtual std::vector<IoThreadInfo> iothreads(const Caller& caller, const Uuid& domain,
                                              unsigned int flags) const = 0;
  virtual void add_iothread(const Caller& caller, const Uuid& domain, std::uint32_t id, unsigned int flags,
                            Completion<void> completion) = 0;
  virtual void delete_iothread(const Caller& caller, const Uuid& domain, std::uint32_t id, unsigned int flags,
                               Completion<void> completion) = 0;

 protected:
  ~DomainTuning() = default;
};

}  // namespace warren::driver
