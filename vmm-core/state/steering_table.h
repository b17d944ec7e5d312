// What the kernel's program that spreads packets over the queues of a tap goes by (receive-side scaling,
// virtio 1.2 §5.1.6.5.6): the value of a map that the daemon makes with the program (driver/link/steering)
// and the worker writes, by a mapping of it, as the guest's driver says (vmm-core/net/steering).
//
// Written while packets are spread: each field by itself is always valid for the program, which checks the
// bounds of all.
#pragma once

#include <array>
#include <cstdint>

namespace warren::vmm {

struct SteeringTable {
  static constexpr std::uint16_t kMostEntries = 128;
  // Source and destination address and port of IPv6: what is hashed at most, in bytes.
  static constexpr std::size_t kMostHashed = 36;

  // As virtio has them (VIRTIO_NET_HASH_TYPE_*, §5.1.6.4.3.1).
  static constexpr std::uint32_t kIpv4 = 1, kTcp4 = 2, kUdp4 = 4, kIpv6 = 8, kTcp6 = 16, kUdp6 = 32;

  std::uint32_t hash_types = 0;
  std::uint16_t mask = 0;          // of a hash, for an index of `entries`
  std::uint16_t unclassified = 0;  // the queue of packets that are of no type above
  std::array<std::uint16_t, kMostEntries> entries{};
  // What each value of each byte of what is hashed adds to Toeplitz's hash: 32 bits of the key for every bit
  // that is set.
  std::array<std::array<std::uint32_t, 256>, kMostHashed> shares{};
};
static_assert(sizeof(SteeringTable) == 8 + 256 + 36 * 1024);

}  // namespace warren::vmm
