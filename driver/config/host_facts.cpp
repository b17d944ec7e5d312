#include "driver/config/host_facts.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <sstream>

#include <cpuid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "driver/config/cpu_features.h"
#include "driver/config/kernel_text.h"
#include "vmm-core/os/kvm_interface.h"

namespace warren::driver::config {

namespace {

namespace fs = std::filesystem;

template <typename Integer>
Integer number_or(const fs::path& path, Integer otherwise) {
  return read_number<Integer>(path).value_or(otherwise);
}

HostCpu gather_cpu(const fs::path& cpus, std::uint32_t id) {
  const fs::path topology = cpus / fmt::format("cpu{}", id) / "topology";
  HostCpu cpu{.id = id};
  // The kernel says -1 where it does not know.
  cpu.socket = number_or<std::uint32_t>(topology / "physical_package_id", 0);
  cpu.die = number_or<std::uint32_t>(topology / "die_id", 0);
  cpu.core = number_or<std::uint32_t>(topology / "core_id", id);
  cpu.siblings = trim(read_text(topology / "thread_siblings_list"));
  if (cpu.siblings.empty()) cpu.siblings = fmt::format("{}", id);
  return cpu;
}

void gather_pages(const fs::path& directory, NumaCell& cell) {
  std::error_code ignored;  // no such directory: no huge pages
  std::uint64_t huge_kib = 0;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename();  // hugepages-2048kB
    if (!name.starts_with("hugepages-")) continue;
    const auto size = parse_number<std::uint64_t>(std::string_view(name).substr(10));
    if (!size || *size == 0) continue;
    const auto count = number_or<std::uint64_t>(entry.path() / "nr_hugepages", 0);
    cell.pages.push_back({*size, count});
    std::uint64_t kib = 0;
    if (!__builtin_mul_overflow(*size, count, &kib)) huge_kib += kib;
  }
  const std::uint64_t small_kib = cell.memory_kib > huge_kib ? cell.memory_kib - huge_kib : 0;
  cell.pages.push_back({4, small_kib / 4});
  std::sort(cell.pages.begin(), cell.pages.end(), [](auto& a, auto& b) { return a.size_kib < b.size_kib; });
}

NumaCell gather_cell(const fs::path& root, std::uint32_t id) {
  const fs::path node = root / "sys/devices/system/node" / fmt::format("node{}", id);
  NumaCell cell{.id = id};
  const std::string memory = read_text(node / "meminfo");  // "Node 0 MemTotal:  5990620 kB"
  if (const std::size_t at = memory.find("MemTotal:"); at != std::string::npos)
    cell.memory_kib = parse_number<std::uint64_t>(std::string_view(memory).substr(at + 9)).value_or(0);
  gather_pages(node / "hugepages", cell);
  std::istringstream distances(read_text(node / "distance"));
  for (std::uint32_t distance = 0; distances >> distance;) cell.distances.push_back(distance);
  for (const std::uint32_t cpu : parse_number_list(read_text(node / "cpulist")))
    cell.cpus.push_back(gather_cpu(root / "sys/devices/system/cpu", cpu));
  return cell;
}

void gather_cells(const fs::path& root, HostFacts& facts) {
  for (const std::uint32_t id : parse_number_list(read_text(root / "sys/devices/system/node/online")))
    facts.cells.push_back(gather_cell(root, id));
  if (!facts.cells.empty()) return;
  // A kernel without NUMA: one cell of everything.
  NumaCell cell{.memory_kib = facts.memory_kib};
  gather_pages(root / "sys/kernel/mm/hugepages", cell);
  for (const std::uint32_t cpu : parse_number_list(read_text(root / "sys/devices/system/cpu/online")))
    cell.cpus.push_back(gather_cpu(root / "sys/devices/system/cpu", cpu));
  facts.cells.push_back(std::move(cell));
}

// "32768K"
std::uint64_t cache_size_kib(std::string_view text) {
  text = trim(text);
  const std::uint64_t unit = text.ends_with('M') ? 1024 : 1;
  if (text.ends_with('K') || text.ends_with('M')) text.remove_suffix(1);
  return parse_number<std::uint64_t>(text).value_or(0) * unit;
}

// The caches that CPUs share, each once: those of the third level and above.
void gather_caches(const fs::path& root, HostFacts& facts) {
  constexpr std::uint32_t kLowestLevel = 3;
  const fs::path cpus = root / "sys/devices/system/cpu";
  for (const std::uint32_t cpu : parse_number_list(read_text(cpus / "online"))) {
    for (unsigned int index = 0; index < 10; ++index) {
      const fs::path directory = cpus / fmt::format("cpu{}/cache/index{}", cpu, index);
      const auto level = read_number<std::uint32_t>(directory / "level");
      if (!level || *level < kLowestLevel) continue;
      HostCache cache{.id = number_or<std::uint32_t>(directory / "id", 0), .level = *level};
      const std::string type = read_text(directory / "type");
      cache.type = trim(type) == "Data" ? "data" : trim(type) == "Instruction" ? "code" : "both";
      cache.size_kib = cache_size_kib(read_text(directory / "size"));
      cache.cpus = trim(read_text(directory / "shared_cpu_list"));
      const auto same = [&](const HostCache& other) {
        return other.id == cache.id && other.level == cache.level && other.type == cache.type;
      };
      if (std::none_of(facts.caches.begin(), facts.caches.end(), same)) facts.caches.push_back(cache);
    }
  }
}

bool has_iommu(const fs::path& root) {
  std::error_code ignored;
  return fs::directory_iterator(root / "sys/kernel/iommu_groups", ignored) != fs::directory_iterator();
}

void count_topology(HostFacts& facts) {
  std::set<std::uint32_t> sockets;
  std::set<std::pair<std::uint32_t, std::uint32_t>> dies;
  std::set<std::string> cores;
  std::uint32_t cpus = 0;
  for (const HostCpu& cpu : facts.cells.front().cpus) {
    sockets.insert(cpu.socket);
    dies.emplace(cpu.socket, cpu.die);
    cores.insert(cpu.siblings);
    ++cpus;
  }
  if (cpus == 0) return;
  const auto count = [](const auto& set) { return static_cast<std::uint32_t>(set.size()); };
  facts.sockets = count(sockets);
  facts.dies = std::max(1u, count(dies) / facts.sockets);
  facts.cores = std::max(1u, count(cores) / (facts.sockets * facts.dies));
  facts.threads = std::max(1u, cpus / count(cores));
}

std::vector<CpuidLeaf> gather_cpuid(const CpuidReader& cpuid) {
  std::vector<CpuidLeaf> leaves;
  const std::uint32_t basic = cpuid(0, 0).eax;
  const std::uint32_t extended = cpuid(0x80000000, 0).eax;
  const auto add = [&](std::uint32_t leaf, std::uint32_t subleaf) {
    if (leaf > (leaf >= 0x80000000 ? extended : basic)) return;
    for (const CpuidLeaf& entry : leaves)
      if (entry.leaf == leaf && entry.subleaf == subleaf) return;
    leaves.push_back(cpuid(leaf, subleaf));
    leaves.back().leaf = leaf;
    leaves.back().subleaf = subleaf;
  };
  add(0, 0);
  add(0x80000000, 0);
  for (const CpuFeatureBit& bit : cpu_features()) add(bit.leaf, bit.subleaf);
  for (std::uint32_t leaf : {0x80000002u, 0x80000003u, 0x80000004u, 0x80000008u}) add(leaf, 0);
  return leaves;
}

// What either of KVM's requests for CPUID leaves answers; nothing when it has no such request.
std::vector<CpuidLeaf> ask_kvm(int kvm, unsigned long request) {
  constexpr std::uint32_t kEntries = 256;
  std::vector<std::uint64_t> buffer((sizeof(kvm_cpuid2) + kEntries * sizeof(kvm_cpuid_entry2) + 7) / 8);
  auto* table = reinterpret_cast<kvm_cpuid2*>(buffer.data());  // the ioctl's structure has no fixed size
  table->nent = kEntries;
  std::vector<CpuidLeaf> leaves;
  if (::ioctl(kvm, request, table) != 0) return leaves;
  for (std::uint32_t i = 0; i < std::min(table->nent, kEntries); ++i) {
    const kvm_cpuid_entry2& entry = table->entries[i];
    leaves.push_back({entry.function, entry.index, entry.eax, entry.ebx, entry.ecx, entry.edx});
  }
  return leaves;
}

void gather_kvm(const fs::path& root, HostFacts& facts) {
  const int kvm = ::open((root / "dev/kvm").c_str(), O_RDWR | O_CLOEXEC);
  if (kvm < 0) return;
  facts.kvm = ::ioctl(kvm, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;
  const int maximum = ::ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
  facts.kvm_maximum_vcpus = maximum > 0 ? static_cast<std::uint32_t>(maximum) : 0;
  if (facts.kvm) {
    facts.kvm_cpuid = ask_kvm(kvm, KVM_GET_SUPPORTED_CPUID);
    if (::ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_SYS_HYPERV_CPUID) > 0)
      facts.hyperv_cpuid = ask_kvm(kvm, KVM_GET_SUPPORTED_HV_CPUID);
  }
  ::close(kvm);
}

}  // namespace

CpuidLeaf read_cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  CpuidLeaf result{.leaf = leaf, .subleaf = subleaf};
  __cpuid_count(leaf, subleaf, result.eax, result.ebx, result.ecx, result.edx);
  return result;
}

HostFacts gather_host_facts(const fs::path& root, const CpuidReader& cpuid) {
  HostFacts facts;
  facts.uuid = Uuid::parse(trim(read_text(root / "sys/class/dmi/id/product_uuid")));
  if (facts.uuid && facts.uuid->is_nil()) facts.uuid.reset();
  facts.host_cpuid = gather_cpuid(cpuid);
  const std::string cpuinfo = read_text(root / "proc/cpuinfo");
  facts.microcode = parse_number<std::uint32_t>(text_field(cpuinfo, "microcode"), 16).value_or(0);
  facts.memory_kib =
      parse_number<std::uint64_t>(text_field(read_text(root / "proc/meminfo"), "MemTotal")).value_or(0);
  gather_cells(root, facts);
  count_topology(facts);
  gather_caches(root, facts);
  facts.iommu = has_iommu(root);
  gather_kvm(root, facts);
  return facts;
}

}  // namespace warren::driver::config
