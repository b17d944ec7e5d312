// PCI functions of the host that a domain has for its own: <hostdev mode='subsystem' type='pci'>.
//
// Format: libvirt's formatdomain, "Host device assignment". Values only; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/device_address.h"
#include "driver/config/identity.h"

namespace warren::driver::config {

// What an interface that is a device of the host asks of it; its physical function sees to it.
struct NetworkFunction {
  MacAddress mac{};
  std::uint16_t vlan = 0;  // 0: none
  bool operator==(const NetworkFunction&) const = default;
};

struct HostDevice {
  bool managed = false;             // the host's driver gives way to it for as long as the domain has it
  bool has_driver = false;          // <driver name='vfio'/>: always of a running domain's
  PciAddress source;                // of the host; without `multifunction`
  std::optional<bool> rom_bar;      // <rom bar='off'/>, which is how it always is
  std::optional<bool> rom_enabled;  // <rom enabled='no'/>, likewise
  DeviceInfo info;
  std::optional<NetworkFunction> network;  // of an interface; no part of <hostdev>
  bool operator==(const HostDevice&) const = default;
};

struct Devices;
struct Interface;

// An interface as the device of the host that it is; none where it is none. Throws
// VIR_ERR_CONFIG_UNSUPPORTED for what no such device can be told.
std::optional<HostDevice> assigned_device(const Interface& interface);
// All that the domain has for its own: the interfaces that are devices of the host, and its <hostdev>s.
std::vector<HostDevice> assigned_devices(const Devices& devices);

// Throws VIR_ERR_XML_ERROR when two of them are one device of the host.
void check_host_devices(const Devices& devices);

}  // namespace warren::driver::config
