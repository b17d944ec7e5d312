// <devices>: disks, interfaces, controllers, rng.
#include <algorithm>

#include <fmt/format.h>

#include "driver/config/caged_disk.h"
#include "driver/config/device_change.h"
#include "driver/config/disk_driver.h"
#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/config/scsi_devices.h"
#include "driver/config/vhost_user_disk.h"

namespace warren::driver::config {

namespace {

constexpr std::size_t kMaximumSocketPath = 107;  // unix(7), sun_path

PciAddress parse_pci_address(XmlElement& address) {
  PciAddress pci;
  if (read_number(address, "domain").value_or(0) != 0)
    throw address.unsupported_attribute("domain", "q35 has one PCI segment, 0");
  pci.bus = static_cast<std::uint8_t>(read_number(address, "bus", 0, 255).value_or(0));
  pci.slot = static_cast<std::uint8_t>(require_number(address, "slot", 0, 31));
  pci.function = static_cast<std::uint8_t>(read_number(address, "function", 0, 7).value_or(0));
  pci.multifunction = read_on_off(address, "multifunction");
  return pci;
}

bool is_valid_alias(std::string_view alias) {
  return !alias.empty() && alias.size() <= 128 && std::all_of(alias.begin(), alias.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  });
}

}  // namespace

DeviceInfo parse_device_info(XmlElement& device, bool inactive, bool pci, bool boot) {
  DeviceInfo info;
  if (XmlElement* alias = device.child("alias")) {
    const std::string name = require_text(*alias, "name");
    if (!is_valid_alias(name))
      throw alias->malformed_attribute("name", "it is not letters, digits, '_', '-' and '.'");
    // Other names are those of a running domain, which the next start gives again.
    if (!inactive || name.starts_with("ua-")) info.alias = name;
  }
  if (pci) {
    if (XmlElement* address = device.child("address")) {
      accept_only(*address, "type", "pci");
      info.pci = parse_pci_address(*address);
    }
  }
  if (boot) {
    if (XmlElement* order = device.child("boot")) info.boot_order = require_number(*order, "order", 1, 255);
  }
  return info;
}

