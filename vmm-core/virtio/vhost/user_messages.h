// Messages of the vhost-user protocol (QEMU's docs/interop/vhost-user), as many of them as front ends of
// disks and networks have use of. In the byte order of the host, over a unix stream socket; descriptors
// travel with the first byte of the message.
#pragma once

#include <cstddef>
#include <cstdint>

namespace warren::vmm::virtio::vhost {

enum class UserRequest : std::uint32_t {
  get_features = 1,
  set_features = 2,
  set_owner = 3,
  set_mem_table = 5,
  set_vring_num = 8,
  set_vring_addr = 9,
  set_vring_base = 10,
  get_vring_base = 11,
  set_vring_kick = 12,
  set_vring_call = 13,
  set_vring_err = 14,
  get_protocol_features = 15,
  set_protocol_features = 16,
  get_queue_num = 17,
  set_vring_enable = 18,
  get_config = 24,
};

// Of `flags`: the version in the two lowest bits, and what the message is.
inline constexpr std::uint32_t kUserVersionMask = 3, kUserVersion = 1, kUserReply = 1 << 2,
                               kUserNeedsReply = 1 << 3;

// Among the device's features: it has protocol features, and its rings begin disabled.
inline constexpr std::uint64_t kUserProtocolFeatures = std::uint64_t{1} << 30;
// Protocol features.
inline constexpr std::uint64_t kUserMultiQueue = 1 << 0, kUserReplyAck = 1 << 3, kUserConfig = 1 << 9;

struct UserHeader {
  std::uint32_t request;
  std::uint32_t flags;
  std::uint32_t size;  // of what follows, in bytes
};
static_assert(sizeof(UserHeader) == 12);

// A region of guest memory; its file's descriptor goes with the message.
struct UserMemoryRegion {
  std::uint64_t guest_address;
  std::uint64_t size;
  std::uint64_t user_address;  // of this process, which rings are given by
  std::uint64_t file_offset;
};
static_assert(sizeof(UserMemoryRegion) == 32);

inline constexpr std::size_t kUserMemoryRegions = 8;
struct UserMemoryTable {
  std::uint32_t count;
  std::uint32_t padding;
  UserMemoryRegion regions[kUserMemoryRegions];  // those that count are sent
};
static_assert(sizeof(UserMemoryTable) == 8 + 32 * kUserMemoryRegions);

// Part of the device's configuration space; its bytes follow.
struct UserConfigHeader {
  std::uint32_t offset;
  std::uint32_t size;
  std::uint32_t flags;
};
static_assert(sizeof(UserConfigHeader) == 12);
inline constexpr std::size_t kUserConfigMaximum = 256;

// The largest of any message that is sent or awaited here.
inline constexpr std::size_t kUserPayloadMaximum = sizeof(UserConfigHeader) + kUserConfigMaximum;
static_assert(kUserPayloadMaximum >= sizeof(UserMemoryTable));

}  // namespace warren::vmm::virtio::vhost
