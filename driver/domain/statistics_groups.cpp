#include "driver/domain/statistics_groups.h"

#include <algorithm>

#include <fmt/format.h>

namespace warren::driver::domain {

namespace {

void append_kvm(const std::string& prefix, const KvmStatistics& statistics, TypedParameters& list) {
  constexpr const char* kSuffix[] = {"sum", "cur", "max"};
  for (const KvmStatistics::Value& value : statistics.read()) {
    std::string field = fmt::format("{}.{}.{}", prefix, value.name, kSuffix[static_cast<int>(value.kind)]);
    if (field.size() >= VIR_TYPED_PARAM_FIELD_LENGTH) continue;  // a client could not take it
    if (value.is_boolean) {
      list.push_back({std::move(field), value.value != 0});
    } else {
      list.push_back({std::move(field), value.value});
    }
  }
}

}  // namespace

void append_cpu_extras(const Snapshot& domain, TypedParameters& list) {
  if (!domain.is_active()) return;
  std::uint64_t success = 0, fail = 0;
  bool counted = false;
  const auto count = [&](const KvmStatistics& statistics) {
    for (const KvmStatistics::Value& value : statistics.read()) {
      if (value.name == "halt_poll_success_ns") success += value.value, counted = true;
      if (value.name == "halt_poll_fail_ns") fail += value.value;
    }
  };
  if (domain.kvm) {
    for (const auto& [number, statistics] : domain.kvm->vcpus) count(statistics);
  }
  if (counted) {
    list.push_back({"cpu.haltpoll.success.time", success});
    list.push_back({"cpu.haltpoll.fail.time", fail});
  }
  // There is no <cachetune>, so there are none.
  list.push_back({"cpu.cache.monitor.count", std::uint32_t{0}});
}

void append_vcpu_extras(const Snapshot& domain, std::uint32_t vcpu, TypedParameters& list) {
  if (!domain.kvm) return;
  const auto found = domain.kvm->vcpus.find(vcpu);
  if (found == domain.kvm->vcpus.end()) return;
  const KvmStatistics& statistics = found->second;
  for (const KvmStatistics::Value& value : statistics.read())
    if (value.name == "blocking") list.push_back({fmt::format("vcpu.{}.halted", vcpu), value.value != 0});
  append_kvm(fmt::format("vcpu.{}", vcpu), statistics, list);
}

void append_perf(const Snapshot& domain, TypedParameters& list) {
  if (!domain.perf) return;
  for (auto& [name, value] : domain.perf->read()) list.push_back({"perf." + name, value});
}

// They sleep until there is work: none of them polls.
void append_iothreads(const Snapshot& domain, TypedParameters& list) {
  if (!domain.is_active()) return;
  const auto& threads = domain.live->iothreads;
  list.push_back({"iothread.count", static_cast<std::uint32_t>(threads.size())});
  for (const config::IoThread& thread : threads) {
    const auto field = [&thread](const char* name) { return fmt::format("iothread.{}.{}", thread.id, name); };
    list.push_back({field("poll-max-ns"), std::uint64_t{0}});
    list.push_back({field("poll-grow"), std::uint32_t{0}});
    list.push_back({field("poll-shrink"), std::uint32_t{0}});
  }
}

// There is no <memorytune>, so there are no monitors.
void append_memory(const Snapshot& domain, TypedParameters& list) {
  if (domain.is_active()) list.push_back({"memory.bandwidth.monitor.count", std::uint32_t{0}});
}

void append_dirty_rate(const Snapshot& domain, TypedParameters& list) {
  if (!domain.is_active()) return;
  const DirtyRate& rate = domain.dirty_rate;
  list.push_back({"dirtyrate.calc_status", std::int32_t{rate.status}});
  list.push_back({"dirtyrate.calc_start_time", std::int64_t{rate.start_time}});
  list.push_back({"dirtyrate.calc_period", std::int32_t{rate.period_s}});
  if (rate.status == VIR_DOMAIN_DIRTYRATE_MEASURED)
    list.push_back({"dirtyrate.megabytes_per_second", std::int64_t{rate.mebibytes_per_second}});
  list.push_back({"dirtyrate.calc_mode", std::string("dirty-bitmap")});
}

void append_vm(const Snapshot& domain, TypedParameters& list) {
  if (domain.kvm && !domain.kvm->machine.empty()) append_kvm("vm", domain.kvm->machine.front(), list);
}

}  // namespace warren::driver::domain
