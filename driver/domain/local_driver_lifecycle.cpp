// Starting changes of domains, with their flags checked.
#include <fmt/format.h>

#include "driver/domain/local_driver.h"

namespace warren::driver::domain {

namespace {

constexpr unsigned int kStartFlags = VIR_DOMAIN_START_PAUSED | VIR_DOMAIN_START_AUTODESTROY |
                                     VIR_DOMAIN_START_BYPASS_CACHE | VIR_DOMAIN_START_FORCE_BOOT |
                                     VIR_DOMAIN_START_VALIDATE | VIR_DOMAIN_START_RESET_NVRAM;

// How to end or restart a guest: with no flag the agent if there is one, else ACPI; several are tried in that
// order.
struct PowerMode {
  bool by_agent = false;
  bool by_acpi = false;
};

PowerMode power_mode(unsigned int flags, unsigned int acpi, unsigned int agent, bool has_agent,
                     const char* what) {
  if (flags == 0) return {.by_agent = has_agent, .by_acpi = true};
  PowerMode mode{.by_agent = (flags & agent) != 0, .by_acpi = (flags & acpi) != 0};
  if (!mode.by_agent && !mode.by_acpi)
    throw Error(VIR_ERR_ARGUMENT_UNSUPPORTED,
                fmt::format("{} is possible by the modes acpi and agent only", what));
  return mode;
}

Task<> change_power(Domain& domain, Caller caller, std::string job, bool then_restart, PowerMode mode) {
  if (mode.by_agent) {
    std::optional<Error> failure;
    try {
      co_await domain.shutdown_by_agent(caller, job, then_restart);
    } catch (...) {
      failure = error_of(std::current_exception());
    }
    if (!failure) co_return;
    if (!mode.by_acpi) throw *failure;
  }
  co_await domain.shutdown(caller, job, then_restart);
}

// Refusals before a task exists go the way of all answers.
template <typename T, typename Check>
bool refused(Completion<T>& completion, Check check) {
  std::optional<Error> error;
  try {
    check();
  } catch (...) {
    error = error_of(std::current_exception());
  }
  if (error) completion(std::unexpected(*error));
  return error.has_value();
}

// Keeps the domain while its task runs.
template <typename T>
Task<T> with([[maybe_unused]] std::shared_ptr<Domain> domain, Task<T> task) {
  co_return co_await std::move(task);
}

}  // namespace

Task<DomainHandle> LocalDriver::define_task(Caller caller, std::string xml, bool validate) {
  auto definition = co_await parse(std::move(xml), validate);
  auto domain = find_or_make(*definition);
  co_return co_await with(domain, domain->define(caller, definition));
}

void LocalDriver::define(const Caller& caller, std::string xml, unsigned int flags,
                         Completion<DomainHandle> completion) {
  if (refused(completion, [&] { check_flags(flags, VIR_DOMAIN_DEFINE_VALIDATE, "virDomainDefineXMLFlags"); }))
    return;
  run<DomainHandle>(define_task(caller, std::move(xml), (flags & VIR_DOMAIN_DEFINE_VALIDATE) != 0),
                    std::move(completion));
}

void LocalDriver::undefine(const Caller& caller, const Uuid& uuid, unsigned int flags,
                           Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    // What these would remove or keep does not exist here: all are honoured.
    check_flags(flags,
                VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                    VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_KEEP_NVRAM |
                    VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_TPM |
                    VIR_DOMAIN_UNDEFINE_KEEP_TPM,
                "virDomainUndefineFlags");
    auto excludes = [&](unsigned int one, unsigned int other, const char* what) {
      if ((flags & one) != 0 && (flags & other) != 0) {
        throw invalid_argument(fmt::format("{} cannot be removed and kept at once", what));
      }
    };
    excludes(VIR_DOMAIN_UNDEFINE_NVRAM, VIR_DOMAIN_UNDEFINE_KEEP_NVRAM, "NVRAM");
    excludes(VIR_DOMAIN_UNDEFINE_TPM, VIR_DOMAIN_UNDEFINE_KEEP_TPM, "TPM state");
    return domain.undefine(caller);
  });
}

Task<DomainHandle> LocalDriver::create_task(Caller caller, std::string xml, unsigned int flags) {
  auto definition = co_await parse(std::move(xml), (flags & VIR_DOMAIN_START_VALIDATE) != 0);
  auto domain = find_or_make(*definition);
  co_return co_await with(domain, domain->start(caller, definition, flags));
}

