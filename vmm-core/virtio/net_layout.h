// virtio-net as it lies in memory, and its features (virtio 1.2 §5.1; UDP segmentation: 1.3 §5.1.3).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace warren::vmm::virtio::net_layout {

using MacAddress = std::array<std::uint8_t, 6>;

// Features (§5.1.3).
inline constexpr std::uint64_t bit(unsigned number) noexcept {
  return std::uint64_t{1} << number;
}
inline constexpr std::uint64_t kChecksum = bit(0), kGuestChecksum = bit(1), kControlOffloads = bit(2),
                               kMtu = bit(3), kMac = bit(5), kGuestTso4 = bit(7), kGuestTso6 = bit(8),
                               kGuestEcn = bit(9), kHostTso4 = bit(11), kHostTso6 = bit(12),
                               kHostEcn = bit(13), kMergeable = bit(15), kStatus = bit(16),
                               kControlQueue = bit(17), kControlReceive = bit(18), kControlVlan = bit(19),
                               kControlReceiveExtra = bit(20), kGuestAnnounce = bit(21),
                               kMultiQueue = bit(22), kControlMac = bit(23), kGuestUso4 = bit(54),
                               kGuestUso6 = bit(55), kHostUso = bit(56), kReceiveScaling = bit(60);
// Those that the driver may turn off and on while the device is running (§5.1.6.5.6.1).
inline constexpr std::uint64_t kGuestOffloads =
    kGuestChecksum | kGuestTso4 | kGuestTso6 | kGuestEcn | kGuestUso4 | kGuestUso6;

// In front of every packet (§5.1.6).
struct Header {
  std::uint8_t flags = 0;
  std::uint8_t segmentation = 0;  // gso_type
  std::uint16_t header_bytes = 0;
  std::uint16_t segment_bytes = 0;
  std::uint16_t checksum_start = 0, checksum_offset = 0;
  std::uint16_t buffers = 0;
};
static_assert(sizeof(Header) == 12);
inline constexpr std::uint8_t kNeedsChecksum = 1;  // of flags
inline constexpr std::uint8_t kSegmentNone = 0, kSegmentTcp4 = 1, kSegmentTcp6 = 4, kSegmentUdp = 5,
                              kSegmentEcn = 0x80;  // added to one of TCP

// Device configuration (§5.1.4).
struct [[gnu::packed]] Configuration {
  MacAddress mac{};
  std::uint16_t status = 0;
  std::uint16_t maximum_pairs = 0;
  std::uint16_t mtu = 0;
  std::uint32_t speed = 0xffff'ffff;  // these two are not offered, and so unknown
  std::uint8_t duplex = 0xff;
  std::uint8_t most_key_bytes = 0;
  std::uint16_t most_entries = 0;
  std::uint32_t hash_types = 0;
};
static_assert(sizeof(Configuration) == 24);
inline constexpr std::uint16_t kLinkUp = 1, kAnnounce = 2;  // of status

// Control commands (§5.1.6.5): a class, a command of it, and what it is about.
struct Command {
  std::uint8_t command_class = 0, command = 0;
};
static_assert(sizeof(Command) == 2);
inline constexpr std::uint8_t kReceiveClass = 0, kMacClass = 1, kVlanClass = 2, kAnnounceClass = 3,
                              kMultiQueueClass = 4, kOffloadsClass = 5;
inline constexpr std::uint8_t kPromiscuous = 0, kAllMulticast = 1, kAllUnicast = 2, kNoMulticast = 3,
                              kNoUnicast = 4, kNoBroadcast = 5;
inline constexpr std::uint8_t kMacTableSet = 0, kMacAddressSet = 1, kVlanAdd = 0, kVlanDelete = 1,
                              kAnnounceAcknowledge = 0, kPairsSet = 0, kScalingSet = 1, kOffloadsSet = 0;
inline constexpr std::byte kControlOk{0}, kControlError{1};

inline constexpr std::size_t kEthernetHeader = 14, kVlanTag = 4;

}  // namespace warren::vmm::virtio::net_layout
