// Which of a domain's vCPUs there are: <vcpu current=…> and <vcpus>, and every change of them.
//
// Format: libvirt's formatdomain, "CPU Allocation". Plain functions on values; any thread. Those that refuse
// throw Error and change nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "driver/config/cpu.h"
#include "driver/config/cpu_set.h"

namespace warren::driver::config {

bool is_online(const VcpuCount& vcpus, std::uint32_t number) noexcept;
// Whether it comes and goes at run time: one that is offline does, whatever was said.
bool is_hot_pluggable(const VcpuCount& vcpus, std::uint32_t number) noexcept;
std::vector<std::uint32_t> online_vcpus(const VcpuCount& vcpus);

// Makes the definition say of each vCPU what is so; nothing else changes.
void tell_each(VcpuCount& vcpus);
// Keeps `current` and the rest in step. A vCPU that comes at run time is the last in order.
void set_online(VcpuCount& vcpus, std::uint32_t number, bool online);
// For a machine that starts: each vCPU that is there has its place in the order.
void assign_order(VcpuCount& vcpus);

// Of a definition that does not run: the first that are offline come, the last that are online go. `count` is
// 1 to maximum. With `hot_pluggable` those that come can go again while the domain runs.
void set_count(VcpuCount& vcpus, std::uint32_t count, bool hot_pluggable);
void set_maximum(VcpuCount& vcpus, std::uint32_t maximum);
void set_states(VcpuCount& vcpus, const CpuSet& numbers, bool online);

// The vCPUs that a running domain is to get, or to let go of, to have `count`: the lowest that are not there,
// the highest that can go.
std::vector<std::uint32_t> choose_for_count(const VcpuCount& vcpus, std::uint32_t count);
// Those of `numbers`, all of which must be in the other state and come and go.
std::vector<std::uint32_t> choose_for_states(const VcpuCount& vcpus, const CpuSet& numbers, bool online);

}  // namespace warren::driver::config
