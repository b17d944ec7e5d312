// vCPUs that come to and go from a running machine.
//
// Commands of the control protocol (protocol.h): plug_vcpus(VcpuNumbers), unplug_vcpus(VcpuNumbers). Events:
// vcpu_unplugged(VcpuNumber), vcpu_kept(VcpuNumber).
#pragma once

#include <cstdint>
#include <vector>

#include <boost/describe/class.hpp>

namespace warren::vmm::control {

struct VcpuNumbers {
  std::vector<std::uint32_t> vcpus;  // each once, 1 to 254
};
BOOST_DESCRIBE_STRUCT(VcpuNumbers, (), (vcpus))

struct VcpuNumber {
  std::uint32_t vcpu = 0;
};
BOOST_DESCRIBE_STRUCT(VcpuNumber, (), (vcpu))

// Throws vmm::Error naming what is out of its limits.
void validate(const VcpuNumbers& numbers);

// As Commands (server.h): each runs to its end before it returns; what cannot be done throws Error.
class VcpuCommands {
 public:
  // All of them or none.
  virtual void plug_vcpus(const VcpuNumbers& numbers) = 0;
  // Asks the guest, or nothing when one of them cannot go. For each it takes its time, or never lets go;
  // vcpu_unplugged tells that one is gone, vcpu_kept that the guest refuses. May be asked again.
  virtual void unplug_vcpus(const VcpuNumbers& numbers) = 0;

 protected:
  ~VcpuCommands() = default;
};

}  // namespace warren::vmm::control
