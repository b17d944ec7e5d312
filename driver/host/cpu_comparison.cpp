#include "driver/host/cpu_comparison.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <libvirt/libvirt.h>

#include "driver/config/domain_names.h"
#include "driver/config/xml_writer.h"
#include "driver/contract/error.h"

namespace warren::driver::host {

namespace {

using config::CpuFeatureSet;

std::string names_of(const CpuFeatureSet& features) {
  std::vector<std::string_view> names;
  for (const config::CpuFeatureBit& bit : config::cpu_features())
    if (features[config::cpu_feature_position(bit)]) names.push_back(bit.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

CpuComparison incompatible(std::string reason) {
  return {VIR_CPU_COMPARE_INCOMPATIBLE, std::move(reason)};
}

[[noreturn]] void fail(std::string detail) {
  throw Error(VIR_ERR_OPERATION_FAILED, std::move(detail), VIR_FROM_CPU);
}

// All that the CPU of a document has.
CpuFeatureSet features_of(const CpuDocument& cpu) {
  return (config::cpu_features_of(*cpu.model) | cpu.forced | cpu.required) & ~(cpu.disabled | cpu.forbidden);
}

// The vendor that all of the CPUs are of; empty if none of them says.
std::string_view common_vendor(const std::vector<CpuDocument>& cpus, const BaselineOptions& options) {
  std::string_view vendor;
  if (options.hypervisor != nullptr) vendor = options.hypervisor->vendor;
  for (const CpuDocument& cpu : cpus) {
    const std::string_view of_model = cpu.model->vendor;
    if (!cpu.vendor.empty() && !of_model.empty() && cpu.vendor != of_model)
      fail(fmt::format("CPU vendor {} of model {} differs from vendor {}", of_model, cpu.model->name,
                       cpu.vendor));
    const std::string_view own = cpu.vendor.empty() ? of_model : std::string_view(cpu.vendor);
    if (own.empty()) continue;
    if (!vendor.empty() && vendor != own) fail("CPU vendors do not match");
    vendor = own;
  }
  return vendor;
}

void expand(config::HostCpuModel& cpu) {
  for (const std::string_view name : config::model_features(*config::find_cpu_model(cpu.name))) {
    const auto same = [&](const config::CpuFeature& feature) { return feature.name == name; };
    if (std::none_of(cpu.features.begin(), cpu.features.end(), same))
      cpu.features.push_back({std::string(name), config::CpuFeaturePolicy::require});
  }
}

std::string format_guest_cpu(const config::HostCpuModel& cpu) {
  config::XmlWriter writer;
  writer.begin("cpu");
  writer.attribute("mode", "custom");
  writer.attribute("match", "exact");
  writer.begin("model");
  writer.attribute("fallback", "forbid");
  writer.text(cpu.name);
  writer.end();
  if (!cpu.vendor.empty()) writer.element("vendor", cpu.vendor);
  for (const config::CpuFeature& feature : cpu.features) {
    writer.begin("feature");
    writer.attribute("policy", config::names::kCpuPolicy.name(feature.policy));
    writer.attribute("name", feature.name);
    writer.end();
  }
  writer.end();
  return writer.take();
}

}  // namespace

CpuComparison compare_cpu(const CpuDocument& cpu, const ReferenceCpu& host) {
  if (!cpu.architecture.empty() && cpu.architecture != "x86_64" && cpu.architecture != "i686")
    return incompatible(fmt::format("CPU arch {} does not match host arch", cpu.architecture));
  if (!cpu.vendor.empty() && cpu.vendor != host.vendor)
    return incompatible(fmt::format("host CPU vendor does not match required CPU vendor {}", cpu.vendor));
  if (const CpuFeatureSet present = cpu.forbidden & host.features; present.any())
    return incompatible(fmt::format("Host CPU provides forbidden features: {}", names_of(present)));
  const CpuFeatureSet left_out = cpu.forbidden | cpu.optional | cpu.disabled;
  const CpuFeatureSet needed = (config::cpu_features_of(*cpu.model) & ~left_out) | cpu.required;
  if (const CpuFeatureSet missing = needed & ~(host.features | cpu.forced); missing.any())
    return incompatible(fmt::format("Host CPU does not provide required features: {}", names_of(missing)));
  const CpuFeatureSet extra = host.features & ~(needed | cpu.optional | cpu.disabled | cpu.forced);
  if (extra.none()) return {VIR_CPU_COMPARE_IDENTICAL, {}};
  if (cpu.is_strict) return incompatible("Host CPU does not strictly match requested CPU model");
  return {VIR_CPU_COMPARE_SUPERSET, {}};
}

std::string format_baseline(const std::vector<CpuDocument>& cpus, const BaselineOptions& options) {
  if (cpus.empty()) throw Error(VIR_ERR_INVALID_ARG, "no CPUs to find the baseline of", VIR_FROM_CPU);
  CpuFeatureSet common;
  common.set();
  if (options.hypervisor != nullptr) common = options.hypervisor->features;
  // Where all have one model's name, the result has it as well.
  std::string_view preferred = cpus.front().model->name;
  bool all_name_vendor = true;
  for (const CpuDocument& cpu : cpus) {
    common &= features_of(cpu);
    if (cpu.model->name != preferred) preferred = {};
    all_name_vendor &= !cpu.vendor.empty();
  }
  if (common.none()) fail("CPUs are incompatible");
  config::HostCpuModel result = config::closest_cpu_model(
      {.features = common, .vendor = common_vendor(cpus, options), .preferred = preferred}, false);
  if (result.name.empty()) fail("no CPU model describes what the CPUs have in common");
  if (!all_name_vendor) result.vendor.clear();
  if (options.expand_features) expand(result);
  if (options.migratable)
    std::erase_if(result.features,
                  [](const config::CpuFeature& feature) { return feature.name == config::kNotMigratable; });
  return format_guest_cpu(result);
}

}  // namespace warren::driver::host
