// <forward>: how a network is connected to what is outside of it.
#include <set>

#include "driver/config/port_xml.h"
#include "driver/network/network_parts.h"

namespace warren::driver::network {

namespace {

constexpr config::EnumName<ForwardMode> kModes[] = {
    {"none", ForwardMode::none},       {"nat", ForwardMode::nat},
    {"route", ForwardMode::route},     {"open", ForwardMode::open},
    {"bridge", ForwardMode::bridge},   {"private", ForwardMode::private_},
    {"vepa", ForwardMode::vepa},       {"passthrough", ForwardMode::passthrough},
    {"hostdev", ForwardMode::hostdev},
};
constexpr config::EnumTable<ForwardMode> kModeNames{kModes, {}};
constexpr std::uint32_t kMostPort = 65535;

void parse_nat(XmlElement& element, Forward& forward) {
  if (forward.mode != ForwardMode::nat) throw element.malformed("only a network of mode 'nat' has it");
  forward.nat_ipv6 = config::read_yes_no(element, "ipv6").value_or(false);
  if (XmlElement* child = element.child("address")) {
    const AddressRange range{require_ip_address(*child, "start"), require_ip_address(*child, "end")};
    if (range.begin.is_ipv6 || range.end.is_ipv6)
      throw child->malformed("addresses that replace those of guests are IPv4 addresses");
    if (range.end < range.begin) throw child->malformed("the range ends before it starts");
    forward.nat_addresses = range;
  }
  if (XmlElement* child = element.child("port")) {
    const PortRange range{static_cast<std::uint16_t>(config::require_number(*child, "start", 0, kMostPort)),
                          static_cast<std::uint16_t>(config::require_number(*child, "end", 0, kMostPort))};
    if (range.end < range.begin) throw child->malformed("the range ends before it starts");
    forward.nat_ports = range;
  }
}

void parse_interfaces(XmlElement& element, Forward& forward) {
  std::set<std::string> names;
  for (XmlElement* child : element.children("interface")) {
    std::string name = parse_forward_interface(*child);
    if (!names.insert(name).second)
      throw child->malformed(fmt::format("the interface '{}' is listed twice", name));
    forward.interfaces.push_back(std::move(name));
  }
  const auto device = element.attribute("dev");
  if (!device || device->empty()) return;
  const std::string name = require_link_name(element, "dev");
  if (forward.interfaces.empty()) forward.interfaces.push_back(name);
  if (forward.interfaces.front() != name)
    throw element.malformed_attribute(
        "dev", fmt::format("'{}' is to be the first <interface>, '{}'", name, forward.interfaces.front()));
  if (element.child("pf") || !element.children("address").empty())
    throw element.malformed_attribute("dev", "it cannot stand beside <pf> or <address>");
}

void parse_addresses(XmlElement& element, Forward& forward) {
  std::set<std::string> names;
  for (XmlElement* child : element.children("address")) {
    if (forward.mode != ForwardMode::hostdev)
      throw child->unsupported("only a network of mode 'hostdev' has PCI devices");
    if (!forward.interfaces.empty())
      throw child->malformed("the pool is of interfaces already; it cannot be of PCI devices, too");
    const config::PciAddress address = config::parse_host_pci_address(*child);
    child->attribute("connections");  // of a running network; nothing that could be set
    if (!names.insert(config::format_pci_address(address)).second)
      throw child->malformed(
          fmt::format("the PCI device {} is listed twice", config::format_pci_address(address)));
    forward.addresses.push_back(address);
  }
}

bool has_pool(ForwardMode mode) {
  return mode >= ForwardMode::bridge;
}

void check_mode(XmlElement& element, const Forward& forward) {
  if (forward.mode == ForwardMode::open && !forward.interfaces.empty())
    throw element.malformed("a network of mode 'open' is not bound to an interface");
  if (!has_pool(forward.mode) && forward.interfaces.size() > 1)
    throw element.malformed(fmt::format("a network of mode '{}' forwards to one interface at most",
                                        kModeNames.name(forward.mode)));
  if (!has_pool(forward.mode) && !forward.physical_function.empty())
    throw element.malformed(fmt::format("a network of mode '{}' has no pool of virtual functions (<pf>)",
                                        kModeNames.name(forward.mode)));
}

}  // namespace

const config::EnumTable<ForwardMode>& forward_mode_names() {
  return kModeNames;
}

std::string parse_forward_interface(XmlElement& element) {
  element.attribute("connections");  // of a running network; nothing that could be set
  return require_link_name(element, "dev");
}

std::optional<Forward> parse_forward(XmlElement& root) {
  XmlElement* element = root.child("forward");
  if (!element) return std::nullopt;
  Forward forward;
  forward.mode = config::read_enum(*element, "mode", kModeNames).value_or(ForwardMode::nat);
  if (forward.mode == ForwardMode::none) return std::nullopt;
  parse_interfaces(*element, forward);
  parse_addresses(*element, forward);
  if (XmlElement* function = element->child("pf"))
    forward.physical_function = require_link_name(*function, "dev");
  if (forward.mode == ForwardMode::hostdev) {
    forward.managed = config::read_yes_no(*element, "managed").value_or(false);
    if (XmlElement* driver = element->child("driver"))
      forward.driver = config::require_enum(*driver, "name", config::kNetworkHostDeviceDriverNames);
  }
  if (XmlElement* nat = element->child("nat")) parse_nat(*nat, forward);
  check_mode(*element, forward);
  return forward;
}

}  // namespace warren::driver::network
