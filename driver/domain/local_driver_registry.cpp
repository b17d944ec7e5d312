// Finding domains and reading their snapshots.
#include <chrono>

#include "driver/domain/local_driver.h"

namespace warren::driver::domain {

DomainHandle LocalDriver::lookup_by_id(const Caller&, int id) const {
  auto domain = environment_->table.by_id(id);
  if (!domain || !domain->snapshot() || !domain->snapshot()->is_active()) throw no_domain_with_id(id);
  return domain->snapshot()->handle;
}

DomainHandle LocalDriver::lookup_by_uuid(const Caller&, const Uuid& uuid) const {
  return snapshot(uuid).handle;
}

DomainHandle LocalDriver::lookup_by_name(const Caller&, const std::string& name) const {
  auto domain = environment_->table.by_name(name);
  if (!domain || !domain->snapshot()) throw no_domain_with_name(name);
  return domain->snapshot()->handle;
}

std::vector<DomainHandle> LocalDriver::list(const Caller&, unsigned int flags) const {
  check_flags(flags, kListFlags, "virConnectListAllDomains");
  std::vector<DomainHandle> handles;
  for (const auto& [name, domain] : environment_->table.all()) {
    const auto& snapshot = domain->snapshot();
    if (snapshot && is_listed(*snapshot, flags)) handles.push_back(snapshot->handle);
  }
  return handles;
}

std::vector<int> LocalDriver::active_ids(const Caller&) const {
  std::vector<int> ids;
  for (const auto& [name, domain] : environment_->table.all()) {
    const auto& snapshot = domain->snapshot();
    if (snapshot && snapshot->is_active()) ids.push_back(snapshot->handle.id);
  }
  return ids;
}

std::vector<std::string> LocalDriver::inactive_names(const Caller&) const {
  std::vector<std::string> names;
  for (const auto& [name, domain] : environment_->table.all()) {
    const auto& snapshot = domain->snapshot();
    if (snapshot && !snapshot->is_active()) names.push_back(name);
  }
  return names;
}

DomainInfo LocalDriver::info(const Caller&, const Uuid& uuid) const {
  const Snapshot& domain = snapshot(uuid);
  const config::DomainDefinition& definition = domain.current();
  DomainInfo info;
  info.state = domain.state.state;
  info.maximum_memory_kib = definition.memory.maximum_kib;
  info.memory_kib = definition.memory.current_kib;
  info.vcpus = definition.vcpu.current;
  info.cpu_time_ns = process_cpu_time(domain.pid);
  return info;
}

DomainState LocalDriver::state(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, 0, "virDomainGetState");
  return snapshot(uuid).state;
}

ControlInfo LocalDriver::control_info(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, 0, "virDomainGetControlInfo");
  auto domain = find(uuid);
  const Snapshot& now = *domain->snapshot();
  if (!now.is_active()) throw operation_invalid("domain is not running");
  ControlInfo info;
  auto elapsed = [](std::chrono::steady_clock::time_point since) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - since)
            .count());
  };
  if (!now.control_error.empty()) {
    info.state = VIR_DOMAIN_CONTROL_ERROR;
    info.details = VIR_DOMAIN_CONTROL_ERROR_REASON_MONITOR;
  } else if (domain->job()) {
    info.state = VIR_DOMAIN_CONTROL_JOB;
    info.state_time_ms = elapsed(domain->job()->since);
  }
  return info;
}

std::string LocalDriver::xml(const Caller& caller, const Uuid& uuid, unsigned int flags) const {
  check_flags(
      flags,
      VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_UPDATE_CPU | VIR_DOMAIN_XML_MIGRATABLE,
      "virDomainGetXMLDesc");
  if (caller.read_only && (flags & (VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE)) != 0) {
    throw Error(VIR_ERR_OPERATION_DENIED, "virDomainGetXMLDesc with secure flag");
  }
  return snapshot(uuid).xml(flags);
}

std::string LocalDriver::os_type(const Caller&, const Uuid& uuid) const {
  find(uuid);
  return "hvm";
}

bool LocalDriver::is_active(const Caller&, const Uuid& uuid) const {
  return snapshot(uuid).is_active();
}
bool LocalDriver::is_persistent(const Caller&, const Uuid& uuid) const {
  return snapshot(uuid).is_persistent;
}
bool LocalDriver::is_updated(const Caller&, const Uuid& uuid) const {
  return snapshot(uuid).is_updated;
}

bool LocalDriver::has_managed_save(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, 0, "virDomainHasManagedSaveImage");
  find(uuid);
  return false;
}

bool LocalDriver::autostart(const Caller&, const Uuid& uuid) const {
  return snapshot(uuid).autostart;
}

std::vector<std::string> LocalDriver::messages(const Caller&, const Uuid& uuid, unsigned int flags) const {
  // VIR_DOMAIN_MESSAGE_IOERRORS of later libvirts.
  constexpr unsigned int kIoErrors = 1 << 2;
  check_flags(flags, VIR_DOMAIN_MESSAGE_DEPRECATION | VIR_DOMAIN_MESSAGE_TAINTING | kIoErrors,
              "virDomainGetMessages");
  std::vector<std::string> messages;
  const bool tainting = (flags & VIR_DOMAIN_MESSAGE_TAINTING) != 0 || flags == 0;
  const auto domain = find(uuid);
  if (tainting && domain->is_tainted_by_monitor())
    messages.emplace_back("tainted: custom monitor control commands issued");
  if ((flags & kIoErrors) != 0 || flags == 0) {
    const auto& errors = domain->snapshot()->disk_messages;
    messages.insert(messages.end(), errors.begin(), errors.end());
  }
  return messages;
}

}  // namespace warren::driver::domain
