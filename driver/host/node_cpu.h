// The host's CPUs: which are online, how fast, and what they did.
//
// Reads procfs and sysfs below `root`; any thread. Throws driver::Error.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "driver/contract/host.h"

namespace warren::driver::host {

NodeCpuMap node_cpu_map(const std::filesystem::path& root = "/");

// 0 where the kernel does not tell.
std::uint32_t cpu_mhz(const std::filesystem::path& root);

// virNodeGetCPUStats: in libvirt's order and names.
std::vector<NodeStatistic> cpu_statistics(const std::filesystem::path& root, int cpu);

// The bits of a kernel CPU list ("0-3,8"), bit n of byte n/8, with room for at least `cpus`.
std::vector<std::uint8_t> parse_cpu_list(std::string_view list, std::size_t cpus);

}  // namespace warren::driver::host
