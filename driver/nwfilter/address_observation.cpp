#include "driver/nwfilter/address_observation.h"

#include <algorithm>

namespace warren::driver::nwfilter {

namespace {

using Bytes = std::span<const std::uint8_t>;
using Observation = AddressObservation;

constexpr std::size_t kEthernetHeader = 14;
constexpr std::uint16_t kClientPort = 68, kServerPort = 67;
// RFC 2131 §2 (message), RFC 2132 §3, §9 (options).
constexpr std::size_t kOptions = 240;
constexpr std::uint32_t kCookie = 0x63825363;
constexpr std::uint8_t kPad = 0, kLeaseTime = 51, kMessageType = 53, kEnd = 255;
constexpr std::uint8_t kRequest = 1, kReply = 2, kDecline = 4, kAck = 5, kRelease = 7;

std::uint16_t word(Bytes bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
std::uint32_t long_word(Bytes bytes, std::size_t at) {
  return static_cast<std::uint32_t>(word(bytes, at)) << 16 | word(bytes, at + 2);
}
config::IpAddress address(Bytes bytes, std::size_t at) {
  config::IpAddress result;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), 4, result.bytes.begin());
  return result;
}
bool is_mac(Bytes bytes, std::size_t at, const config::MacAddress& mac) {
  return std::equal(mac.begin(), mac.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

// One that a host can have: not 0/8, loopback, multicast or broadcast.
bool is_host(const config::IpAddress& ip) {
  return ip.bytes[0] != 0 && ip.bytes[0] != 127 && ip.bytes[0] < 224;
}

std::optional<Observation> used(const config::IpAddress& ip) {
  if (!is_host(ip)) return std::nullopt;
  return Observation{.kind = Observation::Kind::used, .address = ip};
}

std::optional<Observation> observe_arp(Bytes packet, const config::MacAddress& guest, bool to_guest) {
  if (to_guest || packet.size() < 28) return std::nullopt;
  if (word(packet, 0) != 1 || word(packet, 2) != 0x0800 || packet[4] != 6 || packet[5] != 4)
    return std::nullopt;
  if (!is_mac(packet, 8, guest)) return std::nullopt;
  return used(address(packet, 14));
}

struct Options {
  std::uint8_t type = 0;
  std::optional<std::uint32_t> lease_s;
};

// Nothing for options that run past the end.
std::optional<Options> read_options(Bytes options) {
  Options result;
  for (std::size_t at = 0; at < options.size();) {
    const std::uint8_t code = options[at++];
    if (code == kPad) continue;
    if (code == kEnd) return result;
    if (at >= options.size()) return std::nullopt;
    const std::size_t length = options[at++];
    if (length > options.size() - at) return std::nullopt;
    if (code == kMessageType && length == 1) result.type = options[at];
    if (code == kLeaseTime && length == 4) result.lease_s = long_word(options, at);
    at += length;
  }
  return result;
}

std::optional<Observation> observe_dhcp(Bytes message, const config::MacAddress& guest,
                                        const config::IpAddress& source, bool to_guest) {
  if (message.size() < kOptions || message[1] != 1 || message[2] != 6 || !is_mac(message, 28, guest) ||
      long_word(message, 236) != kCookie)
    return std::nullopt;
  const std::optional<Options> options = read_options(message.subspan(kOptions));
  if (!options) return std::nullopt;
  if (to_guest) {
    const config::IpAddress given = address(message, 16);
    // An answer to DHCPINFORM has no lease (RFC 2131 §4.3.5).
    if (message[0] != kReply || options->type != kAck || !options->lease_s || *options->lease_s == 0 ||
        !is_host(given))
      return std::nullopt;
    return Observation{
        .kind = Observation::Kind::leased, .address = given, .server = source, .lease_s = *options->lease_s};
  }
  const config::IpAddress held = address(message, 12);
  if (message[0] != kRequest || (options->type != kRelease && options->type != kDecline) || !is_host(held))
    return std::nullopt;
  return Observation{.kind = Observation::Kind::released, .address = held};
}

std::optional<Observation> observe_ipv4(Bytes packet, const config::MacAddress& guest, bool to_guest) {
  if (packet.size() < 20 || packet[0] >> 4 != 4) return std::nullopt;
  const std::size_t header = 4U * (packet[0] & 15U), total = word(packet, 2);
  if (header < 20 || total < header || total > packet.size()) return std::nullopt;
  const config::IpAddress source = address(packet, 12);
  const Bytes payload = packet.first(total).subspan(header);
  const bool is_whole = (word(packet, 6) & 0x3fff) == 0;
  if (packet[9] == 17 && is_whole && payload.size() >= 8) {
    const std::uint16_t from = word(payload, 0), to = word(payload, 2);
    if (from == (to_guest ? kServerPort : kClientPort) && to == (to_guest ? kClientPort : kServerPort)) {
      if (auto seen = observe_dhcp(payload.subspan(8), guest, source, to_guest)) return seen;
    }
  }
  return to_guest ? std::nullopt : used(source);
}

}  // namespace

std::optional<AddressObservation> observe_address(Bytes frame, const config::MacAddress& guest,
                                                  bool to_guest) {
  if (frame.size() < kEthernetHeader || (!to_guest && !is_mac(frame, 6, guest))) return std::nullopt;
  const Bytes packet = frame.subspan(kEthernetHeader);
  switch (word(frame, 12)) {
    case 0x0806:
      return observe_arp(packet, guest, to_guest);
    case 0x0800:
      return observe_ipv4(packet, guest, to_guest);
    default:
      return std::nullopt;
  }
}

}  // namespace warren::driver::nwfilter
