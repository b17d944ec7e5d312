// <interface>: a network interface of the host as data, and its XML (virInterface*).
//
// Plain values. An optional that is empty was not given, and is not printed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/identity.h"
#include "driver/config/ip_address.h"

namespace warren::driver::interface {

enum class InterfaceKind { ethernet, bridge, bond, vlan };
enum class StartMode { none, onboot, hotplug };
enum class LinkState { unknown, not_present, down, lower_layer_down, testing, dormant, up };
// As the kernel numbers them (its bonding documentation).
enum class BondMode {
  balance_rr,
  active_backup,
  balance_xor,
  broadcast,
  ieee_802_3ad,
  balance_tlb,
  balance_alb
};
enum class MiiCarrier { ioctl, netif };
enum class ArpValidation { active, backup, all };

struct InterfaceAddress {
  config::IpAddress address;
  std::optional<unsigned> prefix;
  bool operator==(const InterfaceAddress&) const = default;
};

struct Protocol {
  bool is_ipv6 = false;
  bool autoconf = false;  // IPv6 alone
  bool dhcp = false;
  std::optional<bool> peer_dns;  // of dhcp
  std::vector<InterfaceAddress> addresses;
  std::optional<config::IpAddress> gateway;
  bool operator==(const Protocol&) const = default;
};

struct MiiMonitor {
  std::uint32_t interval_ms = 0, down_delay_ms = 0, up_delay_ms = 0;
  std::optional<MiiCarrier> carrier;
  bool operator==(const MiiMonitor&) const = default;
};
struct ArpMonitor {
  std::uint32_t interval_ms = 0;
  config::IpAddress target;  // IPv4
  std::optional<ArpValidation> validation;
  bool operator==(const ArpMonitor&) const = default;
};

struct InterfaceDefinition {
  InterfaceKind kind = InterfaceKind::ethernet;
  std::string name;
  std::optional<StartMode> start;
  std::optional<std::uint32_t> mtu;
  std::vector<Protocol> protocols;        // at most one of each family
  std::optional<std::uint32_t> speed;     // of the link, Mbit/s
  std::optional<LinkState> state;         // of the link
  std::optional<config::MacAddress> mac;  // kind ethernet

  std::optional<bool> stp;                          // kind bridge
  std::optional<std::uint32_t> delay_centiseconds;  // kind bridge: forward delay
  std::vector<InterfaceDefinition> members;  // kinds bridge and bond; ethernet, or in a bridge vlan or bond
  std::optional<BondMode> bond_mode;         // kind bond
  std::optional<MiiMonitor> mii;             // kind bond
  std::optional<ArpMonitor> arp;             // kind bond; not with mii
  std::uint16_t vlan_tag = 0;                // kind vlan, 1..4094
  std::string vlan_device;                   // kind vlan: the link that it stands on

  bool operator==(const InterfaceDefinition&) const = default;
};

// Throws Error (VIR_ERR_XML_*, VIR_ERR_CONFIG_UNSUPPORTED; VIR_FROM_INTERFACE) that names element and line.
// `validate`: against the schema (xml-schemas/interface.rng).
InterfaceDefinition parse_interface(std::string_view xml, bool validate);
std::string format_interface(const InterfaceDefinition& definition);

}  // namespace warren::driver::interface
