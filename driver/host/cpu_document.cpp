#include "driver/host/cpu_document.h"

#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/kernel_text.h"
#include "driver/config/xml_schema.h"
#include "driver/config/xml_values.h"
#include "driver/contract/error.h"
#include "driver/host/cpu_schema_text.h"

namespace warren::driver::host {

namespace {

constexpr config::XmlLimits kLimits{.bytes = 256u << 10, .depth = 16, .nodes = 20'000};

Error cpu_error(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_CPU};
}

config::CpuFeatureSet& set_of(CpuDocument& document, config::CpuFeaturePolicy policy) {
  switch (policy) {
    case config::CpuFeaturePolicy::force:
      return document.forced;
    case config::CpuFeaturePolicy::optional:
      return document.optional;
    case config::CpuFeaturePolicy::disable:
      return document.disabled;
    case config::CpuFeaturePolicy::forbid:
      return document.forbidden;
    default:
      return document.required;
  }
}

void parse_feature(config::XmlElement& element, bool of_host, CpuDocument& document) {
  const std::string name = config::require_text(element, "name");
  const config::CpuFeatureBit* feature = config::find_cpu_feature(name);
  if (feature == nullptr)
    throw cpu_error(VIR_ERR_INTERNAL_ERROR, fmt::format("Unknown CPU feature {}", name));
  auto policy = config::CpuFeaturePolicy::require;
  if (!of_host) policy = config::read_enum(element, "policy", config::names::kCpuPolicy).value_or(policy);
  const std::size_t position = config::cpu_feature_position(*feature);
  if ((document.forced | document.required | document.optional | document.disabled |
       document.forbidden)[position])
    throw element.malformed(fmt::format("the feature '{}' is there already", name));
  set_of(document, policy).set(position);
}

CpuDocument parse(std::string_view xml, bool validate) {
  if (validate) {
    config::validate_against(
        {.text = std::string_view(kCpuSchema, sizeof kCpuSchema - 1), .document = "CPU", .root = "cpu"}, xml,
        kLimits);
  }
  config::XmlDocument document(xml, "CPU", kLimits);
  config::XmlElement& root = document.root();
  if (root.name() != "cpu")
    throw root.malformed(fmt::format("the document is to be <cpu>, not <{}>", root.name().substr(0, 64)));
  CpuDocument cpu;
  if (config::XmlElement* architecture = root.child("arch")) cpu.architecture = architecture->text();
  const bool of_host = !cpu.architecture.empty();
  if (!of_host)
    cpu.is_strict = config::read_enum(root, "match", config::names::kCpuMatch) == config::CpuMatch::strict;
  config::XmlElement* model = root.child("model");
  if (model == nullptr) throw cpu_error(VIR_ERR_INVALID_ARG, "no CPU model specified");
  const std::string_view name = config::trim(model->text());
  cpu.model = config::find_cpu_model(name);
  if (cpu.model == nullptr)
    throw cpu_error(VIR_ERR_INTERNAL_ERROR, fmt::format("Unknown CPU model {}", name.substr(0, 64)));
  if (config::XmlElement* vendor = root.child("vendor")) cpu.vendor = config::trim(vendor->text());
  for (config::XmlElement* feature : root.children("feature")) parse_feature(*feature, of_host, cpu);
  return cpu;
}

}  // namespace

CpuDocument parse_cpu_document(std::string_view xml, bool validate) {
  try {
    return parse(xml, validate);
  } catch (const Error& error) {
    if (error.domain() != VIR_FROM_DOMAIN) throw;
    throw cpu_error(error.code(), error.detail());
  }
}

}  // namespace warren::driver::host
