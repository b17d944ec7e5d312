// <devices> and what is in it.
#include <fmt/format.h>

#include "driver/config/caged_disk.h"
#include "driver/config/disk_driver.h"
#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/config/scsi_devices.h"
#include "driver/config/vhost_user_disk.h"

namespace warren::driver::config {

namespace {

void format_pci_address_element(XmlWriter& writer, const PciAddress& address) {
  writer.begin("address");
  writer.attribute("type", "pci");
  writer.attribute("domain", fmt::format("0x{:04x}", address.segment));
  writer.attribute("bus", fmt::format("0x{:02x}", address.bus));
  writer.attribute("slot", fmt::format("0x{:02x}", address.slot));
  writer.attribute("function", fmt::format("0x{:x}", address.function));
  if (address.multifunction) writer.attribute("multifunction", on_off(*address.multifunction));
  writer.end();
}

void format_backend_children(XmlWriter& writer, const CharacterBackend& backend,
                             const FormatContext& context) {
  const bool live_only = backend.type == CharacterBackendType::pty;
  if (!backend.path.empty() && (context.live || !live_only)) {
    writer.begin("source");
    if (backend.type == CharacterBackendType::unix_socket)
      writer.attribute("mode", names::kSocketMode.name(backend.socket_mode.value_or(SocketMode::bind)));
    writer.attribute("path", backend.path);
    format_optional(writer, "append", backend.append);
    writer.end();
  }
  if (!backend.log_file.empty()) {
    writer.begin("log");
    writer.attribute("file", backend.log_file);
    format_optional(writer, "append", backend.log_append);
    writer.end();
  }
}

void format_serial_address(XmlWriter& writer, const std::optional<VirtioSerialAddress>& address) {
  if (!address) return;
  writer.begin("address");
  writer.attribute("type", "virtio-serial");
  writer.attribute("controller", address->controller);
  writer.attribute("bus", address->bus);
  writer.attribute("port", address->port);
  writer.end();
}

}  // namespace

void format_device_info(XmlWriter& writer, const DeviceInfo& info, const FormatContext& context) {
  if (info.boot_order) {
    writer.begin("boot");
    writer.attribute("order", *info.boot_order);
    writer.end();
  }
  if (!info.alias.empty() && (context.live || info.alias.starts_with("ua-"))) {
    writer.begin("alias");
    writer.attribute("name", info.alias);
    writer.end();
  }
  if (info.pci) format_pci_address_element(writer, *info.pci);
}

void format_serial(XmlWriter& writer, const SerialPort& serial, const FormatContext& context) {
  writer.begin("serial");
  writer.attribute("type", names::kCharacter.name(serial.backend.type));
  format_backend_children(writer, serial.backend, context);
  if (serial.target_given || serial.port) {
    writer.begin("target");
    if (serial.target_given) writer.attribute("type", "isa-serial");
    format_optional(writer, "port", serial.port);
    if (serial.target_given) {
      writer.begin("model");
      writer.attribute("name", "isa-serial");
      writer.end();
    }
    writer.end();
  }
  format_device_info(writer, serial.info, context);
  writer.end();
}

void format_console(XmlWriter& writer, const Console& console, const FormatContext& context) {
  writer.begin("console");
  writer.attribute("type", names::kCharacter.name(console.backend.type));
  if (context.live && !console.tty.empty()) writer.attribute("tty", console.tty);
  format_backend_children(writer, console.backend, context);
  if (console.target_given || console.port) {
    writer.begin("target");
    if (console.target_given) writer.attribute("type", names::kConsoleTarget.name(console.target));
    format_optional(writer, "port", console.port);
    writer.end();
  }
  format_device_info(writer, console.info, context);
  format_serial_address(writer, console.address);
  writer.end();
}

void format_channel(XmlWriter& writer, const Channel& channel, const FormatContext& context) {
  writer.begin("channel");
  writer.attribute("type", names::kCharacter.name(channel.backend.type));
  format_backend_children(writer, channel.backend, context);
  writer.begin("target");
  writer.attribute("type", "virtio");
  if (!channel.name.empty()) writer.attribute("name", channel.name);
  if (context.live && channel.connected)
    writer.attribute("state", *channel.connected ? "connected" : "disconnected");
  writer.end();
  format_device_info(writer, channel.info, context);
  format_serial_address(writer, channel.address);
  writer.end();
}

namespace {

// Attributes and children of a <source>, which is open.
void format_source(XmlWriter& writer, DiskSourceType type, const std::string& source,
                   const std::optional<NbdServer>& server) {
  if (!server) {
    if (!source.empty()) writer.attribute(type == DiskSourceType::file ? "file" : "dev", source);
    return;
  }
  writer.attribute("protocol", "nbd");
  if (!source.empty()) writer.attribute("name", source);
  if (server->says_no_tls) writer.attribute("tls", "no");
}

void format_server(XmlWriter& writer, const std::optional<NbdServer>& server) {
  if (!server) return;
  writer.begin("host");
  if (server->socket.empty()) {
    writer.attribute("name", server->host);
    format_optional(writer, "port", server->port);
  } else {
    writer.attribute("transport", "unix");
    writer.attribute("socket", server->socket);
  }
  writer.end();
}

void format_disk_source(XmlWriter& writer, const Disk& disk, const FormatContext& context) {
  if (disk.is_empty() && !disk.startup_policy) return;
  if (!disk.vhost_user.empty()) return format_vhost_user_source(writer, disk);
  if (disk.caged) return format_caged_source(writer, disk);
  writer.begin("source");
  if (disk.volume) {
    writer.attribute("pool", disk.volume->pool);
    writer.attribute("volume", disk.volume->name);
  } else {
    format_source(writer, disk.source_type, disk.source, disk.server);
  }
  if (!disk.descriptor_group.empty()) writer.attribute("fdgroup", disk.descriptor_group);
  if (disk.startup_policy)
    writer.attribute("startupPolicy", names::kStartupPolicy.name(*disk.startup_policy));
  if (context.live) format_optional(writer, "index", disk.source_index);
  format_server(writer, disk.server);
  writer.end();
}

void format_image(XmlWriter& writer, const BackingImage& image, std::optional<std::uint32_t> index) {
  writer.begin("format");
  writer.attribute("type", names::kDiskFormat.name(image.format));
  writer.end();
  writer.begin("source");
  format_source(writer, image.source_type, image.source, image.server);
  format_optional(writer, "index", index);
  format_server(writer, image.server);
  writer.end();
}

// Each below the one that it is read through.
void format_backing_chain(XmlWriter& writer, const std::vector<BackingImage>& backing, bool ends,
                          const FormatContext& context) {
  for (const BackingImage& image : backing) {
    writer.begin("backingStore");
    writer.attribute("type", names::kDiskType.name(image.source_type));
    if (context.live) format_optional(writer, "index", image.source_index);
    format_image(writer, image, std::nullopt);
  }
  if (ends) writer.empty("backingStore");
  for (std::size_t i = 0; i < backing.size(); ++i) writer.end();
}

void format_mirror(XmlWriter& writer, const DiskMirror& mirror, const FormatContext& context) {
  const BackingImage& image = mirror.image;
  writer.begin("mirror");
  writer.attribute("type", names::kDiskType.name(image.source_type));
  // For clients that know no other place for it.
  if (mirror.job == MirrorJob::copy && image.source_type == DiskSourceType::file) {
    writer.attribute("file", image.source);
    writer.attribute("format", names::kDiskFormat.name(image.format));
  }
  writer.attribute("job", names::kMirrorJob.name(mirror.job));
  if (mirror.state != MirrorState::running) writer.attribute("ready", names::kMirrorState.name(mirror.state));
  format_image(writer, image, image.source_index);
  if (mirror.job == MirrorJob::copy) format_backing_chain(writer, mirror.backing, true, context);
  writer.end();
}

void format_disk(XmlWriter& writer, const Disk& disk, const FormatContext& context) {
  writer.begin("disk");
  writer.attribute("type", !disk.vhost_user.empty() ? "vhostuser"
                           : disk.volume            ? "volume"
                                                    : names::kDiskType.name(disk.source_type));
  writer.attribute("device", names::kDiskDevice.name(disk.device));
  format_disk_driver(writer, disk);
  format_disk_source(writer, disk, context);
  format_backing_chain(writer, disk.backing, disk.backing_store_end, context);
  if (disk.block_sizes != DiskBlockSizes{}) {
    writer.begin("blockio");
    format_optional(writer, "logical_block_size", disk.block_sizes.logical);
    format_optional(writer, "physical_block_size", disk.block_sizes.physical);
    writer.end();
  }
  if (disk.mirror && context.live) format_mirror(writer, *disk.mirror, context);
  writer.begin("target");
  writer.attribute("dev", disk.target);
  writer.attribute("bus", names::kDiskBus.name(disk.bus));
  if (disk.tray_open && context.live) writer.attribute("tray", "open");
  format_optional(writer, "rotation_rate", disk.rotation_rate);
  writer.end();
  format_io_tune(writer, disk.tune);
  if (disk.read_only) writer.empty("readonly");
  if (disk.shareable) writer.empty("shareable");
  if (!disk.serial.empty()) writer.element("serial", disk.serial);
  format_disk_identity(writer, disk);
  format_device_info(writer, disk.info, context);
  if (disk.drive) {
    writer.begin("address");
    writer.attribute("type", "drive");
    writer.attribute("controller", disk.drive->controller);
    writer.attribute("bus", disk.drive->bus);
    writer.attribute("target", disk.drive->target);
    writer.attribute("unit", disk.drive->unit);
    writer.end();
  }
  writer.end();
}

void format_controller(XmlWriter& writer, const Controller& controller, const FormatContext& context) {
  writer.begin("controller");
  writer.attribute("type", names::kController.name(controller.type));
  format_optional(writer, "index", controller.index);
  if (controller.model == ControllerModel::usb_none) {
    writer.attribute("model", "none");
  } else if (controller.type == ControllerType::pci) {
    writer.attribute("model", names::kPciModel.name(controller.model));
  } else if (controller.model == ControllerModel::virtio_scsi) {
    writer.attribute("model", names::kScsiModel.name(controller.model));
  }
  format_optional(writer, "ports", controller.ports);
  format_controller_driver(writer, controller.driver);
  if (!controller.model_name.empty()) {
    writer.begin("model");
    writer.attribute("name", controller.model_name);
    writer.end();
  }
  if (controller.chassis || controller.port || controller.hotplug) {
    writer.begin("target");
    format_optional(writer, "chassis", controller.chassis);
    if (controller.port) writer.attribute("port", fmt::format("0x{:x}", *controller.port));
    format_optional(writer, "hotplug", controller.hotplug);
    writer.end();
  }
  format_device_info(writer, controller.info, context);
  writer.end();
}

void format_rng(XmlWriter& writer, const Rng& rng, const FormatContext& context) {
  writer.begin("rng");
  writer.attribute("model", "virtio");
  if (rng.rate_bytes) {
    writer.begin("rate");
    writer.attribute("bytes", *rng.rate_bytes);
    format_optional(writer, "period", rng.rate_period_ms);
    writer.end();
  }
  writer.begin("backend");
  writer.attribute("model", names::kRngBackend.name(rng.backend));
  writer.text(rng.path);
  writer.end();
  format_device_info(writer, rng.info, context);
  writer.end();
}

}  // namespace

void format_devices(XmlWriter& writer, const Devices& devices, const FormatContext& context) {
  writer.begin("devices");
  if (!devices.emulator.empty()) writer.element("emulator", devices.emulator);
  for (const Disk& disk : devices.disks) format_disk(writer, disk, context);
  for (const Controller& controller : devices.controllers) format_controller(writer, controller, context);
  for (const Interface& interface : devices.interfaces) format_interface(writer, interface, context);
  for (const SerialPort& serial : devices.serials) format_serial(writer, serial, context);
  for (const Console& console : devices.consoles) format_console(writer, console, context);
  for (const Channel& channel : devices.channels) format_channel(writer, channel, context);
  for (const Input& input : devices.inputs) format_input(writer, input, context);
  for (const HostDevice& device : devices.host_devices) format_host_device(writer, device, context);
  for (const Watchdog& watchdog : devices.watchdogs) format_watchdog(writer, watchdog, context);
  if (devices.memory_balloon) format_memory_balloon(writer, *devices.memory_balloon, context);
  for (const Rng& rng : devices.rngs) format_rng(writer, rng, context);
  if (devices.panic) format_panic(writer, *devices.panic, context);
  for (const MemoryDevice& memory : devices.memories) format_memory_device(writer, memory, context);
  for (const Vsock& vsock : devices.vsocks) format_vsock(writer, vsock, context);
  writer.end();
}

}  // namespace warren::driver::config
