#include "vmm-core/virtio/vhost/user_peer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "vmm-core/os/error.h"
#include "vmm-core/os/vhost_interface.h"

namespace warren::vmm::virtio::vhost {
namespace {

// Of a vring's file: its number in the low byte, and whether there is no descriptor with it.
constexpr std::uint64_t kRingMask = 0xff;

template <typename T>
T read_as(const void* argument) noexcept {
  T value;
  std::memcpy(&value, argument, sizeof(value));
  return value;
}

[[noreturn]] void refuse(const std::string& name, int error, const char* what) {
  throw Error::from_errno(error, name + ": vhost-user: " + what);
}

}  // namespace

UserPeer::UserPeer(const std::string& name, FileDescriptor socket, GuestMemory& memory,
                   std::chrono::milliseconds patience, Configuration configuration)
    : channel_(std::move(socket)), memory_(memory) {
  channel_.allow(patience);
  std::uint64_t features = 0, offered = 0;
  if (const int failed = get_u64(UserRequest::get_features, features); failed != 0)
    refuse(name, failed, "ask the back end for its features");
  if ((features & kUserProtocolFeatures) == 0)
    throw Error(std::errc::not_supported, name + ": vhost-user: the back end has no protocol features");
  if (const int failed = get_u64(UserRequest::get_protocol_features, offered); failed != 0)
    refuse(name, failed, "ask the back end for its protocol features");
  if (configuration == Configuration::needed && (offered & kUserConfig) == 0) {
    throw Error(std::errc::not_supported,
                name + ": vhost-user: the back end does not tell a configuration space (CONFIG)");
  }
  const std::uint64_t of_use = kUserMultiQueue | kUserReplyAck |
                               (configuration == Configuration::needed ? kUserConfig : std::uint64_t{0});
  const std::uint64_t wanted = offered & of_use;
  if (const int failed = change_object(UserRequest::set_protocol_features, wanted); failed != 0)
    refuse(name, failed, "choose protocol features");
  protocol_features_ = wanted;
  if ((wanted & kUserMultiQueue) == 0) return;
  if (const int failed = get_u64(UserRequest::get_queue_num, queue_count_); failed != 0)
    refuse(name, failed, "ask the back end for its queues");
}

int UserPeer::get_u64(UserRequest request, std::uint64_t& value) noexcept {
  if (const int failed = channel_.send(request, {}); failed != 0) return failed;
  return channel_.receive(request, std::as_writable_bytes(std::span(&value, 1)));
}

int UserPeer::change(UserRequest request, std::span<const std::byte> payload,
                     std::span<const int> descriptors) noexcept {
  const bool acknowledged = (protocol_features_ & kUserReplyAck) != 0;
  if (const int failed = channel_.send(request, payload, acknowledged, descriptors); failed != 0)
    return failed;
  if (!acknowledged) return 0;
  std::uint64_t refused = 0;
  if (const int failed = channel_.receive(request, std::as_writable_bytes(std::span(&refused, 1)));
      failed != 0)
    return failed;
  return refused == 0 ? 0 : EREMOTEIO;
}

int UserPeer::request(unsigned long number, void* argument) noexcept {
  auto* const bytes = static_cast<std::byte*>(argument);
  switch (number) {
    case VHOST_SET_OWNER:
      return change(UserRequest::set_owner, {});
    case VHOST_GET_FEATURES: {
      std::uint64_t features = 0;
      const int failed = get_u64(UserRequest::get_features, features);
      std::memcpy(bytes, &features, sizeof(features));
      return failed;
    }
    case VHOST_SET_FEATURES:
      return change_object(UserRequest::set_features, read_as<std::uint64_t>(bytes) | kUserProtocolFeatures);
    case VHOST_SET_MEM_TABLE:
      return set_memory(bytes);
    case VHOST_SET_VRING_NUM:
      return change_object(UserRequest::set_vring_num, read_as<vhost_vring_state>(bytes));
    case VHOST_SET_VRING_BASE:
      return change_object(UserRequest::set_vring_base, read_as<vhost_vring_state>(bytes));
    case VHOST_GET_VRING_BASE:
      return get_ring_base(bytes);
    case VHOST_SET_VRING_ADDR:
      return change_object(UserRequest::set_vring_addr, read_as<vhost_vring_addr>(bytes));
    case VHOST_SET_VRING_KICK:
      return bind(UserRequest::set_vring_kick, bytes);
    case VHOST_SET_VRING_CALL:
      return bind(UserRequest::set_vring_call, bytes);
    case VHOST_SET_VRING_ERR:
      return bind(UserRequest::set_vring_err, bytes);
    default:
      return ENOTTY;
  }
}

// The back end finds the memory by files of this process, which the regions of `table` are parts of.
int UserPeer::set_memory(const std::byte* table) noexcept {
  std::uint32_t count = 0;
  std::memcpy(&count, table + offsetof(vhost_memory, nregions), sizeof(count));
  if (count > kUserMemoryRegions) return E2BIG;
  UserMemoryTable message{};
  message.count = count;
  std::array<int, kUserMemoryRegions> files{};
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto region = read_as<vhost_memory_region>(table + offsetof(vhost_memory, regions) +
                                                     i * sizeof(vhost_memory_region));
    const auto regions = memory_.regions();
    const auto found = std::ranges::find_if(
        regions, [&](const MemoryRegion& each) { return each.start.value == region.guest_phys_addr; });
    if (found == regions.end() || found->file == nullptr) return EFAULT;
    message.regions[i] = {region.guest_phys_addr, region.memory_size, region.userspace_addr,
                          found->file_offset};
    files[i] = found->file->get();
  }
  const auto bytes = std::as_bytes(std::span(&message, 1));
  return change(UserRequest::set_mem_table,
                bytes.first(offsetof(UserMemoryTable, regions) + count * sizeof(UserMemoryRegion)),
                std::span(files).first(count));
}

