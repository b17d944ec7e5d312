#include "driver/config/host_device.h"

#include <algorithm>

#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

void refuse_type(const XmlElement& element, std::string_view type) {
  if (type == "pci") return;
  if (type == "usb")
    throw element.unsupported(
        "assignment of USB devices needs a USB controller, which Warren's machine lacks");
  if (type == "scsi" || type == "scsi_host")
    throw element.unsupported(
        "SCSI devices of the host are not passed through; what is on virtio-scsi are disks on images");
  if (type == "mdev")
    throw element.unsupported(
        "mediated devices cannot be assigned yet; assign a whole PCI device, or a "
        "virtual function of one");
  throw element.malformed_attribute("type",
                                    fmt::format("'{}' is not a kind of host device", type.substr(0, 64)));
}

// Addresses of the host may be in any PCI segment.
PciAddress parse_source(XmlElement& source) {
  XmlElement* address = source.child("address");
  if (address == nullptr) throw source.malformed("<address> is missing: which PCI device of the host?");
  if (const auto type = address->attribute("type"); type && *type != "pci")
    throw address->malformed_attribute("type", "the source of a PCI device has a PCI address");
  PciAddress pci;
  pci.segment = static_cast<std::uint16_t>(read_number(*address, "domain", 0, 0xffff).value_or(0));
  pci.bus = static_cast<std::uint8_t>(require_number(*address, "bus", 0, 255));
  pci.slot = static_cast<std::uint8_t>(require_number(*address, "slot", 0, 31));
  pci.function = static_cast<std::uint8_t>(require_number(*address, "function", 0, 7));
  return pci;
}

void parse_rom(XmlElement& rom, HostDevice& device) {
  constexpr std::string_view kReason =
      "the guest is not shown option ROMs: its kernel is started without firmware that would run one";
  if (rom.attribute("file")) throw rom.unsupported_attribute("file", kReason);
  device.rom_bar = read_on_off(rom, "bar");
  device.rom_enabled = read_yes_no(rom, "enabled");
  if (device.rom_bar == true) throw rom.unsupported_attribute("bar", kReason);
  if (device.rom_enabled == true) throw rom.unsupported_attribute("enabled", kReason);
}

// The VLAN is put on by the physical function, which knows one for each of its virtual ones (kernel:
// IFLA_VF_VLAN).
std::uint16_t vlan_of(const Interface& interface, const std::string& device) {
  if (!interface.vlan) return 0;
  constexpr std::uint16_t kMostTag = 4094;
  const Vlan& vlan = *interface.vlan;
  if (vlan.trunk || vlan.tags.size() != 1)
    throw Error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("vlan trunking is not supported by SR-IOV network devices: give device {} one tag",
                    device));
  if (vlan.tags.front() > kMostTag)
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("vlan tag {} of device {} is more than {}", vlan.tags.front(), device, kMostTag));
  return vlan.tags.front();
}

// What an interface of type hostdev may not have at all, one of a network may have had in mind for a tap.
void check_network_function(const Interface& interface, const std::string& device) {
  const auto refuse = [&device](bool is_there, std::string_view name) {
    if (!is_there) return;
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("the interface is device {} of the host, which has no {}: its packets pass no "
                            "program and no link of the host",
                            device, name));
  };
  refuse(interface.link_up == false, "<link state='down'>");
  refuse(interface.mtu.has_value(), "<mtu>");
  refuse(interface.bandwidth.has_value(), "<bandwidth>");
  refuse(interface.filter.has_value(), "<filterref>");
  refuse(interface.isolated == true, "<port isolated='yes'>");
  refuse(interface.virtual_port && interface.virtual_port->type != VirtualPortType::none, "<virtualport>");
}

}  // namespace

