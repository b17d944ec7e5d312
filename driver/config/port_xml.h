// The XML that interfaces of domains, networks, portgroups and network ports have in common: <vlan>,
// <virtualport>, <bandwidth>, and the <address> of a PCI device of the host.
//
// Format: libvirt's formatnetwork, "Setting VLAN tag", "Virtual port", "Quality of service". Parsing throws
// Error that names element and line. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "driver/config/device_address.h"
#include "driver/config/network_port.h"
#include "driver/config/tuning.h"
#include "driver/config/virtual_port.h"
#include "driver/config/vlan.h"
#include "driver/config/xml_tree.h"
#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

// "kernel", "libvirt"; "vepa", "private", …; "vfio", "kvm" (Xen's is not supported).
extern const EnumTable<MacTableManager> kMacTableManagerNames;
extern const EnumTable<MacvtapMode> kMacvtapModeNames;
extern const EnumTable<NetworkHostDeviceDriver> kNetworkHostDeviceDriverNames;

Vlan parse_vlan(XmlElement& element);
void format_vlan(XmlWriter& writer, const Vlan& vlan);

// Without a type, as a domain may leave it to the network, it has whatever parameters there are.
VirtualPort parse_virtual_port(XmlElement& element, bool needs_type);
void format_virtual_port(XmlWriter& writer, const VirtualPort& port);

// None for null and for an element that limits nothing. `takes_floor`: <inbound floor=…/>, a rate that is
// guaranteed, which only a network can do.
std::optional<Bandwidth> parse_bandwidth(XmlElement* element, bool takes_floor = false);
// `class_id`: 0 for none.
void format_bandwidth(XmlWriter& writer, const std::optional<Bandwidth>& bandwidth,
                      std::uint32_t class_id = 0);

// <address type='pci' domain= bus= slot= function=/> of the host.
PciAddress parse_host_pci_address(XmlElement& element);
void format_host_pci_address(XmlWriter& writer, const PciAddress& address);

}  // namespace warren::driver::config
