#include "driver/config/hyperv.h"

#include <algorithm>

#include <fmt/format.h>

#include "driver/config/domain_definition.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/config/host_facts.h"
#include "driver/config/xml_values.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

using enum HypervFeature;

constexpr std::uint32_t kMinimumRetries = 0xfff;
constexpr std::size_t kMaximumVendor = 12;

// Where KVM says that it has a feature (TLFS §2.4.4 features, §2.4.5 recommendations).
constexpr std::uint32_t kFeaturesLeaf = 0x40000003, kRecommendationsLeaf = 0x40000004;
enum class Register { eax, edx };
struct Bits {
  std::uint32_t leaf = 0;
  Register where = Register::eax;
  std::uint32_t mask = 0;
};

struct Entry {
  std::string_view name;
  Bits bits;                           // no leaf: whoever has Hyper-V's interface has it
  std::optional<HypervFeature> needs;  // as libvirt's qemu driver has it
};

constexpr std::array<Entry, kHypervFeatures> kEntries = {{
    {"relaxed", {kRecommendationsLeaf, Register::eax, 1u << 5}, {}},
    {"vapic", {kFeaturesLeaf, Register::eax, 1u << 4}, {}},
    {"spinlocks", {}, {}},
    {"vpindex", {kFeaturesLeaf, Register::eax, 1u << 6}, {}},
    {"runtime", {kFeaturesLeaf, Register::eax, 1u << 0}, {}},
    {"synic", {kFeaturesLeaf, Register::eax, 1u << 2}, vpindex},
    {"stimer", {kFeaturesLeaf, Register::eax, 1u << 3}, synic},
    {"reset", {kFeaturesLeaf, Register::eax, 1u << 7}, {}},
    {"vendor_id", {}, {}},
    {"frequencies", {kFeaturesLeaf, Register::eax, 1u << 11}, {}},
    {"reenlightenment", {kFeaturesLeaf, Register::eax, 1u << 13}, {}},
    {"tlbflush", {kRecommendationsLeaf, Register::eax, 1u << 2}, vpindex},
    {"ipi", {kRecommendationsLeaf, Register::eax, 1u << 10}, vpindex},
    {"evmcs", {kRecommendationsLeaf, Register::eax, 1u << 14}, vapic},
    {"avic", {kRecommendationsLeaf, Register::eax, 1u << 9}, {}},
}};
constexpr Bits kTime = {kFeaturesLeaf, Register::eax, 1u << 1 | 1u << 9};
constexpr Bits kDirectTimers = {kFeaturesLeaf, Register::edx, 1u << 19};

const Entry& entry_of(HypervFeature feature) {
  return kEntries[static_cast<std::size_t>(feature)];
}

bool has_bits(const HostFacts& facts, const Bits& bits) {
  if (bits.leaf == 0) return !facts.hyperv_cpuid.empty();
  for (const CpuidLeaf& leaf : facts.hyperv_cpuid) {
    if (leaf.leaf != bits.leaf) continue;
    return ((bits.where == Register::eax ? leaf.eax : leaf.edx) & bits.mask) == bits.mask;
  }
  return false;
}

Error lacks(const std::string& path) {
  return config_unsupported(path, 0, "this host's KVM does not have it");
}

bool has_clock(const DomainDefinition& definition) {
  return std::ranges::any_of(definition.clock.timers, [](const Timer& timer) {
    return timer.name == TimerName::hypervclock && timer.present.value_or(true);
  });
}

