// A virtio memory device with a small host of its own.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "vmm-core/memory/fake_memory_slots.h"
#include "vmm-core/virtio/fake_devices.h"
#include "vmm-core/virtio/memory_device.h"

namespace warren::vmm::virtio {

// 64 MiB in blocks of 2 MiB, behind the guest's RAM.
class MemoryHost final : public FakeHost {
 public:
  static constexpr std::uint64_t kAddress = std::uint64_t{4} << 30, kBlock = 2 << 20, kBlocks = 32,
                                 kSize = kBlock * kBlocks;
  enum Request : std::uint16_t { kPlug = 0, kUnplug = 1, kUnplugAll = 2, kState = 3 };
  enum Response : std::uint16_t { kAcknowledged = 0, kDenied = 1, kBusy = 2, kError = 3, kNone = 0xffff };
  struct Answer {
    std::uint16_t type = kNone, state = 0xffff;
    bool operator==(const Answer&) const = default;
  };

  MemoryHost() { memory_.attach(device_memory_.region()); }
  ~MemoryHost() override { memory_.detach({kAddress}); }

  std::unique_ptr<Device> make_device() override {
    auto device = std::make_unique<MemoryDevice>("memory", device_memory_,
                                                 MemoryDeviceOptions{.requested_bytes = kSize / 2, .node = 1},
                                                 std::vector<EventThread*>{&thread_});
    device_ = device.get();
    return device;
  }
  GuestMemory* guest_memory() override { return &memory_; }
  // A block is plugged, holds what is written to it, and goes.
  bool works(FakeGuest& guest) override {
    const GuestAddress place{kAddress + 3 * kBlock + 64};
    if (ask(guest, kUnplugAll, 0, 0).type != kAcknowledged) return false;
    if (guest.memory().write_object(place, 7)) return false;
    if (ask(guest, kPlug, kAddress + 2 * kBlock, 2).type != kAcknowledged) return false;
    if (!guest.memory().write_object(place, 7) || guest.memory().read_object<int>(place) != 7) return false;
    return ask(guest, kUnplug, kAddress + 2 * kBlock, 2).type == kAcknowledged &&
           !guest.memory().read_object<int>(place);
  }
  std::size_t offer(FakeGuest& guest) override {
    prepare(guest, kState, kAddress, 1);
    guest.queue(0).offer({{kRequest, 24, false}, {kResponse, 10, true}});
    return 0;
  }
  std::vector<std::size_t> served_queues() const override { return {0}; }

  static Answer ask(FakeGuest& guest, std::uint16_t type, std::uint64_t address, std::uint16_t blocks) {
    prepare(guest, type, address, blocks);
    const auto used = guest.request(0, {{kRequest, 24, false}, {kResponse, 10, true}});
    if (!used || used->length != 10) return {};
    return {guest.memory().read_object<std::uint16_t>({kResponse}).value_or(kNone),
            guest.memory().read_object<std::uint16_t>({kResponse + 8}).value_or(0xffff)};
  }

  MemoryDevice& device() noexcept { return *device_; }
  DeviceMemory& device_memory() noexcept { return device_memory_; }
  FakeMemorySlots& slots() noexcept { return slots_; }

  static constexpr std::uint64_t kRequest = FakeGuest::kBuffers, kResponse = FakeGuest::kBuffers + 64;

 private:
  static void prepare(FakeGuest& guest, std::uint16_t type, std::uint64_t address, std::uint16_t blocks) {
    static_cast<void>(guest.memory().write_object({kRequest}, std::uint64_t{type}));
    static_cast<void>(guest.memory().write_object({kRequest + 8}, address));
    static_cast<void>(guest.memory().write_object({kRequest + 16}, std::uint64_t{blocks}));
    static_cast<void>(guest.memory().write_object({kResponse}, ~std::uint64_t{0}));
    static_cast<void>(guest.memory().write_object({kResponse + 8}, std::uint16_t{0xffff}));
  }

  GuestMemory memory_{FakeGuest::kLayout};
  FakeMemorySlots slots_;
  HotPlugWindow window_{GuestAddress{kAddress}, std::uint64_t{1} << 30};
  DeviceMemory device_memory_{
      "memory",
      window_,
      slots_,
      {.size = kSize, .address = {}, .block_bytes = kBlock, .allocation = {}, .host_nodes = {}}};
  MemoryDevice* device_ = nullptr;
};

}  // namespace warren::vmm::virtio
