// One device as a document of its own, and changes of a definition by it: what virsh attach-device,
// detach-device and update-device do to a domain's XML.
//
// Pure functions; any thread. Failures are driver::Error with the codes of libvirt's qemu driver:
// VIR_ERR_OPERATION_INVALID for what is there already, VIR_ERR_DEVICE_MISSING for what is not,
// VIR_ERR_OPERATION_FAILED for what fits several, VIR_ERR_OPERATION_UNSUPPORTED for what cannot be changed.
// After a failure the definition that was to be changed is not to be used.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "driver/config/domain_defaults.h"
#include "driver/config/domain_definition.h"

namespace warren::driver::config {

using Device = std::variant<Disk, Interface, Controller, SerialPort, Console, Channel, Input, Rng, Vsock,
                            Watchdog, MemoryDevice, HostDevice>;

enum class DeviceUse {
  change,   // to attach or update: whole
  removal,  // to detach: as much as tells which it is; a disk needs no source
  copy,     // what a disk is to be copied to: a disk needs no target
};

// The document is <disk>, <interface>, …, with the rules and errors of parse_domain(). `inactive` as there.
Device parse_device(std::string_view xml, DeviceUse use, bool inactive);

// As a device of the host that the domain has for its own; none where it is none. Throws as assigned_device()
// of an interface does.
std::optional<HostDevice> assigned_device(const Device& device);

std::string_view device_kind(const Device& device);  // "disk"
DeviceInfo& info_of(Device& device);
const DeviceInfo& info_of(const Device& device);

// What fill_defaults() chooses for a device alone: models, a MAC address, a source of entropy.
void complete_device(Device& device, const RandomBytes& random = system_random_bytes);

// The one device of the definition that `wanted` names: disks by target, interfaces by MAC address,
// controllers by type and index, channels by name, host devices by their address in the host, the socket
// device and the watchdog by nothing, others by all that is said of them; and by PCI address and alias where
// those are given.
Device find_device(const DomainDefinition& definition, const Device& wanted);
// The memory device that an update names, by its place alone. Throws VIR_ERR_INVALID_ARG for none.
MemoryDevice find_memory_to_update(const DomainDefinition& definition, const MemoryDevice& wanted);
Device device_with_alias(const DomainDefinition& definition, std::string_view alias);
bool has_device(const DomainDefinition& definition, std::string_view alias);

// Throws for a device that is there already, by what tells it from others of its kind.
void require_new(const Devices& devices, const Device& device);
void add_device(DomainDefinition& definition, Device device);
// Returns what was removed.
Device remove_device(DomainDefinition& definition, const Device& wanted);
// Puts `changed` in place of the disk or interface that it names, whose MAC address, PCI address and alias it
// keeps when it has none of its own.
void replace_device(DomainDefinition& definition, const Device& changed);

// Of a running domain: the alias and the slot of a DIMM; the alias of a SCSI disk, and the place that it is
// given or has by its name; the alias and the place of another disk, SCSI controller, interface, entropy
// source, socket, input or host device or watchdog that is to be plugged in, as place_hot_plugged(); and of a
// channel or virtio console, for which one of its virtio-serial controllers has a free port. Throws Error.
void assign_hot_plugged(const DomainDefinition& live, Device& device);
// The indexes of the SCSI controllers that a running domain lacks for `device`, ascending; none for what is
// no SCSI disk.
std::vector<std::uint32_t> missing_scsi_controllers(const Devices& live, const Device& device);
// Whether the device at that address may come and go: it is the only function behind a root port whose slot
// takes devices at run time.
bool takes_hot_plug(const Devices& devices, const PciAddress& address);

// What becomes of a running domain's disk or interface by an update: `wanted` with what it leaves out taken
// from the device there is. Throws VIR_ERR_OPERATION_UNSUPPORTED naming the first thing that cannot be
// changed while the domain runs: all but a disk's <iotune>, a CD/DVD drive's <source>, and an interface's
// <link> and <bandwidth>; VIR_ERR_CONFIG_UNSUPPORTED for what is not <requested> of a memory device.
Device live_update(const DomainDefinition& live, const Device& wanted);

}  // namespace warren::driver::config
