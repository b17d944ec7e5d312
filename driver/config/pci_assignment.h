// Gives every device of a q35 its place on the PCI bus, as libvirt's qemu driver does; private to this
// folder.
//
// Virtio devices go behind root ports, one each; root ports are functions of the slots of bus 0, and what is
// conventional PCI has a slot there. There is one port more than devices use.
#pragma once

#include "driver/config/domain_definition.h"

namespace warren::driver::config {

// Adds the root ports that are missing and fills in every address that is not there. Throws driver::Error:
// XML_ERROR for addresses that collide or lead nowhere, CONFIG_UNSUPPORTED when there is no place left.
void assign_pci_addresses(Devices& devices);

// Where a device goes that comes to a running domain: behind a root port that takes devices at run time and
// has none. Checks a place that was given. Throws driver::Error: VIR_ERR_INTERNAL_ERROR when none is left,
// VIR_ERR_XML_ERROR for a place that cannot be had.
void place_hot_plugged(const Devices& devices, DeviceInfo& info);

}  // namespace warren::driver::config
