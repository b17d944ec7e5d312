// <hyperv>: what of Hyper-V's interface a guest is offered.
//
// Plain values; any thread. Format: libvirt's formatdomain, "Hypervisor features". What the interface is: the
// Hypervisor Top Level Functional Specification (TLFS).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warren::driver::config {

struct HostFacts;
struct DomainDefinition;

enum class HypervMode { custom, passthrough };

// In the order libvirt prints them in.
enum class HypervFeature {
  relaxed,
  vapic,
  spinlocks,
  vpindex,
  runtime,
  synic,
  stimer,
  reset,
  vendor_id,
  frequencies,
  reenlightenment,
  tlbflush,
  ipi,
  evmcs,
  avic,
};
inline constexpr std::size_t kHypervFeatures = 15;

struct Hyperv {
  HypervMode mode = HypervMode::custom;
  std::array<std::optional<bool>, kHypervFeatures> states;  // by feature; with mode custom only
  std::optional<bool> direct_timers;                        // <stimer><direct/>
  std::uint32_t spinlock_retries = 0;                       // of spinlocks that are on: 4095 or more
  std::string vendor_id;                                    // of vendor_id that is on: 1 to 12 characters
  bool operator==(const Hyperv&) const = default;

  std::optional<bool>& state(HypervFeature feature) { return states[static_cast<std::size_t>(feature)]; }
  bool has(HypervFeature feature) const { return states[static_cast<std::size_t>(feature)] == true; }
};

std::string_view name_of(HypervFeature feature);

// Whether this host's KVM can give a guest the feature, or the time stamps of <timer name='hypervclock'/>, or
// stimers that interrupt directly.
bool host_has(const HostFacts& facts, HypervFeature feature);
bool host_has_hyperv_time(const HostFacts& facts);
bool host_has_direct_timers(const HostFacts& facts);

// Throws Error naming the element that this host cannot honour, or that needs another.
void check_hyperv(const DomainDefinition& definition, const HostFacts& facts);

}  // namespace warren::driver::config
