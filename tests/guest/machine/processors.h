// Application processors: started by INIT and SIPI (MultiProcessor Specification 1.4 §B.4), then given work
// by inter-processor interrupt.
#pragma once

#include <cstdint>

namespace guest {

// Starts every enabled processor of the MADT that does not run yet; returns how many run now, this one
// included.
std::uint32_t start_processors();
std::uint32_t running_processors();
// The APIC id the n-th processor reported when it started; 0 is the boot processor.
std::uint32_t processor_apic_id(std::uint32_t index);

using ProcessorFunction = void (*)(std::uint64_t argument);
// Runs function(argument) on processor `index` (not 0) with interrupts off; false when it did not finish
// within a second.
bool run_on_processor(std::uint32_t index, ProcessorFunction function, std::uint64_t argument);

}  // namespace guest
