// Names of CPU features and the CPUID bits behind them, and the CPU models made of them.
//
// The names are libvirt's and QEMU's, the bits those of the Intel SDM (volume 2A, CPUID) and the AMD APM
// (volume 3, appendix E).
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/cpu.h"
#include "driver/config/host_facts.h"

namespace warren::driver::config {

enum class CpuidRegister : std::uint8_t { eax, ebx, ecx, edx };

struct CpuFeatureBit {
  std::string_view name;
  std::uint32_t leaf;
  std::uint32_t subleaf;
  CpuidRegister output;
  std::uint8_t bit;  // 0..31
};

std::span<const CpuFeatureBit> cpu_features();                 // ordered by name
const CpuFeatureBit* find_cpu_feature(std::string_view name);  // nullptr: no such feature

struct CpuModel {
  std::string_view name;
  std::string_view vendor;    // "Intel", "AMD", "Hygon" or empty
  std::uint32_t signature;    // EAX of leaf 1; 0: none
  std::string_view features;  // names parted by blanks
};

std::span<const CpuModel> cpu_models();
const CpuModel* find_cpu_model(std::string_view name);
std::vector<std::string_view> model_features(const CpuModel& model);

// Features by their positions in cpu_features().
using CpuFeatureSet = std::bitset<512>;
std::size_t cpu_feature_position(const CpuFeatureBit& feature);
CpuFeatureSet cpu_features_of(std::span<const CpuidLeaf> cpuid);
CpuFeatureSet cpu_features_of(const CpuModel& model);

// "Intel", "AMD", "Hygon", or empty for any other.
std::string_view cpu_vendor_of(std::span<const CpuidLeaf> cpuid);

// Depends on the host's clock, so that a guest that may move has no use of it.
inline constexpr std::string_view kNotMigratable = "invtsc";

// One register quadruple of a CPUID leaf: the guest sees (supported & keep) | set. As the worker takes it.
struct CpuidMask {
  std::uint32_t leaf = 0;
  std::uint32_t subleaf = 0;
  std::uint32_t keep_eax = 0xffffffff, keep_ebx = 0xffffffff, keep_ecx = 0xffffffff, keep_edx = 0xffffffff;
  std::uint32_t set_eax = 0, set_ebx = 0, set_ecx = 0, set_edx = 0;
  bool operator==(const CpuidMask&) const = default;
};

// What the worker is told about a guest's CPU; a member left out stays the host's.
struct GuestCpu {
  std::vector<CpuidMask> masks;
  std::optional<std::string> vendor_id;  // 12 characters
  std::optional<std::uint32_t> signature;
  std::optional<std::string> model_brand;  // of a named model, for leaves 0x80000002..4
};

// Resolves <cpu> (and <clock>'s kvmclock timer, by `kvmclock`) against what KVM can give. Throws
// driver::Error (CONFIG_UNSUPPORTED) naming the features that are required and missing, or forbidden and
// present, and (XML_ERROR) for unknown names.
GuestCpu resolve_guest_cpu(const Cpu& cpu, const HostFacts& facts, bool kvmclock = true);

// The named model closest to a CPU, and what the CPU has beyond it or lacks of it.
struct HostCpuModel {
  std::string name;
  std::string vendor;                // "Intel", "AMD", "Hygon" or empty
  std::vector<CpuFeature> features;  // require: beyond the model; disable: of the model, but not there
};

// What is known of a CPU that a name is sought for.
struct CpuToName {
  CpuFeatureSet features;
  std::string_view vendor;      // as cpu_vendor_of() has it
  std::uint32_t signature = 0;  // EAX of leaf 1; 0: not known
  std::string_view preferred;   // the model to take whatever is missing of it; empty: none
};
// With `exact_subset` only a model is taken of which nothing is missing. No name: there is no such model.
HostCpuModel closest_cpu_model(const CpuToName& cpu, bool exact_subset);
HostCpuModel describe_host_cpu(std::span<const CpuidLeaf> cpuid, bool exact_subset);

// Whether a guest gets the whole model on this host; the names of what is missing otherwise.
std::vector<std::string_view> missing_features(const CpuModel& model, const HostFacts& facts);

bool has_cpu_feature(std::span<const CpuidLeaf> cpuid, const CpuFeatureBit& feature);

}  // namespace warren::driver::config
