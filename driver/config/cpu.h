// The guest's CPUs: how many, in which topology, and what CPUID tells about them.
//
// Format: libvirt's formatdomain, "CPU Allocation", "CPU model and topology".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/cpu_set.h"
#include "driver/config/guest_numa.h"

namespace warren::driver::config {

// One of <vcpus>.
struct Vcpu {
  bool online = false;
  bool hot_pluggable = true;  // always, while it is offline
  std::uint32_t order = 0;    // in which it came; 0: not given
  bool operator==(const Vcpu&) const = default;
};

// <vcpu placement='static' cpuset=… current=…>maximum</vcpu> and <vcpus>; changed by the functions of
// vcpus.h.
struct VcpuCount {
  std::uint32_t maximum = 1;  // 1..255
  std::uint32_t current = 1;  // 1..maximum: those that are online
  std::vector<Vcpu> each;     // one for each, or none: the first `current` are online and stay
  CpuSet cpuset;              // host CPUs for every thread that has no pin of its own; empty: not given
  bool operator==(const VcpuCount&) const = default;
};

// With KVM there is no more to a CPU than the host's and what KVM adds, so that `maximum` is the host's CPU,
// too.
enum class CpuMode { custom, host_model, host_passthrough, maximum };
constexpr bool is_host_cpu(CpuMode mode) noexcept {
  return mode == CpuMode::host_passthrough || mode == CpuMode::maximum;
}
enum class CpuMatch { exact, minimum, strict };
enum class CpuCheck { none, partial, full };
enum class CpuFallback { allow, forbid };
enum class CpuFeaturePolicy { force, require, optional, disable, forbid };

struct CpuFeature {
  std::string name;  // of the table in cpu_features.h
  CpuFeaturePolicy policy = CpuFeaturePolicy::require;
  bool operator==(const CpuFeature&) const = default;
};

// Sockets × dies × cores × threads; the product is VcpuCount::maximum.
struct CpuTopology {
  std::uint32_t sockets = 1;
  std::uint32_t dies = 1;
  std::uint32_t cores = 1;
  std::uint32_t threads = 1;
  bool operator==(const CpuTopology&) const = default;
};

// <cpu>
struct Cpu {
  std::optional<CpuMode> mode;  // none: fill_defaults chooses host-passthrough
  std::optional<CpuMatch> match;
  std::optional<CpuCheck> check;
  std::optional<bool> migratable;  // where is_host_cpu(mode)
  std::string model;               // custom only
  std::optional<CpuFallback> fallback;
  std::string vendor;     // the host's CPU must be of this vendor ("Intel", "AMD", …)
  std::string vendor_id;  // 12 characters the guest sees instead of its own
  std::optional<CpuTopology> topology;
  std::vector<CpuFeature> features;
  std::vector<GuestNumaCell> numa;
  bool operator==(const Cpu&) const = default;
};

}  // namespace warren::driver::config
