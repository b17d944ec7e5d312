// One device behind its transport under a driver that is mostly sound: registers of any width, chains of any
// shape, and rings that are written over. Whatever it did, the device works after a reset.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "vmm-core/virtio/fake_devices.h"

namespace warren::vmm::virtio {

class DeviceFuzzer {
 public:
  DeviceFuzzer(FakeHost& host, std::uint64_t features)
      : host_(host), features_(features), guest_(host.make_device(), host.guest_memory()) {}

  void run(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return;
    const std::uint64_t packed = (data[0] & 1) != 0 ? kFeaturePacked : 0;
    const std::uint64_t events = (data[0] & 2) != 0 ? kFeatureEventIndex : 0;
    if (!guest_.start(features_ | packed | events | kFeatureIndirect)) std::abort();
    for (++data, --size; size >= sizeof(Step); data += sizeof(Step), size -= sizeof(Step)) {
      Step step;
      std::memcpy(&step, data, sizeof(step));
      take(step);
    }
    if (!guest_.start(features_ | kFeatureIndirect) || !host_.works(guest_)) std::abort();
  }

 private:
  struct Step {
    std::uint8_t action, size;
    std::uint16_t where;
    std::uint32_t value;
  };

  void take(const Step& step) {
    std::array<std::byte, 8> data{};
    std::memcpy(data.data(), &step.value, sizeof(step.value));
    const std::span<std::byte> bytes(data.data(), step.size % 8 + 1U);
    const std::uint64_t offset = step.where % FakeGuest::kBarSize;
    switch (step.action % 8) {
      case 0:
        return guest_.space().write(FakeGuest::kBar + offset, bytes);
      case 1:
        return guest_.space().read(FakeGuest::kBar + offset, bytes);
      case 2:  // the common configuration and that of the device, where the meaning is
        return guest_.space().write(FakeGuest::kBar + (offset & 0x2000) + offset % 64, bytes);
      case 3:
        static_cast<void>(
            guest_.memory().write(GuestAddress{0x1'0000 + (std::uint64_t{step.where} & 0xffff) * 4 %
                                                              (0x1'0000 * guest_.queue_count())},
                                  bytes));
        return;
      case 4:
        static_cast<void>(
            guest_.memory().write(GuestAddress{FakeGuest::kBuffers + step.where % 8192}, bytes));
        return;
      case 5:
        if (step.value % 64 == 0) {
          guest_.transport().pause();
          guest_.transport().resume();
        }
        return guest_.kick(host_.offer(guest_));
      default:
        return offer(step);
    }
  }

  void offer(const Step& step) {
    const std::size_t queue = step.size % guest_.queue_count();
    std::vector<FakeBuffer> chain;
    for (unsigned i = 0; i < step.value % 4 + 1U; ++i) {
      const std::uint32_t shape = step.value >> (2 + 7 * i);
      chain.push_back({FakeGuest::kBuffers + (shape % 4) * 512, (shape % 8 == 7 ? 0U : 1U << (shape % 14)),
                       (step.where >> i & 1) != 0});
    }
    if (step.where % 512 == 511) chain.back().address = ~std::uint64_t{0} - step.value;
    guest_.queue(queue).offer(chain, step.where % 4 == 3 ? std::optional(FakeGuest::kTables) : std::nullopt);
    guest_.kick(queue);
  }

  FakeHost& host_;
  const std::uint64_t features_;
  FakeGuest guest_;
};

}  // namespace warren::vmm::virtio
