// PCI functions of the host that a domain has for its own: <hostdev mode='subsystem' type='pci'>.
//
// Format: libvirt's formatdomain, "Host device assignment". Values only; any thread.
#pragma once

#include <optional>
#include <string>

#include "driver/config/device_address.h"

namespace warren::driver::config {

struct HostDevice {
  bool managed = false;             // the host's driver gives way to it for as long as the domain has it
  bool has_driver = false;          // <driver name='vfio'/>: always of a running domain's
  PciAddress source;                // of the host; without `multifunction`
  std::optional<bool> rom_bar;      // <rom bar='off'/>, which is how it always is
  std::optional<bool> rom_enabled;  // <rom enabled='no'/>, likewise
  DeviceInfo info;
  bool operator==(const HostDevice&) const = default;
};

struct Devices;

// Throws VIR_ERR_XML_ERROR when two of them are one device of the host.
void check_host_devices(const Devices& devices);

}  // namespace warren::driver::config
