// Macvtaps: a guest's own address on a link of the host (type='direct').
//
// Unlike a tap, a macvtap stays until it is deleted or its device goes: whoever made it writes its name down
// first and deletes it when the guest ends. Blocks for at most some seconds (until udev has made its device
// node); any thread. Throws Error that names the macvtap and its device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/identity.h"
#include "driver/config/network_port.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::link {

struct MacvtapSettings {
  std::string name;    // empty: the first free one of macvtap0, macvtap1, …
  std::string device;  // the link that it stands on, up
  config::MacvtapMode mode = config::MacvtapMode::vepa;
  config::MacAddress guest_mac{};  // mode passthrough gives it to `device` too, until the macvtap is deleted
  std::optional<std::uint32_t> mtu;
  std::uint32_t queues = 1;
  bool vnet_header = true;  // frames begin with virtio's header of 12 bytes
  bool up = true;
};

struct Macvtap {
  std::string name;
  std::vector<vmm::FileDescriptor> queues;  // non-blocking; one for each queue pair
};

// What is half made is deleted. VIR_ERR_RESOURCE_BUSY where another has the device in mode passthrough.
Macvtap create_macvtap(const MacvtapSettings& settings);
// One that is not there is deleted already; what is no macvtap is refused.
void delete_macvtap(const std::string& name);

}  // namespace warren::driver::link
