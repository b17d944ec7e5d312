// vCPUs of a running machine, and of the definition it started from.
//
// The live definition, on disk too, says which vCPUs there are: one that comes is written down before the
// worker is asked, one that goes after it is gone. A daemon that comes back believes the worker (failure
// class T14).
#include <algorithm>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "driver/config/vcpus.h"
#include "driver/domain/domain.h"
#include "driver/domain/hot_plug.h"

namespace warren::driver::domain {

namespace control = vmm::control;

// Of one vCPU that the guest was asked to let go of.
struct Domain::VcpuRemoval {
  enum class Outcome { none, gone, refused, domain_ended };

  explicit VcpuRemoval(asio::io_context& loop) : deadline(loop) {}
  void end(Outcome with) {
    outcome = with;
    deadline.cancel();
  }

  asio::steady_timer deadline;
  Outcome outcome = Outcome::none;
};

namespace {

std::string alias_of(std::uint32_t vcpu) {
  return fmt::format("vcpu{}", vcpu);
}

void require_count(const config::VcpuCount& vcpus, std::uint32_t count, std::string_view which) {
  if (count <= vcpus.maximum) return;
  throw invalid_argument(
      fmt::format("requested vcpus is greater than max allowable vcpus for the {} domain: {} > {}", which,
                  count, vcpus.maximum));
}

}  // namespace

Task<> Domain::set_vcpu_count(Caller caller, std::uint32_t count, bool hot_pluggable, unsigned int flags) {
  VcpuChange change;
  change.choose = [count](const config::VcpuCount& live) {
    require_count(live, count, "live");
    return config::choose_for_count(live, count);
  };
  change.apply = [count, hot_pluggable](config::VcpuCount& persistent) {
    require_count(persistent, count, "persistent");
    config::set_count(persistent, count, hot_pluggable);
  };
  return change_vcpus(std::move(caller), std::move(change), flags);
}

Task<> Domain::set_vcpu_maximum(Caller caller, std::uint32_t maximum, unsigned int flags) {
  auto set = [maximum](config::DomainDefinition& definition, bool is_live) {
    if (is_live) throw invalid_argument("cannot change the maximum of vCPUs on an active domain");
    if (definition.cpu && definition.cpu->topology) {
      throw invalid_argument("CPU topology doesn't match the desired vcpu count: change <topology> with it");
    }
    config::set_maximum(definition.vcpu, maximum);
  };
  return modify(std::move(caller), "set vcpus", flags, std::move(set));
}

Task<> Domain::set_vcpu_states(Caller caller, config::CpuSet vcpus, bool online, unsigned int flags) {
  VcpuChange change;
  change.choose = [vcpus, online](const config::VcpuCount& live) {
    return config::choose_for_states(live, vcpus, online);
  };
  change.apply = [vcpus = std::move(vcpus), online](config::VcpuCount& persistent) {
    config::set_states(persistent, vcpus, online);
  };
  return change_vcpus(std::move(caller), std::move(change), flags);
}

DefinitionPointer Domain::with_vcpus(const VcpuChange& change) const {
  auto persistent = std::make_shared<config::DomainDefinition>(*persistent_);
  change.apply(persistent->vcpu);
  complete_changed(*persistent, environment_->facts);
  return persistent;
}

Task<> Domain::change_vcpus(Caller caller, VcpuChange change, unsigned int flags) {
  auto hold = co_await slot_.acquire(job_of("set vcpus", caller));
  if (!persistent_ && !live_) throw no_domain(uuid_, name_);
  const Affected affected = affected_by(*snapshot_, flags);
  std::vector<std::uint32_t> chosen;
  if (affected.live) {
    require_worker();
    chosen = change.choose(live_->vcpu);
  }
  // Made before anything is done: a refusal changes nothing.
  DefinitionPointer persistent;
  if (affected.persistent) persistent = with_vcpus(change);
  if (chosen.empty() || !config::is_online(live_->vcpu, chosen.front())) {
    Act act;
    if (!chosen.empty()) act = [this, &chosen] { return plug_vcpus(std::move(chosen)); };
    co_await commit(std::move(persistent), std::move(act));
    co_return;
  }
  co_await ask_for_vcpus(chosen);
  // The guest takes its time; other changes do not wait for it.
  hold.release();
  co_await wait_for_vcpus(std::move(chosen));
  if (!persistent) co_return;
  auto again = co_await slot_.acquire(job_of("set vcpus", caller));
  if (!persistent_) throw no_domain(uuid_, name_);
  co_await commit(with_vcpus(change), nullptr);
}

Task<> Domain::plug_vcpus(std::vector<std::uint32_t> vcpus) {
  Worker& worker = require_worker();
  const DefinitionPointer before = live_;
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  for (const std::uint32_t vcpu : vcpus) config::set_online(live->vcpu, vcpu, true);
  live_ = std::move(live);
  std::exception_ptr failed;
  try {
    co_await write_status();
    const control::VcpuNumbers numbers{vcpus};
    Request<void> request = [&worker, numbers](auto reply) {
      worker.client().plug_vcpus(numbers, std::move(reply));
    };
    co_await worker.ask<void>(std::move(request),
                              fmt::format("add vCPU {} to domain '{}'", fmt::join(vcpus, ", "), name_));
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    live_ = before;
    co_await write_status();
    std::rethrow_exception(failed);
  }
  co_await fetch_statistics();
  try {
    co_await apply_tuning(*live_, live_);
  } catch (const std::exception& error) {
    // The guest may use it already: to take it away again would be worse.
    log(LogPriority::error,
        fmt::format("vCPU {} has no limits or pins: {}", fmt::join(vcpus, ", "), error.what()));
  }
}

Task<> Domain::ask_for_vcpus(std::vector<std::uint32_t> vcpus) {
  Worker& worker = require_worker();
  for (const std::uint32_t vcpu : vcpus) {
    auto& removal = vcpu_removals_[vcpu];
    if (!removal) removal = std::make_shared<VcpuRemoval>(environment_->loop);
    removal->deadline.expires_after(kRemovalPatience);
  }
  const control::VcpuNumbers numbers{vcpus};
  Request<void> request = [&worker, numbers](auto reply) {
    worker.client().unplug_vcpus(numbers, std::move(reply));
  };
  std::exception_ptr failed;
  try {
    co_await worker.ask<void>(std::move(request),
                              fmt::format("remove vCPU {} of domain '{}'", fmt::join(vcpus, ", "), name_));
  } catch (...) {
    failed = std::current_exception();
  }
  if (!failed) co_return;
  for (const std::uint32_t vcpu : vcpus) vcpu_removals_.erase(vcpu);
  std::rethrow_exception(failed);
}

// What the guest has let go of stays gone, whatever it does with the others.
Task<> Domain::wait_for_vcpus(std::vector<std::uint32_t> vcpus) {
  std::vector<std::pair<std::uint32_t, std::shared_ptr<VcpuRemoval>>> removals;
  for (const std::uint32_t vcpu : vcpus) {
    if (const auto found = vcpu_removals_.find(vcpu); found != vcpu_removals_.end())
      removals.emplace_back(*found);
  }
  for (const auto& [vcpu, removal] : removals) {
    boost::system::error_code ended;
    // Whoever asks again puts the deadline off for all.
    while (removal->outcome == VcpuRemoval::Outcome::none &&
           removal->deadline.expiry() > asio::steady_timer::clock_type::now())
      co_await removal->deadline.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    const auto found = vcpu_removals_.find(vcpu);
    if (found != vcpu_removals_.end() && found->second == removal) vcpu_removals_.erase(found);
  }
  for (const auto& [vcpu, removal] : removals) {
    if (removal->outcome == VcpuRemoval::Outcome::gone) continue;
    if (removal->outcome == VcpuRemoval::Outcome::domain_ended)
      throw operation_invalid("domain is not running");
    if (removal->outcome == VcpuRemoval::Outcome::refused)
      throw operation_failed(fmt::format("the guest refuses to let go of vCPU {}", vcpu));
    throw Error(VIR_ERR_OPERATION_TIMEOUT,
                fmt::format("the guest has not let go of vCPU {} yet: 'dumpxml' tells when it has", vcpu));
  }
}

Task<> Domain::vcpu_unplugged(std::weak_ptr<Worker> from, std::uint32_t vcpu) {
  auto hold = co_await slot_.acquire(job_of("removal of a vCPU", {}), JobSlot::Urgency::urgent);
  auto worker = from.lock();
  if (!worker || worker != worker_ || !is_active() || !config::is_hot_pluggable(live_->vcpu, vcpu)) co_return;
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  config::set_online(live->vcpu, vcpu, false);
  live_ = std::move(live);
  co_await write_status();
  co_await fetch_statistics();
  publish();
  if (const auto found = vcpu_removals_.find(vcpu); found != vcpu_removals_.end())
    found->second->end(VcpuRemoval::Outcome::gone);
}

void Domain::vcpu_kept(std::uint32_t vcpu) {
  if (!is_active() || !config::is_online(live_->vcpu, vcpu)) return;
  emit(DeviceRemovalFailedEvent{alias_of(vcpu)});
  if (const auto found = vcpu_removals_.find(vcpu); found != vcpu_removals_.end())
    found->second->end(VcpuRemoval::Outcome::refused);
}

void Domain::end_vcpu_removals() {
  for (auto& [vcpu, removal] : std::exchange(vcpu_removals_, {}))
    removal->end(VcpuRemoval::Outcome::domain_ended);
}

void Domain::note_vcpus(const std::vector<std::uint32_t>& present) {
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  for (std::uint32_t i = 1; i < live->vcpu.maximum; ++i) {
    const bool is_there = std::ranges::find(present, i) != present.end();
    if (is_there != config::is_online(live->vcpu, i)) config::set_online(live->vcpu, i, is_there);
  }
  if (live->vcpu == live_->vcpu) return;
  live_ = std::move(live);
  publish();
}

}  // namespace warren::driver::domain
