#include "driver/nwfilter/frame_match.h"

#include <algorithm>
#include <array>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::driver::nwfilter {

namespace {

namespace json = boost::json;

constexpr std::uint32_t kIcmpv6 = 58;
constexpr std::uint32_t kWithPorts[] = {6, 17, 33, 132, 136};

json::value mac_value(const config::MacAddress& address) {
  return json::value(config::format_mac_address(address));
}

config::MacAddress masked(config::MacAddress address, const config::MacAddress& mask) {
  for (std::size_t i = 0; i < address.size(); ++i) address[i] &= mask[i];
  return address;
}

std::uint64_t as_number(const config::MacAddress& address) {
  std::uint64_t number = 0;
  for (const std::uint8_t byte : address) number = number << 8 | byte;
  return number;
}

// Gathers the expressions of one rule; impossible() once none can hold.
class FrameMatcher {
 public:
  FrameMatcher(const TapRule& rule, const FlowSettings& flow) : rule_(rule), flow_(flow) {}

  std::optional<json::array> run() {
    if (rule_.protocol != nullptr) {
      const std::string_view name = rule_.protocol->name;
      if (name == "stp") {
        add_spanning_tree();
      } else {
        add_link_addresses();
        if (rule_.protocol->ether_type != 0) out_.push_back(match_ether_type(rule_.protocol->ether_type));
        if (name == "mac") add_number("protocolid", field_of("ether", "type"));
        if (name == "vlan") add_vlan();
        if (name == "arp" || name == "rarp") add_address_resolution(name == "rarp");
        if (name == "ip" || name == "ipv6") add_header();
        if (rule_.protocol->layer == Layer::network) add_connection();
      }
    }
    if (impossible_) return std::nullopt;
    return std::move(out_);
  }

 private:
  // What an attribute of the source is called when the packet goes the other way.
  std::string mirrored(std::string_view attribute) const {
    std::string name(attribute);
    if (!flow_.mirrored || rule_.protocol->name == "stp") return name;  // its destination is always the same
    if (const std::size_t at = name.find("src"); at != std::string::npos)
      name.replace(at, 3, "dst");
    else if (const std::size_t other = name.find("dst"); other != std::string::npos)
      name.replace(other, 3, "src");
    return name;
  }
  const ValueMatch* find(std::string_view attribute) const { return rule_.match(mirrored(attribute)); }

  void add(json::value field, json::value value, bool negated) {
    out_.push_back(match_value(std::move(field), std::move(value), negated));
  }
  // Everything is in an empty mask, and nothing outside it.
  void add_everything(bool negated) { impossible_ = impossible_ || negated; }

  void add_number(std::string_view attribute, json::value field) {
    if (const ValueMatch* match = find(attribute)) add(std::move(field), match->value.number, match->negated);
  }

  void add_range(std::string_view from, std::string_view to, json::value field, std::uint32_t most) {
    const ValueMatch* first = find(from);
    if (first == nullptr) return;
    const ValueMatch* last = find(to);
    const std::uint32_t low = first->value.number, high = last == nullptr ? low : last->value.number;
    if (high < low)
      throw Error(VIR_ERR_INVALID_ARG,
                  fmt::format("'{}' is {}, below '{}', which is {}", to, high, from, low), VIR_FROM_NWFILTER);
    if (low == 0 && high == most) return add_everything(first->negated);
    if (low == high) return add(std::move(field), low, first->negated);
    add(std::move(field), json::object{{"range", {low, high}}}, first->negated);
  }

  void add_mac(std::string_view attribute, std::string_view mask_attribute, json::value field) {
    const ValueMatch* match = find(attribute);
    if (match == nullptr) return;
    const ValueMatch* mask = mask_attribute.empty() ? nullptr : find(mask_attribute);
    if (mask == nullptr) return add(std::move(field), mac_value(match->value.mac), match->negated);
    if (as_number(mask->value.mac) == 0) return add_everything(match->negated);
    json::object both{{"&", {std::move(field), mac_value(mask->value.mac)}}};
    add(std::move(both), mac_value(masked(match->value.mac, mask->value.mac)), match->negated);
  }

  // As add_mac(), of a field that nftables knows as a number alone.
  void add_raw_mac(std::string_view attribute, std::string_view mask_attribute, json::value field) {
    const ValueMatch* match = find(attribute);
    if (match == nullptr) return;
    const ValueMatch* mask = mask_attribute.empty() ? nullptr : find(mask_attribute);
    const std::uint64_t address = as_number(match->value.mac);
    if (mask == nullptr) return add(std::move(field), address, match->negated);
    const std::uint64_t bits = as_number(mask->value.mac);
    if (bits == 0) return add_everything(match->negated);
    add(json::object{{"&", {std::move(field), bits}}}, address & bits, match->negated);
  }

