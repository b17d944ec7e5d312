#include "vmm-core/virtio/net_filter.h"

#include <algorithm>
#include <cstring>

namespace warren::vmm::virtio {
namespace {

using net_layout::MacAddress;

constexpr MacAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr std::size_t kTypeAt = 12;
constexpr unsigned kVlanType = 0x8100, kServiceVlanType = 0x88a8, kVlanMask = 0xfff;

unsigned big_endian(std::span<const std::byte> bytes, std::size_t at) noexcept {
  return std::to_integer<unsigned>(bytes[at]) << 8 | std::to_integer<unsigned>(bytes[at + 1]);
}

bool has(const ReceiveFilter::Table& table, const MacAddress& address) noexcept {
  const auto known = std::span(table.addresses).first(table.count);
  return table.is_full || std::ranges::find(known, address) != known.end();
}

// 0 of one without: a priority alone is no VLAN (IEEE 802.1Q §6.9.1), and always wanted.
unsigned vlan_of(std::span<const std::byte> frame) noexcept {
  if (frame.size() < net_layout::kEthernetHeader + net_layout::kVlanTag) return 0;
  const unsigned type = big_endian(frame, kTypeAt);
  if (type != kVlanType && type != kServiceVlanType) return 0;
  return big_endian(frame, net_layout::kEthernetHeader) & kVlanMask;
}

}  // namespace

bool ReceiveFilter::wants(std::span<const std::byte> frame, bool by_vlan) const noexcept {
  if (promiscuous) return true;
  if (frame.size() < net_layout::kEthernetHeader) return false;
  if (by_vlan) {
    const unsigned vlan = vlan_of(frame);
    if (vlan != 0 && !vlans[vlan]) return false;
  }
  MacAddress destination;
  std::memcpy(destination.data(), frame.data(), destination.size());
  if (destination == kBroadcast) return !no_broadcast;
  if ((destination[0] & 1) != 0) return !no_multicast && (all_multicast || has(multicast, destination));
  return !no_unicast && (all_unicast || destination == own || has(unicast, destination));
}

}  // namespace warren::vmm::virtio
