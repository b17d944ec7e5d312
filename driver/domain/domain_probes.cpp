// Small things done to a running guest, each one request to its worker.
#include <fmt/format.h>

#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace control = vmm::control;

Task<> Domain::inject_nmi(Caller caller) {
  auto hold = co_await slot_.acquire(job_of("inject NMI", caller));
  co_await require_worker().command(&control::Client::inject_nmi,
                                    fmt::format("send domain '{}' an NMI", name_));
}

Task<> Domain::send_keys(Caller caller, vmm::control::SendKeys keys) {
  auto hold = co_await slot_.acquire(job_of("send key", caller));
  Worker& worker = require_worker();
  Request<void> request = [&worker, keys = std::move(keys)](auto reply) {
    worker.client().send_keys(keys, std::move(reply));
  };
  co_await worker.ask<void>(std::move(request), fmt::format("send keys to domain '{}'", name_));
}

Task<std::vector<std::uint8_t>> Domain::read_memory(Caller caller, vmm::control::ReadMemory range) {
  auto hold = co_await slot_.acquire(job_of("memory peek", caller));
  Worker& worker = require_worker();
  using Bytes = std::vector<std::uint8_t>;
  Request<Bytes> request = [&worker, range](auto reply) {
    worker.client().read_memory(range, std::move(reply));
  };
  co_return co_await worker.ask<Bytes>(std::move(request), fmt::format("read memory of domain '{}'", name_));
}

Task<> Domain::set_reset_action(config::DomainDefinition live) {
  const bool restarts =
      live.lifecycle.on_reboot.value_or(config::LifecycleAction::restart) == config::LifecycleAction::restart;
  Worker& worker = require_worker();
  Request<void> request = [&worker, restarts](auto reply) {
    worker.client().set_reset_action(restarts ? control::GuestAction::reset : control::GuestAction::stop,
                                     std::move(reply));
  };
  co_await worker.ask<void>(std::move(request), fmt::format("change on_reboot of domain '{}'", name_));
}

Task<> Domain::set_lifecycle_action(Caller caller, unsigned int type, config::LifecycleAction action,
                                    unsigned int flags) {
  auto set = [type, action](config::DomainDefinition& definition, bool) {
    config::LifecycleActions& actions = definition.lifecycle;
    if (type == VIR_DOMAIN_LIFECYCLE_POWEROFF) actions.on_poweroff = action;
    if (type == VIR_DOMAIN_LIFECYCLE_REBOOT) actions.on_reboot = action;
    if (type == VIR_DOMAIN_LIFECYCLE_CRASH) actions.on_crash = action;
  };
  Apply apply = nullptr;
  // The worker restarts a guest by itself, without asking.
  if (type == VIR_DOMAIN_LIFECYCLE_REBOOT)
    apply = [this](const config::DomainDefinition& live) { return set_reset_action(live); };
  co_await modify(std::move(caller), "set lifecycle action", flags, std::move(set), std::nullopt,
                  std::move(apply));
}

}  // namespace warren::driver::domain
