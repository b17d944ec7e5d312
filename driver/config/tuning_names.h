// The words of <numatune> and <perf>, for XML and typed parameters alike.
#pragma once

#include <array>
#include <string_view>

#include "driver/config/tuning.h"
#include "driver/config/xml_values.h"

namespace warren::driver::config::names {

namespace detail {
inline constexpr EnumName<NumaMemoryMode> kNumaMode[] = {{"strict", NumaMemoryMode::strict},
                                                         {"preferred", NumaMemoryMode::preferred},
                                                         {"interleave", NumaMemoryMode::interleave},
                                                         {"restrictive", NumaMemoryMode::restrictive}};
}  // namespace detail

inline constexpr EnumTable<NumaMemoryMode> kNumaMode{detail::kNumaMode, {}};

// In libvirt's order (VIR_PERF_PARAM_*).
inline constexpr std::array<std::string_view, 22> kPerfEvents = {"cmt",
                                                                 "mbmt",
                                                                 "mbml",
                                                                 "cache_misses",
                                                                 "cache_references",
                                                                 "instructions",
                                                                 "cpu_cycles",
                                                                 "branch_instructions",
                                                                 "branch_misses",
                                                                 "bus_cycles",
                                                                 "stalled_cycles_frontend",
                                                                 "stalled_cycles_backend",
                                                                 "ref_cpu_cycles",
                                                                 "cpu_clock",
                                                                 "task_clock",
                                                                 "page_faults",
                                                                 "context_switches",
                                                                 "cpu_migrations",
                                                                 "page_faults_min",
                                                                 "page_faults_maj",
                                                                 "alignment_faults",
                                                                 "emulation_faults"};

}  // namespace warren::driver::config::names
