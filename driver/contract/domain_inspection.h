// Looking into a running domain, and the small things done to one: jobs, processor time, keys, NMIs, memory,
// core dumps, and the QEMU monitor's language.
//
// Reads answer from snapshots, counters and procfs and never wait; what has to ask the worker or a disk
// completes later. Loop's thread; getters throw Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/handle.h"
#include "driver/contract/typed_parameter.h"

namespace warren::driver {

struct JobStatistics {         // virDomainGetJobStats
  int type = 0;                // virDomainJobType
  TypedParameters parameters;  // VIR_DOMAIN_JOB_*
};

struct DiskError {  // virDomainDiskError
  std::string disk;
  int error = 0;  // virDomainDiskErrorCode
};

struct KeyPress {                    // virDomainSendKey
  std::uint32_t code_set = 0;        // virKeycodeSet
  std::uint32_t hold_ms = 0;         // how long all of them are down
  std::vector<std::uint32_t> codes;  // at most VIR_DOMAIN_SEND_KEY_MAX_KEYS
};

class DomainInspection {
 public:
  // virDomainGetCPUStats with start_cpu -1: of the whole domain.
  virtual TypedParameters total_cpu_statistics(const Caller& caller, const Uuid& domain,
                                               unsigned int flags) const = 0;
  // One list for each host CPU.
  virtual std::vector<TypedParameters> host_cpu_statistics(const Caller& caller, const Uuid& domain,
                                                           unsigned int flags) const = 0;

  // `flags` are VIR_DOMAIN_JOB_STATS_*.
  virtual JobStatistics job_statistics(const Caller& caller, const Uuid& domain, unsigned int flags) = 0;
  virtual std::vector<DiskError> disk_errors(const Caller& caller, const Uuid& domain,
                                             unsigned int flags) const = 0;

  // virDomainStartDirtyRateCalc: `flags` are VIR_DOMAIN_DIRTYRATE_MODE_*. The result is among the statistics.
  virtual void start_dirty_rate(const Caller& caller, const Uuid& domain, int seconds, unsigned int flags,
                                Completion<void> completion) = 0;

  // `type` is a virDomainLifecycle, `action` a virDomainLifecycleAction.
  virtual void set_lifecycle_action(const Caller& caller, const Uuid& domain, unsigned int type,
                                    unsigned int action, unsigned int flags, Completion<void> completion) = 0;
  virtual void inject_nmi(const Caller& caller, const Uuid& domain, unsigned int flags,
                          Completion<void> completion) = 0;
  virtual void send_key(const Caller& caller, const Uuid& domain, KeyPress keys, unsigned int flags,
                        Completion<void> completion) = 0;
  // virDomainPMSuspendForDuration and virDomainPMWakeup.
  virtual void suspend_guest(const Caller& caller, const Uuid& domain, unsigned int target,
                             std::uint64_t duration, unsigned int flags, Completion<void> completion) = 0;
  virtual void wake_guest(const Caller& caller, const Uuid& domain, unsigned int flags,
                          Completion<void> completion) = 0;

  // Bytes of an image, or of the guest's memory (`flags` are VIR_MEMORY_*): virDomainBlockPeek, …MemoryPeek.
  virtual void block_peek(const Caller& caller, const Uuid& domain, const std::string& path,
                          std::uint64_t offset, std::size_t size, unsigned int flags,
                          Completion<std::vector<std::uint8_t>> completion) = 0;
  virtual void memory_peek(const Caller& caller, const Uuid& domain, std::uint64_t address, std::size_t size,
                           unsigned int flags, Completion<std::vector<std::uint8_t>> completion) = 0;

  // `format` is a virDomainCoreDumpFormat, `flags` are VIR_DUMP_*. A job with progress, that can be aborted.
  virtual void core_dump(const Caller& caller, const Uuid& domain, std::string path, unsigned int format,
                         unsigned int flags, Completion<void> completion) = 0;

  // virDomainQemuMonitorCommand: `flags` are VIR_DOMAIN_QEMU_MONITOR_COMMAND_*. Taints the domain.
  virtual void monitor_command(const Caller& caller, const Uuid& domain, std::string command,
                               unsigned int flags, Completion<std::string> completion) = 0;

 protected:
  ~DomainInspection() = default;
};

}  // namespace warren::driver
