// A guest for tests and fuzzing of whole devices: RAM, the transport in a memory space, and a driver that
// brings the device up as virtio 1.2 §3.1.1 says. Doorbells reach the transport as register writes.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "vmm-core/virtio/fake_driver.h"
#include "vmm-core/virtio/pci_transport.h"

namespace warren::vmm::virtio {

class FakeGuest {
 public:
  static constexpr std::uint64_t kRamSize = 0x40'0000, kBuffers = 0x20'0000, kTables = 0x30'0000;
  static constexpr std::uint64_t kBar = 0xe000'0000, kCommon = 0, kIsr = 0x1000, kDevice = 0x2000,
                                 kNotify = 0x3000, kMsix = 0x4000, kBarSize = 0x8000;
  static constexpr std::uint16_t kQueueSize = 16;
  static constexpr std::uint8_t kDriverOk = 15, kNeedsReset = 64;

  static constexpr GuestMemory::Layout kLayout[] = {{GuestAddress{0}, kRamSize}};

  // With RAM of its own, or `memory` of kLayout, which outlives it.
  explicit FakeGuest(std::unique_ptr<Device> device, GuestMemory* memory = nullptr)
      : own_memory_(memory == nullptr ? std::make_unique<GuestMemory>(kLayout) : nullptr),
        memory_(memory == nullptr ? *own_memory_ : *memory) {
    plug(std::move(device));
  }

  // Puts another device in the place of the one there is; rings and RAM stay as they are.
  void plug(std::unique_ptr<Device> device) {
    transport_.reset();
    transport_ = std::make_unique<PciTransport>("device", std::move(device),
                                                pci::Place{space_, ports_, std::make_unique<Line>(line_)},
                                                PciTransport::Surroundings{memory_, messages_, doorbells_});
    transport_->place_bar(0, kBar);
    transport_->enable_decoding();
  }

  PciTransport& transport() noexcept { return *transport_; }
  GuestMemory& memory() noexcept { return memory_; }
  AddressSpace& space() noexcept { return space_; }
  bool interrupt_line() const noexcept { return line_.load(); }
  FakeDriver& queue(std::size_t index) { return *queues_[index]; }
  std::size_t queue_count() const noexcept { return queues_.size(); }

