// A virtio device on its PCI transport, as the machine builds it.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "vmm-core/control/machine_specification.h"
#include "vmm-core/machine/configuration.h"
#include "vmm-core/virtio/pci_transport.h"

namespace warren::vmm::worker {

inline pci::Address address_of(const control::PciAddress& address) {
  return {address.bus, address.slot, address.function};
}

// Most devices need nothing of the machine; one that takes guest memory as such, or that of memory devices,
// gets it.
template <typename MakeDevice>
std::unique_ptr<virtio::Device> make_device(MakeDevice& make, const machine::DeviceEnvironment& environment) {
  if constexpr (std::is_invocable_v<MakeDevice&, GuestMemory&>) {
    return make(environment.memory);
  } else if constexpr (std::is_invocable_v<MakeDevice&, const machine::DeviceMemories&>) {
    return make(environment.device_memories);
  } else {
    return make();
  }
}

// `make` is called once, when the device is built.
template <typename MakeDevice>
machine::PciDeviceConfiguration on_pci(const std::string& id, const control::PciAddress& address,
                                       MakeDevice make) {
  // std::function wants to be copied, the descriptors inside cannot be: shared, and used once.
  auto shared = std::make_shared<MakeDevice>(std::move(make));
  return {id, address_of(address),
          [id, shared](const machine::DeviceEnvironment& environment, pci::Place place) {
            auto transport = std::make_unique<virtio::PciTransport>(
                id, make_device(*shared, environment), std::move(place),
                virtio::PciTransport::Surroundings{environment.memory, environment.messages,
                                                   environment.doorbells});
            Pausable* pausable = transport.get();
            return machine::BuiltDevice{std::move(transport), pausable};
          }};
}

}  // namespace warren::vmm::worker
