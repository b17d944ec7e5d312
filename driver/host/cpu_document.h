// A <cpu> document that a client hands in to be compared: a host's, as in capabilities, or a guest's.
//
// Only what takes part in a comparison is read: architecture, model, vendor and features; the rest (caches,
// topology, counters, …) is no matter of compatibility. Throws driver::Error (domain CPU): XML_ERROR,
// INVALID_ARG for a CPU without a model, INTERNAL_ERROR for a model or feature of an unknown name (as libvirt
// has it).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "driver/config/cpu_features.h"

namespace warren::driver::host {

struct CpuDocument {
  std::string architecture;  // of a host's CPU; empty: a guest's
  const config::CpuModel* model = nullptr;
  std::string vendor;  // empty: any
  bool is_strict = false;
  // What the document says of each feature, by policy; of a host's CPU all are required.
  config::CpuFeatureSet forced, required, optional, disabled, forbidden;
};

// Against xml-schemas/cpu.rng first, if `validate`.
CpuDocument parse_cpu_document(std::string_view xml, bool validate);

}  // namespace warren::driver::host