  template <typename T>
  T get(std::uint64_t offset) {
    T value{};
    space_.read(kBar + offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void set(std::uint64_t offset, T value) {
    space_.write(kBar + offset, std::as_bytes(std::span(&value, 1)));
  }

  std::uint8_t status() { return get<std::uint8_t>(0x14); }
  void reset() { set<std::uint8_t>(0x14, 0); }
  std::uint64_t offered() {
    set<std::uint32_t>(0, 0);
    const std::uint64_t low = get<std::uint32_t>(4);
    set<std::uint32_t>(0, 1);
    return low | std::uint64_t{get<std::uint32_t>(4)} << 32;
  }
  // Up to FEATURES_OK, with what is wanted of what is offered. False when the device does not accept it.
  bool negotiate(std::uint64_t wanted) {
    reset();
    set<std::uint8_t>(0x14, 1);
    set<std::uint8_t>(0x14, 3);
    features_ = (wanted & offered()) | kFeatureVersion1;
    for (std::uint32_t half = 0; half < 2; ++half) {
      set<std::uint32_t>(8, half);
      set<std::uint32_t>(12, static_cast<std::uint32_t>(features_ >> (32 * half)));
    }
    set<std::uint8_t>(0x14, 11);
    return status() == 11;
  }
  // All queues, with rings of their own, cleared.
  void make_queues() {
    queues_.clear();
    const bool packed = (features_ & kFeaturePacked) != 0;
    for (std::uint16_t i = 0; i < get<std::uint16_t>(0x12); ++i) {
      const std::uint64_t base = 0x1'0000 * (std::uint64_t{i} + 1);
      for (std::uint64_t at = 0; at < 0x1'0000; at += 8)
        static_cast<void>(memory_.write_object(GuestAddress{base + at}, std::uint64_t{0}));
      queues_.push_back(std::make_unique<FakeDriver>(memory_, kQueueSize, packed, base));
      const QueueConfiguration rings = queues_.back()->configuration();
      set<std::uint16_t>(0x16, i);
      set<std::uint16_t>(0x18, kQueueSize);
      set<std::uint64_t>(0x20, rings.descriptors.value);
      set<std::uint64_t>(0x28, rings.driver.value);
      set<std::uint64_t>(0x30, rings.device.value);
      set<std::uint16_t>(0x1c, 1);
    }
  }
  bool start(std::uint64_t wanted) {
    if (!negotiate(wanted)) return false;
    make_queues();
    set<std::uint8_t>(0x14, kDriverOk);
    return status() == kDriverOk;
  }

  void kick(std::size_t index) { set<std::uint16_t>(kNotify + 4 * index, static_cast<std::uint16_t>(index)); }
  // Offers the chain, rings, and waits until it comes back; nothing after ten seconds.
  std::optional<FakeUsed> request(std::size_t index, const std::vector<FakeBuffer>& buffers,
                                  std::optional<std::uint64_t> table = std::nullopt) {
    if (!queues_[index]->offer(buffers, table)) return std::nullopt;
    kick(index);
    return wait_used(index);
  }
  std::optional<FakeUsed> wait_used(std::size_t index, int milliseconds = 10000) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    do {
      if (auto used = queues_[index]->take_used()) return used;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    } while (std::chrono::steady_clock::now() < end);
    return std::nullopt;
  }
  template <typename Predicate>
  static bool eventually(Predicate predicate) {
    for (int i = 0; i < 2000; ++i) {
      if (predicate()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  // Chains that no device may see.
  static std::vector<std::vector<FakeBuffer>> malformed() {
    return {{{~std::uint64_t{0} - 3, 0xffff'ffff, true}},
            {{kRamSize - 8, 9, true}},
            {{0xfee0'0000, 4, false}},
            {{kBuffers, 0, true}},
            {{0, 0xffff'ffff, true}},
            {{kBuffers, 8, true}, {kBuffers + 64, 8, false}},
            {{kBuffers, 64, false}, {kBuffers + 64, 512, true}, {kRamSize, 1, true}}};
  }

 private:
  class Line final : public InterruptLine {
   public:
    explicit Line(std::atomic<bool>& asserted) : asserted_(asserted) {}
    void set(bool asserted) noexcept override { asserted_.store(asserted); }

   private:
    std::atomic<bool>& asserted_;
  };

 public:
  // Counts the messages by their data.
  class Messages final : public MsiRouter {
   public:
    std::unique_ptr<MsiRoute> allocate() override { return std::make_unique<Route>(*this); }
    unsigned signalled(std::uint32_t data) const noexcept { return counts_[data % 64].load(); }

   private:
    class Route final : public MsiRoute {
     public:
      explicit Route(Messages& owner) : owner_(owner) {}
      bool set_message(const MsiMessage& message) noexcept override {
        data_.store(message.data);
        return true;
      }
      void signal() noexcept override { ++owner_.counts_[data_.load() % 64]; }
      int event_descriptor() const noexcept override { return -1; }
      void hold(bool) noexcept override {}
      bool is_waiting() const noexcept override { return false; }

     private:
      Messages& owner_;
      std::atomic<std::uint32_t> data_{0};
    };
    std::array<std::atomic<unsigned>, 64> counts_{};
  };
  Messages& messages() noexcept { return messages_; }
  // MSI-X on, each vector unmasked with its own number as data.
  void enable_msix() {
    std::uint8_t at = config<std::uint8_t>(0x34);
    while (at != 0 && config<std::uint8_t>(at) != 0x11) at = config<std::uint8_t>(at + 1U);
    const unsigned vectors = (config<std::uint16_t>(at + 2U) & 0x7ff) + 1U;
    for (std::uint32_t i = 0; i < vectors; ++i) {
      set<std::uint32_t>(kMsix + 16 * i, 0xfee0'0000);
      set<std::uint32_t>(kMsix + 16 * i + 8, i);
      set<std::uint32_t>(kMsix + 16 * i + 12, 0);
    }
    const std::array<std::byte, 2> on = {std::byte{0}, std::byte{0x80}};
    transport_->config_write(static_cast<std::uint16_t>(at + 2), on);
  }
  template <typename T>
  T config(unsigned offset) {
    T value{};
    transport_->config_read(static_cast<std::uint16_t>(offset), std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }

 private:
  class Doorbells final : public DoorbellRegistrar {
   public:
    std::unique_ptr<Doorbell> add_mmio(GuestAddress, std::uint32_t, std::optional<std::uint64_t>,
                                       int) override {
      return std::make_unique<Doorbell>();
    }
  };

  const std::unique_ptr<GuestMemory> own_memory_;
  GuestMemory& memory_;
  AddressSpace space_{"mmio", std::numeric_limits<std::uint64_t>::max()};
  AddressSpace ports_{"ports", 0xffff};
  Messages messages_;
  Doorbells doorbells_;
  std::atomic<bool> line_{false};
  std::uint64_t features_ = 0;
  std::vector<std::unique_ptr<FakeDriver>> queues_;
  std::unique_ptr<PciTransport> transport_;
};

}  // namespace warren::vmm::virtio
