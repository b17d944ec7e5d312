// From a libvirt domain to the machine a worker builds. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "driver/config/domain_definition.h"
#include "driver/config/host_facts.h"
#include "driver/domain/host_devices.h"
#include "driver/domain/resources.h"
#include "vmm-core/control/hot_plug.h"
#include "vmm-core/control/machine_specification.h"

namespace warren::driver::domain {

// `live` has been through fill_defaults() and assign_live(); of `resources`, disks and inputs are in its
// order. `now` is host UTC in seconds, `host` what its host devices are opened from. Throws Error
// (CONFIG_UNSUPPORTED) for what no specification can say.
vmm::control::MachineSpecification machine_of(const config::DomainDefinition& live,
                                              const config::HostFacts& facts, const Resources& resources,
                                              std::int64_t now, const HostAccess& host = {});

// One device of a running machine, with its resources named as by open_resources(Device&).
vmm::control::PlugDevice plug_of(const config::Device& device, const Resources& resources,
                                 const config::DomainDefinition& live);
// The same for a host device.
vmm::control::PlugDevice plug_of(const config::HostDevice& device, const HostAccess& host);
// The same for a memory module, which has its slot.
vmm::control::DimmSpecification dimm_of(const config::MemoryDevice& memory,
                                        const config::DomainDefinition& live);
// The same for a channel or virtio console, which has its place on one of the controllers.
vmm::control::PlugPort port_of(const config::Devices& devices, const config::Device& device);

// What the balloon of a domain that starts is to leave the guest.
std::uint64_t balloon_target_kib(const config::DomainDefinition& definition);

// What a clock shows at `now`, minus UTC.
std::int64_t clock_offset_seconds(const config::Clock& clock, std::int64_t now);

// <iotune> for the worker.
vmm::control::DiskLimits limits_of(const config::IoTune& tune);

}  // namespace warren::driver::domain
