#include "driver/domain/worker_threads.h"

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <sched.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace {

using config::CpuSet;
using config::DomainDefinition;

std::optional<std::uint32_t> number_after(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  std::uint32_t number = 0;
  const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (failed != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return number;
}

void set_affinity(pid_t thread, const CpuSet& cpus, const std::string& what) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  static_assert(CpuSet::kLimit <= CPU_SETSIZE);
  for (std::uint32_t cpu = 0; cpu < CpuSet::kLimit; ++cpu)
    if (cpus.empty() || cpus.contains(cpu)) CPU_SET(cpu, &mask);
  // One that has ended meanwhile needs no CPUs.
  if (::sched_setaffinity(thread, sizeof(mask), &mask) != 0 && errno != ESRCH) {
    throw system_error(errno, fmt::format("pin {} to CPUs {}", what, cpus.to_string()));
  }
}

const CpuSet& own_or_common(const std::map<std::uint32_t, CpuSet>& pins, std::uint32_t number,
                            const DomainDefinition& definition) {
  const auto own = pins.find(number);
  return own != pins.end() ? own->second : definition.vcpu.cpuset;
}

}  // namespace

WorkerThreads threads_of(pid_t worker) {
  WorkerThreads threads;
  std::error_code failed;
  std::filesystem::directory_iterator tasks(fmt::format("/proc/{}/task", worker), failed);
  if (failed) return threads;
  for (const auto& task : tasks) {
    const auto id = number_after(task.path().filename().string(), "");
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (!id || name.empty()) continue;
    const auto thread = static_cast<pid_t>(*id);
    if (const auto vcpu = number_after(name, "vcpu")) {
      threads.vcpus[*vcpu] = thread;
    } else if (const auto iothread = number_after(name, "iothread")) {
      threads.iothreads[*iothread] = thread;
    } else {
      threads.emulator.push_back(thread);
    }
  }
  return threads;
}

const CpuSet& cpus_of_vcpu(const DomainDefinition& definition, std::uint32_t vcpu) {
  return own_or_common(definition.cpu_tuning.vcpu_pins, vcpu, definition);
}

const CpuSet& cpus_of_iothread(const DomainDefinition& definition, std::uint32_t iothread) {
  return own_or_common(definition.cpu_tuning.iothread_pins, iothread, definition);
}

const CpuSet& cpus_of_emulator(const DomainDefinition& definition) {
  const CpuSet& own = definition.cpu_tuning.emulator_pin;
  return own.empty() ? definition.vcpu.cpuset : own;
}

bool has_pins(const DomainDefinition& definition) {
  const config::CpuTuning& tuning = definition.cpu_tuning;
  return !definition.vcpu.cpuset.empty() || !tuning.emulator_pin.empty() || !tuning.vcpu_pins.empty() ||
         !tuning.iothread_pins.empty();
}

void apply_pins(pid_t worker, const DomainDefinition& definition) {
  const WorkerThreads threads = threads_of(worker);
  for (const auto& [number, thread] : threads.vcpus)
    set_affinity(thread, cpus_of_vcpu(definition, number), fmt::format("vCPU {}", number));
  for (const auto& [number, thread] : threads.iothreads)
    set_affinity(thread, cpus_of_iothread(definition, number), fmt::format("IOThread {}", number));
  for (const pid_t thread : threads.emulator)
    set_affinity(thread, cpus_of_emulator(definition), "the emulator");
}

}  // namespace warren::driver::domain
