// Pinning and IOThreads.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/printf.h>

#include "driver/domain/local_driver.h"
#include "driver/domain/worker_threads.h"
#include "driver/host/node_cpu.h"

namespace warren::driver::domain {

namespace {

using config::CpuSet;

constexpr unsigned int kAffect = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;

bool has_iothread(const config::DomainDefinition& definition, std::uint32_t id) {
  return std::find(definition.iothreads.begin(), definition.iothreads.end(), config::IoThread{id}) !=
         definition.iothreads.end();
}

void set_pin(config::DomainDefinition& definition, const DomainTuning::Pin& pin, const CpuSet& cpus,
             bool is_live) {
  config::CpuTuning& tuning = definition.cpu_tuning;
  switch (pin.threads) {
    case PinnedThreads::vcpu: {
      // One that is not there now is pinned once it comes.
      const std::uint32_t count = definition.vcpu.maximum;
      if (pin.number >= count) {
        throw invalid_argument(fmt::format("vcpu {} is out of range of {} cpu count {}", pin.number,
                                           is_live ? "live" : "persistent", count));
      }
      tuning.vcpu_pins[pin.number] = cpus;
      return;
    }
    case PinnedThreads::emulator:
      tuning.emulator_pin = cpus;
      return;
    case PinnedThreads::iothread:
      if (!has_iothread(definition, pin.number))
        throw invalid_argument(fmt::format("iothread {} not found", pin.number));
      tuning.iothread_pins[pin.number] = cpus;
  }
}

std::string tunable_of(const DomainTuning::Pin& pin) {
  switch (pin.threads) {
    case PinnedThreads::vcpu:
      return fmt::sprintf(VIR_DOMAIN_TUNABLE_CPU_VCPUPIN, pin.number);
    case PinnedThreads::emulator:
      return VIR_DOMAIN_TUNABLE_CPU_EMULATORPIN;
    case PinnedThreads::iothread:
      return fmt::sprintf(VIR_DOMAIN_TUNABLE_CPU_IOTHREADSPIN, pin.number);
  }
  return {};
}

// The map a client is shown: of the host's CPUs when nothing was said.
std::vector<std::uint8_t> shown(const CpuSet& cpus, const NodeCpuMap& host) {
  return cpus.empty() ? host.map : cpus.map(host.map.size());
}

}  // namespace

void LocalDriver::pin(const Caller& caller, const Uuid& uuid, Pin pin, unsigned int flags,
                      Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect, "virDomainPin");
    const CpuSet cpus = CpuSet::from_map(pin.cpu_map);
    if (cpus.empty()) throw invalid_argument("Empty cpu list for pinning");
    TunableEvent event{{{tunable_of(pin), cpus.to_string()}}};
    auto set = [pin, cpus](config::DomainDefinition& definition, bool is_live) {
      set_pin(definition, pin, cpus, is_live);
    };
    return domain.tune(caller, "pin", flags, std::move(set), std::move(event));
  });
}

std::vector<std::uint8_t> LocalDriver::emulator_pin(const Caller&, const Uuid& uuid,
                                                    unsigned int flags) const {
  check_flags(flags, kAffect, "virDomainGetEmulatorPinInfo");
  return shown(cpus_of_emulator(definition_for(snapshot(uuid), flags)), host::node_cpu_map());
}

std::vector<std::vector<std::uint8_t>> LocalDriver::vcpu_pins(const Caller&, const Uuid& uuid,
                                                              unsigned int flags) const {
  check_flags(flags, kAffect, "virDomainGetVcpuPinInfo");
  const auto& definition = definition_for(snapshot(uuid), flags);
  const NodeCpuMap host = host::node_cpu_map();
  std::vector<std::vector<std::uint8_t>> maps;
  for (std::uint32_t i = 0; i < definition.vcpu.maximum; ++i)
    maps.push_back(shown(cpus_of_vcpu(definition, i), host));
  return maps;
}

std::vector<IoThreadInfo> LocalDriver::iothreads(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, kAffect, "virDomainGetIOThreadInfo");
  const auto& definition = definition_for(snapshot(uuid), flags);
  const NodeCpuMap host = host::node_cpu_map();
  std::vector<IoThreadInfo> result;
  for (const config::IoThread& thread : definition.iothreads)
    result.push_back({thread.id, shown(cpus_of_iothread(definition, thread.id), host)});
  return result;
}

void LocalDriver::add_iothread(const Caller& caller, const Uuid& uuid, std::uint32_t id, unsigned int flags,
                               Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect, "virDomainAddIOThread");
    if (id == 0) throw invalid_argument("invalid value of 0 for iothread_id");
    return domain.add_iothread(caller, id, flags);
  });
}

void LocalDriver::delete_iothread(const Caller& caller, const Uuid& uuid, std::uint32_t id,
                                  unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect, "virDomainDelIOThread");
    if (id == 0) throw invalid_argument("invalid value of 0 for iothread_id");
    return domain.delete_iothread(caller, id, flags);
  });
}

}  // namespace warren::driver::domain
