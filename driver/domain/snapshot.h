// What a domain was after its last transition: immutable, and all that getters, lists and statistics read.
//
// One thread (the loop's), because of the cache of formatted XML; everything it refers to is constant.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>

#include "driver/config/domain_definition.h"
#include "driver/contract/domain_inspection.h"
#include "driver/contract/domain_registry.h"
#include "driver/contract/handle.h"
#include "driver/domain/counters_reader.h"
#include "driver/domain/kvm_statistics.h"
#include "driver/domain/perf_counters.h"

namespace warren::driver::domain {

// The last measurement of how fast the guest writes its memory.
struct DirtyRate {
  int status = VIR_DOMAIN_DIRTYRATE_UNSTARTED;  // virDomainDirtyRateStatus
  std::int64_t start_time = 0;                  // seconds since 1970
  std::int32_t period_s = 0;
  std::int64_t mebibytes_per_second = 0;
};

struct Snapshot {
  DomainHandle handle;
  DomainState state;
  std::chrono::steady_clock::time_point since{};  // of the state
  bool is_persistent = false;
  bool autostart = false;
  bool is_updated = false;
  std::shared_ptr<const config::DomainDefinition> persistent;  // null for a transient domain
  std::shared_ptr<const config::DomainDefinition> live;        // null for one that is not active
  pid_t pid = -1;                                              // of the worker
  std::shared_ptr<const CountersReader> counters;
  std::shared_ptr<const MachineStatistics> kvm;  // null when KVM gave none
  DirtyRate dirty_rate;
  std::shared_ptr<const PerfCounters> perf;  // null when none was ever enabled
  std::vector<DiskError> disk_errors;        // of disks whose last request failed and stopped the guest
  std::vector<std::string> disk_messages;    // the last I/O error of each disk, in words
  std::string control_error;                 // why the worker cannot be reached; empty when it can

  bool is_active() const noexcept { return live != nullptr; }
  const config::DomainDefinition& current() const noexcept { return live ? *live : *persistent; }

  // `flags` are VIR_DOMAIN_XML_*, checked already. Throws Error.
  const std::string& xml(unsigned int flags) const;

 private:
  struct CachedText {
    unsigned int flags = 0;
    std::string text;
  };
  mutable std::array<CachedText, 2> cache_;  // [0]: of the current definition, [1]: of the persistent one
};

// Whether it is in a list made with VIR_CONNECT_LIST_DOMAINS_* flags: within each group of flags one must
// hold, unless none of the group is given.
bool is_listed(const Snapshot& snapshot, unsigned int flags);
inline constexpr unsigned int kListFlags = 0x3fff;

// VIR_DOMAIN_AFFECT_* resolved against the state. Throws OPERATION_INVALID for the live definition of a
// domain that is not running, and the persistent one of a transient domain.
struct Affected {
  bool live = false;
  bool persistent = false;
};
Affected affected_by(const Snapshot& snapshot, unsigned int flags);
// The one definition that a getter's flags mean. Throws as above, and INVALID_ARG for both at once.
const config::DomainDefinition& definition_for(const Snapshot& snapshot, unsigned int flags);

}  // namespace warren::driver::domain
