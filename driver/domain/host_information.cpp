#include "driver/domain/host_information.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <fstream>

#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <unistd.h>

#include "driver/config/capabilities.h"
#include "driver/contract/error.h"
#include "vmm-core/control/machine_specification.h"

namespace warren::driver::domain {

namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::uint32_t cpu_mhz() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("cpu MHz")) continue;
    auto colon = line.find(": ");
    std::uint32_t mhz = 0;
    if (colon != std::string::npos) {
      std::from_chars(line.data() + colon + 2, line.data() + line.size(), mhz);
    }
    return mhz;
  }
  return 0;
}

}  // namespace

std::vector<std::uint8_t> parse_cpu_list(const std::string& list, std::size_t cpus) {
  std::vector<std::uint8_t> map((cpus + 7) / 8);
  const char* place = list.data();
  const char* end = place + list.size();
  constexpr std::size_t kMost = 65536;
  while (place < end) {
    std::size_t first = 0;
    auto number = std::from_chars(place, end, first);
    if (number.ec != std::errc{}) break;
    std::size_t last = first;
    if (number.ptr < end && *number.ptr == '-') number = std::from_chars(number.ptr + 1, end, last);
    for (std::size_t cpu = first; cpu <= last && cpu < kMost; ++cpu) {
      if (cpu / 8 >= map.size()) map.resize(cpu / 8 + 1);
      map[cpu / 8] = static_cast<std::uint8_t>(map[cpu / 8] | 1u << cpu % 8);
    }
    place = number.ptr;
    if (place < end && *place == ',')
      ++place;
    else
      break;
  }
  return map;
}

std::string HostInformation::type(UriFlavour flavour) {
  return flavour == UriFlavour::qemu ? "QEMU" : "Warren";
}

std::uint64_t HostInformation::hypervisor_version(UriFlavour flavour) {
  // Clients that came by a qemu:// URI switch their features by QEMU's version: 7.2.0 is where they offer all
  // that is here (CONTRACT §6).
  return flavour == UriFlavour::qemu ? 7'002'000 : WARREN_VERSION_NUMBER;
}

std::uint64_t HostInformation::library_version() {
  return LIBVIR_VERSION_NUMBER;
}

std::string HostInformation::hostname() {
  char name[256];
  if (::gethostname(name, sizeof(name)) != 0) throw system_error(errno, "get the host's name");
  name[sizeof(name) - 1] = '\0';
  return name;
}

int HostInformation::maximum_vcpus(const std::optional<std::string>& type) const {
  if (type && *type != "kvm") {
    throw invalid_argument(fmt::format("unknown virtualization type '{}': there is only 'kvm'", *type));
  }
  std::uint32_t most = vmm::control::kMaximumVcpus;
  if (facts_.kvm_maximum_vcpus != 0) most = std::min(most, facts_.kvm_maximum_vcpus);
  return static_cast<int>(most);
}

NodeInfo HostInformation::node_info() const {
  NodeInfo info;
  info.model = facts_.architecture;
  info.memory_kib = facts_.memory_kib;
  info.cpus = node_cpu_map().online;
  info.mhz = cpu_mhz();
  info.nodes = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(facts_.cells.size()));
  info.sockets = facts_.sockets;
  info.cores = facts_.cores * facts_.dies;
  info.threads = facts_.threads;
  return info;
}

NodeCpuMap HostInformation::node_cpu_map() {
  NodeCpuMap result;
  auto count = [](const std::vector<std::uint8_t>& map) {
    std::uint32_t cpus = 0;
    for (auto byte : map) cpus += static_cast<std::uint32_t>(std::popcount(byte));
    return cpus;
  };
  result.present = count(parse_cpu_list(first_line("/sys/devices/system/cpu/present"), 0));
  if (result.present == 0) result.present = static_cast<std::uint32_t>(::sysconf(_SC_NPROCESSORS_CONF));
  result.map = parse_cpu_list(first_line("/sys/devices/system/cpu/online"), result.present);
  result.online = count(result.map);
  if (result.online == 0) {
    result.online = result.present;
    result.map = parse_cpu_list(fmt::format("0-{}", result.present - 1), result.present);
  }
  return result;
}

std::uint64_t HostInformation::free_memory_bytes() {
  return static_cast<std::uint64_t>(::sysconf(_SC_AVPHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

const std::string& HostInformation::capabilities_xml() const {
  if (capabilities_.empty()) capabilities_ = config::format_capabilities(facts_);
  return capabilities_;
}

std::string HostInformation::domain_capabilities_xml(const DomainCapabilitiesQuery& query) const {
  return config::format_domain_capabilities(facts_, query.emulator.value_or(""),
                                            query.architecture.value_or(""), query.machine.value_or(""),
                                            query.virtualization_type.value_or(""));
}

}  // namespace warren::driver::domain
