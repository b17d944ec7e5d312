// A virtio keyboard with a small host of its own.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "vmm-core/virtio/fake_devices.h"
#include "vmm-core/virtio/host_input.h"
#include "vmm-core/virtio/input.h"

namespace warren::vmm::virtio {

class InputHost : public FakeHost {
 public:
  static constexpr std::uint64_t kEvents = FakeGuest::kBuffers, kStatus = FakeGuest::kBuffers + 4096;
  static constexpr std::uint16_t kKey = 30, kCapsLock = 1;
  static constexpr InputEvent kEnd{kEventSynchronize, kSynchronizeReport, 0};

  explicit InputHost(InputDescription description = describe_keyboard())
      : description_(std::move(description)) {}

  std::unique_ptr<Device> make_device() override {
    auto device = std::make_unique<Input>(
        "input", description_,
        device_of_host_ ? std::make_unique<HostInput>(device_of_host_.duplicate()) : nullptr,
        std::vector<EventThread*>{&thread_});
    device_ = device.get();
    return device;
  }
  // A key there, and a LED back.
  bool works(FakeGuest& guest) override {
    down_ = !down_;
    const InputEvent event{kEventKey, kKey, down_ ? 1U : 0U};
    offer_buffers(guest, 2);
    if (!device_->send(std::span(&event, 1))) return false;
    if (take(guest, 0) != event || take(guest, 1) != kEnd) return false;
    const std::size_t status = offer(guest, down_);
    guest.kick(status);
    const auto used = guest.wait_used(status);
    return used && used->length == 0 && device_->leds() == (down_ ? 1U << kCapsLock : 0U);
  }
  std::size_t offer(FakeGuest& guest) override { return offer(guest, true); }
  std::vector<std::size_t> served_queues() const override { return {1}; }

  // Buffers for events, one behind the other from kEvents on.
  static void offer_buffers(FakeGuest& guest, unsigned count) {
    for (unsigned i = 0; i < count; ++i) guest.queue(0).offer({{kEvents + sizeof(InputEvent) * i, 8, true}});
    guest.kick(0);
  }
  // What came back, which was offered as number `index`.
  static std::optional<InputEvent> take(FakeGuest& guest, unsigned index, int milliseconds = 10000) {
    const auto used = guest.wait_used(0, milliseconds);
    if (!used || used->length != sizeof(InputEvent)) return std::nullopt;
    return guest.memory().read_object<InputEvent>({kEvents + sizeof(InputEvent) * index});
  }
  static std::size_t offer(FakeGuest& guest, bool on) {
    static_cast<void>(guest.memory().write_object({kStatus}, InputEvent{kEventLed, kCapsLock, on ? 1U : 0U}));
    guest.queue(1).offer({{kStatus, sizeof(InputEvent), false}});
    return 1;
  }

  void set_device_of_host(FileDescriptor device) { device_of_host_ = std::move(device); }
  Input& device() noexcept { return *device_; }

 private:
  const InputDescription description_;
  FileDescriptor device_of_host_;
  Input* device_ = nullptr;
  bool down_ = false;
};

}  // namespace warren::vmm::virtio
