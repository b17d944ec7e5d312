// The kernel's performance counters of a worker's threads (perf_event_open(2)), by libvirt's event names.
//
// Opening blocks for microseconds, reading is one system call each; any thread. Throws Error naming the event
// that the kernel or the processor does not count.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

#include "driver/config/tuning.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

class PerfCounters {
 public:
  // Counts the enabled events from now on, on every thread the worker has now and those it makes.
  PerfCounters(pid_t worker, const config::PerfEvents& events);

  // The sum over all threads, in libvirt's order of events.
  std::vector<std::pair<std::string, std::uint64_t>> read() const;

 private:
  std::vector<std::pair<std::string, std::vector<vmm::FileDescriptor>>> events_;
};

}  // namespace warren::driver::domain