namespace {

// As libvirt reads it from the name where no bus is given.
DiskBus bus_of_prefix(XmlElement& target, std::string_view name, std::string_view prefix) {
  if (prefix == "vd") return DiskBus::virtio;
  if (prefix == "sd") return DiskBus::scsi;
  throw target.unsupported_attribute(
      "dev",
      fmt::format("'{}' asks for another bus than those Warren has for disks; name it 'vda' or 'sda', or "
                  "give bus='virtio', bus='scsi' or bus='sata'",
                  name));
}

void parse_disk_target(XmlElement& element, Disk& disk, bool inactive) {
  XmlElement* target = element.child("target");
  if (!target) throw element.malformed("<target> is missing");
  disk.target = require_text(*target, "dev");
  std::string_view letters = disk.target;
  std::string_view prefix;
  for (std::string_view candidate : {"xvd", "vd", "sd", "hd", "fd", "ubd"})
    if (letters.starts_with(candidate)) prefix = candidate;
  letters.remove_prefix(prefix.size());
  if (prefix.empty() || letters.empty() || letters.size() > 3 ||
      !std::all_of(letters.begin(), letters.end(), [](char c) { return c >= 'a' && c <= 'z'; })) {
    throw target->malformed_attribute(
        "dev", fmt::format("'{}' is not a device name like 'vda'", disk.target.substr(0, 64)));
  }
  if (target->attribute("bus") == "ide") {
    throw target->unsupported_attribute("bus",
                                        "IDE controllers are unsupported for machine type q35; use 'sata'");
  }
  const auto bus = read_enum(*target, "bus", names::kDiskBus);
  disk.bus = bus ? *bus : bus_of_prefix(*target, disk.target, prefix);
  if (const auto tray = target->attribute("tray")) {
    if (*tray != "open" && *tray != "closed")
      throw target->malformed_attribute("tray", "it is neither 'open' nor 'closed'");
    if (disk.device != DiskDevice::cdrom)
      throw target->malformed_attribute("tray", "only a CD/DVD drive has one");
    // Where no machine runs every tray is closed.
    disk.tray_open = !inactive && *tray == "open";
  }
  disk.rotation_rate = read_number(*target, "rotation_rate", 1, 65534);
  if (!disk.rotation_rate) return;
  if (disk.bus == DiskBus::virtio)
    throw target->unsupported_attribute("rotation_rate", "only SCSI and SATA disks have one");
  if (*disk.rotation_rate != 1 && *disk.rotation_rate < 1025)
    throw target->malformed_attribute("rotation_rate", "it is neither 1 nor from 1025 to 65534");
}

// <source pool= volume=/>
void parse_volume(XmlElement& source, Disk& disk) {
  const bool may_be_empty = disk.device == DiskDevice::cdrom;
  if (may_be_empty && !source.attribute("pool") && !source.attribute("volume")) return;
  disk.volume.emplace();
  disk.volume->pool = require_text(source, "pool");
  disk.volume->name = require_text(source, "volume");
  // Of a volume of an iSCSI pool; all of them are devices of the host here.
  if (const auto mode = source.attribute("mode"); mode && *mode != "host") {
    throw source.unsupported_attribute(
        "mode", fmt::format("'{}': the host's device is what a disk has; use mode='host'", *mode));
  }
}

// <host>, of which NBD has one.
NbdServer parse_nbd_host(XmlElement& source) {
  const std::vector<XmlElement*> hosts = source.children("host");
  if (hosts.size() != 1) {
    throw source.malformed(
        fmt::format("protocol 'nbd' expects exactly one <host>, and there are {}", hosts.size()));
  }
  XmlElement& host = *hosts.front();
  NbdServer server;
  const std::string_view transport = host.attribute("transport").value_or("tcp");
  if (transport == "unix") {
    server.socket = require_absolute_path(host, "socket");
    if (server.socket.size() > kMaximumSocketPath)
      throw host.malformed_attribute("socket", "the path is too long for a socket");
  } else if (transport == "tcp") {
    server.host = require_text(host, "name");
    if (const auto port = read_number(host, "port", 1, 65535))
      server.port = static_cast<std::uint16_t>(*port);
  } else if (transport == "vsock" || transport == "rdma") {
    throw host.unsupported_attribute(
        "transport", fmt::format("'{}': Warren reaches NBD servers by 'tcp' and 'unix'", transport));
  } else {
    throw host.malformed_attribute("transport", fmt::format("'{}' is not one", transport.substr(0, 64)));
  }
  return server;
}

// <source protocol='nbd'>; returns the name of the export.
std::string parse_nbd_source(XmlElement& source, std::optional<NbdServer>& server) {
  const std::string protocol = require_text(source, "protocol");
  if (protocol != "nbd") {
    throw source.unsupported_attribute(
        "protocol",
        fmt::format("'{}': of network disks Warren has those of protocol 'nbd'", protocol.substr(0, 64)));
  }
  const auto tls = read_yes_no(source, "tls");
  if (tls == true)
    throw source.unsupported_attribute("tls", "Warren speaks to NBD servers without TLS; leave it out");
  server = parse_nbd_host(source);
  server->says_no_tls = tls == false;
  const std::string name(source.attribute("name").value_or(""));
  if (name.size() > kMaximumExportName)
    throw source.malformed_attribute("name", "it is longer than 4096 bytes, the most that an export's has");
  return name;
}

void parse_disk_source(XmlElement& element, Disk& disk, bool is_volume, bool inactive, DeviceUse use) {
  XmlElement* source = element.child("source");
  if (!source) {
    if (use == DeviceUse::removal || disk.device == DiskDevice::cdrom) return;
    throw element.malformed("<source> is missing");
  }
  const std::string_view name = disk.source_type == DiskSourceType::file ? "file" : "dev";
  if (is_volume) {
    parse_volume(*source, disk);
  } else if (disk.source_type == DiskSourceType::network) {
    disk.source = parse_nbd_source(*source, disk.server);
  } else if (disk.device != DiskDevice::cdrom || source->attribute(name)) {
    disk.source = require_absolute_path(*source, name);
  }
  if (const auto group = source->attribute("fdgroup")) {
    if (disk.source_type != DiskSourceType::file || disk.source.empty())
      throw source->malformed_attribute("fdgroup", "only a file, which is named beside it, has one");
    if (group->empty() || group->size() > 256)
      throw source->malformed_attribute("fdgroup", "it is empty or longer than 256 bytes");
    disk.descriptor_group = *group;
  }
  disk.startup_policy = read_enum(*source, "startupPolicy", names::kStartupPolicy);
  if (disk.startup_policy && disk.server) {
    throw source->unsupported_attribute("startupPolicy",
                                        "disk startupPolicy is not allowed for disk of 'network' type");
  }
  if (disk.device == DiskDevice::disk && disk.startup_policy &&
      disk.startup_policy != StartupPolicy::optional) {
    throw source->unsupported_attribute(
        "startupPolicy", fmt::format("disk startupPolicy '{}' is allowed only for a CD/DVD drive",
                                     names::kStartupPolicy.name(*disk.startup_policy)));
  }
  const auto index = read_number(*source, "index", 1);
  if (!inactive) disk.source_index = index;
}

void parse_drive_address(XmlElement& element, Disk& disk) {
  const bool is_scsi = disk.bus == DiskBus::scsi;
  XmlElement* address = element.child("address");
  if (!address) return;
  accept_only(*address, "type", "drive");
  disk.drive.emplace();
  disk.drive->controller = read_number(*address, "controller", 0, 255).value_or(0);
  disk.drive->bus = read_number(*address, "bus", 0, 0).value_or(0);
  disk.drive->target = read_number(*address, "target", 0, is_scsi ? kScsiTargets - 1 : 0).value_or(0);
  disk.drive->unit = read_number(*address, "unit", 0, is_scsi ? kScsiUnits - 1 : kSataPorts - 1).value_or(0);
}

// What a SATA drive has not.
void check_sata(XmlElement& element, const Disk& disk) {
  check_driver_without_queues(element, disk, "sata");
  if (disk.block_sizes.logical.value_or(512) != 512) {
    throw element.child("blockio")->unsupported_attribute("logical_block_size",
                                                          "that of a SATA drive is its own: 512");
  }
  if (disk.device == DiskDevice::disk && element.child("readonly") != nullptr)
    throw element.child("readonly")->unsupported("readonly sata disks are not supported");
}

void parse_disk_serial(XmlElement& element, Disk& disk) {
  XmlElement* serial = element.child("serial");
  if (!serial) return;
  disk.serial = serial->text();
  const std::size_t longest = disk.bus == DiskBus::scsi ? 36 : 20;
  if (disk.serial.size() > longest)
    throw serial->unsupported(
        fmt::format("it has {} bytes; a disk has {} for it", disk.serial.size(), longest));
  for (const char c : disk.serial)
    if (!std::isalnum(static_cast<unsigned char>(c)) &&
        std::string_view("_-+. ").find(c) == std::string_view::npos)
      throw serial->malformed("it is not letters, digits, blanks, '_', '-', '+' and '.'");
}

void check_disk_kind(XmlElement& element) {
  if (XmlElement* transient = element.child("transient"))
    throw transient->unsupported(
        "Warren keeps what is written to a raw image; give the disk an image to lose");
}

BackingImage parse_backing_image(XmlElement& store, bool inactive) {
  BackingImage image;
  image.source_type = read_enum(store, "type", names::kDiskType).value_or(DiskSourceType::file);
  XmlElement* format = store.child("format");
  if (!format) throw store.malformed("<format> is missing: the format of an image is never guessed");
  image.format = require_enum(*format, "type", names::kDiskFormat);
  XmlElement* source = store.child("source");
  if (!source) throw store.malformed("<source> is missing");
  if (image.source_type == DiskSourceType::network) {
    image.source = parse_nbd_source(*source, image.server);
  } else {
    image.source = require_absolute_path(*source, image.source_type == DiskSourceType::file ? "file" : "dev");
  }
  const auto of_store = read_number(store, "index", 1);
  const auto of_source = read_number(*source, "index", 1);
  if (!inactive) image.source_index = of_store ? of_store : of_source;
  return image;
}

// Returns whether it is said where the chain ends.
bool parse_backing_chain(XmlElement& element, DiskFormat above, std::vector<BackingImage>& backing,
                         bool inactive) {
  for (XmlElement* store = element.child("backingStore"); store; store = store->child("backingStore")) {
    if (!store->attribute("type") && !store->child("source") && !store->child("format")) {
      return true;
    }
    if (above != DiskFormat::qcow2) throw store->unsupported("a raw image has no backing store");
    if (backing.size() == kMaximumBackingImages)
      throw store->unsupported(fmt::format("the chain has more than {} images", kMaximumBackingImages + 1));
    backing.push_back(parse_backing_image(*store, inactive));
    if (backing.back().server)
      throw store->unsupported_attribute("type", "'network': the images that a disk is backed by are local");
    above = backing.back().format;
  }
  return false;
}

// Read, so that a document of a running domain can be defined again; kept for a running one only.
void parse_mirror(XmlElement& element, Disk& disk, bool inactive) {
  XmlElement* child = element.child("mirror");
  if (!child) return;
  DiskMirror mirror{.image = parse_backing_image(*child, inactive), .backing = {}};
  // Said twice of a copy.
  child->attribute("file");
  child->attribute("format");
  mirror.job = read_enum(*child, "job", names::kMirrorJob).value_or(MirrorJob::copy);
  mirror.state = read_enum(*child, "ready", names::kMirrorState).value_or(MirrorState::running);
  parse_backing_chain(*child, mirror.image.format, mirror.backing, inactive);
  if (!inactive) disk.mirror = std::move(mirror);
}

// What is only for a raw image, and what is not for one that is elsewhere.
void check_format(XmlElement& element, const Disk& disk) {
  if (disk.server && disk.device == DiskDevice::cdrom) {
    throw element.unsupported_attribute(
        "type", "'network': the medium of a CD/DVD drive is a file or device of the host");
  }
  if (disk.server && disk.driver.format == DiskFormat::qcow2) {
    throw element.child("driver")->unsupported_attribute(
        "type", "'qcow2': an NBD export holds a raw image; qemu-nbd --format=qcow2 serves what is in one");
  }
  if (disk.driver.format.value_or(DiskFormat::raw) == DiskFormat::raw) return;
  if (disk.device == DiskDevice::cdrom)
    throw element.child("driver")->unsupported_attribute("type",
                                                         "the medium of a CD/DVD drive is a raw image");
  if (disk.shareable && !disk.read_only) {
    throw element.child("shareable")
        ->unsupported(
            fmt::format("shared access for disk '{}' requires use of supported storage format", disk.target));
  }
  if (!disk.descriptor_group.empty())
    throw element.child("source")->unsupported_attribute("fdgroup", "only a raw image can be lent");
}

Disk parse_disk(XmlElement& element, bool inactive, DeviceUse use = DeviceUse::change) {
  Disk disk;
  const bool is_volume = element.attribute("type") == "volume";
  const bool is_vhost_user = element.attribute("type") == "vhostuser";
  if (!is_volume && !is_vhost_user)
    disk.source_type = read_enum(element, "type", names::kDiskType).value_or(DiskSourceType::file);
  disk.device = read_enum(element, "device", names::kDiskDevice).value_or(DiskDevice::disk);
  check_disk_kind(element);
  if (XmlElement* driver = element.child("driver")) disk.driver = parse_disk_driver(*driver);
  const bool is_caged = is_caged_disk(element);
  if (is_caged && (is_volume || is_vhost_user || disk.source_type == DiskSourceType::network)) {
    throw element.unsupported_attribute("type",
                                        "a storage daemon of Warren's serves a file or a block device");
  }
  if (is_caged) {
    parse_caged_image(element, disk, use == DeviceUse::removal);
  } else if (is_vhost_user) {
    parse_vhost_user_source(element, disk, use == DeviceUse::removal);
  } else {
    parse_disk_source(element, disk, is_volume, inactive, use);
  }
  if (use != DeviceUse::copy || element.child("target") != nullptr)
    parse_disk_target(element, disk, inactive);
  if (is_vhost_user) check_vhost_user_disk(element, disk);
  if (is_caged) check_caged_disk(element, disk);
  if (disk.device == DiskDevice::cdrom && disk.bus == DiskBus::virtio) {
    throw element.unsupported_attribute("device",
                                        "a virtio disk does not support ejectable media; give it bus='sata' "
                                        "or bus='scsi'");
  }
  parse_disk_serial(element, disk);
  parse_disk_identity(element, disk);
  if (XmlElement* block = element.child("blockio")) {
    disk.block_sizes.logical = read_power_of_two(*block, "logical_block_size", 512, 4096);
    disk.block_sizes.physical = read_power_of_two(*block, "physical_block_size", 512, 1u << 21);
    if (disk.block_sizes.physical.value_or(512) < disk.block_sizes.logical.value_or(512) &&
        disk.block_sizes.physical)
      throw block->malformed("the physical block is smaller than the logical one");
  }
  if (XmlElement* tune = element.child("iotune")) disk.tune = parse_io_tune(*tune);
  disk.read_only = element.child("readonly") != nullptr || disk.device == DiskDevice::cdrom;
  disk.shareable = element.child("shareable") != nullptr;
  disk.backing_store_end =
      parse_backing_chain(element, disk.driver.format.value_or(DiskFormat::raw), disk.backing, inactive);
  parse_mirror(element, disk, inactive);
  check_format(element, disk);
  check_disk_driver(element, disk);
  disk.info = parse_device_info(element, inactive, disk.bus == DiskBus::virtio, true);
  if (disk.bus == DiskBus::virtio) return disk;
  parse_drive_address(element, disk);
  if (disk.bus == DiskBus::sata) {
    check_sata(element, disk);
  } else {
    check_scsi_disk(element, disk);
  }
  return disk;
}

void parse_root_port(XmlElement& element, Controller& controller) {
  if (XmlElement* model = element.child("model")) {
    accept_only(*model, "name", "pcie-root-port");
    controller.model_name = "pcie-root-port";
  }
  XmlElement* target = element.child("target");
  if (!target) return;
  controller.chassis = read_number(*target, "chassis", 1, 255);
  controller.port = read_number(*target, "port", 0, 255);
  controller.hotplug = read_on_off(*target, "hotplug");
}

Controller parse_controller(XmlElement& element, bool inactive) {
  Controller controller;
  controller.type = require_enum(element, "type", names::kController);
  controller.index = read_number(element, "index", 0, 255);
  switch (controller.type) {
    case ControllerType::pci:
      controller.model = require_enum(element, "model", names::kPciModel);
      if (controller.model == ControllerModel::pcie_root) {
        if (controller.index.value_or(0) != 0)
          throw element.malformed_attribute("index", "that of pcie-root is 0");
        controller.info = parse_device_info(element, inactive, false, false);
        return controller;
      }
      if (controller.index == 0u) throw element.malformed_attribute("index", "0 is pcie-root's");
      parse_root_port(element, controller);
      break;
    case ControllerType::usb:
      if (!element.attribute("model")) {
        throw element.unsupported(
            "Warren has no USB yet; the only controller is model='none', which means so");
      }
      accept_only(element, "model", "none");
      if (controller.index.value_or(0) != 0)
        throw element.malformed_attribute("index", "that of model 'none' is 0");
      controller.model = ControllerModel::usb_none;
      controller.info = parse_device_info(element, inactive, false, false);
      return controller;
    case ControllerType::sata:
      break;
    case ControllerType::scsi:
      parse_scsi_controller(element, controller);
      break;
    case ControllerType::virtio_serial:
      controller.ports = read_number(element, "ports", 1, kMaximumSerialControllerPorts);
      break;
  }
  controller.info = parse_device_info(element, inactive, true, false);
  return controller;
}

Rng parse_rng(XmlElement& element, bool inactive) {
  Rng rng;
  require_text(element, "model");
  accept_only(element, "model", "virtio");
  if (XmlElement* rate = element.child("rate")) {
    rng.rate_bytes = require_number(*rate, "bytes", 1, std::numeric_limits<std::uint32_t>::max());
    rng.rate_period_ms = read_number(*rate, "period", 1);
  }
  XmlElement* backend = element.child("backend");
  if (!backend) throw element.malformed("<backend> is missing");
  rng.backend = require_enum(*backend, "model", names::kRngBackend);
  if (rng.backend == RngBackend::random) {
    rng.path = backend->text();
    if (!rng.path.empty() && rng.path != "/dev/random" && rng.path != "/dev/urandom") {
      throw backend->unsupported(fmt::format(
          "'{}' is not a source Warren takes; it is /dev/random or /dev/urandom", rng.path.substr(0, 64)));
    }
  }
  rng.info = parse_device_info(element, inactive, true, false);
  return rng;
}

}  // namespace

