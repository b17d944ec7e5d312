#include "driver/host/node_cpu.h"

#include <algorithm>
#include <array>
#include <bit>
#include <sstream>

#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <unistd.h>

#include "driver/config/kernel_text.h"
#include "driver/contract/error.h"

namespace warren::driver::host {

namespace {

using config::read_text;

std::uint32_t count(const std::vector<std::uint8_t>& map) {
  std::uint32_t cpus = 0;
  for (const std::uint8_t byte : map) cpus += static_cast<std::uint32_t>(std::popcount(byte));
  return cpus;
}

// The columns of a line of /proc/stat (proc(5)), in clock ticks.
enum Column : std::size_t { kUser, kNice, kSystem, kIdle, kIoWait, kInterrupt, kSoftInterrupt, kColumns };

}  // namespace

std::vector<std::uint8_t> parse_cpu_list(std::string_view list, std::size_t cpus) {
  std::vector<std::uint8_t> map((cpus + 7) / 8);
  for (const std::uint32_t cpu : config::parse_number_list(list)) {
    if (cpu / 8 >= map.size()) map.resize(cpu / 8 + 1);
    map[cpu / 8] = static_cast<std::uint8_t>(map[cpu / 8] | 1u << cpu % 8);
  }
  return map;
}

NodeCpuMap node_cpu_map(const std::filesystem::path& root) {
  const std::filesystem::path cpus = root / "sys/devices/system/cpu";
  NodeCpuMap result;
  result.present = count(parse_cpu_list(read_text(cpus / "present"), 0));
  if (result.present == 0)
    result.present = static_cast<std::uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_CONF)));
  result.map = parse_cpu_list(read_text(cpus / "online"), result.present);
  result.online = count(result.map);
  if (result.online == 0) {
    result.online = result.present;
    result.map = parse_cpu_list(fmt::format("0-{}", result.present - 1), result.present);
  }
  return result;
}

std::uint32_t cpu_mhz(const std::filesystem::path& root) {
  const std::string text = read_text(root / "proc/cpuinfo");
  const std::string_view mhz = config::text_field(text, "cpu MHz");
  return config::parse_number<std::uint32_t>(mhz.substr(0, mhz.find('.'))).value_or(0);
}

std::vector<NodeStatistic> cpu_statistics(const std::filesystem::path& root, int cpu) {
  const std::string wanted = cpu == VIR_NODE_CPU_STATS_ALL_CPUS ? "cpu" : fmt::format("cpu{}", cpu);
  const std::uint64_t tick_ns =
      1'000'000'000u / static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  std::istringstream lines(read_text(root / "proc/stat"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name != wanted) continue;
    std::array<std::uint64_t, kColumns> ticks{};
    for (std::uint64_t& column : ticks) words >> column;
    if (!words) break;
    return {
        {VIR_NODE_CPU_STATS_KERNEL, (ticks[kSystem] + ticks[kInterrupt] + ticks[kSoftInterrupt]) * tick_ns},
        {VIR_NODE_CPU_STATS_USER, (ticks[kUser] + ticks[kNice]) * tick_ns},
        {VIR_NODE_CPU_STATS_IDLE, ticks[kIdle] * tick_ns},
        {VIR_NODE_CPU_STATS_IOWAIT, ticks[kIoWait] * tick_ns}};
  }
  throw Error(VIR_ERR_INVALID_ARG, fmt::format("the host has no CPU {} with statistics", cpu), VIR_FROM_NONE);
}

}  // namespace warren::driver::host
