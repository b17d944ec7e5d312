// CPUs compared and intersected, by libvirt's rules for x86.
//
// Pure functions. Throws driver::Error (domain CPU).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "driver/host/cpu_document.h"

namespace warren::driver::host {

// A CPU that documents are held against.
struct ReferenceCpu {
  config::CpuFeatureSet features;
  std::string vendor;
};

struct CpuComparison {
  int result = 0;      // virCPUCompareResult
  std::string reason;  // of an incompatible one
};

CpuComparison compare_cpu(const CpuDocument& cpu, const ReferenceCpu& host);

struct BaselineOptions {
  const ReferenceCpu* hypervisor = nullptr;  // has to have it all as well
  bool expand_features = false;              // name those of the model, too
  bool migratable = false;                   // without what ties a guest to its host
};

// The <cpu> of a guest that can run on all of `cpus`. OPERATION_FAILED if there is none.
std::string format_baseline(const std::vector<CpuDocument>& cpus, const BaselineOptions& options);

}  // namespace warren::driver::host