Devices parse_devices(XmlElement* element, bool inactive) {
  Devices devices;
  if (!element) return devices;
  if (XmlElement* emulator = element->child("emulator")) {
    devices.emulator = emulator->text();
    check_absolute_path(*emulator, devices.emulator);
  }
  for (XmlElement* child : element->children("disk")) {
    Disk disk = parse_disk(*child, inactive);
    for (const Disk& other : devices.disks)
      if (other.target == disk.target)
        throw child->malformed(fmt::format("another disk has the target '{}'", disk.target));
    devices.disks.push_back(std::move(disk));
  }
  for (XmlElement* child : element->children("controller"))
    devices.controllers.push_back(parse_controller(*child, inactive));
  for (XmlElement* child : element->children("interface"))
    devices.interfaces.push_back(parse_interface(*child, inactive));
  for (XmlElement* child : element->children("serial"))
    devices.serials.push_back(parse_serial(*child, inactive));
  for (XmlElement* child : element->children("console"))
    devices.consoles.push_back(parse_console(*child, inactive));
  for (XmlElement* child : element->children("channel")) {
    Channel channel = parse_channel(*child, inactive);
    for (const Channel& other : devices.channels)
      if (!channel.name.empty() && other.name == channel.name)
        throw child->malformed(fmt::format("another channel has the name '{}'", channel.name.substr(0, 64)));
    devices.channels.push_back(std::move(channel));
  }
  for (XmlElement* child : element->children("input"))
    devices.inputs.push_back(parse_input(*child, inactive));
  check_inputs(*element, devices.inputs);
  for (XmlElement* child : element->children("rng")) devices.rngs.push_back(parse_rng(*child, inactive));
  if (XmlElement* balloon = element->child("memballoon"))
    devices.memory_balloon = parse_memory_balloon(*balloon, inactive);
  for (XmlElement* child : element->children("watchdog")) {
    const Watchdog watchdog = parse_watchdog(*child, inactive);
    for (const Watchdog& other : devices.watchdogs) {
      if (other.model == watchdog.model)
        throw child->unsupported("a domain can have one watchdog of each model");
      if (other.action != watchdog.action)
        throw child->unsupported("watchdogs with different actions are not supported");
    }
    devices.watchdogs.push_back(watchdog);
  }
  for (XmlElement* child : element->children("panic")) {
    if (devices.panic) throw child->malformed("there can be one panic device of model 'isa'");
    devices.panic = parse_panic(*child, inactive);
  }
  for (XmlElement* child : element->children("memory"))
    devices.memories.push_back(parse_memory_device(*child, inactive));
  for (XmlElement* child : element->children("hostdev"))
    devices.host_devices.push_back(parse_host_device(*child, inactive));
  for (XmlElement* child : element->children("vsock")) {
    if (!devices.vsocks.empty()) throw child->malformed("a domain can have one socket device");
    devices.vsocks.push_back(parse_vsock(*child, inactive));
  }
  return devices;
}

