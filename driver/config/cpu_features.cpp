#include "driver/config/cpu_features.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

std::uint32_t register_of(const CpuidLeaf& leaf, CpuidRegister output) {
  switch (output) {
    case CpuidRegister::eax:
      return leaf.eax;
    case CpuidRegister::ebx:
      return leaf.ebx;
    case CpuidRegister::ecx:
      return leaf.ecx;
    default:
      return leaf.edx;
  }
}

const CpuidLeaf* find_leaf(std::span<const CpuidLeaf> cpuid, std::uint32_t leaf, std::uint32_t subleaf) {
  for (const CpuidLeaf& entry : cpuid)
    if (entry.leaf == leaf && entry.subleaf == subleaf) return &entry;
  return nullptr;
}

// Features that are not a choice of the model: KVM or the worker sets them by what the guest does (OSXSAVE,
// OSPKE) or by its topology (HTT), every KVM guest has them (hypervisor, x2APIC), or they only tell that
// the local APIC timer does not stop.
constexpr std::string_view kAlwaysKept[] = {"arat",  "cmp_legacy", "ht",    "hypervisor",
                                            "ospke", "osxsave",    "x2apic"};

}  // namespace

std::string_view cpu_vendor_of(std::span<const CpuidLeaf> cpuid) {
  const CpuidLeaf* leaf = find_leaf(cpuid, 0, 0);
  if (!leaf) return {};
  char text[12];
  std::memcpy(text, &leaf->ebx, 4);
  std::memcpy(text + 4, &leaf->edx, 4);
  std::memcpy(text + 8, &leaf->ecx, 4);
  const std::string_view vendor(text, sizeof text);
  if (vendor == "GenuineIntel") return "Intel";
  if (vendor == "AuthenticAMD") return "AMD";
  if (vendor == "HygonGenuine") return "Hygon";
  return {};
}

namespace {

// Family and model without the stepping.
constexpr std::uint32_t kSignatureMask = 0x0fff0ff0;

std::uint32_t signature(std::span<const CpuidLeaf> cpuid) {
  const CpuidLeaf* leaf = find_leaf(cpuid, 1, 0);
  return leaf ? leaf->eax & kSignatureMask : 0;
}

}  // namespace

const CpuFeatureBit* find_cpu_feature(std::string_view name) {
  const auto table = cpu_features();
  const auto found =
      std::lower_bound(table.begin(), table.end(), name,
                       [](const CpuFeatureBit& bit, std::string_view key) { return bit.name < key; });
  return found != table.end() && found->name == name ? &*found : nullptr;
}

const CpuModel* find_cpu_model(std::string_view name) {
  for (const CpuModel& model : cpu_models())
    if (model.name == name) return &model;
  return nullptr;
}

std::vector<std::string_view> model_features(const CpuModel& model) {
  std::vector<std::string_view> names;
  std::string_view rest = model.features;
  while (!rest.empty()) {
    const std::size_t blank = rest.find(' ');
    names.push_back(rest.substr(0, blank));
    rest.remove_prefix(blank == std::string_view::npos ? rest.size() : blank + 1);
  }
  return names;
}

bool has_cpu_feature(std::span<const CpuidLeaf> cpuid, const CpuFeatureBit& feature) {
  const CpuidLeaf* leaf = find_leaf(cpuid, feature.leaf, feature.subleaf);
  return leaf && (register_of(*leaf, feature.output) >> feature.bit & 1) != 0;
}

std::vector<std::string_view> missing_features(const CpuModel& model, const HostFacts& facts) {
  std::vector<std::string_view> missing;
  for (const std::string_view name : model_features(model))
    if (!has_cpu_feature(facts.kvm_cpuid, *find_cpu_feature(name))) missing.push_back(name);
  return missing;
}

std::size_t cpu_feature_position(const CpuFeatureBit& feature) {
  return static_cast<std::size_t>(&feature - cpu_features().data());
}

CpuFeatureSet cpu_features_of(std::span<const CpuidLeaf> cpuid) {
  CpuFeatureSet features;
  for (const CpuFeatureBit& bit : cpu_features())
    if (has_cpu_feature(cpuid, bit)) features.set(cpu_feature_position(bit));
  return features;
}

CpuFeatureSet cpu_features_of(const CpuModel& model) {
  CpuFeatureSet features;
  for (const std::string_view name : model_features(model))
    features.set(cpu_feature_position(*find_cpu_feature(name)));
  return features;
}

