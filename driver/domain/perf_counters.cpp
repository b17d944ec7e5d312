#include "driver/domain/perf_counters.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver/config/tuning_names.h"
#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace {

struct Event {
  std::string_view name;
  std::uint32_t type;
  std::uint64_t number;
};

constexpr Event kEvents[] = {
    {"cpu_cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
    {"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
    {"cache_references", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_REFERENCES},
    {"cache_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
    {"branch_instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS},
    {"branch_misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES},
    {"bus_cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BUS_CYCLES},
    {"stalled_cycles_frontend", PERF_TYPE_HARDWARE, PERF_COUNT_HW_STALLED_CYCLES_FRONTEND},
    {"stalled_cycles_backend", PERF_TYPE_HARDWARE, PERF_COUNT_HW_STALLED_CYCLES_BACKEND},
    {"ref_cpu_cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_REF_CPU_CYCLES},
    {"cpu_clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK},
    {"task_clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK},
    {"page_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS},
    {"context_switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES},
    {"cpu_migrations", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS},
    {"page_faults_min", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN},
    {"page_faults_maj", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ},
    {"alignment_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_ALIGNMENT_FAULTS},
    {"emulation_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_EMULATION_FAULTS},
};

const Event& find_event(std::string_view name) {
  const auto* found = std::find_if(std::begin(kEvents), std::end(kEvents),
                                   [name](const Event& event) { return event.name == name; });
  // cmt, mbmt and mbml were counted by kernels before 4.14 only.
  if (found == std::end(kEvents))
    throw Error(VIR_ERR_ARGUMENT_UNSUPPORTED,
                fmt::format("unable to enable host cpu perf event for {}", name));
  return *found;
}

vmm::FileDescriptor open_event(const Event& event, pid_t thread) {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = event.type;
  attributes.config = event.number;
  attributes.inherit = 1;
  return vmm::FileDescriptor(
      static_cast<int>(::syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC)));
}

}  // namespace

PerfCounters::PerfCounters(pid_t worker, const config::PerfEvents& events) {
  std::vector<pid_t> threads;
  std::error_code failed;
  std::filesystem::directory_iterator tasks(fmt::format("/proc/{}/task", worker), failed);
  if (!failed)
    for (const auto& task : tasks) threads.push_back(static_cast<pid_t>(std::stol(task.path().filename())));
  for (const std::string_view name : config::names::kPerfEvents) {
    const auto wanted = events.enabled.find(std::string(name));
    if (wanted == events.enabled.end() || !wanted->second) continue;
    const Event& event = find_event(name);
    auto& counters = events_.emplace_back(name, std::vector<vmm::FileDescriptor>{}).second;
    for (const pid_t thread : threads) {
      vmm::FileDescriptor counter = open_event(event, thread);
      if (counter) {
        counters.push_back(std::move(counter));
      } else if (errno != ESRCH) {
        throw system_error(errno, fmt::format("open host cpu perf event for {}", name));
      }
    }
  }
}

std::vector<std::pair<std::string, std::uint64_t>> PerfCounters::read() const {
  std::vector<std::pair<std::string, std::uint64_t>> result;
  for (const auto& [name, counters] : events_) {
    std::uint64_t sum = 0;
    for (const auto& counter : counters) {
      std::uint64_t value = 0;
      if (::read(counter.get(), &value, sizeof(value)) == sizeof(value)) sum += value;
    }
    result.emplace_back(name, sum);
  }
  return result;
}

}  // namespace warren::driver::domain
