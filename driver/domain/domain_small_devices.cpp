// A domain's balloon and watchdog: changes, and what its worker tells of them.
#include <algorithm>
#include <ctime>
#include <filesystem>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace control = vmm::control;

Task<> Domain::set_memory(Caller caller, std::uint64_t kib, unsigned int flags) {
  Change change = [kib](config::DomainDefinition& definition, bool is_live) {
    if (is_live && definition.devices.balloon() == nullptr)
      throw operation_invalid("cannot change the memory of an active domain: it has no balloon device");
    if (kib > definition.memory.maximum_kib - config::virtio_memory_kib(definition))
      throw invalid_argument("cannot set memory higher than max memory");
    // What a running guest has, it says by itself when it has it.
    if (!is_live) definition.memory.current_kib = kib;
  };
  auto before = std::make_shared<std::optional<std::uint64_t>>();
  Apply apply = [this, kib, before](const config::DomainDefinition&) {
    if (*before) return ask_balloon(**before);  // undone
    before->emplace(balloon_target_kib_);
    return ask_balloon(kib);
  };
  co_await modify(std::move(caller), "set memory", flags, std::move(change), std::nullopt, std::move(apply));
}

Task<> Domain::ask_balloon(std::uint64_t kib) {
  Worker& worker = require_worker();
  Request<void> request = [&worker, kib](auto reply) {
    worker.client().set_balloon({kib * 1024}, std::move(reply));
  };
  co_await worker.ask<void>(std::move(request), fmt::format("set the memory of domain '{}'", name_));
  balloon_target_kib_ = kib;
}

Task<> Domain::set_statistics_period(Caller caller, std::uint32_t seconds, unsigned int flags) {
  Change change = [seconds](config::DomainDefinition& definition, bool) {
    if (definition.devices.balloon() == nullptr)
      throw operation_invalid("no memory balloon device configured, cannot set the collection period");
    definition.devices.memory_balloon->statistics_period_seconds = seconds;
  };
  Apply apply = [this](const config::DomainDefinition& live) {
    return apply_statistics_period(live.devices.memory_balloon.value().statistics_period_seconds);
  };
  co_await modify(std::move(caller), "set memory statistics period", flags, std::move(change), std::nullopt,
                  std::move(apply));
}

Task<> Domain::apply_statistics_period(std::uint32_t seconds) {
  Worker& worker = require_worker();
  Request<void> request = [&worker, seconds](auto reply) {
    worker.client().set_balloon_statistics_period({seconds}, std::move(reply));
  };
  co_await worker.ask<void>(std::move(request),
                            fmt::format("set the memory statistics period of domain '{}'", name_));
}

Task<> Domain::balloon_changed(std::weak_ptr<Worker> from, std::uint64_t bytes) {
  auto hold = co_await slot_.acquire(job_of("guest's change of its balloon", {}), JobSlot::Urgency::urgent);
  auto worker = from.lock();
  if (!worker || worker != worker_ || !is_active()) co_return;
  if (!note_balloon(bytes)) co_return;
  co_await write_status();
  publish();
  emit(BalloonChangeEvent{live_->memory.current_kib});
}

bool Domain::note_balloon(std::uint64_t bytes) {
  const std::uint64_t kib =
      std::min(bytes / 1024 + config::current_virtio_memory_kib(*live_), live_->memory.maximum_kib);
  if (live_->devices.balloon() == nullptr || live_->memory.current_kib == kib) return false;
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  live->memory.current_kib = kib;
  live_ = std::move(live);
  return true;
}

