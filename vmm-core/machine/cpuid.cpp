#include "vmm-core/machine/cpuid.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace warren::vmm::machine {
namespace {

constexpr std::uint32_t kKvmSignatureLeaf = 0x40000000;
constexpr std::uint32_t kKvmTscLeaf = 0x40000010;
constexpr std::uint32_t kHypervisor = 1u << 31;      // 1.ECX
constexpr std::uint32_t kTscDeadline = 1u << 24;     // 1.ECX
constexpr std::uint32_t kX2Apic = 1u << 21;          // 1.ECX
constexpr std::uint32_t kHyperThreading = 1u << 28;  // 1.EDX
constexpr std::uint32_t kOsXsave = 1u << 27;         // 1.ECX: follows CR4, KVM keeps it

// How many bits number `count` things (SDM 3A §9.9.2).
std::uint32_t bits_for(std::uint32_t count) noexcept {
  return static_cast<std::uint32_t>(std::bit_width(count - 1));
}

struct Shifts {
  std::uint32_t core = 0;     // bits of the thread number
  std::uint32_t die = 0;      // and of the core number
  std::uint32_t package = 0;  // and of the die number
};

Shifts shifts_of(const CpuConfiguration& configuration) noexcept {
  Shifts shifts;
  shifts.core = bits_for(configuration.threads);
  shifts.die = shifts.core + bits_for(configuration.cores);
  shifts.package = shifts.die + bits_for(configuration.dies);
  return shifts;
}

// CPUID leaf 0, EBX: "Auth", "Hygo".
constexpr std::uint32_t kAmd = 0x68747541, kHygon = 0x6f677948;

class Leaves {
 public:
  explicit Leaves(std::span<const kvm_cpuid_entry2> supported)
      : entries_(supported.begin(), supported.end()) {}

