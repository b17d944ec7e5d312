#include "driver/domain/resources.h"

#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/domain/character_file.h"
#include "driver/domain/disk_chain.h"
#include "driver/domain/host_input.h"
#include "driver/domain/vhost_user_disk.h"

namespace warren::driver::domain {

std::string backing_descriptor(std::size_t index, std::size_t depth) {
  return fmt::format("disk{}-backing{}", index, depth);
}

std::string data_descriptor(const std::string& image_descriptor) {
  return image_descriptor + "-data";
}

std::string lifeline_descriptor(std::size_t index) {
  return fmt::format("disk{}-lifeline", index);
}

std::string disk_descriptor(std::size_t index) {
  return fmt::format("disk{}", index);
}
std::string tap_descriptor(std::size_t index, std::size_t queue) {
  return fmt::format("tap{}.{}", index, queue);
}
std::string vhost_net_descriptor(std::size_t index, std::size_t queue) {
  return fmt::format("vhost-net{}.{}", index, queue);
}
std::string connection_descriptor(std::size_t index) {
  return fmt::format("net{}", index);
}
std::string input_descriptor(std::size_t index) {
  return fmt::format("input{}", index);
}
std::string serial_descriptor(std::size_t index) {
  return fmt::format("serial{}", index);
}
std::string console_descriptor(std::size_t index) {
  return fmt::format("console{}", index);
}
std::string channel_descriptor(std::size_t index) {
  return fmt::format("channel{}", index);
}
std::string log_descriptor(const std::string& character_descriptor) {
  return character_descriptor + ".log";
}

namespace {

void add(Resources& resources, std::string name, vmm::FileDescriptor descriptor) {
  resources.names.push_back(std::move(name));
  resources.descriptors.push_back(std::move(descriptor));
}

// Returns what is below the disk's own image.
std::vector<config::BackingImage> open_disk(Resources& resources, const config::Disk& disk, std::size_t index,
                                            const ResourceAccess& access) {
  if (disk.caged) {
    ServedDisk served = serve_caged_disk(disk, access.storage_daemon);
    add(resources, disk_descriptor(index), std::move(served.connection));
    add(resources, lifeline_descriptor(index), std::move(served.lifeline));
  }
  if (!disk.vhost_user.empty()) add(resources, disk_descriptor(index), connect_back_end(disk));
  if (!disk.has_source()) {  // another program's, or a drive without a medium
    resources.disks.emplace_back();
    return {};
  }
  std::vector<ChainImage> chain = open_disk_chain(disk, access.groups);
  std::vector<config::BackingImage> backing = backing_of(chain);
  DiskProperties properties;
  for (std::size_t depth = 0; depth < chain.size(); ++depth) {
    ChainImage& link = chain[depth];
    const ImageProperties image{link.image.direct, link.image.direct_alignment, link.data.file.valid()};
    const config::BackingImage& description = link.description;
    if (link.image.lacks_mark) resources.unmarked.push_back({description.source, description.format});
    if (link.data.lacks_mark) resources.unmarked.push_back({link.data_path, config::DiskFormat::raw});
    const std::string name = depth == 0 ? disk_descriptor(index) : backing_descriptor(index, depth);
    if (depth == 0) {
      properties.image = image;
    } else {
      properties.below.push_back(image);
    }
    add(resources, name, std::move(link.image.file));
    if (link.data.file) add(resources, data_descriptor(name), std::move(link.data.file));
  }
  resources.disks.push_back(std::move(properties));
  return backing;
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
  } else if (backend.type == config::CharacterBackendType::unix_socket) {
    add(resources, name,
        backend.socket_mode == config::SocketMode::connect ? connect_character_socket(backend.path)
                                                           : listen_character_socket(backend.path));
  }
  if (!backend.log_file.empty()) {
    add(resources, log_descriptor(name),
        open_output_file(backend.log_file, backend.log_append.value_or(false)));
  }
  return path;
}

// As other characters, but that its socket may have no place yet. Returns where it is.
std::string open_channel(Resources& resources, const config::Channel& channel, std::size_t index,
                         const std::filesystem::path& directory) {
  config::CharacterBackend backend = channel.backend;
  const std::string name = channel_descriptor(index);
  if (backend.type == config::CharacterBackendType::unix_socket && backend.path.empty()) {
    const std::string last = channel.name.empty() ? name : channel.name;
    if (last.find('/') != std::string::npos || last == "." || last == "..") {
      throw Error(
          VIR_ERR_CONFIG_UNSUPPORTED,
          fmt::format("channel '{}': no file can have that name; give it a <source path='…'/>", last));
    }
    backend.path = config::generated_channel_path(directory.string(), last);
    std::filesystem::create_directories(directory / "channel");
  }
  const std::string pty = open_character(resources, backend, name);
  return pty.empty() ? backend.path : pty;
}

// Returns the name of its link.
std::string open_interface(Resources& resources, const config::Interface& interface, std::size_t index,
                           const ResourceAccess& access) {
  if (config::device_plug_of(interface) != nullptr) return {};
  GuestLink link = open_guest_link(interface, access.links);
  for (std::size_t queue = 0; queue < link.queues.size(); ++queue)
    add(resources, tap_descriptor(index, queue), std::move(link.queues[queue]));
  for (std::size_t queue = 0; queue < link.vhost.size(); ++queue)
    add(resources, vhost_net_descriptor(index, queue), std::move(link.vhost[queue]));
  if (link.connection) add(resources, connection_descriptor(index), std::move(link.connection));
  if (link.half_made) resources.half_made_links.push_back(std::move(link.half_made));
  return std::move(link.name);
}

void open_input(Resources& resources, const config::Input& input, std::size_t index) {
  auto& description = resources.inputs.emplace_back();
  const bool is_evdev = input.type == config::InputType::evdev;
  if (input.type != config::InputType::passthrough && !is_evdev) return;
  HostInput opened = open_host_input(input.source, is_evdev ? HostInputUse::listen : HostInputUse::whole);
  description = std::move(opened.description);
  description->descriptor = input_descriptor(index);
  add(resources, description->descriptor, std::move(opened.device));
}

}  // namespace

