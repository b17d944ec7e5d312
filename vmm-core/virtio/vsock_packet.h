// What travels on the queues of a virtio socket device (virtio 1.2 §5.10.6).
#pragma once

#include <bit>
#include <cstdint>

namespace warren::vmm::virtio {

static_assert(std::endian::native == std::endian::little, "packets are copied as they are");

// Of sockets and their packets: a stream of bytes, or messages whose boundaries are kept.
enum class VsockType : std::uint16_t { stream = 1, seqpacket = 2 };

// virtio_vsock_hdr; `length` bytes follow it.
struct [[gnu::packed]] VsockHeader {
  std::uint64_t source_cid = 0, destination_cid = 0;
  std::uint32_t source_port = 0, destination_port = 0;
  std::uint32_t length = 0;
  VsockType type{};
  std::uint16_t operation = 0;
  std::uint32_t flags = 0;
  // Of the sender: how much it takes that nobody has read yet, and how much has been read so far, modulo 2^32
  // (§5.10.6.3).
  std::uint32_t buffer_bytes = 0, forwarded_bytes = 0;
};
static_assert(sizeof(VsockHeader) == 44);

inline constexpr std::uint64_t kVsockHostCid = 2;

enum VsockOperation : std::uint16_t {
  kVsockRequest = 1,
  kVsockResponse = 2,
  kVsockReset = 3,
  kVsockShutdown = 4,
  kVsockData = 5,
  kVsockCreditUpdate = 6,
  kVsockCreditRequest = 7,
};

// A flag of kVsockData of a SOCK_SEQPACKET socket: a message ends with it. (That a record does, which is flag
// 2, has no counterpart in unix sockets.)
inline constexpr std::uint32_t kVsockEndOfMessage = 1;

// Flags of kVsockShutdown: what its sender will do no more.
inline constexpr std::uint32_t kVsockNoReceive = 1, kVsockNoSend = 2;

// virtio_vsock_event (§5.10.6.7): all connections there were are gone.
inline constexpr std::uint32_t kVsockTransportReset = 0;

}  // namespace warren::vmm::virtio
