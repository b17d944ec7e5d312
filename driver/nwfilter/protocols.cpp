#include "driver/nwfilter/protocols.h"

#include <vector>

namespace warren::driver::nwfilter {

namespace {

constexpr std::uint16_t kIpv4 = 0x0800, kArp = 0x0806, kRarp = 0x8035, kVlan = 0x8100, kIpv6 = 0x86dd;

constexpr NamedNumber kEtherTypes[] = {
    {"arp", kArp}, {"rarp", kRarp}, {"ipv4", kIpv4}, {"ipv6", kIpv6}, {"vlan", kVlan}};
// RFC 826, 903, 1931, 2390.
constexpr NamedNumber kArpOperations[] = {{"Request", 1},       {"Reply", 2},         {"Request_Reverse", 3},
                                          {"Reply_Reverse", 4}, {"DRARP_Request", 5}, {"DRARP_Reply", 6},
                                          {"DRARP_Error", 7},   {"InARP_Request", 8}, {"ARP_NAK", 9}};
// IANA, "Protocol Numbers".
constexpr NamedNumber kIpProtocols[] = {{"tcp", 6},  {"udp", 17}, {"udplite", 136}, {"esp", 50},   {"ah", 51},
                                        {"icmp", 1}, {"igmp", 2}, {"sctp", 132},    {"icmpv6", 58}};

constexpr AttributeSpec byte(std::string_view name, std::string_view needs = {}) {
  return {.name = name, .maximum = 0xff, .needs = needs};
}
constexpr AttributeSpec word(std::string_view name, std::string_view needs = {}) {
  return {.name = name, .maximum = 0xffff, .needs = needs};
}
constexpr AttributeSpec long_word(std::string_view name, std::string_view needs = {}) {
  return {.name = name, .maximum = 0xffffffff, .needs = needs};
}
constexpr AttributeSpec mac(std::string_view name) {
  return {.name = name, .kind = ValueKind::mac};
}
constexpr AttributeSpec mac_mask(std::string_view name, std::string_view needs) {
  return {.name = name, .kind = ValueKind::mac_mask, .needs = needs};
}
constexpr AttributeSpec kComment{.name = "comment", .kind = ValueKind::comment};
constexpr AttributeSpec kDscp{.name = "dscp", .maximum = 63};

using Attributes = std::vector<AttributeSpec>;

Attributes operator+(Attributes one, const Attributes& other) {
  one.insert(one.end(), other.begin(), other.end());
  return one;
}

Attributes link_addresses() {
  return {mac("srcmacaddr"), mac_mask("srcmacmask", "srcmacaddr"), mac("dstmacaddr"),
          mac_mask("dstmacmask", "dstmacaddr")};
}

Attributes network_addresses(ValueKind address, ValueKind mask) {
  return {{.name = "srcipaddr", .kind = address},
          {.name = "srcipmask", .kind = mask, .needs = "srcipaddr"},
          {.name = "dstipaddr", .kind = address},
          {.name = "dstipmask", .kind = mask, .needs = "dstipaddr"}};
}

Attributes ports() {
  return {word("srcportstart"), word("srcportend", "srcportstart"), word("dstportstart"),
          word("dstportend", "dstportstart")};
}

Attributes spanning_tree() {
  return {mac("srcmacaddr"),
          mac_mask("srcmacmask", "srcmacaddr"),
          byte("type"),
          byte("flags"),
          word("root-priority"),
          word("root-priority-hi", "root-priority"),
          mac("root-address"),
          mac_mask("root-address-mask", "root-address"),
          long_word("root-cost"),
          long_word("root-cost-hi", "root-cost"),
          word("sender-priority"),
          word("sender-priority-hi", "sender-priority"),
          mac("sender-address"),
          mac_mask("sender-address-mask", "sender-address"),
          word("port"),
          word("port-hi", "port"),
          word("age"),
          word("age-hi", "age"),
          word("max-age"),
          word("max-age-hi", "max-age"),
          word("hello-time"),
          word("hello-time-hi", "hello-time"),
          word("forward-delay"),
          word("forward-delay-hi", "forward-delay"),
          kComment};
}

Attributes address_resolution() {
  return link_addresses() +
         Attributes{word("hwtype"),
                    word("protocoltype"),
                    {.name = "opcode", .maximum = 0xffff, .names = kArpOperations},
                    mac("arpsrcmacaddr"),
                    mac("arpdstmacaddr"),
                    {.name = "arpsrcipaddr", .kind = ValueKind::ip},
                    {.name = "arpsrcipmask", .kind = ValueKind::ip_mask, .needs = "arpsrcipaddr"},
                    {.name = "arpdstipaddr", .kind = ValueKind::ip},
                    {.name = "arpdstipmask", .kind = ValueKind::ip_mask, .needs = "arpdstipaddr"},
                    {.name = "gratuitous", .kind = ValueKind::boolean},
                    kComment};
}

Attributes ip_header() {
  const AttributeSpec protocol{.name = "protocol", .maximum = 0xff, .names = kIpProtocols};
  return link_addresses() + network_addresses(ValueKind::ip, ValueKind::ip_mask) + Attributes{protocol} +
         ports() + Attributes{kDscp, kComment};
}

Attributes ipv6_header() {
  const AttributeSpec protocol{.name = "protocol", .maximum = 0xff, .names = kIpProtocols};
  return link_addresses() + network_addresses(ValueKind::ipv6, ValueKind::ipv6_mask) + Attributes{protocol} +
         ports() +
         Attributes{byte("type"), byte("typeend", "type"), byte("code"), byte("codeend", "code"), kComment};
}

// What all protocols that are looked at with their connections have in common.
Attributes connection(const Attributes& link, ValueKind address, ValueKind mask) {
  return link + network_addresses(address, mask) +
         Attributes{{.name = "srcipfrom", .kind = address},
                    {.name = "srcipto", .kind = address, .needs = "srcipfrom"},
                    {.name = "dstipfrom", .kind = address},
                    {.name = "dstipto", .kind = address, .needs = "dstipfrom"},
                    kDscp,
                    word("connlimit-above"),
                    {.name = "state", .kind = ValueKind::state},
                    {.name = "ipset", .kind = ValueKind::kernel_set},
                    {.name = "ipsetflags", .kind = ValueKind::kernel_set}};
}

enum class Extra { none, ports, tcp, icmp };

Attributes connection(bool is_ipv6, Extra extra) {
  // Of IPv4 without ports, all of the frame's addresses are documented.
  const bool has_ports = extra == Extra::ports || extra == Extra::tcp;
  const Attributes link = is_ipv6 || has_ports ? Attributes{mac("srcmacaddr")} : link_addresses();
  Attributes attributes = is_ipv6 ? connection(link, ValueKind::ipv6, ValueKind::ipv6_mask)
                                  : connection(link, ValueKind::ip, ValueKind::ip_mask);
  if (has_ports) attributes = std::move(attributes) + ports();
  if (extra == Extra::tcp)
    attributes =
        std::move(attributes) + Attributes{byte("option"), {.name = "flags", .kind = ValueKind::tcp_flags}};
  if (extra == Extra::icmp) attributes = std::move(attributes) + Attributes{byte("type"), byte("code")};
  attributes.push_back(kComment);
  return attributes;
}

const Attributes& connection_attributes(bool is_ipv6, Extra extra) {
  static const std::vector<Attributes> tables = [] {
    std::vector<Attributes> made;
    for (const bool family : {false, true})
      for (const Extra kind : {Extra::none, Extra::ports, Extra::tcp, Extra::icmp})
        made.push_back(connection(family, kind));
    return made;
  }();
  return tables[(is_ipv6 ? 4U : 0U) + static_cast<std::size_t>(extra)];
}

std::vector<ProtocolSpec> make_protocols() {
  static const Attributes mac_header =
      link_addresses() +
      Attributes{{.name = "protocolid", .minimum = 0x600, .maximum = 0xffff, .names = kEtherTypes}, kComment};
  static const Attributes vlan_header =
      link_addresses() +
      Attributes{{.name = "vlanid", .maximum = 0xfff},
                 {.name = "encap-protocol", .minimum = 0x3c, .maximum = 0xffff, .names = kEtherTypes},
                 kComment};
  static const Attributes stp = spanning_tree(), arp = address_resolution(), ip = ip_header(),
                          ipv6 = ipv6_header();
  std::vector<ProtocolSpec> all = {
      {"mac", Layer::link, 0, 0, mac_header}, {"vlan", Layer::link, kVlan, 0, vlan_header},
      {"stp", Layer::link, 0, 0, stp},        {"arp", Layer::link, kArp, 0, arp},
      {"rarp", Layer::link, kRarp, 0, arp},   {"ip", Layer::link, kIpv4, 0, ip},
      {"ipv6", Layer::link, kIpv6, 0, ipv6},
  };
  struct Connection {
    std::string_view name, ipv6_name;
    std::uint8_t number, ipv6_number;
    Extra extra;
  };
  constexpr Connection kConnections[] = {
      {"tcp", "tcp-ipv6", 6, 6, Extra::tcp},
      {"udp", "udp-ipv6", 17, 17, Extra::ports},
      {"udplite", "udplite-ipv6", 136, 136, Extra::none},
      {"esp", "esp-ipv6", 50, 50, Extra::none},
      {"ah", "ah-ipv6", 51, 51, Extra::none},
      {"sctp", "sctp-ipv6", 132, 132, Extra::ports},
      {"icmp", "icmpv6", 1, 58, Extra::icmp},
      {"igmp", "", 2, 0, Extra::none},
      {"all", "all-ipv6", 0, 0, Extra::none},
  };
  for (const Connection& entry : kConnections) {
    all.push_back(
        {entry.name, Layer::network, kIpv4, entry.number, connection_attributes(false, entry.extra)});
    if (!entry.ipv6_name.empty())
      all.push_back({entry.ipv6_name, Layer::network, kIpv6, entry.ipv6_number,
                     connection_attributes(true, entry.extra)});
  }
  return all;
}

}  // namespace

std::span<const ProtocolSpec> protocols() {
  static const std::vector<ProtocolSpec> all = make_protocols();
  return all;
}

const ProtocolSpec* find_protocol(std::string_view name) {
  for (const ProtocolSpec& protocol : protocols())
    if (protocol.name == name) return &protocol;
  return nullptr;
}

const AttributeSpec* ProtocolSpec::attribute(std::string_view attribute_name) const {
  for (const AttributeSpec& entry : attributes)
    if (entry.name == attribute_name) return &entry;
  return nullptr;
}

}  // namespace warren::driver::nwfilter
