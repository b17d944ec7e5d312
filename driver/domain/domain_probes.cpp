// Small things done to a running guest, each one request to its worker.
#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "driver/domain/domain.h"
#include "driver/domain/machine_translation.h"
#include "driver/domain/monitor_input.h"

namespace warren::driver::domain {

namespace control = vmm::control;

Task<> Domain::inject_nmi(Caller caller) {
  auto hold = co_await slot_.acquire(job_of("inject NMI", caller));
  co_await require_worker().command(&control::Client::inject_nmi,
                                    fmt::format("send domain '{}' an NMI", name_));
}

namespace {

// A keyboard that the worker may have to type on, besides the PS/2 keyboard.
bool has_virtio_keyboard(const config::DomainDefinition& live) {
  return std::ranges::any_of(live.devices.inputs, [](const config::Input& input) {
    return input.bus == config::InputBus::virtio && input.type == config::InputType::keyboard;
  });
}

}  // namespace

Task<> Domain::send_keys(Caller caller, vmm::control::SendKeys keys) {
  auto hold = co_await slot_.acquire(job_of("send key", caller));
  Worker& worker = require_worker();
  // A worker of an earlier revision, which has none, does not know what that is (failure class T31).
  if (!has_virtio_keyboard(*live_)) keys.linux_codes.clear();
  Request<void> request = [&worker, keys = std::move(keys)](auto reply) {
    worker.client().send_keys(keys, std::move(reply));
  };
  co_await worker.ask<void>(std::move(request), fmt::format("send keys to domain '{}'", name_));
}

// What is refused is an answer, too.
Task<std::string> Domain::answer_monitor_input(Caller caller, MonitorInput input) {
  std::string refused;
  try {
    if (const auto* why = std::get_if<std::string>(&input.request)) {
      refused = *why;
    } else if (const auto* keys = std::get_if<control::SendKeys>(&input.request)) {
      co_await send_keys(caller, *keys);
    } else if (const auto events = std::get<control::SendInput>(input.request); !events.events.empty()) {
      auto hold = co_await slot_.acquire(job_of("send input", caller));
      Worker& worker = require_worker();
      Request<void> request = [&worker, events](auto reply) {
        worker.client().send_input(events, std::move(reply));
      };
      co_await worker.ask<void>(std::move(request), fmt::format("send domain '{}' input", name_));
    }
  } catch (const Error& error) {
    refused = error.what();
  }
  co_return domain::answer_monitor_input(input, refused);
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

// KVM's own figures; a machine without them is as good.
Task<> Domain::fetch_statistics() {
  auto worker = worker_;
  kvm_ = nullptr;
  try {
    using Files = control::KvmStatisticsFiles;
    Request<Files> request = [worker](auto reply) { worker->client().kvm_statistics(std::move(reply)); };
    Files files = co_await worker->ask<Files>(std::move(request), "get KVM's statistics");
    auto statistics = std::make_shared<MachineStatistics>();
    for (std::size_t i = 0; i < files.files.size(); ++i) {
      KvmStatistics one(std::move(files.files[i]));
      if (i == 0) {
        statistics->machine.push_back(std::move(one));
        continue;
      }
      const auto& numbers = files.names.vcpus;
      const auto number = i <= numbers.size() ? numbers[i - 1] : static_cast<std::uint32_t>(i - 1);
      statistics->vcpus.insert_or_assign(number, std::move(one));
    }
    kvm_ = std::move(statistics);
  } catch (const std::exception& error) {
    log(LogPriority::debug, fmt::format("has no statistics of KVM: {}", error.what()));
  }
}

Task<> Domain::start_dirty_rate(Caller caller, std::uint32_t seconds) {
  auto hold = co_await slot_.acquire(job_of("dirty rate", caller));
  Worker& worker = require_worker();
  Request<void> request = [&worker, seconds](auto reply) {
    worker.client().start_dirty_rate(seconds, std::move(reply));
  };
  co_await worker.ask<void>(std::move(request), fmt::format("measure the dirty rate of domain '{}'", name_));
  dirty_rate_ = {.status = VIR_DOMAIN_DIRTYRATE_MEASURING,
                 .start_time = std::time(nullptr),
                 .period_s = static_cast<std::int32_t>(seconds)};
  publish();
  run_internal(follow_dirty_rate(worker_, seconds), "measure the dirty rate");
}

Task<> Domain::follow_dirty_rate(std::weak_ptr<Worker> from, std::uint32_t seconds) {
  asio::steady_timer timer(environment_->loop);
  timer.expires_after(std::chrono::seconds(seconds));
  for (;;) {
    co_await timer.async_wait(asio::use_awaitable);
    auto worker = from.lock();
    if (!worker || worker != worker_ || !is_active()) co_return;
    Request<control::DirtyRateStatus> request = [worker](auto reply) {
      worker->client().dirty_rate(std::move(reply));
    };
    const auto status =
        co_await worker->ask<control::DirtyRateStatus>(std::move(request), "measure the dirty rate");
    if (!status.is_measuring) {
      auto hold = co_await slot_.acquire(job_of("dirty rate", {}), JobSlot::Urgency::urgent);
      if (worker != worker_ || !is_active()) co_return;
      dirty_rate_.status = VIR_DOMAIN_DIRTYRATE_MEASURED;
      dirty_rate_.mebibytes_per_second =
          static_cast<std::int64_t>(status.dirty_bytes / std::max(status.seconds, 1u) >> 20);
      publish();
      co_return;
    }
    timer.expires_after(std::chrono::milliseconds(20));
  }
}

// A definition whose clock is variable remembers what the guest made of it, for the next start.
Task<> Domain::clock_was_set(std::weak_ptr<Worker> from, std::int64_t offset_seconds) {
  auto hold = co_await slot_.acquire(job_of("guest's setting of its clock", {}), JobSlot::Urgency::urgent);
  auto worker = from.lock();
  if (!worker || worker != worker_ || !is_active()) co_return;
  // An absolute clock had no offset that anybody knows: that from UTC is told.
  std::int64_t told = offset_seconds;
  if (live_->clock.offset != config::ClockOffset::absolute)
    told -= clock_offset_seconds(live_->clock, std::time(nullptr));
  if (live_->clock.offset == config::ClockOffset::variable) {
    auto live = std::make_shared<config::DomainDefinition>(*live_);
    // Relative to its basis, as the adjustment is.
    told += live->clock.adjustment_seconds;
    live->clock.adjustment_seconds = told;
    live_ = std::move(live);
    co_await write_status();
    publish();
  }
  emit(RtcChangeEvent{told});
}

}  // namespace warren::driver::domain
