// Which of the packets on the wire a guest has asked for (virtio 1.2 §5.1.6.5.1 to §5.1.6.5.3). Not
// synchronized.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm-core/virtio/net_layout.h"

namespace warren::vmm::virtio {

struct ReceiveFilter {
  using MacAddress = net_layout::MacAddress;
  static constexpr std::size_t kMostAddresses = 64, kVlans = 4096;

  // Addresses of one kind. A guest that wants more than there is room for gets all there are (class T8).
  struct Table {
    std::array<MacAddress, kMostAddresses> addresses{};
    std::uint8_t count = 0;
    bool is_full = false;
  };

  MacAddress own{};
  // All until the driver says what it wants: one that has never heard of filters loses nothing.
  bool promiscuous = true;
  bool all_multicast = false, all_unicast = false;
  bool no_multicast = false, no_unicast = false, no_broadcast = false;
  Table unicast, multicast;
  std::bitset<kVlans> vlans;

  // Of a frame from its destination on, at least an Ethernet header. `by_vlan`: those of VLANs that were not
  // added are not wanted (VIRTIO_NET_F_CTRL_VLAN was negotiated).
  bool wants(std::span<const std::byte> frame, bool by_vlan) const noexcept;
};

}  // namespace warren::vmm::virtio
