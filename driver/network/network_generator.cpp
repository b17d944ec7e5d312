#include "driver/network/network_generator.h"

#include <algorithm>

#include <fmt/format.h>

namespace warren::driver::network {

namespace {

using config::Bandwidth;
using config::BandwidthRate;
using config::VirtualPort;
using config::VirtualPortType;
using config::Vlan;

class Dice {
 public:
  explicit Dice(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::uint32_t below(std::uint32_t limit) { return word() % limit; }
  bool flip() { return below(2) == 1; }
  std::uint32_t between(std::uint32_t low, std::uint32_t high) { return low + below(high - low + 1); }
  std::optional<bool> maybe_bool() { return flip() ? std::optional(flip()) : std::nullopt; }
  std::optional<std::uint32_t> maybe(std::uint32_t low, std::uint32_t high) {
    return flip() ? std::optional(between(low, high)) : std::nullopt;
  }
  // Text with everything that has to be escaped.
  std::string text(std::size_t most) {
    static constexpr std::string_view kParts[] = {"a",  "Z", "&", "<",  ">",   "'",
                                                  "\"", " ", "ä", "語", "]]>", "0"};
    std::string result = "t";
    for (std::size_t i = below(static_cast<std::uint32_t>(most)); i > 0; --i) result += kParts[below(12)];
    return result;
  }
  std::string name() { return fmt::format("name-{}{}", below(1000), flip() ? ".example" : ""); }

 private:
  std::uint32_t word() {
    std::uint32_t value = 0;
    for (int i = 0; i < 2; ++i)
      if (next_ < bytes_.size()) value = value << 8 | bytes_[next_++];
    return value;
  }
  std::span<const std::uint8_t> bytes_;
  std::size_t next_ = 0;
};

IpAddress ipv4(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return {.bytes = {static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(b), static_cast<std::uint8_t>(c),
                    static_cast<std::uint8_t>(d)}};
}

// Host `host` of the network fd00:NUMBER::/64.
IpAddress ipv6(std::uint32_t number, std::uint32_t host) {
  IpAddress address{.is_ipv6 = true, .bytes = {0xfd}};
  address.bytes[3] = static_cast<std::uint8_t>(number);
  address.bytes[14] = static_cast<std::uint8_t>(host >> 8);
  address.bytes[15] = static_cast<std::uint8_t>(host);
  return address;
}

std::optional<Bandwidth> make_bandwidth(Dice& dice) {
  const auto rate = [&]() -> std::optional<BandwidthRate> {
    if (dice.flip()) return std::nullopt;
    return BandwidthRate{.average = dice.between(1, 60'000), .peak = dice.below(9), .burst = dice.below(9)};
  };
  const Bandwidth bandwidth{.inbound = rate(), .outbound = rate()};
  return bandwidth == Bandwidth{} ? std::nullopt : std::optional(bandwidth);
}

Vlan make_vlan(Dice& dice) {
  Vlan vlan{.trunk = dice.flip(), .tags = {static_cast<std::uint16_t>(dice.below(4096))}};
  while (dice.flip() && vlan.tags.size() < 5)
    vlan.tags.push_back(static_cast<std::uint16_t>(dice.below(4096)));
  if (dice.flip()) {
    vlan.native_mode = static_cast<config::NativeVlanMode>(dice.below(2));
    vlan.native_tag = vlan.tags[dice.below(static_cast<std::uint32_t>(vlan.tags.size()))];
  }
  vlan.trunk = vlan.trunk || vlan.native_mode || vlan.tags.size() > 1;
  return vlan;
}

VirtualPort make_virtual_port(Dice& dice) {
  const auto uuid = Uuid::parse("09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f");
  VirtualPort port{.type = static_cast<VirtualPortType>(dice.between(1, 4))};
  if (port.type == VirtualPortType::vepa_8021qbg) {
    if (dice.flip()) port.manager_id = static_cast<std::uint8_t>(dice.below(256));
    port.type_id = dice.maybe(0, 60'000);
    if (dice.flip()) port.type_id_version = static_cast<std::uint8_t>(dice.below(256));
    if (dice.flip()) port.instance_id = uuid;
  }
  const bool is_switch = port.type == VirtualPortType::openvswitch;
  if ((is_switch || port.type == VirtualPortType::vnlink_8021qbh) && dice.flip())
    port.profile_id = dice.text(3);
  if ((is_switch || port.type == VirtualPortType::midonet) && dice.flip()) port.interface_id = uuid;
  return port;
}

std::optional<DhcpLeaseTime> make_lease(Dice& dice) {
  if (dice.flip()) return std::nullopt;
  if (dice.below(4) == 0) return DhcpLeaseTime{};
  return DhcpLeaseTime{.expiry = dice.between(120, 60'000),
                       .unit = static_cast<DhcpLeaseTime::Unit>(dice.below(3))};
}

void make_dhcp(Dice& dice, std::uint32_t number, NetworkAddress& address) {
  const bool six = address.address->is_ipv6;
  const auto at = [&](std::uint32_t host) { return six ? ipv6(number, host) : ipv4(10, number, 0, host); };
  for (std::uint32_t i = dice.below(3); i > 0; --i)
    address.ranges.push_back(
        {.addresses = {at(dice.between(2, 50)), at(dice.between(50, 99))}, .lease = make_lease(dice)});
  for (std::uint32_t i = dice.below(3); i > 0; --i) {
    DhcpHost host{.ip = at(100 + i), .lease = make_lease(dice)};
    if (dice.flip()) host.name = dice.name();
    if (!six && (dice.flip() || host.name.empty())) host.mac = fmt::format("52:54:00:AA:00:0{}", i);
    if (six && (dice.flip() || host.name.empty())) host.id = fmt::format("0:1:Ab:{}", i);
    address.hosts.push_back(std::move(host));
  }
  if (six || dice.flip()) return;
  address.boot_file = dice.text(5);
  if (dice.flip()) address.boot_server = ipv4(192, 0, 2, dice.below(256));
}

NetworkAddress make_address(Dice& dice, std::uint32_t number, bool has_dhcp) {
  const bool six = number % 2 == 1;
  NetworkAddress address{.address = six ? ipv6(number, 1) : ipv4(10, number, 0, 1), .has_family = six};
  if (!six) address.has_family = dice.flip();
  const std::uint32_t said = dice.below(3);
  if (said == 1) address.prefix = six ? 64 : 24;
  if (said == 2 && !six) address.netmask = config::netmask_of_prefix(false, 20);
  address.local_ptr = dice.flip();
  if (!six && dice.flip()) address.tftp_root = "/" + dice.text(5);
  if (has_dhcp) make_dhcp(dice, number, address);
  return address;
}

void make_addresses(Dice& dice, NetworkDefinition& definition) {
  const bool needs_one = definition.forward.has_value();
  const std::uint32_t count = dice.between(needs_one ? 1 : 0, 4);
  for (std::uint32_t i = 0; i < count; ++i) definition.addresses.push_back(make_address(dice, i, i < 2));
  if (count > 0 && dice.flip())
    definition.routes.push_back({.has_family = dice.flip(),
                                 .address = ipv4(172, 16, 0, 0),
                                 .prefix = 12,
                                 .gateway = ipv4(10, 0, 0, 9),
                                 .metric = dice.maybe(1, 60'000)});
  if (count > 0 && dice.flip())
    definition.routes.push_back({.address = ipv4(0, 0, 0, 0), .gateway = ipv4(10, 0, 0, 8)});
  if (count > 1 && dice.flip())
    definition.routes.push_back({.has_family = true,
                                 .address = ipv6(9, 0),
                                 .prefix = 48,
                                 .gateway = ipv6(1, 7),
                                 .metric = dice.maybe(1, 60'000)});
}

Dns make_dns(Dice& dice) {
  Dns dns{.enable = dice.maybe_bool(), .forward_plain_names = dice.maybe_bool()};
  if (dns.enable == false) return dns;
  for (std::uint32_t i = dice.below(3); i > 0; --i) {
    DnsForwarder forwarder;
    if (dice.flip()) forwarder.address = dice.flip() ? ipv6(3, 3) : ipv4(8, 8, 8, 8);
    if (dice.flip() || !forwarder.address) forwarder.domain = dice.name();
    dns.forwarders.push_back(std::move(forwarder));
  }
  for (std::uint32_t i = dice.below(3); i > 0; --i)
    dns.texts.push_back({.name = dice.name(), .value = dice.flip() ? dice.text(9) : ""});
  for (std::uint32_t i = dice.below(3); i > 0; --i) {
    dns.hosts.push_back({.ip = ipv4(10, 0, 1, i), .names = {dice.name()}});
    if (dice.flip()) dns.hosts.back().names.push_back(dice.name());
  }
  for (std::uint32_t i = dice.below(3); i > 0; --i) {
    DnsService service{.service = fmt::format("service-{}", i), .protocol = dice.flip() ? "tcp" : "udp"};
    if (dice.flip()) service.domain = dice.name();
    if (dice.flip()) {
      service.target = dice.name();
      service.port = dice.maybe(1, 65535);
      service.priority = dice.maybe(1, 65535);
      service.weight = dice.maybe(1, 65535);
    }
    dns.services.push_back(std::move(service));
  }
  return dns;
}

Forward make_pool(Dice& dice, ForwardMode mode) {
  Forward forward{.mode = mode};
  const bool is_devices = mode == ForwardMode::hostdev;
  if (dice.below(3) == 0) forward.physical_function = "ens1f0";
  if (is_devices && dice.flip()) {
    for (std::uint32_t i = dice.below(4); i > 0; --i)
      forward.addresses.push_back({.segment = static_cast<std::uint16_t>(dice.below(65536)),
                                   .bus = static_cast<std::uint8_t>(dice.below(256)),
                                   .slot = static_cast<std::uint8_t>(i),
                                   .function = static_cast<std::uint8_t>(dice.below(8))});
  } else {
    for (std::uint32_t i = dice.below(4); i > 0; --i) forward.interfaces.push_back(fmt::format("eth{}", i));
  }
  if (!is_devices) return forward;
  forward.managed = dice.flip();
  if (dice.flip()) forward.driver = static_cast<config::NetworkHostDeviceDriver>(dice.below(2));
  return forward;
}

std::optional<Forward> make_forward(Dice& dice) {
  const auto mode = static_cast<ForwardMode>(dice.below(9));
  if (mode == ForwardMode::none) return std::nullopt;
  if (mode >= ForwardMode::bridge) return make_pool(dice, mode);
  Forward forward{.mode = mode};
  if (mode != ForwardMode::open && dice.flip()) forward.interfaces = {"bond0.7"};
  if (mode != ForwardMode::nat) return forward;
  forward.nat_ipv6 = dice.flip();
  if (dice.flip()) forward.nat_addresses = AddressRange{ipv4(192, 0, 2, dice.below(9)), ipv4(192, 0, 2, 9)};
  if (dice.flip()) forward.nat_ports = PortRange{static_cast<std::uint16_t>(dice.below(2000)), 2000};
  return forward;
}

void make_port_groups(Dice& dice, NetworkDefinition& definition) {
  const bool has_vlans =
      definition.mode() == ForwardMode::hostdev || definition.mode() == ForwardMode::passthrough;
  if (dice.flip()) definition.virtual_port = make_virtual_port(dice);
  const bool is_switch = definition.mode() == ForwardMode::bridge && definition.virtual_port &&
                         definition.virtual_port->type == VirtualPortType::openvswitch;
  if ((has_vlans || is_switch) && dice.flip()) definition.vlan = make_vlan(dice);
  bool has_default = false;
  for (std::uint32_t i = dice.below(4); i > 0; --i) {
    PortGroup group{.name = fmt::format("{}{}", dice.text(4), i),
                    .is_default = !has_default && dice.flip(),
                    .trust_guest_rx_filters = dice.maybe_bool()};
    has_default = has_default || group.is_default;
    if (dice.flip()) group.virtual_port = make_virtual_port(dice);
    if (definition.mode() != ForwardMode::hostdev) group.bandwidth = make_bandwidth(dice);
    if ((has_vlans || is_switch) && dice.flip()) group.vlan = make_vlan(dice);
    definition.port_groups.push_back(std::move(group));
  }
}

void make_own_bridge(Dice& dice, NetworkDefinition& definition) {
  BridgeSettings& bridge = definition.bridge;
  if (dice.flip()) bridge.name = "virbr7";
  if (dice.flip()) bridge.zone = dice.text(3);
  bridge.stp = dice.flip();
  bridge.delay_s = dice.below(30);
  if (dice.flip()) bridge.mac_table_manager = static_cast<config::MacTableManager>(dice.below(2));
  definition.mtu = dice.maybe(68, 65535);
  if (dice.flip())
    definition.mac = MacAddress{0x52, 0x54, 0, 1, 2, static_cast<std::uint8_t>(dice.below(256))};
  if (dice.flip()) {
    definition.domain_name = dice.name();
    definition.domain_local_only = dice.maybe_bool();
  }
  if (dice.flip()) definition.dns = make_dns(dice);
  if (definition.dns == Dns{}) definition.dns.reset();
  definition.bandwidth = make_bandwidth(dice);
  make_addresses(dice, definition);
}

}  // namespace

NetworkDefinition generate_network(std::span<const std::uint8_t> bytes) {
  Dice dice(bytes);
  NetworkDefinition definition{.name = dice.text(9)};
  definition.uuid.bytes[3] = static_cast<std::uint8_t>(dice.below(256));
  if (dice.flip()) definition.title = dice.text(9);
  if (dice.flip()) definition.description = dice.text(9) + "\nmore";
  if (dice.flip()) definition.metadata = {{"urn:a", "<a:b xmlns:a='urn:a' c='&apos;'>d</a:b>"}};
  if (dice.flip()) definition.ipv6 = true;
  definition.trust_guest_rx_filters = dice.maybe_bool();
  definition.port_isolated = dice.maybe_bool();
  definition.forward = make_forward(dice);
  if (definition.owns_bridge()) {
    make_own_bridge(dice, definition);
  } else if (definition.mode() == ForwardMode::bridge) {
    if (definition.forward->interfaces.empty() && definition.forward->physical_function.empty())
      definition.bridge.name = "br0";
    if (dice.flip()) definition.bridge.mac_table_manager = config::MacTableManager::kernel;
  }
  make_port_groups(dice, definition);
  for (std::uint32_t i = dice.below(3); i > 0; --i) definition.dnsmasq_options.push_back(dice.text(9));
  return definition;
}

}  // namespace warren::driver::network
