// An evdev device of the host (Linux Documentation/input/input.rst), whose events become a guest's. What it
// is was asked before: only reads and writes are left, which a cage lets through.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "vmm-core/os/event_thread.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/virtio/input.h"

namespace warren::vmm::virtio {

// All but the constructor and inspect() on the device's thread.
class HostInput final : private EventHandler {
 public:
  // More than a device has in one frame; what is longer is dropped.
  static constexpr std::size_t kFrame = 256;

  // Non-blocking, open for reading, and for writing if LEDs are to be set.
  explicit HostInput(FileDescriptor device) : device_(std::move(device)) {}

  // Passes frames on to `target`, which outlives it or stops it. Throws Error.
  void start(EventThread& thread, InputSink& target);
  void stop(EventThread& thread) noexcept;
  // What the device has told so far is nobody's.
  void drain() noexcept;
  void write(const InputEvent& event) noexcept;
  // Whether its events come here alone; any thread.
  void grab(bool alone) noexcept;

  bool is_gone() const noexcept { return gone_.load(std::memory_order_relaxed); }

 private:
  void on_event(std::uint32_t events) noexcept override;
  // False when there is nothing more for now.
  bool read_some(InputSink* target) noexcept;
  void take(const InputEvent& event, InputSink& target) noexcept;

  FileDescriptor device_;
  EventThread* thread_ = nullptr;
  InputSink* target_ = nullptr;
  std::array<InputEvent, kFrame> frame_;
  std::size_t count_ = 0;
  bool skipping_ = false;  // to the end of a frame that is not whole
  std::atomic<bool> gone_{false};
};

}  // namespace warren::vmm::virtio
