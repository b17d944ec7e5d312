// The threads of a worker by what they do, and the host CPUs they may use.
//
// A thread is known by its name, which the worker gives it: "vcpu3", "iothread1"; all others are the
// emulator's. Only threads of the worker's own process are looked at, so what an untrusted worker names
// itself harms nobody else. Any thread; throws Error.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include <sys/types.h>

#include "driver/config/domain_definition.h"

namespace warren::driver::domain {

struct WorkerThreads {
  std::map<std::uint32_t, pid_t> vcpus;
  std::map<std::uint32_t, pid_t> iothreads;
  std::vector<pid_t> emulator;
};

// Empty when the process is gone.
WorkerThreads threads_of(pid_t worker);

// What each thread may use by <vcpu cpuset=…> and <cputune>: its own pin, or that of all, or every CPU.
const config::CpuSet& cpus_of_vcpu(const config::DomainDefinition& definition, std::uint32_t vcpu);
const config::CpuSet& cpus_of_emulator(const config::DomainDefinition& definition);
const config::CpuSet& cpus_of_iothread(const config::DomainDefinition& definition, std::uint32_t iothread);

// Makes it so. A definition without any pin gives every thread all CPUs.
void apply_pins(pid_t worker, const config::DomainDefinition& definition);
bool has_pins(const config::DomainDefinition& definition);

}  // namespace warren::driver::domain