// A ring that is stopped has let go of its descriptors; without one it would be polled.
int UserPeer::bind(UserRequest request, const std::byte* file) noexcept {
  const auto wanted = read_as<vhost_vring_file>(file);
  if (wanted.fd < 0) return 0;
  if (wanted.index > kRingMask) return EINVAL;
  return change_object(request, std::uint64_t{wanted.index}, std::span(&wanted.fd, 1));
}

int UserPeer::get_ring_base(std::byte* state) noexcept {
  const auto asked = read_as<vhost_vring_state>(state);
  if (const int failed = channel_.send(UserRequest::get_vring_base, std::as_bytes(std::span(&asked, 1)));
      failed != 0)
    return failed;
  vhost_vring_state told{};
  if (const int failed =
          channel_.receive(UserRequest::get_vring_base, std::as_writable_bytes(std::span(&told, 1)));
      failed != 0)
    return failed;
  if (told.index != asked.index || told.num > 0xffff) return channel_.give_up(EPROTO);
  std::memcpy(state, &told, sizeof(told));
  return 0;
}

int UserPeer::enable(std::uint16_t ring, bool on) noexcept {
  return change_object(UserRequest::set_vring_enable, vhost_vring_state{.index = ring, .num = on ? 1u : 0u});
}

int UserPeer::read_configuration(std::span<std::byte> bytes) noexcept {
  if (bytes.size() > kUserConfigMaximum) return EMSGSIZE;
  const UserConfigHeader asked{.offset = 0, .size = static_cast<std::uint32_t>(bytes.size()), .flags = 0};
  std::array<std::byte, kUserPayloadMaximum> payload{};
  std::memcpy(payload.data(), &asked, sizeof(asked));
  const auto message = std::span(payload).first(sizeof(asked) + bytes.size());
  if (const int failed = channel_.send(UserRequest::get_config, message); failed != 0) return failed;
  // One that cannot answers with nothing, which is not what was asked for.
  if (const int failed = channel_.receive(UserRequest::get_config, message); failed != 0) return failed;
  const auto told = read_as<UserConfigHeader>(payload.data());
  if (told.offset != asked.offset || told.size != asked.size) return channel_.give_up(EPROTO);
  std::memcpy(bytes.data(), payload.data() + sizeof(told), bytes.size());
  return 0;
}

}  // namespace warren::vmm::virtio::vhost
