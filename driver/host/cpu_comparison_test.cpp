// CPUs by their documents: compared with a host, and intersected.

#include "driver/host/cpu_comparison.h"

#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/libvirt.h>

#include "driver/contract/error.h"

namespace warren::driver::host {
namespace {

using testing::HasSubstr;
using testing::Not;

ReferenceCpu host_of(std::string_view model, std::string_view extra = "") {
  ReferenceCpu host{.features = config::cpu_features_of(*config::find_cpu_model(model)),
                    .vendor = std::string(config::find_cpu_model(model)->vendor)};
  if (!extra.empty()) host.features.set(config::cpu_feature_position(*config::find_cpu_feature(extra)));
  return host;
}

std::string guest(std::string_view model, std::string_view more = "", std::string_view attributes = "") {
  return fmt::format("<cpu {}><model>{}</model>{}</cpu>", attributes, model, more);
}

int compare(const std::string& xml, const ReferenceCpu& host) {
  return compare_cpu(parse_cpu_document(xml, true), host).result;
}

std::string baseline(const std::vector<std::string>& xmls, const BaselineOptions& options = {}) {
  std::vector<CpuDocument> cpus;
  for (const std::string& xml : xmls) cpus.push_back(parse_cpu_document(xml, false));
  return format_baseline(cpus, options);
}

template <typename Function>
int code_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.code();
  }
  return 0;
}

TEST(CpuComparison, AModelIsIdenticalToItselfAndASupersetOfOlderOnes) {
  EXPECT_EQ(compare(guest("Haswell"), host_of("Haswell")), VIR_CPU_COMPARE_IDENTICAL);
  EXPECT_EQ(compare(guest("Nehalem"), host_of("Haswell")), VIR_CPU_COMPARE_SUPERSET);
  EXPECT_EQ(compare(guest("Haswell"), host_of("Nehalem")), VIR_CPU_COMPARE_INCOMPATIBLE);
}

TEST(CpuComparison, PoliciesOfFeatures) {
  const ReferenceCpu host = host_of("Haswell", "pdpe1gb");
  EXPECT_EQ(compare(guest("Haswell"), host), VIR_CPU_COMPARE_SUPERSET);
  const auto with = [&](std::string_view policy, std::string_view name) {
    return compare(guest("Haswell", fmt::format("<feature policy='{}' name='{}'/>", policy, name)), host);
  };
  EXPECT_EQ(with("require", "pdpe1gb"), VIR_CPU_COMPARE_IDENTICAL);
  EXPECT_EQ(with("require", "avx512f"), VIR_CPU_COMPARE_INCOMPATIBLE);
  EXPECT_EQ(with("force", "avx512f"), VIR_CPU_COMPARE_SUPERSET);
  EXPECT_EQ(with("optional", "avx512f"), VIR_CPU_COMPARE_SUPERSET);
  EXPECT_EQ(with("forbid", "pdpe1gb"), VIR_CPU_COMPARE_INCOMPATIBLE);
  EXPECT_EQ(with("forbid", "avx512f"), VIR_CPU_COMPARE_SUPERSET);
  EXPECT_EQ(with("disable", "pdpe1gb"), VIR_CPU_COMPARE_IDENTICAL);
  // What the model has and the host lacks may be disabled.
  ReferenceCpu lacking = host_of("Haswell");
  lacking.features.reset(config::cpu_feature_position(*config::find_cpu_feature("hle")));
  EXPECT_EQ(compare(guest("Haswell"), lacking), VIR_CPU_COMPARE_INCOMPATIBLE);
  EXPECT_EQ(compare(guest("Haswell", "<feature policy='disable' name='hle'/>"), lacking),
            VIR_CPU_COMPARE_IDENTICAL);
}

TEST(CpuComparison, StrictVendorAndArchitecture) {
  const ReferenceCpu host = host_of("Haswell", "pdpe1gb");
  EXPECT_EQ(compare(guest("Haswell", "", "match='strict'"), host), VIR_CPU_COMPARE_INCOMPATIBLE);
  EXPECT_EQ(compare(guest("Haswell", "", "match='strict'"), host_of("Haswell")), VIR_CPU_COMPARE_IDENTICAL);
  EXPECT_EQ(compare(guest("Haswell", "<vendor>AMD</vendor>"), host), VIR_CPU_COMPARE_INCOMPATIBLE);
  EXPECT_EQ(compare(guest("Haswell", "<vendor>Intel</vendor>"), host), VIR_CPU_COMPARE_SUPERSET);
  const auto of_host = [](std::string_view arch) {
    return fmt::format(
        "<cpu><arch>{}</arch><model>Haswell</model><vendor>Intel</vendor>"
        "<microcode version='1'/><topology sockets='1' cores='2' threads='1'/>"
        "<feature name='pdpe1gb'/></cpu>",
        arch);
  };
  EXPECT_EQ(compare(of_host("x86_64"), host), VIR_CPU_COMPARE_IDENTICAL);
  EXPECT_EQ(compare(of_host("aarch64"), host), VIR_CPU_COMPARE_INCOMPATIBLE);
}

TEST(CpuComparison, TheReasonNamesTheFeatures) {
  const CpuComparison missing =
      compare_cpu(parse_cpu_document(guest("Nehalem", "<feature policy='require' name='avx512f'/>"), false),
                  host_of("Nehalem"));
  EXPECT_THAT(missing.reason, HasSubstr("does not provide required features: avx512f"));
  const CpuComparison forbidden =
      compare_cpu(parse_cpu_document(guest("Nehalem", "<feature policy='forbid' name='sse'/>"), false),
                  host_of("Nehalem"));
  EXPECT_THAT(forbidden.reason, HasSubstr("forbidden features: sse"));
}