  void add_link_addresses() {
    add_mac("srcmacaddr", "srcmacmask", field_of("ether", "saddr"));
    add_mac("dstmacaddr", "dstmacmask", field_of("ether", "daddr"));
  }

  void add_ip(std::string_view attribute, std::string_view mask_attribute, json::value field,
              bool raw = false) {
    const ValueMatch* match = find(attribute);
    if (match == nullptr) return;
    const ValueMatch* mask = find(mask_attribute);
    const unsigned bits = match->value.ip.bits();
    const unsigned prefix = mask == nullptr ? bits : mask->value.number;
    if (prefix == 0) return add_everything(match->negated);
    const config::IpAddress address = config::first_address(match->value.ip, prefix);
    if (raw) return add_raw_ipv4(address, prefix, std::move(field), match->negated);
    json::value value(config::format_ip_address(address));
    if (prefix != bits) value = {{"prefix", {{"addr", std::move(value)}, {"len", prefix}}}};
    add(std::move(field), std::move(value), match->negated);
  }

  void add_raw_ipv4(const config::IpAddress& address, unsigned prefix, json::value field, bool negated) {
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < 4; ++i) number = number << 8 | address.bytes[i];
    if (prefix == 32) return add(std::move(field), number, negated);
    add(json::object{{"&", {std::move(field), ~std::uint32_t{0} << (32 - prefix)}}}, number, negated);
  }

  void add_vlan() {
    add_number("vlanid", field_of("vlan", "id"));
    add_number("encap-protocol", field_of("vlan", "type"));
  }

  // RFC 826; RFC 903 has the same header, which nftables does not know by that type.
  void add_address_resolution(bool is_reverse) {
    const auto field = [is_reverse](std::string_view name, unsigned offset, unsigned length) {
      return is_reverse ? field_at("nh", offset, length) : field_of("arp", name);
    };
    add_number("hwtype", field("htype", 0, 16));
    add_number("protocoltype", field("ptype", 16, 16));
    add_number("opcode", field("operation", 48, 16));
    if (is_reverse) {
      add_raw_mac("arpsrcmacaddr", {}, field_at("nh", 64, 48));
      add_raw_mac("arpdstmacaddr", {}, field_at("nh", 144, 48));
    } else {
      add_mac("arpsrcmacaddr", {}, field_of("arp", "saddr ether"));
      add_mac("arpdstmacaddr", {}, field_of("arp", "daddr ether"));
    }
    add_ip("arpsrcipaddr", "arpsrcipmask", field("saddr ip", 112, 32), is_reverse);
    add_ip("arpdstipaddr", "arpdstipmask", field("daddr ip", 192, 32), is_reverse);
  }

  // IEEE 802.1D §9.3.1, after three bytes of LLC; a bridge never sends it but to this address.
  void add_spanning_tree() {
    add_mac("srcmacaddr", "srcmacmask", field_of("ether", "saddr"));
    add(field_of("ether", "daddr"), "01:80:c2:00:00:00", false);
    add(field_at("ll", 112, 16), 0x4242, false);
    constexpr unsigned kStart = 17 * 8;
    add_number("type", field_at("ll", kStart + 24, 8));
    add_number("flags", field_at("ll", kStart + 32, 8));
    add_range("root-priority", "root-priority-hi", field_at("ll", kStart + 40, 16), 0xffff);
    add_raw_mac("root-address", "root-address-mask", field_at("ll", kStart + 56, 48));
    add_range("root-cost", "root-cost-hi", field_at("ll", kStart + 104, 32), 0xffffffff);
    add_range("sender-priority", "sender-priority-hi", field_at("ll", kStart + 136, 16), 0xffff);
    add_raw_mac("sender-address", "sender-address-mask", field_at("ll", kStart + 152, 48));
    unsigned offset = kStart + 200;
    for (const char* name : {"port", "age", "max-age", "hello-time", "forward-delay"}) {
      add_range(name, std::string(name) + "-hi", field_at("ll", offset, 16), 0xffff);
      offset += 16;
    }
  }

  bool is_ipv6() const { return rule_.protocol->ether_type == 0x86dd; }
  std::string_view header() const { return is_ipv6() ? "ip6" : "ip"; }

  void add_addresses() {
    add_ip("srcipaddr", "srcipmask", field_of(header(), "saddr"));
    add_ip("dstipaddr", "dstipmask", field_of(header(), "daddr"));
  }

  void add_ports() {
    add_range("srcportstart", "srcportend", field_at("th", 0, 16), 0xffff);
    add_range("dstportstart", "dstportend", field_at("th", 16, 16), 0xffff);
  }

