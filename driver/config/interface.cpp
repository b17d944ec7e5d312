// <interface>: to data and back.
#include "driver/config/interface.h"

#include <algorithm>

#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/config/interface_parts.h"

namespace warren::driver::config {

namespace {

// What the kernel takes (dev_valid_name()), and a colon: networks may have such links in their pools, and
// what a running domain shows of its port has to be read again.
bool is_interface_name(std::string_view name) {
  return !name.empty() && name.size() < 16 && name != "." && name != ".." &&
         std::ranges::all_of(
             name, [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '/' && c != 0x7f; });
}

InterfaceDriver parse_interface_driver(XmlElement& element) {
  InterfaceDriver driver;
  driver.name = read_enum(element, "name", names::kPacketMover);
  driver.queues = read_number(element, "queues", 1, 256);
  driver.rx_queue_size = read_power_of_two(element, "rx_queue_size", 256, 1024);
  driver.tx_queue_size = read_power_of_two(element, "tx_queue_size", 256, 1024);
  driver.receive_scaling = read_on_off(element, "rss");
  driver.packed = read_on_off(element, "packed");
  driver.in_thread = accept_only(element, "txmode", "iothread");
  driver.by_ioeventfd = accept_only(element, "ioeventfd", "on");
  driver.has_event_index = accept_only(element, "event_idx", "on");
  return driver;
}

DirectPlug parse_direct(XmlElement& source) {
  return {.device = require_interface_name(source, "dev"),
          .mode = read_enum(source, "mode", kMacvtapModeNames).value_or(MacvtapMode::vepa)};
}

HostDevicePlug parse_device(XmlElement& element, XmlElement& source) {
  HostDevicePlug plug{.managed = read_yes_no(element, "managed").value_or(false)};
  XmlElement* address = source.child("address");
  if (address == nullptr)
    throw source.malformed("<address type='pci' …/> is missing: which virtual function of the host?");
  plug.address = parse_host_pci_address(*address);
  if (XmlElement* driver = element.child("driver"))
    plug.driver = require_enum(*driver, "name", kNetworkHostDeviceDriverNames);
  return plug;
}

// A running domain shows what its port is plugged into (parse_source()); the next start asks for one again.
void parse_port(XmlElement& element, XmlElement& source, Interface& interface, bool inactive) {
  const std::optional<std::string_view> id = source.attribute("portid");
  const bool has_bridge = source.attribute("bridge").has_value(),
             has_device = source.attribute("dev").has_value();
  std::optional<InterfacePort> port;
  if (id) {
    const std::optional<Uuid> uuid = Uuid::parse(*id);
    if (!uuid) throw source.malformed_attribute("portid", "it is not a UUID");
    port.emplace().id = *uuid;
  }
  if (has_bridge) {
    BridgePlug plug{.is_network = interface.type == InterfaceType::network,
                    .bridge = require_interface_name(source, "bridge"),
                    .mac_table_manager = {}};
    if (port) port->plug = std::move(plug);
  }
  if (has_device) {
    DirectPlug plug = parse_direct(source);
    if (port) port->plug = std::move(plug);
  }
  if (interface.type == InterfaceType::hostdev) {
    HostDevicePlug plug = parse_device(element, source);
    if (port) port->plug = std::move(plug);
  }
  if (!inactive) interface.port = std::move(port);
}

// The type of a running domain's interface on a network is where its port is plugged in: a bridge or a link.
void parse_source(XmlElement& element, Interface& interface, bool inactive) {
  if (interface.type == InterfaceType::ethernet) return;
  if (interface.type == InterfaceType::user) {
    interface.user = parse_user_network(element);
    return;
  }
  if (interface.type == InterfaceType::vhostuser) {
    interface.vhost_user = parse_vhost_user_interface(element);
    return;
  }
  XmlElement* source = element.child("source");
  const bool is_of_network = source != nullptr && source->attribute("network").has_value();
  if (interface.type == InterfaceType::network || (is_of_network && !inactive)) {
    if (!is_of_network) throw element.malformed("<source network='…'/> is missing");
    interface.source_network = require_text(*source, "network");
    interface.portgroup = std::string(source->attribute("portgroup").value_or(""));
    parse_port(element, *source, interface, inactive);
    interface.type = InterfaceType::network;
    return;
  }
  if (is_of_network) {
    source->attribute("portid");
    source->attribute("portgroup");
  }
  if (interface.type == InterfaceType::bridge) {
    if (source == nullptr) throw element.malformed("<source bridge='…'/> is missing");
    interface.source_bridge = require_interface_name(*source, "bridge");
  } else if (interface.type == InterfaceType::hostdev) {
    if (source == nullptr) throw element.malformed("<source><address …/></source> is missing");
    interface.source_device = parse_device(element, *source);
  } else {
    if (source == nullptr) throw element.malformed("<source dev='…'/> is missing");
    interface.source_direct = parse_direct(*source);
  }
}

// Names that the start of a domain gives.
bool is_generated(const std::string& target) {
  return target.starts_with("vnet") || target.starts_with("macvtap");
}

void parse_target(XmlElement& element, Interface& interface, bool inactive) {
  XmlElement* target = element.child("target");
  if (target == nullptr) return;
  if (target->attribute("dev")) interface.target = require_interface_name(*target, "dev");
  if (inactive && is_generated(interface.target)) interface.target.clear();
  if (interface.type == InterfaceType::ethernet) interface.target_managed = read_yes_no(*target, "managed");
  if (interface.target_managed == false && interface.target.empty())
    throw target->malformed("managed='no' needs the name of a tap in 'dev'");
}

// What goes through no worker and no tap has nothing that those do.
void check_device(XmlElement& element, const Interface& interface) {
  const auto refuse = [&](bool is_there, std::string_view name) {
    if (!is_there) return;
    throw element.unsupported(fmt::format(
        "an interface of type hostdev has no {}: its packets pass no program and no link of the host", name));
  };
  refuse(!interface.target.empty(), "<target>");
  refuse(interface.link_up.has_value(), "<link>");
  refuse(interface.mtu.has_value(), "<mtu>");
  refuse(interface.bandwidth.has_value(), "<bandwidth>");
  refuse(interface.filter.has_value(), "<filterref>");
  refuse(interface.isolated.has_value(), "<port isolated>");
  refuse(interface.virtual_port.has_value(), "<virtualport>");
  refuse(interface.trust_guest_rx_filters.has_value(), "trustGuestRxFilters");
}

// Ports of Open vSwitch are told to it; of the other switches nobody is told.
void check_virtual_port(XmlElement& element, const Interface& interface) {
  if (!interface.virtual_port || interface.type == InterfaceType::network) return;
  const VirtualPortType type = interface.virtual_port->type;
  if (type == VirtualPortType::openvswitch && interface.type == InterfaceType::bridge) return;
  if (type == VirtualPortType::openvswitch)
    throw element.unsupported(
        "<virtualport type='openvswitch'> is for interfaces of type bridge and network");
  throw element.unsupported(
      "of the switches of <virtualport> Warren tells Open vSwitch alone: type='openvswitch'");
}

// What a tap or macvtap can be, by where it is plugged in.
void check_port_settings(XmlElement& element, const Interface& interface) {
  if (interface.type == InterfaceType::hostdev) {
    check_device(element, interface);
    return;
  }
  const bool on_bridge = interface.type == InterfaceType::bridge || interface.type == InterfaceType::network;
  if (interface.isolated && !on_bridge)
    throw element.unsupported("<port isolated='…'/> is for interfaces of type bridge and network");
  if (interface.vlan && !on_bridge &&
      !(interface.type == InterfaceType::direct && interface.source_direct.mode == MacvtapMode::passthrough))
    throw element.unsupported("<vlan> is for interfaces of type bridge and network");
  if (interface.trust_guest_rx_filters == true && interface.type == InterfaceType::direct) {
    throw element.unsupported_attribute("trustGuestRxFilters",
                                        "the address of a macvtap does not follow the guest's");
  }
  check_virtual_port(element, interface);
}

// Its network's is known while it runs.
const HostDevicePlug* shown_device(const Interface& interface, bool live) {
  return interface.type == InterfaceType::hostdev || live ? device_plug_of(interface) : nullptr;
}

void format_source(XmlWriter& writer, const Interface& interface, bool live) {
  if (interface.type == InterfaceType::ethernet) return;
  if (interface.type == InterfaceType::user) return format_user_source(writer, interface.user);
  if (interface.type == InterfaceType::vhostuser)
    return format_vhost_user_interface(writer, interface.vhost_user);
  writer.begin("source");
  const DirectPlug* direct = interface.type == InterfaceType::direct ? &interface.source_direct : nullptr;
  std::string bridge = interface.source_bridge;
  if (interface.type == InterfaceType::network) {
    writer.attribute("network", interface.source_network);
    if (!interface.portgroup.empty()) writer.attribute("portgroup", interface.portgroup);
    if (live && interface.port) writer.attribute("portid", interface.port->id.to_string());
    bridge = live ? bridge_of(interface) : "";
    direct = live ? direct_plug_of(interface) : nullptr;
  }
  if (!bridge.empty()) writer.attribute("bridge", bridge);
  if (direct != nullptr) {
    writer.attribute("dev", direct->device);
    writer.attribute("mode", kMacvtapModeNames.name(direct->mode));
  }
  if (const HostDevicePlug* device = shown_device(interface, live))
    format_host_pci_address(writer, device->address);
  writer.end();
}

InterfaceType shown_type(const Interface& interface, bool live) {
  if (!live || interface.type != InterfaceType::network || !interface.port) return interface.type;
  if (std::holds_alternative<DirectPlug>(interface.port->plug)) return InterfaceType::direct;
  if (std::holds_alternative<HostDevicePlug>(interface.port->plug)) return InterfaceType::hostdev;
  const auto* bridge = std::get_if<BridgePlug>(&interface.port->plug);
  return bridge != nullptr && !bridge->is_network ? InterfaceType::bridge : InterfaceType::network;
}

void format_interface_driver(XmlWriter& writer, const InterfaceDriver& driver) {
  if (driver == InterfaceDriver{}) return;
  writer.begin("driver");
  if (driver.name) writer.attribute("name", names::kPacketMover.name(*driver.name));
  if (driver.in_thread) writer.attribute("txmode", "iothread");
  if (driver.by_ioeventfd) writer.attribute("ioeventfd", "on");
  if (driver.has_event_index) writer.attribute("event_idx", "on");
  format_optional(writer, "queues", driver.queues);
  format_optional(writer, "rx_queue_size", driver.rx_queue_size);
  format_optional(writer, "tx_queue_size", driver.tx_queue_size);
  format_optional(writer, "rss", driver.receive_scaling);
  format_optional(writer, "packed", driver.packed);
  writer.end();
}

void format_one(XmlWriter& writer, std::string_view element, std::string_view attribute,
                std::string_view value) {
  writer.begin(element);
  writer.attribute(attribute, value);
  writer.end();
}

void format_target(XmlWriter& writer, const Interface& interface, bool live) {
  const bool is_shown = !interface.target.empty() && (live || !is_generated(interface.target));
  if (!is_shown && !interface.target_managed) return;
  writer.begin("target");
  if (is_shown) writer.attribute("dev", interface.target);
  if (interface.target_managed) writer.attribute("managed", *interface.target_managed ? "yes" : "no");
  writer.end();
}

}  // namespace

std::string require_interface_name(XmlElement& element, std::string_view attribute) {
  std::string name = require_text(element, attribute);
  if (!is_interface_name(name)) {
    throw element.malformed_attribute(
        attribute, fmt::format("'{}' is not the name of a network interface", name.substr(0, 64)));
  }
  return name;
}

bool has_link(const Interface& interface) {
  return interface.type != InterfaceType::user && interface.type != InterfaceType::vhostuser &&
         device_plug_of(interface) == nullptr;
}

std::string bridge_of(const Interface& interface) {
  if (interface.type == InterfaceType::bridge) return interface.source_bridge;
  const auto* plug = interface.port ? std::get_if<BridgePlug>(&interface.port->plug) : nullptr;
  return plug != nullptr ? plug->bridge : std::string();
}

const DirectPlug* direct_plug_of(const Interface& interface) {
  if (interface.type == InterfaceType::direct) return &interface.source_direct;
  return interface.port ? std::get_if<DirectPlug>(&interface.port->plug) : nullptr;
}

const HostDevicePlug* device_plug_of(const Interface& interface) {
  if (interface.type == InterfaceType::hostdev) return &interface.source_device;
  return interface.port ? std::get_if<HostDevicePlug>(&interface.port->plug) : nullptr;
}

bool is_on_open_vswitch(const Interface& interface) {
  return interface.virtual_port && interface.virtual_port->type == VirtualPortType::openvswitch &&
         !bridge_of(interface).empty();
}

Interface parse_interface(XmlElement& element, bool inactive) {
  Interface interface;
  interface.type = require_enum(element, "type", names::kInterfaceType);
  interface.trust_guest_rx_filters = read_yes_no(element, "trustGuestRxFilters");
  if (XmlElement* mac = element.child("mac")) {
    const std::string text = require_text(*mac, "address");
    interface.mac = parse_mac_address(text);
    if (!interface.mac)
      throw mac->malformed_attribute("address", fmt::format("'{}' is not a MAC address", text.substr(0, 64)));
    if (is_multicast(*interface.mac))
      throw mac->malformed_attribute("address", fmt::format("'{}' is a multicast address", text));
  }
  const bool is_device = interface.type == InterfaceType::hostdev;  // a running network's, perhaps
  parse_source(element, interface, inactive);
  if (XmlElement* vlan = element.child("vlan")) interface.vlan = parse_vlan(*vlan);
  if (XmlElement* port = element.child("virtualport"))
    interface.virtual_port = parse_virtual_port(*port, interface.type != InterfaceType::network);
  if (XmlElement* port = element.child("port")) interface.isolated = read_yes_no(*port, "isolated");
  if (XmlElement* filter = element.child("filterref")) interface.filter = parse_filter_reference(*filter);
  parse_target(element, interface, inactive);
  if (XmlElement* model = element.child("model")) {
    require_text(*model, "type");
    interface.model_virtio = accept_only(*model, "type", "virtio");
  }
  if (XmlElement* driver = element.child("driver"); driver != nullptr && !is_device)
    interface.driver = parse_interface_driver(*driver);
  if (XmlElement* backend = element.child("backend"); backend != nullptr && !is_device)
    interface.backend = parse_interface_backend(*backend);
  if (XmlElement* link = element.child("link"))
    interface.link_up = require_enum(*link, "state", names::kLinkState);
  interface.bandwidth = parse_bandwidth(element.child("bandwidth"), interface.type == InterfaceType::network);
  if (XmlElement* mtu = element.child("mtu")) interface.mtu = require_number(*mtu, "size", 68, 65535);
  interface.info = parse_device_info(element, inactive, true, true);
  check_without_link(element, interface);
  check_interface_backend(element, interface);
  check_port_settings(element, interface);
  return interface;
}

void format_interface(XmlWriter& writer, const Interface& interface, const FormatContext& context) {
  writer.begin("interface");
  writer.attribute("type", names::kInterfaceType.name(shown_type(interface, context.live)));
  const HostDevicePlug* device = shown_device(interface, context.live);
  if (device != nullptr) writer.attribute("managed", device->managed ? "yes" : "no");
  if (interface.trust_guest_rx_filters)
    writer.attribute("trustGuestRxFilters", *interface.trust_guest_rx_filters ? "yes" : "no");
  if (interface.mac) format_one(writer, "mac", "address", format_mac_address(*interface.mac));
  if (device != nullptr && device->driver)
    format_one(writer, "driver", "name", kNetworkHostDeviceDriverNames.name(*device->driver));
  format_source(writer, interface, context.live);
  if (interface.vlan) format_vlan(writer, *interface.vlan);
  if (interface.virtual_port) format_virtual_port(writer, *interface.virtual_port);
  if (interface.isolated) format_one(writer, "port", "isolated", *interface.isolated ? "yes" : "no");
  format_bandwidth(writer, interface.bandwidth);
  format_target(writer, interface, context.live);
  if (interface.model_virtio) format_one(writer, "model", "type", "virtio");
  if (device == nullptr) {
    format_interface_driver(writer, interface.driver);
    format_interface_backend(writer, interface.backend);
    format_user_network(writer, interface.user);
  }
  if (interface.filter) format_filter_reference(writer, *interface.filter);
  if (interface.link_up) format_one(writer, "link", "state", *interface.link_up ? "up" : "down");
  if (interface.mtu) format_one(writer, "mtu", "size", std::to_string(*interface.mtu));
  format_device_info(writer, interface.info, context);
  writer.end();
}

}  // namespace warren::driver::config
