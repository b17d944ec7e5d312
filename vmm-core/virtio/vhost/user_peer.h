// A program that serves the queues of a device over vhost-user: the requests of linux/vhost.h as messages.
//
// One thread at a time. Where the back end can, each request that changes something is acknowledged; one that
// is refused fails with EREMOTEIO and the connection goes on.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/virtio/vhost/backend.h"
#include "vmm-core/virtio/vhost/user_channel.h"

namespace warren::vmm::virtio::vhost {

class UserPeer final : public Peer {
 public:
  // Whether the back end is the one who knows what the device is.
  enum class Configuration { needed, not_needed };

  // Settles with the back end on what both can do, within `patience`. `name` is the device's, for messages;
  // `memory` outlives it. Throws Error, also for a back end that does not tell a configuration that is
  // needed.
  UserPeer(const std::string& name, FileDescriptor socket, GuestMemory& memory,
           std::chrono::milliseconds patience, Configuration configuration = Configuration::needed);

  int request(unsigned long number, void* argument) noexcept override;

  // Rings begin stopped and disabled; a ring that was taken back is stopped (VHOST_GET_VRING_BASE).
  [[nodiscard]] int enable(std::uint16_t ring, bool on = true) noexcept;
  // The first bytes of the device's configuration space, at most kUserConfigMaximum.
  [[nodiscard]] int read_configuration(std::span<std::byte> bytes) noexcept;
  // How many queues there can be, or pairs of them on a network; 1 for a back end that does not say.
  std::uint64_t queue_count() const noexcept { return queue_count_; }

  UserChannel& channel() noexcept { return channel_; }
  const UserChannel& channel() const noexcept { return channel_; }

 private:
  int get_u64(UserRequest request, std::uint64_t& value) noexcept;
  // A request that changes something; acknowledged where the back end can.
  int change(UserRequest request, std::span<const std::byte> payload,
             std::span<const int> descriptors = {}) noexcept;
  template <typename T>
  int change_object(UserRequest request, const T& payload, std::span<const int> descriptors = {}) noexcept {
    return change(request, std::as_bytes(std::span(&payload, 1)), descriptors);
  }
  int set_memory(const std::byte* table) noexcept;
  int bind(UserRequest request, const std::byte* file) noexcept;
  int get_ring_base(std::byte* state) noexcept;

  UserChannel channel_;
  GuestMemory& memory_;
  std::uint64_t protocol_features_ = 0;
  std::uint64_t queue_count_ = 1;
};

}  // namespace warren::vmm::virtio::vhost