Device parse_device(std::string_view xml, DeviceUse use, bool inactive) {
  // A device is a few lines, but for a disk's images, which stand within each other.
  XmlDocument document(xml, "device_definition",
                       {.bytes = 1u << 20,
                        .depth = 16 + kMaximumBackingImages,
                        .nodes = 1000 + 10 * (kMaximumBackingImages + 1)});
  XmlElement& root = document.root();
  root.mark_read();
  const std::string_view kind = root.name();
  Device device;
  if (kind == "disk") {
    device = parse_disk(root, inactive, use);
  } else if (kind == "interface") {
    device = parse_interface(root, inactive);
  } else if (kind == "controller") {
    device = parse_controller(root, inactive);
  } else if (kind == "serial") {
    device = parse_serial(root, inactive);
  } else if (kind == "console") {
    device = parse_console(root, inactive);
  } else if (kind == "channel") {
    device = parse_channel(root, inactive);
  } else if (kind == "input") {
    device = parse_input(root, inactive);
  } else if (kind == "rng") {
    device = parse_rng(root, inactive);
  } else if (kind == "watchdog") {
    device = parse_watchdog(root, inactive);
  } else if (kind == "vsock") {
    device = parse_vsock(root, inactive);
  } else if (kind == "hostdev") {
    device = parse_host_device(root, inactive);
  } else if (kind == "memory") {
    device = parse_memory_device(root, inactive);
  } else if (std::ranges::find(names::kOtherDevices, kind) != std::end(names::kOtherDevices)) {
    throw operation_unsupported(
        fmt::format("attach, detach and update of device '{}' are not supported", kind));
  } else {
    throw root.malformed(fmt::format("'{}' is not the name of a device", kind.substr(0, 64)));
  }
  root.refuse_unread();
  return device;
}

}  // namespace warren::driver::config
