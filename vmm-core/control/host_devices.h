// Devices of the host that the guest has (VFIO): what the worker is told of them. The daemon has opened their
// IOMMU groups; the worker opens the devices from them.
//
// Event of the control protocol (protocol.h): none of their own. A device that the host wants back is asked
// of the guest, and device_unplugged tells that it is gone; one that fails pauses the machine
// (state_changed).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

namespace warren::vmm::control {

// A group that the machine does not have yet.
struct HostGroupSpecification {
  std::uint32_t number = 0;
  std::string descriptor;  // /dev/vfio/NUMBER
};
BOOST_DESCRIBE_STRUCT(HostGroupSpecification, (), (number, descriptor))

// What the machine's host devices are opened from.
struct HostAccessSpecification {
  std::string container;  // descriptor of /dev/vfio/vfio, used where the machine has none; empty: no device
  std::vector<HostGroupSpecification> groups;
};
BOOST_DESCRIBE_STRUCT(HostAccessSpecification, (), (container, groups))

}  // namespace warren::vmm::control