TEST(CpuDocument, WhatIsRefused) {
  EXPECT_EQ(code_of([] { parse_cpu_document("<cpu/>", false); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([] { parse_cpu_document(guest("Nonesuch"), false); }), VIR_ERR_INTERNAL_ERROR);
  EXPECT_EQ(code_of([] { parse_cpu_document(guest("Haswell", "<feature name='gold'/>"), false); }),
            VIR_ERR_INTERNAL_ERROR);
  EXPECT_EQ(code_of([] { parse_cpu_document(guest("Haswell", "<feature policy='x' name='sse'/>"), false); }),
            VIR_ERR_XML_ERROR);
  EXPECT_EQ(code_of([] {
              parse_cpu_document(guest("Haswell", "<feature name='sse'/><feature name='sse'/>"), false);
            }),
            VIR_ERR_XML_ERROR);
  EXPECT_EQ(code_of([] { parse_cpu_document("<domain/>", false); }), VIR_ERR_XML_ERROR);
  EXPECT_EQ(code_of([] { parse_cpu_document("<cpu", false); }), VIR_ERR_XML_DETAIL);
  EXPECT_EQ(code_of([] { parse_cpu_document(guest("Haswell", "<gold/>"), true); }),
            VIR_ERR_XML_INVALID_SCHEMA);
  EXPECT_EQ(code_of([] { parse_cpu_document(guest("Haswell", "<gold/>"), false); }), 0);
}

TEST(Baseline, OfOneModelIsThatModel) {
  for (const config::CpuModel& model : config::cpu_models()) {
    const std::string result = baseline({guest(model.name), guest(model.name)});
    EXPECT_THAT(result, HasSubstr(fmt::format("<model fallback='forbid'>{}</model>", model.name)));
    EXPECT_THAT(result, Not(HasSubstr("<feature")));
    EXPECT_THAT(result, HasSubstr("<cpu mode='custom' match='exact'>"));
  }
}

TEST(Baseline, OfTwoIsWhatBothHave) {
  const std::string result = baseline({guest("Haswell"), guest("Nehalem")});
  const CpuDocument common = parse_cpu_document(result, true);
  EXPECT_EQ(compare_cpu(common, host_of("Haswell")).result, VIR_CPU_COMPARE_SUPERSET);
  EXPECT_NE(compare_cpu(common, host_of("Nehalem")).result, VIR_CPU_COMPARE_INCOMPATIBLE);
  EXPECT_THAT(result, Not(HasSubstr("<vendor>")));  // not all of them said one
  EXPECT_THAT(
      baseline({guest("Haswell", "<vendor>Intel</vendor>"), guest("Nehalem", "<vendor>Intel</vendor>")}),
      HasSubstr("<vendor>Intel</vendor>"));
}

// Whatever the models: the result runs on each of them.
TEST(Baseline, FitsEveryPairOfModels) {
  for (const config::CpuModel& a : config::cpu_models()) {
    for (const config::CpuModel& b : config::cpu_models()) {
      std::string result;
      if (code_of([&] { result = baseline({guest(a.name), guest(b.name)}); }) != 0) {
        EXPECT_NE(a.vendor, b.vendor);
        continue;
      }
      const CpuDocument common = parse_cpu_document(result, false);
      ASSERT_NE(compare_cpu(common, host_of(a.name)).result, VIR_CPU_COMPARE_INCOMPATIBLE)
          << a.name << b.name;
      ASSERT_NE(compare_cpu(common, host_of(b.name)).result, VIR_CPU_COMPARE_INCOMPATIBLE)
          << a.name << b.name;
    }
  }
}

TEST(Baseline, OfDifferentVendorsIsRefused) {
  EXPECT_EQ(code_of([] { baseline({guest("Haswell"), guest("EPYC")}); }), VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(code_of([] { baseline({guest("Haswell", "<vendor>AMD</vendor>")}); }), VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(code_of([] { baseline({}); }), VIR_ERR_INVALID_ARG);
}

TEST(Baseline, WithAHypervisorNamesWhatBlocksAModel) {
  const ReferenceCpu hypervisor = host_of("Nehalem");
  const std::string result = baseline({guest("Haswell")}, {.hypervisor = &hypervisor});
  EXPECT_THAT(result, HasSubstr("<model fallback='forbid'>Haswell</model>"));
  EXPECT_THAT(result, HasSubstr("<feature policy='disable' name='avx2'/>"));
}

TEST(Baseline, ExpandedAndMigratable) {
  const std::string invtsc = "<feature policy='require' name='invtsc'/>";
  EXPECT_THAT(baseline({guest("Haswell", invtsc)}), HasSubstr("invtsc"));
  EXPECT_THAT(baseline({guest("Haswell", invtsc)}, {.migratable = true}), Not(HasSubstr("invtsc")));
  const std::string expanded = baseline({guest("Haswell")}, {.expand_features = true});
  for (const std::string_view name : config::model_features(*config::find_cpu_model("Haswell")))
    EXPECT_THAT(expanded, HasSubstr(fmt::format("<feature policy='require' name='{}'/>", name)));
}

}  // namespace
}  // namespace warren::driver::host