  kvm_cpuid_entry2* find(std::uint32_t leaf, std::uint32_t subleaf = 0) noexcept {
    for (auto& entry : entries_) {
      const bool indexed = (entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0;
      if (entry.function == leaf && (!indexed || entry.index == subleaf)) return &entry;
    }
    return nullptr;
  }

  kvm_cpuid_entry2& get(std::uint32_t leaf) {
    if (auto* found = find(leaf)) return *found;
    kvm_cpuid_entry2 entry{};
    entry.function = leaf;
    return entries_.emplace_back(entry);
  }

  void erase(std::uint32_t leaf) {
    std::erase_if(entries_, [leaf](const auto& entry) { return entry.function == leaf; });
  }

  void add(std::uint32_t leaf, std::uint32_t subleaf, std::array<std::uint32_t, 4> registers) {
    kvm_cpuid_entry2 entry{};
    entry.function = leaf;
    entry.index = subleaf;
    entry.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
    entry.eax = registers[0];
    entry.ebx = registers[1];
    entry.ecx = registers[2];
    entry.edx = registers[3];
    entries_.push_back(entry);
  }

  template <typename Each>
  void for_each(std::uint32_t leaf, Each each) {
    for (auto& entry : entries_) {
      if (entry.function == leaf) each(entry);
    }
  }

  std::vector<kvm_cpuid_entry2> take() { return std::move(entries_); }

 private:
  std::vector<kvm_cpuid_entry2> entries_;
};

void set_identity(Leaves& leaves, const CpuConfiguration& configuration) {
  if (configuration.vendor && configuration.vendor->size() == 12) {
    for (const std::uint32_t leaf : {0u, 0x80000000u}) {
      auto& entry = leaves.get(leaf);
      std::memcpy(&entry.ebx, configuration.vendor->data(), 4);
      std::memcpy(&entry.edx, configuration.vendor->data() + 4, 4);
      std::memcpy(&entry.ecx, configuration.vendor->data() + 8, 4);
    }
  }
  if (configuration.signature) {
    leaves.get(1).eax = *configuration.signature;
    if (auto* extended = leaves.find(0x80000001); extended != nullptr && extended->eax != 0) {
      extended->eax = *configuration.signature;
    }
  }
  if (!configuration.brand) return;
  std::array<char, 48> text{};
  std::memcpy(text.data(), configuration.brand->data(),
              std::min<std::size_t>(configuration.brand->size(), 47));
  for (std::uint32_t i = 0; i < 3; ++i) {
    auto& entry = leaves.get(0x80000002 + i);
    std::memcpy(&entry.eax, text.data() + i * 16, 4);
    std::memcpy(&entry.ebx, text.data() + i * 16 + 4, 4);
    std::memcpy(&entry.ecx, text.data() + i * 16 + 8, 4);
    std::memcpy(&entry.edx, text.data() + i * 16 + 12, 4);
  }
}

// KVM tells a guest of no recovery from machine checks, which are ours to make: without it an AMD guest does
// not take those that memory which has failed is told by, but gives up (APM 3 §E.4.6: McaOverflowRecov,
// SUCCOR).
void offer_recovery(Leaves& leaves) {
  constexpr std::uint32_t kOverflowRecovery = 1 << 0, kSoftwareRecovery = 1 << 1;
  auto* power = leaves.find(0x80000007);
  if (power != nullptr && is_amd(leaves.get(0).ebx)) power->ebx |= kOverflowRecovery | kSoftwareRecovery;
}

void apply_masks(Leaves& leaves, const CpuConfiguration& configuration) {
  for (const auto& mask : configuration.masks) {
    auto* entry = leaves.find(mask.leaf, mask.subleaf);
    if (entry == nullptr) continue;  // the host has no such leaf, so nothing of it can be kept or set
    entry->eax = (entry->eax & mask.keep[0]) | mask.set[0];
    entry->ebx = (entry->ebx & mask.keep[1]) | mask.set[1];
    entry->ecx = (entry->ecx & mask.keep[2]) | mask.set[2];
    entry->edx = (entry->edx & mask.keep[3]) | mask.set[3];
  }
}

// Leaf 4 (and AMD's 0x8000001D): how many logical processors share each cache, and cores per package.
void set_cache_sharing(Leaves& leaves, const Shifts& shifts) {
  const std::uint32_t cores_in_package = (1u << (shifts.package - shifts.core)) - 1;
  const auto sharing = [&](const kvm_cpuid_entry2& entry) {
    const std::uint32_t level = (entry.eax >> 5) & 7;
    const std::uint32_t shift = level <= 2 ? shifts.core : shifts.die;
    return std::min((1u << shift) - 1, 0xfffu);
  };
  leaves.for_each(4, [&](kvm_cpuid_entry2& entry) {
    if ((entry.eax & 0x1f) == 0) return;
    entry.eax = (entry.eax & 0x3fff) | (sharing(entry) << 14) | (std::min(cores_in_package, 0x3fu) << 26);
  });
  leaves.for_each(0x8000001d, [&](kvm_cpuid_entry2& entry) {
    if ((entry.eax & 0x1f) == 0) return;
    entry.eax = (entry.eax & ~(0xfffu << 14)) | (sharing(entry) << 14);
  });
}

// Leaves 0xB and 0x1F: levels with their shifts and how many logical processors each holds (SDM 2A, table
// 3-8).
void set_topology(Leaves& leaves, const CpuConfiguration& configuration, const Shifts& shifts,
                  std::uint32_t id) {
  constexpr std::uint32_t kThreadLevel = 1, kCoreLevel = 2, kDieLevel = 5;
  const std::uint32_t in_core = configuration.threads;
  const std::uint32_t in_die = in_core * configuration.cores;
  const std::uint32_t in_package = in_die * configuration.dies;
  for (const std::uint32_t leaf : {0xbu, 0x1fu}) {
    leaves.erase(leaf);
    if (leaf == 0x1f && configuration.dies == 1) continue;
    const bool with_dies = leaf == 0x1f;
    leaves.add(leaf, 0, {shifts.core, in_core, kThreadLevel << 8, id});
    leaves.add(leaf, 1,
               {with_dies ? shifts.die : shifts.package, with_dies ? in_die : in_package,
                (kCoreLevel << 8) | 1, id});
    if (with_dies) leaves.add(leaf, 2, {shifts.package, in_package, (kDieLevel << 8) | 2, id});
    const std::uint32_t last = with_dies ? 3 : 2;
    leaves.add(leaf, last, {0, 0, last, id});
  }
  auto& basic = leaves.get(0);
  basic.eax = std::max(basic.eax, configuration.dies > 1 ? 0x1fu : 0xbu);
}

void set_amd_topology(Leaves& leaves, const CpuConfiguration& configuration, const Shifts& shifts,
                      std::uint32_t id) {
  const std::uint32_t in_package = configuration.threads * configuration.cores * configuration.dies;
  if (auto* sizes = leaves.find(0x80000008)) {
    // NC: logical processors minus 1; ApicIdCoreIdSize (APM 3 §E.4.7).
    sizes->ecx = (sizes->ecx & ~0xf0ffu) | ((in_package - 1) & 0xff) | ((shifts.package & 0xf) << 12);
  }
  if (auto* extended = leaves.find(0x8000001e)) {
    const std::uint32_t core = (id >> shifts.core) & ((1u << (shifts.package - shifts.core)) - 1);
    extended->eax = id;
    extended->ebx = (core & 0xff) | ((configuration.threads - 1) << 8);
    extended->ecx = id >> shifts.package;
    extended->edx = 0;
  }
}

void set_hypervisor(Leaves& leaves, std::uint32_t tsc_khz) {
  auto* signature = leaves.find(kKvmSignatureLeaf);
  if (signature == nullptr) return;
  if (tsc_khz == 0) return;
  // TSC and local APIC bus frequency in kHz, the place guests look for under any hypervisor.
  constexpr std::uint32_t kApicBusKhz = 1'000'000;
  signature->eax = std::max(signature->eax, kKvmTscLeaf);
  auto& timing = leaves.get(kKvmTscLeaf);
  timing.eax = tsc_khz;
  timing.ebx = kApicBusKhz;
  timing.ecx = timing.edx = 0;
}

}  // namespace

bool is_amd(std::uint32_t leaf0_ebx) noexcept {
  return leaf0_ebx == kAmd || leaf0_ebx == kHygon;
}

std::uint32_t apic_id(const CpuConfiguration& configuration, std::uint32_t vcpu) noexcept {
  const Shifts shifts = shifts_of(configuration);
  const std::uint32_t thread = vcpu % configuration.threads;
  const std::uint32_t core = vcpu / configuration.threads % configuration.cores;
  const std::uint32_t die = vcpu / (configuration.threads * configuration.cores) % configuration.dies;
  const std::uint32_t socket = vcpu / (configuration.threads * configuration.cores * configuration.dies);
  return (socket << shifts.package) | (die << shifts.die) | (core << shifts.core) | thread;
}

std::vector<kvm_cpuid_entry2> make_cpuid(std::span<const kvm_cpuid_entry2> supported,
                                         const CpuConfiguration& configuration, std::uint32_t vcpu,
                                         std::uint32_t tsc_khz) {
  Leaves leaves(supported);
  // The in-kernel local APIC gives these wherever KVM runs; KVM_GET_SUPPORTED_CPUID leaves some of them to
  // us. Before the masks, so that a domain can be without them.
  leaves.get(1).ecx |= kHypervisor | kX2Apic | kTscDeadline;
  offer_recovery(leaves);
  apply_masks(leaves, configuration);
  set_identity(leaves, configuration);
  const Shifts shifts = shifts_of(configuration);
  const std::uint32_t id = apic_id(configuration, vcpu);
  const std::uint32_t in_package = configuration.threads * configuration.cores * configuration.dies;

  auto& features = leaves.get(1);
  // APIC id, logical processors in the package (rounded up to what the ids take), CLFLUSH size kept.
  features.ebx = (features.ebx & 0x0000ffff) | (id << 24) | (std::min(1u << shifts.package, 255u) << 16);
  features.ecx &= ~kOsXsave;
  features.edx = in_package > 1 ? features.edx | kHyperThreading : features.edx & ~kHyperThreading;
  if (auto* amd = leaves.find(0x80000001)) {
    constexpr std::uint32_t kLegacyMultiCore = 1 << 1;  // CmpLegacy
    if (in_package == 1) amd->ecx &= ~kLegacyMultiCore;
  }
  set_cache_sharing(leaves, shifts);
  set_topology(leaves, configuration, shifts, id);
  set_amd_topology(leaves, configuration, shifts, id);
  // Where Hyper-V's interface is, nobody looks for KVM's timing leaf.
  if (!configuration.hyperv) set_hypervisor(leaves, tsc_khz);
  return leaves.take();
}

void add_hyperv(std::vector<kvm_cpuid_entry2>& leaves, std::span<const kvm_cpuid_entry2> hyperv) {
  constexpr std::uint32_t kUsualPlace = 0x40000000, kPlaceSize = 0x100;
  for (auto& leaf : leaves) {
    if (leaf.function < kUsualPlace || leaf.function >= kUsualPlace + kPlaceSize) continue;
    if (leaf.function == kUsualPlace && leaf.eax != 0) leaf.eax += kMovedKvmLeaves - kUsualPlace;
    leaf.function += kMovedKvmLeaves - kUsualPlace;
  }
  leaves.insert(leaves.end(), hyperv.begin(), hyperv.end());
}

}  // namespace warren::vmm::machine
