#include "driver/config/port_xml.h"

#include <array>
#include <limits>

namespace warren::driver::config {

namespace {

constexpr EnumName<MacTableManager> kMacTableManagers[] = {{"kernel", MacTableManager::kernel},
                                                           {"libvirt", MacTableManager::libvirt}};
constexpr EnumName<MacvtapMode> kMacvtapModes[] = {{"vepa", MacvtapMode::vepa},
                                                   {"private", MacvtapMode::private_},
                                                   {"bridge", MacvtapMode::bridge},
                                                   {"passthrough", MacvtapMode::passthrough}};
constexpr EnumName<NetworkHostDeviceDriver> kDrivers[] = {{"vfio", NetworkHostDeviceDriver::vfio},
                                                          {"kvm", NetworkHostDeviceDriver::kvm}};
constexpr std::string_view kRefusedDrivers[] = {"xen"};
constexpr EnumName<NativeVlanMode> kNativeModes[] = {{"tagged", NativeVlanMode::tagged},
                                                     {"untagged", NativeVlanMode::untagged}};
constexpr EnumName<VirtualPortType> kVirtualPortTypes[] = {{"802.1Qbg", VirtualPortType::vepa_8021qbg},
                                                           {"802.1Qbh", VirtualPortType::vnlink_8021qbh},
                                                           {"openvswitch", VirtualPortType::openvswitch},
                                                           {"midonet", VirtualPortType::midonet}};
constexpr EnumTable<VirtualPortType> kVirtualPortTypeNames{kVirtualPortTypes, {}};

constexpr std::uint32_t kMostTag = 4095;
constexpr std::uint32_t kMostTypeId = 0xff'ffff;
constexpr std::size_t kMostProfileIdBytes = 39;  // LIBVIRT_IFLA_VF_PORT_PROFILE_MAX without its NUL

// Which parameters each type has.
struct Parameters {
  VirtualPortType type;
  bool edge, profile, interface;
};
constexpr std::array<Parameters, 5> kParameters = {{
    {VirtualPortType::none, true, true, true},
    {VirtualPortType::vepa_8021qbg, true, false, false},
    {VirtualPortType::vnlink_8021qbh, false, true, false},
    {VirtualPortType::openvswitch, false, true, true},
    {VirtualPortType::midonet, false, false, true},
}};

const Parameters& parameters_of(VirtualPortType type) {
  for (const Parameters& parameters : kParameters)
    if (parameters.type == type) return parameters;
  return kParameters.front();
}

std::optional<Uuid> read_uuid(XmlElement& element, std::string_view attribute) {
  const auto text = element.attribute(attribute);
  if (!text) return std::nullopt;
  const auto uuid = Uuid::parse(*text);
  if (!uuid)
    throw element.malformed_attribute(attribute, fmt::format("'{}' is not a UUID", text->substr(0, 64)));
  return uuid;
}

template <typename Number>
std::optional<Number> read_small(XmlElement& element, std::string_view attribute, std::uint32_t maximum) {
  const auto value = read_number(element, attribute, 0, maximum);
  return value ? std::optional(static_cast<Number>(*value)) : std::nullopt;
}

void check_parameters(const XmlElement& element, std::string_view type, const VirtualPort& port) {
  const Parameters& allowed = parameters_of(port.type);
  const auto refuse = [&](bool is_there, std::string_view attribute) {
    if (is_there)
      throw element.malformed_attribute(attribute, fmt::format("a virtualport of type '{}' has none", type));
  };
  refuse(!allowed.edge && port.manager_id, "managerid");
  refuse(!allowed.edge && port.type_id, "typeid");
  refuse(!allowed.edge && port.type_id_version, "typeidversion");
  refuse(!allowed.edge && port.instance_id, "instanceid");
  refuse(!allowed.profile && !port.profile_id.empty(), "profileid");
  refuse(!allowed.interface && port.interface_id, "interfaceid");
}

std::optional<BandwidthRate> parse_rate(XmlElement& bandwidth, std::string_view direction, bool takes_floor) {
  XmlElement* element = bandwidth.child(direction);
  if (!element) return std::nullopt;
  BandwidthRate rate;
  const auto floor = element->attribute("floor");
  if (floor && direction != "inbound")
    throw element->unsupported_attribute("floor", "a guaranteed rate is only for <inbound>");
  if (floor && !takes_floor)
    throw element->unsupported_attribute("floor",
                                         "only interfaces on a virtual network have guaranteed rates");
  rate.floor = read_number(*element, "floor").value_or(0);
  rate.peak = read_number(*element, "peak").value_or(0);
  rate.burst = read_number(*element, "burst").value_or(0);
  const auto average = read_number(*element, "average", 1);
  if (!average && rate.floor == 0) throw element->malformed_attribute("average", "it is missing");
  if (!average && (rate.peak != 0 || rate.burst != 0))
    throw element->unsupported("'peak' and 'burst' need 'average'");
  rate.average = average.value_or(0);
  return rate;
}

void format_rate(XmlWriter& writer, std::string_view name, const std::optional<BandwidthRate>& rate) {
  if (!rate) return;
  writer.begin(name);
  if (rate->average != 0) writer.attribute("average", rate->average);
  if (rate->peak != 0) writer.attribute("peak", rate->peak);
  if (rate->floor != 0) writer.attribute("floor", rate->floor);
  if (rate->burst != 0) writer.attribute("burst", rate->burst);
  writer.end();
}

}  // namespace

constinit const EnumTable<MacTableManager> kMacTableManagerNames{kMacTableManagers, {}};
constinit const EnumTable<MacvtapMode> kMacvtapModeNames{kMacvtapModes, {}};
constinit const EnumTable<NetworkHostDeviceDriver> kNetworkHostDeviceDriverNames{kDrivers, kRefusedDrivers};

Vlan parse_vlan(XmlElement& element) {
  Vlan vlan;
  const auto trunk = read_yes_no(element, "trunk");
  for (XmlElement* tag : element.children("tag")) {
    const auto id = static_cast<std::uint16_t>(require_number(*tag, "id", 0, kMostTag));
    vlan.tags.push_back(id);
    const auto mode = read_enum(*tag, "nativeMode", EnumTable<NativeVlanMode>{kNativeModes, {}});
    if (!mode) continue;
    if (vlan.native_mode)
      throw tag->malformed_attribute("nativeMode", "another tag is the native one already");
    vlan.native_mode = mode;
    vlan.native_tag = id;
  }
  if (vlan.tags.empty()) throw element.malformed("it needs at least one <tag id='…'/>");
  const bool is_trunk = vlan.tags.size() > 1 || vlan.native_mode;
  if (is_trunk && trunk == false)
    throw element.malformed_attribute("trunk", "more than one tag, or a native one, makes a trunk");
  vlan.trunk = trunk.value_or(is_trunk);
  return vlan;
}

void format_vlan(XmlWriter& writer, const Vlan& vlan) {
  writer.begin("vlan");
  if (vlan.trunk) writer.attribute("trunk", "yes");
  bool native_is_written = !vlan.native_mode;
  for (const std::uint16_t tag : vlan.tags) {
    writer.begin("tag");
    writer.attribute("id", tag);
    if (!native_is_written && tag == vlan.native_tag) {
      native_is_written = true;
      writer.attribute("nativeMode", EnumTable<NativeVlanMode>{kNativeModes, {}}.name(*vlan.native_mode));
    }
    writer.end();
  }
  writer.end();
}

VirtualPort parse_virtual_port(XmlElement& element, bool needs_type) {
  VirtualPort port;
  if (needs_type) {
    port.type = require_enum(element, "type", kVirtualPortTypeNames);
  } else {
    port.type = read_enum(element, "type", kVirtualPortTypeNames).value_or(VirtualPortType::none);
  }
  XmlElement* parameters = element.child("parameters");
  if (!parameters) return port;
  port.manager_id = read_small<std::uint8_t>(*parameters, "managerid", 255);
  port.type_id = read_number(*parameters, "typeid", 0, kMostTypeId);
  port.type_id_version = read_small<std::uint8_t>(*parameters, "typeidversion", 255);
  port.instance_id = read_uuid(*parameters, "instanceid");
  port.interface_id = read_uuid(*parameters, "interfaceid");
  port.profile_id = parameters->attribute("profileid").value_or("");
  if (port.profile_id.size() > kMostProfileIdBytes)
    throw parameters->malformed_attribute("profileid",
                                          fmt::format("it is longer than {} bytes", kMostProfileIdBytes));
  check_parameters(*parameters, kVirtualPortTypeNames.name(port.type), port);
  return port;
}

void format_virtual_port(XmlWriter& writer, const VirtualPort& port) {
  writer.begin("virtualport");
  if (port.type != VirtualPortType::none) writer.attribute("type", kVirtualPortTypeNames.name(port.type));
  if (port != VirtualPort{.type = port.type}) {
    writer.begin("parameters");
    if (port.manager_id) writer.attribute("managerid", *port.manager_id);
    if (port.type_id) writer.attribute("typeid", *port.type_id);
    if (port.type_id_version) writer.attribute("typeidversion", *port.type_id_version);
    if (port.instance_id) writer.attribute("instanceid", port.instance_id->to_string());
    if (port.interface_id) writer.attribute("interfaceid", port.interface_id->to_string());
    if (!port.profile_id.empty()) writer.attribute("profileid", port.profile_id);
    writer.end();
  }
  writer.end();
}

std::optional<Bandwidth> parse_bandwidth(XmlElement* element, bool takes_floor) {
  if (!element) return std::nullopt;
  Bandwidth bandwidth{.inbound = parse_rate(*element, "inbound", takes_floor),
                      .outbound = parse_rate(*element, "outbound", takes_floor)};
  if (bandwidth == Bandwidth{}) return std::nullopt;
  return bandwidth;
}

void format_bandwidth(XmlWriter& writer, const std::optional<Bandwidth>& bandwidth, std::uint32_t class_id) {
  if (!bandwidth) return;
  writer.begin("bandwidth");
  if (class_id != 0) writer.attribute("classID", class_id);
  format_rate(writer, "inbound", bandwidth->inbound);
  format_rate(writer, "outbound", bandwidth->outbound);
  writer.end();
}

PciAddress parse_host_pci_address(XmlElement& element) {
  accept_only(element, "type", "pci");
  return {.segment = static_cast<std::uint16_t>(read_number(element, "domain", 0, 0xffff).value_or(0)),
          .bus = static_cast<std::uint8_t>(read_number(element, "bus", 0, 0xff).value_or(0)),
          .slot = static_cast<std::uint8_t>(read_number(element, "slot", 0, 31).value_or(0)),
          .function = static_cast<std::uint8_t>(read_number(element, "function", 0, 7).value_or(0))};
}

void format_host_pci_address(XmlWriter& writer, const PciAddress& address) {
  writer.begin("address");
  writer.attribute("type", "pci");
  writer.attribute("domain", fmt::format("0x{:04x}", address.segment));
  writer.attribute("bus", fmt::format("0x{:02x}", address.bus));
  writer.attribute("slot", fmt::format("0x{:02x}", address.slot));
  writer.attribute("function", fmt::format("0x{:x}", address.function));
  writer.end();
}

}  // namespace warren::driver::config
