// What KVM itself counts of a machine and its vCPUs: the binary statistics of KVM_GET_STATS_FD (api.rst
// §4.133), read without asking the worker.
//
// The descriptors come from a worker, which is not trusted: every size in them is checked, and the whole is
// read with pread(2). Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

class KvmStatistics {
 public:
  enum class Kind { sum, current, maximum };  // cumulative, instant, peak
  struct Value {
    std::string name;  // "halt_wait_ns"
    Kind kind = Kind::sum;
    bool is_boolean = false;
    std::uint64_t value = 0;
  };

  // Throws Error unless it is such a file. Histograms are left out.
  explicit KvmStatistics(vmm::FileDescriptor file);

  // In the kernel's order; empty when the machine is gone.
  std::vector<Value> read() const;

 private:
  struct Field {
    std::string name;
    Kind kind;
    bool is_boolean;
    std::uint32_t offset;  // from the first value
  };

  vmm::FileDescriptor file_;
  std::uint32_t data_offset_ = 0;
  std::vector<Field> fields_;
};

// Of one machine.
struct MachineStatistics {
  std::vector<KvmStatistics> machine;            // one, or none where the kernel has none
  std::map<std::uint32_t, KvmStatistics> vcpus;  // of those that were there when it was made
};

}  // namespace warren::driver::domain
