#include "driver/domain/resources.h"

#include <fmt/format.h>

#include "driver/domain/character_file.h"
#include "driver/domain/disk_image.h"
#include "driver/domain/tap.h"

namespace warren::driver::domain {

std::string disk_descriptor(std::size_t index) {
  return fmt::format("disk{}", index);
}
std::string tap_descriptor(std::size_t index, std::size_t queue) {
  return fmt::format("tap{}.{}", index, queue);
}
std::string serial_descriptor(std::size_t index) {
  return fmt::format("serial{}", index);
}
std::string console_descriptor(std::size_t index) {
  return fmt::format("console{}", index);
}
std::string log_descriptor(const std::string& character_descriptor) {
  return character_descriptor + ".log";
}

namespace {

void add(Resources& resources, std::string name, vmm::FileDescriptor descriptor) {
  resources.names.push_back(std::move(name));
  resources.descriptors.push_back(std::move(descriptor));
}

// Returns the slave's path, or nothing for what is no pty.
std::string open_character(Resources& resources, const config::CharacterBackend& backend,
                           const std::string& name) {
  std::string path;
  if (backend.type == config::CharacterBackendType::pty) {
    PseudoTerminal terminal = open_pseudo_terminal();
    path = terminal.path;
    add(resources, name, std::move(terminal.master));
  } else if (backend.type == config::CharacterBackendType::file) {
    add(resources, name, open_output_file(backend.path, backend.append.value_or(false)));
  }
  if (!backend.log_file.empty()) {
    add(resources, log_descriptor(name),
        open_output_file(backend.log_file, backend.log_append.value_or(false)));
  }
  return path;
}

}  // namespace

Resources open_resources(const config::DomainDefinition& definition) {
  Resources resources;
  add(resources, kKernelDescriptor, open_boot_file(definition.os.kernel, "/domain/os/kernel"));
  if (!definition.os.initrd.empty()) {
    add(resources, kInitrdDescriptor, open_boot_file(definition.os.initrd, "/domain/os/initrd"));
  }
  const config::Devices& devices = definition.devices;
  for (std::size_t i = 0; i < devices.disks.size(); ++i) {
    DiskImage image = open_disk_image(devices.disks[i]);
    resources.disks.push_back({image.direct, image.direct_alignment});
    add(resources, disk_descriptor(i), std::move(image.file));
  }
  for (std::size_t i = 0; i < devices.interfaces.size(); ++i) {
    Tap tap = open_tap(devices.interfaces[i]);
    for (std::size_t queue = 0; queue < tap.queues.size(); ++queue) {
      add(resources, tap_descriptor(i, queue), std::move(tap.queues[queue]));
    }
    resources.live.interface_targets.push_back(tap.name);
  }
  for (std::size_t i = 0; i < devices.serials.size(); ++i) {
    resources.live.serial_ptys.push_back(
        open_character(resources, devices.serials[i].backend, serial_descriptor(i)));
  }
  for (std::size_t i = 0; i < devices.consoles.size(); ++i) {
    bool own_device = devices.consoles[i].target == config::ConsoleTarget::virtio;
    resources.live.console_ptys.push_back(
        own_device ? open_character(resources, devices.consoles[i].backend, console_descriptor(i)) : "");
  }
  return resources;
}

}  // namespace warren::driver::domain
