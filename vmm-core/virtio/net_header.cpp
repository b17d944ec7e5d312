#include "vmm-core/virtio/net_header.h"

namespace warren::vmm::virtio {
namespace {

using namespace net_layout;

constexpr std::uint64_t kTcpHeader = 20, kUdpHeader = 8, kChecksumBytes = 2;

// The feature by which a driver may have its packets cut so; 0: there is none.
std::uint64_t feature_of(std::uint8_t segmentation) noexcept {
  switch (segmentation) {
    case kSegmentTcp4:
      return kHostTso4;
    case kSegmentTcp6:
      return kHostTso6;
    case kSegmentTcp4 | kSegmentEcn:
      return kHostTso4 | kHostEcn;
    case kSegmentTcp6 | kSegmentEcn:
      return kHostTso6 | kHostEcn;
    case kSegmentUdp:
      return kHostUso;
    default:
      return 0;
  }
}

// The features without which no driver receives packets that are to be cut so; 0: none does.
std::uint64_t guest_feature_of(std::uint8_t segmentation) noexcept {
  switch (segmentation) {
    case kSegmentTcp4:
      return kGuestTso4;
    case kSegmentTcp6:
      return kGuestTso6;
    case kSegmentTcp4 | kSegmentEcn:
      return kGuestTso4 | kGuestEcn;
    case kSegmentTcp6 | kSegmentEcn:
      return kGuestTso6 | kGuestEcn;
    case kSegmentUdp:
      return kGuestUso4 | kGuestUso6;  // the header does not tell them apart
    default:
      return 0;
  }
}

}  // namespace

bool settle_receive_header(Header& header, std::uint64_t features) noexcept {
  if ((features & kGuestChecksum) == 0) {
    if ((header.flags & kNeedsChecksum) != 0) return false;
    // That somebody has looked at the checksum it is not told.
    header.flags = 0;
  }
  if (header.segmentation == kSegmentNone) return true;
  const std::uint64_t needed = guest_feature_of(header.segmentation);
  return needed != 0 && (features & needed) == needed;
}

bool settle_transmit_header(Header& header, std::uint64_t features, std::uint64_t frame_bytes) noexcept {
  // Of the flags, this one is a driver's (§5.1.6.2.1); others are passed over (§5.1.6.2.2).
  header.flags &= kNeedsChecksum;
  header.buffers = 0;
  if (header.flags == 0) {
    // A packet that is cut has its checksums made (§5.1.6.2.1).
    if (header.segmentation != kSegmentNone) return false;
    header = {};
    return true;
  }
  if ((features & kChecksum) == 0) return false;
  // Behind the Ethernet header, and the field within the packet.
  if (header.checksum_start < kEthernetHeader ||
      std::uint64_t{header.checksum_start} + header.checksum_offset + kChecksumBytes > frame_bytes)
    return false;
  if (header.segmentation == kSegmentNone) {
    header.header_bytes = header.segment_bytes = 0;
    return true;
  }
  const std::uint64_t needed = feature_of(header.segmentation);
  if (needed == 0 || (features & needed) != needed || header.segment_bytes == 0) return false;
  const std::uint64_t transport = header.segmentation == kSegmentUdp ? kUdpHeader : kTcpHeader;
  return header.checksum_start + transport <= frame_bytes && header.header_bytes <= frame_bytes;
}

}  // namespace warren::vmm::virtio