HostCpuModel closest_cpu_model(const CpuToName& cpu, bool exact_subset) {
  const CpuModel* best = nullptr;
  std::size_t best_missing = 0, best_different = 0;
  bool best_signature = false;
  const std::uint32_t wanted = cpu.signature & kSignatureMask;
  for (const CpuModel& model : cpu_models()) {
    if (!model.vendor.empty() && model.vendor != cpu.vendor) continue;
    const CpuFeatureSet of_model = cpu_features_of(model);
    const std::size_t missing = (of_model & ~cpu.features).count();
    const std::size_t different = (of_model ^ cpu.features).count();
    if (model.name == cpu.preferred) {
      best = &model;
      break;
    }
    if (exact_subset && missing > 0) continue;
    const bool same = model.signature != 0 && wanted != 0 && (model.signature & kSignatureMask) == wanted;
    // The CPU's own name first; else the one that leaves least to be said, and of those what lacks least.
    const bool better = !best || (same && !best_signature) ||
                        (same == best_signature && (different < best_different ||
                                                    (different == best_different && missing < best_missing)));
    if (!better) continue;
    best = &model;
    best_missing = missing;
    best_different = different;
    best_signature = same;
  }
  HostCpuModel result{.vendor = std::string(cpu.vendor)};
  if (!best) return result;
  result.name = best->name;
  const CpuFeatureSet different = cpu_features_of(*best) ^ cpu.features;
  for (const CpuFeatureBit& bit : cpu_features()) {
    const std::size_t position = cpu_feature_position(bit);
    if (!different[position]) continue;
    result.features.push_back({std::string(bit.name), cpu.features[position] ? CpuFeaturePolicy::require
                                                                             : CpuFeaturePolicy::disable});
  }
  return result;
}

HostCpuModel describe_host_cpu(std::span<const CpuidLeaf> cpuid, bool exact_subset) {
  return closest_cpu_model(
      {.features = cpu_features_of(cpuid), .vendor = cpu_vendor_of(cpuid), .signature = signature(cpuid)},
      exact_subset);
}

namespace {

// Collects the masks of all registers that hold features.
class MaskBuilder {
 public:
  // With `closed` every bit of every feature register is cleared that is not kept by name.
  explicit MaskBuilder(bool closed) {
    if (!closed) return;
    for (const CpuFeatureBit& bit : cpu_features()) keep_word(find(bit), bit.output) = 0;
  }

  void keep(const CpuFeatureBit& bit) { keep_word(find(bit), bit.output) |= mask(bit); }
  void clear(const CpuFeatureBit& bit) {
    keep_word(find(bit), bit.output) &= ~mask(bit);
    set_word(find(bit), bit.output) &= ~mask(bit);
  }
  void force(const CpuFeatureBit& bit) { set_word(find(bit), bit.output) |= mask(bit); }

  std::vector<CpuidMask> take() { return std::move(masks_); }

 private:
  static std::uint32_t mask(const CpuFeatureBit& bit) { return std::uint32_t{1} << bit.bit; }

  CpuidMask& find(const CpuFeatureBit& bit) {
    for (CpuidMask& entry : masks_)
      if (entry.leaf == bit.leaf && entry.subleaf == bit.subleaf) return entry;
    return masks_.emplace_back(CpuidMask{.leaf = bit.leaf, .subleaf = bit.subleaf});
  }
  static std::uint32_t& keep_word(CpuidMask& entry, CpuidRegister output) {
    switch (output) {
      case CpuidRegister::eax:
        return entry.keep_eax;
      case CpuidRegister::ebx:
        return entry.keep_ebx;
      case CpuidRegister::ecx:
        return entry.keep_ecx;
      default:
        return entry.keep_edx;
    }
  }
  static std::uint32_t& set_word(CpuidMask& entry, CpuidRegister output) {
    switch (output) {
      case CpuidRegister::eax:
        return entry.set_eax;
      case CpuidRegister::ebx:
        return entry.set_ebx;
      case CpuidRegister::ecx:
        return entry.set_ecx;
      default:
        return entry.set_edx;
    }
  }