void LocalDriver::create_from_xml(const Caller& caller, std::string xml, unsigned int flags,
                                  Completion<DomainHandle> completion) {
  if (refused(completion, [&] { check_flags(flags, kStartFlags, "virDomainCreateXML"); })) return;
  run<DomainHandle>(create_task(caller, std::move(xml), flags), std::move(completion));
}

void LocalDriver::create(const Caller& caller, const Uuid& uuid, unsigned int flags,
                         Completion<DomainHandle> completion) {
  change<DomainHandle>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kStartFlags & ~unsigned{VIR_DOMAIN_START_VALIDATE}, "virDomainCreateWithFlags");
    return domain.start(caller, nullptr, flags);
  });
}

void LocalDriver::shutdown(const Caller& caller, const Uuid& uuid, unsigned int flags,
                           Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags,
                VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN | VIR_DOMAIN_SHUTDOWN_GUEST_AGENT |
                    VIR_DOMAIN_SHUTDOWN_INITCTL | VIR_DOMAIN_SHUTDOWN_SIGNAL | VIR_DOMAIN_SHUTDOWN_PARAVIRT,
                "virDomainShutdownFlags");
    const PowerMode mode = power_mode(flags, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
                                      VIR_DOMAIN_SHUTDOWN_GUEST_AGENT, domain.has_agent(), "shutdown");
    return change_power(domain, caller, "shutdown", false, mode);
  });
}

void LocalDriver::reboot(const Caller& caller, const Uuid& uuid, unsigned int flags,
                         Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags,
                VIR_DOMAIN_REBOOT_ACPI_POWER_BTN | VIR_DOMAIN_REBOOT_GUEST_AGENT | VIR_DOMAIN_REBOOT_INITCTL |
                    VIR_DOMAIN_REBOOT_SIGNAL | VIR_DOMAIN_REBOOT_PARAVIRT,
                "virDomainReboot");
    const PowerMode mode = power_mode(flags, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN, VIR_DOMAIN_REBOOT_GUEST_AGENT,
                                      domain.has_agent(), "reboot");
    return change_power(domain, caller, "reboot", true, mode);
  });
}

void LocalDriver::reset(const Caller& caller, const Uuid& uuid, unsigned int flags,
                        Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainReset");
    return domain.reset(caller);
  });
}

void LocalDriver::suspend(const Caller& caller, const Uuid& uuid, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) { return domain.suspend(caller); });
}

void LocalDriver::resume(const Caller& caller, const Uuid& uuid, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) { return domain.resume(caller); });
}

void LocalDriver::destroy(const Caller& caller, const Uuid& uuid, unsigned int flags,
                          Completion<void> completion) {
  // A transient domain that is only just being started can be destroyed too: it has no snapshot yet.
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_DESTROY_GRACEFUL | VIR_DOMAIN_DESTROY_REMOVE_LOGS, "virDomainDestroyFlags");
    return domain.destroy(caller, (flags & VIR_DOMAIN_DESTROY_GRACEFUL) != 0);
  });
}

void LocalDriver::connection_closed(std::uint64_t connection_id) {
  if (connection_id == 0) return;
  std::vector<std::shared_ptr<Domain>> doomed;
  for (const auto& [name, domain] : environment_->table.all()) {
    domain->descriptor_groups().drop(connection_id);
    if (domain->autodestroy_connection() == connection_id) doomed.push_back(domain);
  }
  for (const auto& domain : doomed) {
    run<void>(
        domain->destroy({}, false), [environment = environment_, domain](std::expected<void, Error> result) {
          if (result) return;
          environment->log(LogPriority::error,
                           fmt::format("domain {}: autodestroy: {}", domain->name(), result.error().what()));
        });
  }
}

std::unique_ptr<Stream> LocalDriver::open_channel(const Caller&, const Uuid& uuid,
                                                  const std::optional<std::string>& name,
                                                  unsigned int flags) {
  check_flags(flags, VIR_DOMAIN_CHANNEL_FORCE, "virDomainOpenChannel");
  return find(uuid)->open_channel(name, flags);
}

std::unique_ptr<Stream> LocalDriver::open_console(const Caller&, const Uuid& uuid,
                                                  const std::optional<std::string>& device,
                                                  unsigned int flags) {
  check_flags(flags, VIR_DOMAIN_CONSOLE_FORCE | VIR_DOMAIN_CONSOLE_SAFE, "virDomainOpenConsole");
  return find(uuid)->open_console(device, flags);
}

}  // namespace warren::driver::domain