void parse_values(XmlElement& element, HypervFeature feature, Hyperv& hyperv) {
  if (feature == spinlocks) {
    if (const auto retries = read_number(element, "retries", kMinimumRetries, 0xffff'ffff))
      hyperv.spinlock_retries = *retries;
    if (hyperv.has(spinlocks) && hyperv.spinlock_retries == 0)
      throw element.malformed_attribute("retries", "it is missing; it is 4095 or more");
  } else if (feature == vendor_id) {
    hyperv.vendor_id = element.attribute("value").value_or("");
    if (hyperv.vendor_id.size() > kMaximumVendor)
      throw element.malformed_attribute("value", "it is longer than 12 characters");
    if (hyperv.has(vendor_id) && hyperv.vendor_id.empty())
      throw element.malformed_attribute("value", "it is missing or empty");
    if (hyperv.vendor_id.find(',') != std::string::npos)
      throw element.malformed_attribute("value", "it cannot have a comma in it");
  } else if (feature == stimer) {
    if (XmlElement* direct = element.child("direct")) {
      require_text(*direct, "state");
      hyperv.direct_timers = read_on_off(*direct, "state");
    }
  }
}

}  // namespace

std::string_view name_of(HypervFeature feature) {
  return entry_of(feature).name;
}

bool host_has(const HostFacts& facts, HypervFeature feature) {
  return has_bits(facts, entry_of(feature).bits);
}

bool host_has_hyperv_time(const HostFacts& facts) {
  return has_bits(facts, kTime);
}

bool host_has_direct_timers(const HostFacts& facts) {
  return has_bits(facts, kDirectTimers);
}

std::optional<Hyperv> parse_hyperv(XmlElement* element) {
  if (!element) return std::nullopt;
  Hyperv hyperv;
  const auto mode = element->attribute("mode");
  if (mode && *mode != "custom" && *mode != "passthrough")
    throw element->malformed_attribute("mode",
                                       fmt::format("'{}' is not custom or passthrough", mode->substr(0, 64)));
  // What it is is said by the host: nothing below it is read, and what is there is refused.
  if (mode && *mode == "passthrough") {
    hyperv.mode = HypervMode::passthrough;
    return hyperv;
  }
  for (std::size_t i = 0; i < kHypervFeatures; ++i) {
    XmlElement* child = element->child(kEntries[i].name);
    if (!child) continue;
    require_text(*child, "state");
    hyperv.states[i] = read_on_off(*child, "state");
    parse_values(*child, static_cast<HypervFeature>(i), hyperv);
  }
  return hyperv;
}

void format_hyperv(XmlWriter& writer, const Hyperv& hyperv) {
  writer.begin("hyperv");
  writer.attribute("mode", hyperv.mode == HypervMode::passthrough ? "passthrough" : "custom");
  for (std::size_t i = 0; i < kHypervFeatures; ++i) {
    if (!hyperv.states[i]) continue;
    const auto feature = static_cast<HypervFeature>(i);
    writer.begin(kEntries[i].name);
    writer.attribute("state", *hyperv.states[i] ? "on" : "off");
    if (feature == spinlocks && hyperv.spinlock_retries != 0)
      writer.attribute("retries", hyperv.spinlock_retries);
    if (feature == vendor_id && !hyperv.vendor_id.empty()) writer.attribute("value", hyperv.vendor_id);
    if (feature == stimer && hyperv.direct_timers) {
      writer.begin("direct");
      writer.attribute("state", *hyperv.direct_timers ? "on" : "off");
      writer.end();
    }
    writer.end();
  }
  writer.end();
}

void check_hyperv(const DomainDefinition& definition, const HostFacts& facts) {
  if (has_clock(definition) && !host_has_hyperv_time(facts))
    throw lacks("/domain/clock/timer[@name='hypervclock']");
  if (!definition.features.hyperv) return;
  const Hyperv& hyperv = *definition.features.hyperv;
  const std::string path = "/domain/features/hyperv";
  if (hyperv.mode == HypervMode::passthrough) {
    if (facts.hyperv_cpuid.empty()) throw lacks(path + "/@mode");
    return;
  }
  for (std::size_t i = 0; i < kHypervFeatures; ++i) {
    if (hyperv.states[i] != true) continue;
    const std::string own = fmt::format("{}/{}", path, kEntries[i].name);
    if (!has_bits(facts, kEntries[i].bits)) throw lacks(own);
    if (const auto needed = kEntries[i].needs; needed && !hyperv.has(*needed))
      throw config_unsupported(own, 0, fmt::format("it needs <{} state='on'/>", name_of(*needed)));
  }
  if (hyperv.has(stimer) && !has_clock(definition))
    throw config_unsupported(path + "/stimer", 0, "it needs <timer name='hypervclock'/> in <clock>");
  if (hyperv.direct_timers != true) return;
  if (!hyperv.has(stimer))
    throw config_unsupported(path + "/stimer/direct", 0, "it needs <stimer state='on'/>");
  if (!host_has_direct_timers(facts)) throw lacks(path + "/stimer/direct");
}

}  // namespace warren::driver::config
