// Changes of what the host gives a domain.
#include <algorithm>

#include <fmt/format.h>

#include "driver/domain/cgroup.h"
#include "driver/domain/domain.h"
#include "driver/domain/worker_threads.h"
#include "driver/link/traffic_limit.h"

namespace warren::driver::domain {

namespace control = vmm::control;

namespace {

// A floor alone is the network's to keep, and no limit.
std::optional<config::Bandwidth> limits_of(const config::Interface& interface) {
  std::optional<config::Bandwidth> limits = interface.bandwidth;
  if (limits && limits->inbound && limits->inbound->average == 0) limits->inbound.reset();
  if (limits && !limits->inbound && !limits->outbound) limits.reset();
  return limits;
}

// Only those whose limits differ from what the machine had; all of them when it had no definition.
void limit_interfaces(const config::DomainDefinition* before, const config::DomainDefinition& live) {
  const auto& interfaces = live.devices.interfaces;
  for (const config::Interface& interface : interfaces) {
    std::optional<config::Bandwidth> had;
    if (before != nullptr) {
      for (const config::Interface& old : before->devices.interfaces)
        if (old.target == interface.target) had = old.bandwidth;
    }
    if (had != interface.bandwidth && !interface.target.empty())
      link::limit_traffic(interface.target, limits_of(interface));
  }
}

}  // namespace

Task<> Domain::tune(Caller caller, std::string job, unsigned int flags, Change change,
                    std::optional<TunableEvent> event) {
  // What was put in force last, so that undoing undoes.
  auto told = std::make_shared<DefinitionPointer>();
  Apply apply = [this, told](const config::DomainDefinition& live) {
    DefinitionPointer before = *told ? *told : live_;
    *told = std::make_shared<config::DomainDefinition>(live);
    return apply_tuning(live, std::move(before));
  };
  std::optional<decltype(DomainEvent::body)> body;
  if (event) body = std::move(*event);
  co_await modify(std::move(caller), std::move(job), flags, std::move(change), std::move(body),
                  std::move(apply));
}

Task<> Domain::apply_tuning(config::DomainDefinition live, DefinitionPointer before) {
  if (!worker_) throw operation_failed(fmt::format("domain '{}' has no worker", name_));
  if (before) co_await limit_ports(live, *before);
  using Counters = std::shared_ptr<const PerfCounters>;
  std::move_only_function<Counters()> work = [environment = environment_, pid = worker_->pid(), before,
                                              live = std::move(live), counters = perf_,
                                              group = uuid_.to_string()]() mutable {
    apply_pins(pid, live);
    DomainCgroup(environment->cgroups, group).apply(pid, live);
    limit_interfaces(before.get(), live);
    // Counters that go on are not begun anew.
    if (!before || before->perf != live.perf) counters = std::make_shared<PerfCounters>(pid, live.perf);
    return counters;
  };
  perf_ = co_await run_blocking<Counters>(environment_->io_threads, std::move(work));
}

Task<> Domain::add_iothread(Caller caller, std::uint32_t id, unsigned int flags) {
  auto add = [id](config::DomainDefinition& definition, bool) {
    auto& threads = definition.iothreads;
    if (std::find(threads.begin(), threads.end(), config::IoThread{id}) != threads.end())
      throw invalid_argument(fmt::format("an IOThread is already using iothread_id '{}'", id));
    threads.push_back({id});
  };
  Apply apply = [this, id](const config::DomainDefinition& live) { return set_iothread(id, live); };
  co_await modify(std::move(caller), "add iothread", flags, std::move(add), std::nullopt, std::move(apply));
}

Task<> Domain::delete_iothread(Caller caller, std::uint32_t id, unsigned int flags) {
  auto remove = [id](config::DomainDefinition& definition, bool) {
    auto& threads = definition.iothreads;
    const auto found = std::find(threads.begin(), threads.end(), config::IoThread{id});
    if (found == threads.end())
      throw invalid_argument(fmt::format("cannot find IOThread '{}' in iothreadids list", id));
    for (const config::Disk& disk : definition.devices.disks) {
      const std::vector<std::uint32_t> used = config::iothreads_of(disk.driver);
      if (std::ranges::find(used, id) != used.end()) {
        throw invalid_argument(
            fmt::format("cannot remove IOThread {} since it is being used by disk '{}'", id, disk.target));
      }
    }
    for (const config::Controller& controller : definition.devices.controllers) {
      if (controller.driver.iothread == id) {
        throw invalid_argument(
            fmt::format("cannot remove IOThread {} since it is being used by SCSI controller {}", id,
                        controller.index.value_or(0)));
      }
    }
    threads.erase(found);
    definition.cpu_tuning.iothread_pins.erase(id);
  };
  Apply apply = [this, id](const config::DomainDefinition& live) { return set_iothread(id, live); };
  co_await modify(std::move(caller), "delete iothread", flags, std::move(remove), std::nullopt,
                  std::move(apply));
}

// Makes the worker have the IOThread exactly if `live` has it; used to undo, too.
Task<> Domain::set_iothread(std::uint32_t id, config::DomainDefinition live) {
  const auto& threads = live.iothreads;
  const bool is_there = std::find(threads.begin(), threads.end(), config::IoThread{id}) != threads.end();
  Worker& worker = require_worker();
  Request<void> request = [&worker, id, is_there](auto reply) {
    if (is_there) {
      worker.client().add_iothread(id, std::move(reply));
    } else {
      worker.client().delete_iothread(id, std::move(reply));
    }
  };
  co_await worker.ask<void>(std::move(request), fmt::format("change IOThread {} of domain '{}'", id, name_));
  co_await apply_tuning(std::move(live), live_);
}

}  // namespace warren::driver::domain
