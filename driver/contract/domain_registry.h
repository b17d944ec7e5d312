// Finding domains and asking what they are. Answers come from each domain's published snapshot: nothing here
// waits, whatever job a domain is at. Loop's thread; throws Error (no_domain… when there is none).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "driver/contract/caller.h"
#include "driver/contract/handle.h"

namespace warren::driver {

struct DomainInfo {  // virDomainInfo
  int state = 0;     // virDomainState
  std::uint64_t maximum_memory_kib = 0;
  std::uint64_t memory_kib = 0;
  std::uint32_t vcpus = 0;
  std::uint64_t cpu_time_ns = 0;
};

struct DomainState {
  int state = 0;   // virDomainState
  int reason = 0;  // virDomain<State>Reason
};

struct ControlInfo {  // virDomainControlInfo
  std::uint32_t state = 0;
  std::uint32_t details = 0;
  std::uint64_t state_time_ms = 0;
};

struct JobInfo {  // virDomainJobInfo, as far as it is known
  int type = 0;   // virDomainJobType
  std::uint64_t elapsed_ms = 0;
  std::uint64_t remaining_ms = 0;
  std::uint64_t memory_total = 0, memory_processed = 0, memory_remaining = 0;  // bytes
};

class DomainRegistry {
 public:
  virtual DomainHandle lookup_by_id(const Caller& caller, int id) const = 0;
  virtual DomainHandle lookup_by_uuid(const Caller& caller, const Uuid& uuid) const = 0;
  virtual DomainHandle lookup_by_name(const Caller& caller, const std::string& name) const = 0;

  // `flags` are VIR_CONNECT_LIST_DOMAINS_*; sorted by name.
  virtual std::vector<DomainHandle> list(const Caller& caller, unsigned int flags) const = 0;
  virtual std::vector<int> active_ids(const Caller& caller) const = 0;
  virtual std::vector<std::string> inactive_names(const Caller& caller) const = 0;

  virtual DomainInfo info(const Caller& caller, const Uuid& domain) const = 0;
  virtual DomainState state(const Caller& caller, const Uuid& domain, unsigned int flags) const = 0;
  virtual ControlInfo control_info(const Caller& caller, const Uuid& domain, unsigned int flags) const = 0;
  virtual JobInfo job_info(const Caller& caller, const Uuid& domain) const = 0;
  // `flags` are VIR_DOMAIN_XML_*.
  virtual std::string xml(const Caller& caller, const Uuid& domain, unsigned int flags) const = 0;
  virtual std::string os_type(const Caller& caller, const Uuid& domain) const = 0;
  virtual bool is_active(const Caller& caller, const Uuid& domain) const = 0;
  virtual bool is_persistent(const Caller& caller, const Uuid& domain) const = 0;
  virtual bool is_updated(const Caller& caller, const Uuid& domain) const = 0;
  virtual bool has_managed_save(const Caller& caller, const Uuid& domain, unsigned int flags) const = 0;
  virtual bool autostart(const Caller& caller, const Uuid& domain) const = 0;
  // virDomainGetMessages: deprecations and tainting; `flags` are VIR_DOMAIN_MESSAGE_*.
  virtual std::vector<std::string> messages(const Caller& caller, const Uuid& domain,
                                            unsigned int flags) const = 0;

 protected:
  ~DomainRegistry() = default;
};

}  // namespace warren::driver