std::optional<HostDevice> assigned_device(const Interface& interface) {
  const HostDevicePlug* plug = device_plug_of(interface);
  if (plug == nullptr) return std::nullopt;
  const std::string name = format_pci_address(plug->address);
  if (plug->driver && *plug->driver != NetworkHostDeviceDriver::vfio)
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("device {}: devices are assigned through VFIO: <driver name='vfio'/>", name));
  check_network_function(interface, name);
  HostDevice device{
      .managed = plug->managed, .has_driver = true, .source = plug->address, .info = interface.info};
  device.network = {.mac = interface.mac.value_or(MacAddress{}), .vlan = vlan_of(interface, name)};
  return device;
}

std::vector<HostDevice> assigned_devices(const Devices& devices) {
  std::vector<HostDevice> all;
  for (const Interface& interface : devices.interfaces)
    if (std::optional<HostDevice> device = assigned_device(interface)) all.push_back(*std::move(device));
  all.insert(all.end(), devices.host_devices.begin(), devices.host_devices.end());
  return all;
}

HostDevice parse_host_device(XmlElement& element, bool inactive) {
  if (const auto mode = element.attribute("mode"); mode && *mode != "subsystem") {
    if (*mode == "capabilities")
      throw element.unsupported_attribute("mode", "devices by their capabilities are for containers");
    throw element.malformed_attribute("mode", fmt::format("'{}' is not a mode", mode->substr(0, 64)));
  }
  refuse_type(element, require_text(element, "type"));
  HostDevice device;
  device.managed = read_yes_no(element, "managed").value_or(false);
  if (XmlElement* driver = element.child("driver")) {
    const std::string name = require_text(*driver, "name");
    if (name != "vfio")
      throw driver->unsupported_attribute(
          "name",
          fmt::format("'{}' is not supported; devices are assigned through VFIO", name.substr(0, 64)));
    device.has_driver = true;
  }
  XmlElement* source = element.child("source");
  if (source == nullptr) throw element.malformed("<source> is missing");
  device.source = parse_source(*source);
  if (XmlElement* rom = element.child("rom")) parse_rom(*rom, device);
  device.info = parse_device_info(element, inactive, true, true);
  return device;
}

void format_host_device(XmlWriter& writer, const HostDevice& device, const FormatContext& context) {
  writer.begin("hostdev");
  writer.attribute("mode", "subsystem");
  writer.attribute("type", "pci");
  writer.attribute("managed", device.managed ? "yes" : "no");
  if (device.has_driver) {
    writer.begin("driver");
    writer.attribute("name", "vfio");
    writer.end();
  }
  writer.begin("source");
  writer.begin("address");
  writer.attribute("domain", fmt::format("0x{:04x}", device.source.segment));
  writer.attribute("bus", fmt::format("0x{:02x}", device.source.bus));
  writer.attribute("slot", fmt::format("0x{:02x}", device.source.slot));
  writer.attribute("function", fmt::format("0x{:x}", device.source.function));
  writer.end();
  writer.end();
  if (device.rom_bar || device.rom_enabled) {
    writer.begin("rom");
    if (device.rom_bar) writer.attribute("bar", *device.rom_bar ? "on" : "off");
    if (device.rom_enabled) writer.attribute("enabled", *device.rom_enabled ? "yes" : "no");
    writer.end();
  }
  format_device_info(writer, device.info, context);
  writer.end();
}

void check_host_devices(const Devices& devices) {
  const std::vector<HostDevice> all = assigned_devices(devices);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto same = [&](const HostDevice& other) { return other.source == all[i].source; };
    const auto first = std::ranges::find_if(all, same);
    if (first == all.begin() + static_cast<std::ptrdiff_t>(i)) continue;
    throw xml_error(
        all[i].network
            ? std::string("/domain/devices/interface")
            : fmt::format("/domain/devices/hostdev[{}]", i + 1 - (all.size() - devices.host_devices.size())),
        0, fmt::format("the host's PCI device {} is assigned twice", format_pci_address(all[i].source)));
  }
}

}  // namespace warren::driver::config
