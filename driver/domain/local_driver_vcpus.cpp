// vCPUs: how many there are, which, and what they do.
#include <fmt/format.h>

#include "driver/config/vcpus.h"
#include "driver/domain/local_driver.h"

namespace warren::driver::domain {

namespace {

constexpr unsigned int kAffect = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;

}  // namespace

int LocalDriver::vcpus(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, kAffect | VIR_DOMAIN_VCPU_MAXIMUM | VIR_DOMAIN_VCPU_GUEST, "virDomainGetVcpusFlags");
  const Snapshot& domain = snapshot(uuid);
  // The front doors ask the guest by guest_vcpu_count(): this never waits.
  if ((flags & VIR_DOMAIN_VCPU_GUEST) != 0)
    throw invalid_argument("vCPU counts of the guest come from its agent");
  const config::VcpuCount& count = definition_for(domain, flags & kAffect).vcpu;
  return static_cast<int>((flags & VIR_DOMAIN_VCPU_MAXIMUM) != 0 ? count.maximum : count.current);
}

void LocalDriver::set_vcpus(const Caller& caller, const Uuid& uuid, unsigned int count, unsigned int flags,
                            Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags,
                kAffect | VIR_DOMAIN_VCPU_MAXIMUM | VIR_DOMAIN_VCPU_GUEST | VIR_DOMAIN_VCPU_HOTPLUGGABLE,
                "virDomainSetVcpusFlags");
    if (count == 0) throw invalid_argument("the number of vCPUs must not be zero");
    const bool hot_pluggable = (flags & VIR_DOMAIN_VCPU_HOTPLUGGABLE) != 0;
    const bool is_maximum = (flags & VIR_DOMAIN_VCPU_MAXIMUM) != 0;
    if ((flags & VIR_DOMAIN_VCPU_GUEST) != 0) {
      if ((flags & VIR_DOMAIN_VCPU_CONFIG) != 0 || is_maximum || hot_pluggable)
        throw invalid_argument("VIR_DOMAIN_VCPU_GUEST goes with VIR_DOMAIN_AFFECT_LIVE alone");
      return set_guest_vcpu_count(domain, caller, count);
    }
    if (is_maximum && hot_pluggable)
      throw invalid_argument("VIR_DOMAIN_VCPU_MAXIMUM and VIR_DOMAIN_VCPU_HOTPLUGGABLE exclude each other");
    if (is_maximum) return domain.set_vcpu_maximum(caller, count, flags & kAffect);
    return domain.set_vcpu_count(caller, count, hot_pluggable, flags & kAffect);
  });
}

void LocalDriver::set_vcpu_states(const Caller& caller, const Uuid& uuid, std::string vcpus, int state,
                                  unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect, "virDomainSetVcpu");
    if (state != 0 && state != 1)
      throw invalid_argument(fmt::format("{} is no state of a vCPU in virDomainSetVcpu", state));
    auto set = config::CpuSet::parse(vcpus);
    if (!set) throw invalid_argument(fmt::format("'{}' is not a list of vCPUs", vcpus.substr(0, 64)));
    return domain.set_vcpu_states(caller, *std::move(set), state == 1, flags);
  });
}

std::vector<VcpuInfo> LocalDriver::vcpu_info(const Caller&, const Uuid& uuid) const {
  const Snapshot& domain = snapshot(uuid);
  if (!domain.is_active()) throw operation_invalid("cannot retrieve vcpu information on inactive domain");
  const std::vector<std::vector<std::uint8_t>> maps = vcpu_pins({}, uuid, VIR_DOMAIN_AFFECT_LIVE);
  std::vector<VcpuInfo> result;
  for (const std::uint32_t number : config::online_vcpus(domain.live->vcpu)) {
    VcpuInfo info;
    info.number = number;
    info.state = VIR_VCPU_RUNNING;
    if (domain.counters) {
      ThreadTimes times = thread_times(domain.pid, domain.counters->vcpu_thread(number));
      info.cpu_time_ns = times.run_ns;
      info.cpu = times.cpu;
    }
    info.cpu_map = maps.at(number);
    result.push_back(std::move(info));
  }
  return result;
}

}  // namespace warren::driver::domain
