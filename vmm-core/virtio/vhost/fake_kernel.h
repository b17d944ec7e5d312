// A vhost device as its ioctls are seen: keeps what it is told, and lets a test be the kernel.
#pragma once

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <unistd.h>

#include "vmm-core/os/vhost_interface.h"
#include "vmm-core/virtio/vhost/backend.h"

namespace warren::vmm::virtio::vhost {

// What there is of it outlives the device, which owns a Peer that refers to it.
struct FakeKernelState {
  struct Ring {
    unsigned size = 0, base = 0;
    vhost_vring_addr places{};
    int kick = -1, call = -1, damage = -1, tap = -1;
  };
  std::uint64_t offered = kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex | std::uint64_t{1} << 26 |
                          std::uint64_t{1} << 33 | 2;
  unsigned long refused = 0;  // this request fails
  int refusal = EFAULT;
  bool is_owned = false, is_running = false;
  std::uint64_t features = 0;
  std::vector<vhost_memory_region> memory;
  std::array<Ring, 2> rings;
  std::vector<unsigned long> requests;

  static void ring_bell(int descriptor) {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(descriptor, &one, sizeof(one)));
  }
};

class FakeKernel final : public Peer {
 public:
  explicit FakeKernel(FakeKernelState& state) : state_(state) {}
  int request(unsigned long number, void* argument) noexcept override {
    state_.requests.push_back(number);
    if (number == state_.refused) return state_.refusal;
    if (number == VHOST_SET_OWNER) {
      state_.is_owned = true;
      return 0;
    }
    if (!state_.is_owned) return EPERM;
    switch (number) {
      case VHOST_GET_FEATURES:
        std::memcpy(argument, &state_.offered, sizeof(state_.offered));
        return 0;
      case VHOST_SET_FEATURES:
        std::memcpy(&state_.features, argument, sizeof(state_.features));
        return (state_.features & ~state_.offered) != 0 ? EOPNOTSUPP : 0;
      case VHOST_SET_MEM_TABLE:
        return set_memory(static_cast<const std::byte*>(argument));
      case VHOST_VSOCK_SET_RUNNING: {
        int on = 0;
        std::memcpy(&on, argument, sizeof(on));
        state_.is_running = on != 0;
        return 0;
      }
      default:
        return ring_request(number, argument);
    }
  }

 private:
  int set_memory(const std::byte* bytes) {
    std::uint32_t count = 0;
    std::memcpy(&count, bytes + offsetof(vhost_memory, nregions), sizeof(count));
    state_.memory.resize(count);
    if (count != 0)
      std::memcpy(state_.memory.data(), bytes + offsetof(vhost_memory, regions),
                  count * sizeof(vhost_memory_region));
    return 0;
  }
  // Every one of them begins with the ring's number.
  int ring_request(unsigned long number, void* argument) {
    vhost_vring_state ring{};
    std::memcpy(&ring, argument, sizeof(ring));
    if (ring.index >= state_.rings.size()) return ENOBUFS;
    FakeKernelState::Ring& its = state_.rings[ring.index];
    // Nothing of a ring that is served changes but its descriptors.
    const auto set = [&](unsigned& field) {
      if (state_.is_running) return EBUSY;
      field = ring.num;
      return 0;
    };
    const auto bind = [&](int& field) {
      field = static_cast<int>(ring.num);
      return 0;
    };
    switch (number) {
      case VHOST_SET_VRING_NUM:
        return set(its.size);
      case VHOST_SET_VRING_BASE:
        return set(its.base);
      case VHOST_GET_VRING_BASE:
        ring.num = its.base;
        std::memcpy(argument, &ring, sizeof(ring));
        return 0;
      case VHOST_SET_VRING_ADDR:
        std::memcpy(&its.places, argument, sizeof(its.places));
        return 0;
      case VHOST_SET_VRING_KICK:
        return bind(its.kick);
      case VHOST_SET_VRING_CALL:
        return bind(its.call);
      case VHOST_SET_VRING_ERR:
        return bind(its.damage);
      case VHOST_NET_SET_BACKEND:
        // Nothing is moved before all is told.
        if (static_cast<int>(ring.num) >= 0 && (its.places.used_user_addr == 0 || its.call < 0))
          return EFAULT;
        return bind(its.tap);
      default:
        return ENOTTY;
    }
  }

  FakeKernelState& state_;
};

}  // namespace warren::vmm::virtio::vhost
