// <network>: a virtual network's definition as data, and its XML (libvirt's formatnetwork).
//
// Plain values. An optional that is empty was not given, and is not printed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/device_address.h"
#include "driver/config/identity.h"
#include "driver/config/ip_address.h"
#include "driver/config/network_port.h"
#include "driver/config/tuning.h"
#include "driver/config/virtual_port.h"
#include "driver/config/vlan.h"
#include "driver/contract/networks.h"
#include "driver/contract/uuid.h"

namespace warren::driver::network {

using config::IpAddress;
using config::MacAddress;

enum class ForwardMode { none, nat, route, open, bridge, private_, vepa, passthrough, hostdev };

struct AddressRange {
  IpAddress begin, end;
  bool operator==(const AddressRange&) const = default;
};
struct PortRange {
  std::uint16_t begin = 0, end = 0;
  bool operator==(const PortRange&) const = default;
};

struct Forward {
  ForwardMode mode = ForwardMode::nat;
  std::vector<std::string> interfaces;        // <interface dev=…/>; `dev` of <forward> is the first of them
  std::vector<config::PciAddress> addresses;  // mode hostdev
  // <pf dev=…/>: its virtual functions make the pool. While the network runs, they are listed beside it, in
  // `interfaces` or `addresses`; where there is a list, the list is the pool.
  std::string physical_function;
  std::optional<bool> managed;  // mode hostdev
  std::optional<config::NetworkHostDeviceDriver> driver;
  bool nat_ipv6 = false;  // ipv6='no' is the same as nothing, and is not printed
  std::optional<AddressRange> nat_addresses;
  std::optional<PortRange> nat_ports;
  bool operator==(const Forward&) const = default;
};

struct BridgeSettings {
  std::string name;  // empty: chosen when it is defined
  std::string zone;  // of firewalld
  bool stp = true;
  std::uint32_t delay_s = 0;  // forward delay
  std::optional<config::MacTableManager> mac_table_manager;
  bool operator==(const BridgeSettings&) const = default;
};

struct DhcpLeaseTime {
  std::uint64_t expiry = 0;  // in `unit`; 0: for ever
  enum class Unit { seconds, minutes, hours } unit = Unit::minutes;
  bool operator==(const DhcpLeaseTime&) const = default;
};
struct DhcpRange {
  AddressRange addresses;
  std::optional<DhcpLeaseTime> lease;
  bool operator==(const DhcpRange&) const = default;
};
struct DhcpHost {
  std::optional<std::string> mac;  // as given: its case is kept
  std::string id;                  // DHCPv6 client identifier
  std::string name;
  std::optional<IpAddress> ip;
  std::optional<DhcpLeaseTime> lease;
  bool operator==(const DhcpHost&) const = default;
};
struct NetworkAddress {
  std::optional<IpAddress> address;
  bool has_family = false;           // family='ipv4' was given
  std::optional<unsigned> prefix;    // as given
  std::optional<IpAddress> netmask;  // as given
  bool local_ptr = false;
  std::vector<DhcpRange> ranges;
  std::vector<DhcpHost> hosts;
  std::string tftp_root, boot_file;
  std::optional<IpAddress> boot_server;  // <bootp server=…/>
  bool operator==(const NetworkAddress&) const = default;

  bool has_dhcp() const { return !ranges.empty() || !hosts.empty(); }
  // By prefix or netmask; without either by the address's class (IPv4) or 64 (IPv6).
  unsigned effective_prefix() const;
};

struct NetworkRoute {
  bool has_family = false;
  IpAddress address;
  std::optional<unsigned> prefix;
  std::optional<IpAddress> netmask;
  IpAddress gateway;
  std::optional<std::uint32_t> metric;
  bool operator==(const NetworkRoute&) const = default;

  // By prefix or netmask; without either 0: the default route.
  unsigned effective_prefix() const;
};

struct DnsForwarder {
  std::optional<IpAddress> address;
  std::string domain;
  bool operator==(const DnsForwarder&) const = default;
};
struct DnsText {
  std::string name, value;
  bool operator==(const DnsText&) const = default;
};
struct DnsHost {
  IpAddress ip;
  std::vector<std::string> names;
  bool operator==(const DnsHost&) const = default;
};
struct DnsService {
  std::string service, protocol, domain, target;
  std::optional<std::uint32_t> port, priority, weight;
  bool operator==(const DnsService&) const = default;
};
struct Dns {
  std::optional<bool> enable, forward_plain_names;
  std::vector<DnsForwarder> forwarders;
  std::vector<DnsText> texts;
  std::vector<DnsHost> hosts;
  std::vector<DnsService> services;
  bool operator==(const Dns&) const = default;
};

struct PortGroup {
  std::string name;
  bool is_default = false;
  std::optional<bool> trust_guest_rx_filters;
  std::optional<config::VirtualPort> virtual_port;
  std::optional<config::Bandwidth> bandwidth;
  std::optional<config::Vlan> vlan;
  bool operator==(const PortGroup&) const = default;
};

struct NetworkDefinition {
  std::string name;
  Uuid uuid{};
  std::string title, description;
  std::vector<config::MetadataElement> metadata;
  std::optional<bool> ipv6;  // true: guests talk IPv6 among themselves without an address of the network
  std::optional<bool> trust_guest_rx_filters;
  std::optional<Forward> forward;  // none: isolated
  BridgeSettings bridge;
  std::optional<std::uint32_t> mtu;
  std::optional<MacAddress>
      mac;  // of the bridge; always there after fill_defaults() where there is a bridge of ours
  std::string domain_name;
  std::optional<bool> domain_local_only;
  std::optional<Dns> dns;
  std::optional<bool> port_isolated;
  std::optional<config::Vlan> vlan;
  std::optional<config::Bandwidth> bandwidth;
  std::optional<config::VirtualPort> virtual_port;
  std::vector<PortGroup> port_groups;
  std::vector<NetworkAddress> addresses;
  std::vector<NetworkRoute> routes;
  std::vector<std::string>
      dnsmasq_options;  // <dnsmasq:options>: lines of its configuration, for who asks for it
  bool operator==(const NetworkDefinition&) const = default;

  NetworkHandle handle() const { return {name, uuid}; }
  ForwardMode mode() const { return forward ? forward->mode : ForwardMode::none; }
  // Warren makes and removes its bridge: modes none, nat, route and open.
  bool owns_bridge() const { return mode() <= ForwardMode::open; }
};

// Throws Error (VIR_ERR_XML_*, VIR_ERR_CONFIG_UNSUPPORTED) that names element and line. `validate`: against
// the schema (xml-schemas/network.rng). A missing UUID is made up; everything that does not depend on the
// host is checked.
NetworkDefinition parse_network(std::string_view xml, bool validate);
// What is not given and does not depend on the host: the bridge's MAC address (52:54:00:…).
void fill_defaults(NetworkDefinition& definition);

// What only a network that runs has.
struct LiveFigures {
  std::uint32_t connections = 0;
  std::vector<std::uint32_t> interface_connections;  // in the order of forward->interfaces
  std::vector<config::PciAddress> functions;         // the virtual ones of forward->physical_function
};
// `live`: none for a definition. VIR_NETWORK_XML_INACTIVE is the caller's choice of definition.
std::string format_network(const NetworkDefinition& definition, const LiveFigures* live);

// The definition after virNetworkUpdate's change, checked as a whole; throws Error as libvirt does: there is
// none, or already one, like that; the section cannot be changed; the XML is not one of its elements.
NetworkDefinition updated(const NetworkDefinition& definition, const NetworkUpdate& update);

}  // namespace warren::driver::network
