// Shares and limits as typed parameters.
#include <fmt/format.h>

#include "driver/domain/cgroup.h"
#include "driver/domain/local_driver.h"
#include "driver/domain/tuning_parameters.h"

namespace warren::driver::domain {

namespace {

constexpr unsigned int kAffect = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;

const char* name_of(TuningGroup group) {
  switch (group) {
    case TuningGroup::scheduler:
      return "SchedulerParameters";
    case TuningGroup::memory:
      return "MemoryParameters";
    case TuningGroup::blkio:
      return "BlkioParameters";
    case TuningGroup::numa:
      return "NumaParameters";
    case TuningGroup::perf:
      return "PerfEvents";
  }
  return "";
}

// "cpu_shares" is told of as "cputune.cpu_shares"; only the scheduler's parameters are.
std::optional<TunableEvent> event_of(TuningGroup group, const TypedParameters& parameters) {
  if (group != TuningGroup::scheduler) return std::nullopt;
  TunableEvent event;
  for (const TypedParameter& parameter : parameters)
    event.parameters.push_back({"cputune." + parameter.field, parameter.value});
  return event;
}

}  // namespace

std::string LocalDriver::scheduler_type(const Caller&, const Uuid& uuid) const {
  if (snapshot(uuid).is_active()) require_for(environment_->cgroups, TuningGroup::scheduler);
  return "posix";
}

TypedParameters LocalDriver::tuning(const Caller&, const Uuid& uuid, TuningGroup group,
                                    unsigned int flags) const {
  check_flags(flags, kAffect | VIR_TYPED_PARAM_STRING_OKAY, fmt::format("virDomainGet{}", name_of(group)));
  const Snapshot& domain = snapshot(uuid);
  const auto& definition = definition_for(domain, flags & kAffect);
  const bool is_live = &definition == domain.live.get();
  if (is_live && group != TuningGroup::numa) require_for(environment_->cgroups, group);
  return tuning_of(definition, group, is_live);
}

void LocalDriver::set_tuning(const Caller& caller, const Uuid& uuid, TuningGroup group,
                             TypedParameters parameters, unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect | VIR_TYPED_PARAM_STRING_OKAY, fmt::format("virDomainSet{}", name_of(group)));
    auto event = event_of(group, parameters);
    auto set = [environment = environment_, group, parameters = std::move(parameters)](
                   config::DomainDefinition& definition, bool is_live) {
      if (is_live) require_for(environment->cgroups, group);
      set_tuning_of(definition, group, parameters, is_live);
    };
    return domain.tune(caller, "set tuning", flags & kAffect, std::move(set), std::move(event));
  });
}

TypedParameters LocalDriver::interface_tuning(const Caller&, const Uuid& uuid, const std::string& device,
                                              unsigned int flags) const {
  check_flags(flags, kAffect | VIR_TYPED_PARAM_STRING_OKAY, "virDomainGetInterfaceParameters");
  config::DomainDefinition definition = definition_for(snapshot(uuid), flags & kAffect);
  return bandwidth_parameters(find_interface(definition, device));
}

void LocalDriver::set_interface_tuning(const Caller& caller, const Uuid& uuid, const std::string& device,
                                       TypedParameters parameters, unsigned int flags,
                                       Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect | VIR_TYPED_PARAM_STRING_OKAY, "virDomainSetInterfaceParameters");
    auto set = [device, parameters = std::move(parameters)](config::DomainDefinition& definition, bool) {
      set_bandwidth(require_limits(find_interface(definition, device)), parameters);
    };
    return domain.tune(caller, "set interface parameters", flags & kAffect, std::move(set));
  });
}

}  // namespace warren::driver::domain