namespace {

int event_action(control::WatchdogAction action) {
  switch (action) {
    case control::WatchdogAction::none:
      return VIR_DOMAIN_EVENT_WATCHDOG_NONE;
    case control::WatchdogAction::reset:
      return VIR_DOMAIN_EVENT_WATCHDOG_RESET;
    case control::WatchdogAction::shutdown:
      return VIR_DOMAIN_EVENT_WATCHDOG_SHUTDOWN;
    case control::WatchdogAction::poweroff:
      return VIR_DOMAIN_EVENT_WATCHDOG_POWEROFF;
    case control::WatchdogAction::pause:
      return VIR_DOMAIN_EVENT_WATCHDOG_PAUSE;
    case control::WatchdogAction::inject_nmi:
      return VIR_DOMAIN_EVENT_WATCHDOG_INJECTNMI;
  }
  return VIR_DOMAIN_EVENT_WATCHDOG_NONE;
}

}  // namespace

void Domain::watchdog_expired(control::WatchdogAction action) {
  if (!is_active()) return;
  log(LogPriority::warning, "its watchdog has expired");
  emit(WatchdogEvent{event_action(action)});
}

// What becomes of the machine is told as any change of its state.
void Domain::memory_failed(const control::MemoryFailed& failure) {
  if (!is_active()) return;
  const auto action = [&] {
    switch (failure.action) {
      case control::MemoryFailureAction::ignore:
        return VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_IGNORE;
      case control::MemoryFailureAction::inject:
        return VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_INJECT;
      case control::MemoryFailureAction::fatal:
        return VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_FATAL;
      case control::MemoryFailureAction::reset:
        break;
    }
    return VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_RESET;
  };
  const bool is_guests = failure.recipient == control::MemoryFailureRecipient::guest;
  log(LogPriority::error, fmt::format("memory of {} has failed", is_guests ? "the guest" : "its worker"));
  emit(MemoryFailureEvent{
      is_guests ? VIR_DOMAIN_EVENT_MEMORY_FAILURE_RECIPIENT_GUEST
                : VIR_DOMAIN_EVENT_MEMORY_FAILURE_RECIPIENT_HYPERVISOR,
      action(),
      (failure.action_required ? unsigned{VIR_DOMAIN_MEMORY_FAILURE_ACTION_REQUIRED} : 0U) |
          (failure.recursive ? unsigned{VIR_DOMAIN_MEMORY_FAILURE_RECURSIVE} : 0U)});
}

Task<> Domain::watchdog_stopped(control::StateChanged change) {
  if (change.state == control::MachineState::shut_down) {
    // As from a guest whose plug was pulled.
    co_await end_worker(false);
    co_await stop(VIR_DOMAIN_SHUTOFF_CRASHED, VIR_DOMAIN_EVENT_STOPPED_FAILED);
    co_return;
  }
  set_state(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_WATCHDOG);
  co_await write_status();
  publish();
  emit(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG);
  const auto& watchdogs = live_->devices.watchdogs;
  if (watchdogs.empty() || watchdogs.front().action != config::WatchdogAction::dump) co_return;
  co_await dump_by_itself();
  if (is_active() && worker_ && !worker_->has_ended()) co_await run_again("after the watchdog's dump");
}

Task<> Domain::dump_by_itself() {
  const auto& directory = environment_->settings.dump_directory;
  const std::string path =
      (directory / fmt::format("{}-{}-{:%Y-%m-%d-%H:%M:%S}", id_, name_, fmt::gmtime(std::time(nullptr))))
          .string();
  begin_long_job(VIR_DOMAIN_JOB_OPERATION_DUMP);
  std::optional<Error> failure;
  try {
    std::move_only_function<Done()> prepare = [directory] {
      std::filesystem::create_directories(directory);
      std::filesystem::permissions(directory, std::filesystem::perms::owner_all);
      return Done{};
    };
    co_await run_blocking<Done>(environment_->io_threads, std::move(prepare));
    co_await write_core(path, false);
  } catch (...) {
    failure = error_of(std::current_exception());
  }
  end_long_job(failure);
  if (failure) {
    log(LogPriority::error, fmt::format("its core cannot be written to '{}': {}", path, failure->what()));
  } else {
    log(LogPriority::warning, fmt::format("its core is in '{}'", path));
  }
}

}  // namespace warren::driver::domain
