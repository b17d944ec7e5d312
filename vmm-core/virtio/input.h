// The virtio input device (virtio 1.2 §5.8): tells the guest what it is, and passes events on, a frame at a
// time (Linux input event codes, §5.8.2).
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/virtio/input_description.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

class HostInput;

// As it lies in the rings, little-endian (§5.8.6).
struct InputEvent {
  std::uint16_t type = 0, code = 0;
  std::uint32_t value = 0;
  bool operator==(const InputEvent&) const = default;
};
static_assert(sizeof(InputEvent) == 8);

// Where frames go. On the thread that reads them.
class InputSink {
 public:
  virtual ~InputSink() = default;
  // A frame, without the SYN_REPORT that ends it. False when it is lost.
  virtual bool send(std::span<const InputEvent> frame) noexcept = 0;
  // Every key that is down is up: what follows is not known to be all that happened.
  virtual void release_keys() noexcept = 0;
};

class Input final : public ServedDevice, public InputSink, private EventHandler {
 public:
  // Events that wait for buffers of the guest. A frame that finds no room is dropped whole; keys whose
  // release is lost so are released as soon as there is room again (class T8).
  static constexpr std::size_t kPendingEvents = 1024;
  static constexpr std::size_t kKeys = 768;  // KEY_CNT
  static constexpr std::size_t kLeds = 32;

  struct State {
    std::uint32_t version = 1;
    std::uint8_t select = 0, subselect = 0;
    std::uint32_t leds = 0;
    std::vector<std::uint16_t> keys_down;  // that the guest was told of, or will be by `pending`
    std::vector<InputEvent> pending;       // whole frames, but for the first, which may have begun
  };

  // `host`, if there is one, is a device of the host that this one stands for: its events come here, and what
  // the guest says of LEDs goes there.
  Input(std::string name, InputDescription description, std::unique_ptr<HostInput> host,
        std::vector<EventThread*> threads);
  ~Input() override;

  // The rest from any thread. send() is false when no driver listens, or there is no room.
  bool send(std::span<const InputEvent> frame) noexcept override;
  void release_keys() noexcept override;
  bool takes(std::uint16_t type, std::uint16_t code) const noexcept { return description_.has(type, code); }
  // 0 while no driver listens; else higher the later it has begun to, among all devices of the process.
  std::uint64_t activation() const noexcept { return activation_.load(std::memory_order_acquire); }
  std::uint32_t leds() const noexcept { return leds_.load(std::memory_order_relaxed); }
  bool is_of_host() const noexcept { return host_ != nullptr; }

  DeviceType type() const noexcept override { return DeviceType::input; }
  std::uint64_t features() const noexcept override { return 0; }
  bool offers_packed() const noexcept override { return true; }
  std::uint16_t queue_count() const noexcept override { return 2; }
  std::uint16_t queue_size() const noexcept override { return 64; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
  void deactivate() noexcept override;
  // While paused; restore() after the transport's.
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

 private:
  static constexpr std::uint16_t kEventQueue = 0, kStatusQueue = 1;

  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;
  void on_event(std::uint32_t events) noexcept override;  // there is something to send
  Served serve_events() noexcept;
  Served serve_status() noexcept;
  void take_status(const InputEvent& event) noexcept;
  bool push(std::span<const InputEvent> frame) noexcept;
  void push_releases() noexcept;
  void forget() noexcept;
  void wake() noexcept;

  const InputDescription description_;
  const std::unique_ptr<HostInput> host_;
  FileDescriptor wake_;
  // Written by vCPU threads, one at a time.
  std::atomic<std::uint8_t> select_{0}, subselect_{0};
  std::atomic<std::uint64_t> activation_{0};
  std::atomic<std::uint32_t> leds_{0};
  std::atomic<std::uint64_t> sent_{0}, dropped_frames_{0}, malformed_{0};

  mutable std::mutex mutex_;  // of what follows
  std::array<InputEvent, kPendingEvents> pending_;
  std::size_t first_ = 0, count_ = 0;
  std::bitset<kKeys> down_;       // as they are
  std::bitset<kKeys> told_down_;  // as the guest knows, or will when it has taken all that is pending
  bool lost_ = false;             // they may differ
};

}  // namespace warren::vmm::virtio