Resources open_resources(const config::DomainDefinition& definition, const ResourceAccess& access) {
  Resources resources;
  add(resources, kKernelDescriptor, open_boot_file(definition.os.kernel, "/domain/os/kernel"));
  if (!definition.os.initrd.empty()) {
    add(resources, kInitrdDescriptor, open_boot_file(definition.os.initrd, "/domain/os/initrd"));
  }
  const config::Devices& devices = definition.devices;
  for (std::size_t i = 0; i < devices.disks.size(); ++i)
    resources.live.backing.push_back(open_disk(resources, devices.disks[i], i, access));
  for (std::size_t i = 0; i < devices.interfaces.size(); ++i)
    resources.live.interface_targets.push_back(open_interface(resources, devices.interfaces[i], i, access));
  for (std::size_t i = 0; i < devices.serials.size(); ++i) {
    resources.live.serial_ptys.push_back(
        open_character(resources, devices.serials[i].backend, serial_descriptor(i)));
  }
  for (std::size_t i = 0; i < devices.consoles.size(); ++i) {
    bool own_device = devices.consoles[i].target == config::ConsoleTarget::virtio;
    resources.live.console_ptys.push_back(
        own_device ? open_character(resources, devices.consoles[i].backend, console_descriptor(i)) : "");
  }
  for (std::size_t i = 0; i < devices.channels.size(); ++i)
    resources.live.channel_paths.push_back(open_channel(resources, devices.channels[i], i, access.directory));
  for (std::size_t i = 0; i < devices.inputs.size(); ++i) open_input(resources, devices.inputs[i], i);
  return resources;
}

Resources open_resources(config::Device& device, const ResourceAccess& access) {
  Resources resources;
  auto* disk = std::get_if<config::Disk>(&device);
  if (disk != nullptr) {
    disk->backing = open_disk(resources, *disk, 0, access);
    disk->backing_store_end = disk->has_source();
  } else if (auto* interface = std::get_if<config::Interface>(&device)) {
    interface->target = open_interface(resources, *interface, 0, access);
  } else if (auto* channel = std::get_if<config::Channel>(&device)) {
    if (std::string path = open_channel(resources, *channel, 0, access.directory); !path.empty())
      channel->backend.path = std::move(path);
  } else if (auto* console = std::get_if<config::Console>(&device)) {
    if (std::string path = open_character(resources, console->backend, console_descriptor(0)); !path.empty())
      console->backend.path = console->tty = std::move(path);
  } else if (const auto* input = std::get_if<config::Input>(&device)) {
    open_input(resources, *input, 0);
  }
  return resources;
}

}  // namespace warren::driver::domain