  std::vector<CpuidMask> masks_;
};

[[noreturn]] void refuse(std::string_view detail) {
  throw Error(VIR_ERR_CONFIG_UNSUPPORTED, fmt::format("/domain/cpu: {}", detail), VIR_FROM_CPU);
}

const CpuFeatureBit& feature_or_refuse(std::string_view name) {
  if (const CpuFeatureBit* bit = find_cpu_feature(name)) return *bit;
  refuse(fmt::format("there is no CPU feature '{}'", name));
}

const CpuModel& model_or_refuse(std::string_view name) {
  if (const CpuModel* model = find_cpu_model(name)) return *model;
  refuse(fmt::format("there is no CPU model '{}'", name));
}

// What <cpu> asks the host to have, and the host has not.
void check_against_host(const Cpu& cpu, const HostFacts& facts,
                        const std::vector<std::string_view>& of_model) {
  std::vector<std::string_view> missing;
  const auto policy = [&](std::string_view name) -> std::optional<CpuFeaturePolicy> {
    for (const CpuFeature& feature : cpu.features)
      if (feature.name == name) return feature.policy;
    return std::nullopt;
  };
  for (const std::string_view name : of_model)
    if (!policy(name) && !has_cpu_feature(facts.kvm_cpuid, feature_or_refuse(name))) missing.push_back(name);
  std::vector<std::string_view> forbidden;
  for (const CpuFeature& feature : cpu.features) {
    const bool there = has_cpu_feature(facts.kvm_cpuid, feature_or_refuse(feature.name));
    if (feature.policy == CpuFeaturePolicy::require && !there) missing.push_back(feature.name);
    if (feature.policy == CpuFeaturePolicy::forbid && there) forbidden.push_back(feature.name);
  }
  if (!missing.empty())
    refuse(fmt::format("the host's CPU does not provide the features: {}", fmt::join(missing, ", ")));
  if (!forbidden.empty())
    refuse(fmt::format("the host's CPU has the forbidden features: {}", fmt::join(forbidden, ", ")));
  if (cpu.match != CpuMatch::strict) return;
  std::vector<std::string_view> extra;
  for (const CpuFeatureBit& bit : cpu_features()) {
    const bool always =
        std::find(std::begin(kAlwaysKept), std::end(kAlwaysKept), bit.name) != std::end(kAlwaysKept);
    const bool named =
        std::find(of_model.begin(), of_model.end(), bit.name) != of_model.end() || policy(bit.name);
    if (!always && !named && has_cpu_feature(facts.kvm_cpuid, bit)) extra.push_back(bit.name);
  }
  if (!extra.empty())
    refuse(fmt::format("match='strict', but the host's CPU has the features: {}", fmt::join(extra, ", ")));
}

void apply_policies(const Cpu& cpu, MaskBuilder& builder) {
  for (const CpuFeature& feature : cpu.features) {
    const CpuFeatureBit& bit = feature_or_refuse(feature.name);
    switch (feature.policy) {
      case CpuFeaturePolicy::force:
        builder.force(bit);
        break;
      case CpuFeaturePolicy::require:
      case CpuFeaturePolicy::optional:
        builder.keep(bit);
        break;
      case CpuFeaturePolicy::disable:
      case CpuFeaturePolicy::forbid:
        builder.clear(bit);
        break;
    }
  }
}

}  // namespace

GuestCpu resolve_guest_cpu(const Cpu& cpu, const HostFacts& facts, bool kvmclock) {
  const CpuMode mode = cpu.mode.value_or(CpuMode::host_passthrough);
  const bool open = is_host_cpu(mode) || (mode == CpuMode::custom && cpu.match == CpuMatch::minimum);
  GuestCpu guest;
  MaskBuilder builder(!open);
  std::vector<std::string_view> of_model;
  const std::string_view host_vendor = cpu_vendor_of(facts.kvm_cpuid);
  if (!cpu.vendor.empty() && cpu.vendor != host_vendor)
    refuse(fmt::format("the host's CPU is of {}, not of {}",
                       host_vendor.empty() ? "another vendor" : host_vendor, cpu.vendor));
  if (mode == CpuMode::custom) {
    const CpuModel& model = model_or_refuse(cpu.model);
    of_model = model_features(model);
    for (const std::string_view name : of_model) builder.keep(*find_cpu_feature(name));
    // DEVNOTE: KVM emulates by vendor, so the vendor stays the host's unless vendor_id says otherwise; and a
    // family and model number means nothing under another vendor's name.
    if (model.signature != 0 && model.vendor == host_vendor) {
      guest.signature = model.signature;
      guest.model_brand = fmt::format("Virtual CPU {}", model.name);
    }
  } else if (mode == CpuMode::host_model) {
    for (const CpuFeatureBit& bit : cpu_features()) builder.keep(bit);
  }
  for (const std::string_view name : kAlwaysKept) builder.keep(*find_cpu_feature(name));
  if (mode == CpuMode::host_model || (is_host_cpu(mode) && cpu.migratable != false))
    builder.clear(*find_cpu_feature(kNotMigratable));
  if (cpu.check != CpuCheck::none) check_against_host(cpu, facts, of_model);
  apply_policies(cpu, builder);
  if (!cpu.vendor_id.empty()) guest.vendor_id = cpu.vendor_id;
  guest.masks = builder.take();
  // KVM's paravirtual clock: KVM_FEATURE_CLOCKSOURCE, CLOCKSOURCE2 and its stable bit.
  if (!kvmclock)
    guest.masks.push_back({.leaf = 0x40000001,
                           .keep_eax = ~(std::uint32_t{1} | std::uint32_t{1} << 3 | std::uint32_t{1} << 24)});
  return guest;
}

}  // namespace warren::driver::config
