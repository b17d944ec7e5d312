// Receive-side scaling as a driver sets it up (virtio 1.2 §5.1.6.5.6): which queue each packet goes to.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "vmm-core/net/steering.h"
#include "vmm-core/virtio/chain.h"

namespace warren::vmm::virtio {

struct ReceiveScaling {
  static constexpr std::uint32_t kHashTypes = SteeringTable::kIpv4 | SteeringTable::kTcp4 |
                                              SteeringTable::kUdp4 | SteeringTable::kIpv6 |
                                              SteeringTable::kTcp6 | SteeringTable::kUdp6;

  std::uint32_t hash_types = 0;
  std::uint16_t unclassified = 0;  // the pair of packets that are of no such type
  std::uint16_t count = 1;         // of entries: a power of two
  std::uint16_t transmit_pairs = 1;
  std::array<std::uint16_t, SteeringTable::kMostEntries> entries{};  // pairs
  std::uint8_t key_bytes = 0;
  std::array<std::byte, net::SteeringSettings::kKeyBytes> key{};

  // Pairs that it uses.
  std::uint16_t pairs() const noexcept;
  // Whether it is one for a device of so many pairs. What is restored may be anybody's.
  bool is_valid(std::size_t pairs) const noexcept;
  net::SteeringSettings settings() const noexcept;
};

// Nothing, when it is cut short or longer than what was offered.
std::optional<ReceiveScaling> read_scaling(Reader& data) noexcept;

}  // namespace warren::vmm::virtio
