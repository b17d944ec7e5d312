// Ports of consoles that come and go while the machine runs.
#include <utility>

#include "vmm-core/os/error.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

void Worker::plug_port(const control::PlugPort& command, control::DescriptorSet descriptors) {
  require(machine_ != nullptr && state_ != control::MachineState::prepared, "plug_port");
  const auto console = consoles_.find(command.controller);
  if (console == consoles_.end())
    throw Error(std::errc::no_such_device, "console device '" + command.controller + "'");
  const control::ConsolePortSpecification& port = command.port;
  if (port.number >= console->second.places.size())
    throw Error(std::errc::invalid_argument,
                "plug_port: port " + std::to_string(port.number) + " is too high");
  if (console_ports_.contains(port.id))
    throw Error(std::errc::file_exists, "plug_port: there is a port '" + port.id + "'");
  auto backend = make_backend(port.character, descriptors);
  const DescriptorBackend* known_as = backend.get();
  for (const auto& [id, other] : console_ports_) {
    if (other.controller == command.controller && other.number == port.number)
      throw Error(std::errc::address_in_use, "plug_port: port " + std::to_string(port.number) + " is " + id);
  }
  PortTable::Place& place = console->second.places[port.number];
  ports_.occupy(place, port.id);
  try {
    machine_->add_backend(std::move(backend), [&](DescriptorBackend& made) {
      console->second.device->add_port({port.number, port.name, port.is_console, &made});
    });
  } catch (...) {
    ports_.vacate(place);
    throw;
  }
  console_ports_[port.id] = {command.controller, port.number, known_as};
}

void Worker::unplug_port(const control::DeviceName& command) {
  require(machine_ != nullptr && state_ != control::MachineState::prepared, "unplug_port");
  const auto port = console_ports_.find(command.id);
  if (port == console_ports_.end()) throw Error(std::errc::no_such_device, "port '" + command.id + "'");
  const ConsolePortPlace place = port->second;
  ConsoleDevice& console = consoles_.at(place.controller);
  // Out of its thread's hands first, then out of the device's; then it goes.
  const auto backend = machine_->remove_backend(*place.backend);
  console.device->remove_port(place.number);
  ports_.vacate(console.places[place.number]);
  console_ports_.erase(port);
}

}  // namespace warren::vmm::worker