  void add_header() {
    add_addresses();
    const ValueMatch* protocol = rule_.match("protocol");
    const std::uint32_t number = protocol == nullptr || protocol->negated ? 0 : protocol->value.number;
    if (protocol != nullptr)
      add(json::object{{"meta", {{"key", "l4proto"}}}}, protocol->value.number, protocol->negated);
    if (rule_.match("srcportstart") != nullptr || rule_.match("dstportstart") != nullptr) {
      if (std::ranges::find(kWithPorts, number) == std::end(kWithPorts))
        throw Error(VIR_ERR_INVALID_ARG, fmt::format("ports need another protocol than {}", number),
                    VIR_FROM_NWFILTER);
      add_ports();
    }
    if (rule_.match("type") != nullptr || rule_.match("code") != nullptr) {
      if (number != kIcmpv6)
        throw Error(VIR_ERR_INVALID_ARG,
                    fmt::format("'type' and 'code' need protocol icmpv6, not {}", number), VIR_FROM_NWFILTER);
      add_range("type", "typeend", field_at("th", 0, 8), 0xff);
      add_range("code", "codeend", field_at("th", 8, 8), 0xff);
    }
    add_number("dscp", field_of(header(), "dscp"));
  }

  void add_address_range(std::string_view from, std::string_view to, std::string_view field) {
    const ValueMatch* first = find(from);
    if (first == nullptr) return;
    const ValueMatch* last = find(to);
    const config::IpAddress low = first->value.ip, high = last == nullptr ? low : last->value.ip;
    if (high < low)
      throw Error(VIR_ERR_INVALID_ARG,
                  fmt::format("'{}' is {}, below '{}', which is {}", to, config::format_ip_address(high),
                              from, config::format_ip_address(low)),
                  VIR_FROM_NWFILTER);
    json::value value(config::format_ip_address(low));
    if (low != high) value = {{"range", {std::move(value), config::format_ip_address(high)}}};
    add(field_of(header(), field), std::move(value), first->negated);
  }

  void add_connection() {
    add_addresses();
    add_address_range("srcipfrom", "srcipto", "saddr");
    add_address_range("dstipfrom", "dstipto", "daddr");
    add_number("dscp", field_of(header(), "dscp"));
    if (rule_.protocol->number != 0)
      add(json::object{{"meta", {{"key", "l4proto"}}}}, rule_.protocol->number, false);
    add_ports();
    if (const ValueMatch* flags = rule_.match("flags"))
      add(json::object{{"&", {field_at("th", 104, 8), flags->value.mask}}},
          flags->value.number & flags->value.mask, flags->negated);
    if (const ValueMatch* option = rule_.match("option"))
      add(json::object{{"tcp option", {{"base", option->value.number}, {"offset", 0}, {"len", 8}}}},
          !option->negated, false);
    add_number("type", field_at("th", 0, 8));
    add_number("code", field_at("th", 8, 8));
    add_states(flow_.states);
    if (const ValueMatch* limit = rule_.match("connlimit-above")) add_limit(*limit);
  }

  // Counted are all packets' connections. Of those that are too many the one that begins is stopped: kernels
  // count what they dropped for a while, and the connections that are there would be dropped along with it.
  void add_limit(const ValueMatch& limit) {
    out_.push_back(json::object{{"ct count", {{"val", limit.value.number}, {"inv", !limit.negated}}}});
    const bool stops = rule_.action == Action::drop || rule_.action == Action::reject;
    if (stops && !limit.negated && flow_.states == 0) add_states(kStateNew | kStateRelated | kStateInvalid);
  }

  void add_states(std::uint32_t wanted) {
    static constexpr std::pair<std::uint32_t, const char*> kNames[] = {{kStateNew, "new"},
                                                                       {kStateEstablished, "established"},
                                                                       {kStateRelated, "related"},
                                                                       {kStateInvalid, "invalid"}};
    json::array states;
    for (const auto& [bit, name] : kNames)
      if ((wanted & bit) != 0) states.push_back(name);
    if (states.empty()) return;
    out_.push_back(json::object{
        {"match", {{"op", "in"}, {"left", {{"ct", {{"key", "state"}}}}}, {"right", std::move(states)}}}});
  }

  const TapRule& rule_;
  const FlowSettings& flow_;
  json::array out_;
  bool impossible_ = false;
};

}  // namespace

json::value field_at(std::string_view base, unsigned offset, unsigned length) {
  return {{"payload", {{"base", base}, {"offset", offset}, {"len", length}}}};
}

json::value field_of(std::string_view protocol, std::string_view field) {
  return {{"payload", {{"protocol", protocol}, {"field", field}}}};
}

json::value match_value(json::value field, json::value value, bool negated) {
  return {
      {"match", {{"op", negated ? "!=" : "=="}, {"left", std::move(field)}, {"right", std::move(value)}}}};
}

json::value match_ether_type(std::uint16_t type) {
  return match_value(field_of("ether", "type"), type);
}

std::optional<json::array> match_frame(const TapRule& rule, const FlowSettings& flow) {
  return FrameMatcher(rule, flow).run();
}

}  // namespace warren::driver::nwfilter
