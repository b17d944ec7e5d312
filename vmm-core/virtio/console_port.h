// One port of a virtio console device: input that waits for the guest, output that waits for the host.
// Private to console.cpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "vmm-core/virtio/console.h"

namespace warren::vmm::virtio {

// The driver's numbers for control messages (§5.3.6.2).
enum ControlEvent : std::uint16_t {
  kDeviceReady = 0,
  kPortAdd = 1,
  kPortRemove = 2,
  kPortReady = 3,
  kConsolePort = 4,
  kPortOpen = 6,
  kPortName = 7,
};

// The listener's calls come on the back end's thread, serve_… on the device's.
class Console::Port final : public CharacterListener, public PeerListener {
 public:
  // Messages that wait for a control buffer, in the order they are sent.
  enum Untold : std::uint8_t { kAdd = 1, kIsConsole = 2, kName = 4, kOpen = 8 };

  Port(Console& device, const ConsolePort& options, bool accepts)
      : device_(device), options_(options), accepts_(accepts) {
    input_.reserve(kInputSize);
    options_.backend->set_listener(this);
    host_open_ = options_.backend->watch_peer(this) || options_.is_console;
  }
  ~Port() {
    options_.backend->set_listener(nullptr);
    options_.backend->watch_peer(nullptr);
  }
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  const ConsolePort& options() const noexcept { return options_; }

  std::size_t receive_capacity() noexcept override {
    if (!accepts_.load(std::memory_order_acquire)) return 0;
    const std::lock_guard lock(mutex_);
    return kInputSize - input_.size();
  }
  void receive(std::span<const std::byte> bytes) noexcept override {
    {
      const std::lock_guard lock(mutex_);
      // Within the capacity that was asked for, which is reserved.
      input_.insert(input_.end(), bytes.begin(), bytes.end());
    }
    device_.ring();
  }
  void output_ready() noexcept override {
    output_ready_.store(true, std::memory_order_release);
    device_.ring();
  }
  void peer_changed(bool present) noexcept override {
    // A console is there whether somebody looks at it or not.
    if (options_.is_console || host_open_.exchange(present) == present) return;
    if (ready_.load()) tell(kOpen);
    device_.ring();
  }

  // Whether input is taken from the host: a closed port takes none.
  void accept(bool accepts) noexcept {
    if (accepts_.exchange(accepts, std::memory_order_acq_rel) == accepts || !accepts) return;
    options_.backend->resume_input();
  }
  void tell(std::uint8_t messages) noexcept { untold_.fetch_or(messages); }
  // The message that is next, and it is no longer waiting; 0: none.
  std::uint8_t next_untold() noexcept {
    const std::uint8_t all = untold_.load();
    const auto first = static_cast<std::uint8_t>(all & -all);
    untold_.fetch_and(static_cast<std::uint8_t>(~first));
    return first;
  }
  bool has_untold() const noexcept { return untold_.load() != 0; }
  bool host_open() const noexcept { return host_open_.load(); }
  bool guest_open() const noexcept { return guest_open_.load(); }
  // True when that is a change.
  bool set_guest_open(bool open) noexcept { return guest_open_.exchange(open) != open; }
  void set_ready(bool ready) noexcept { ready_.store(ready); }

  bool has_input() const noexcept {
    const std::lock_guard lock(mutex_);
    return !input_.empty();
  }
  bool take_output_ready() noexcept { return output_ready_.exchange(false, std::memory_order_acq_rel); }

  Served serve_input(Queue& queue) noexcept;
  Served serve_output(Queue& queue) noexcept;
  // A chain that was begun goes back; output_sent_ says from where it is to be taken up again.
  void give_back(Queue& queue) noexcept {
    if (output_.ticket) queue.push_back(output_);
  }
  // The driver is gone.
  void forget() noexcept {
    output_sent_ = 0;
    untold_.store(0);
    ready_.store(false);
  }

  ConsolePortState save() const;
  void restore(const ConsolePortState& state);
  void inspect(InspectNode& node) const;

 private:
  void find_unsent() noexcept;

  Console& device_;
  const ConsolePort options_;
  mutable std::mutex mutex_;  // guards input_
  std::vector<std::byte> input_;
  std::atomic<bool> accepts_, host_open_{false}, guest_open_{false}, ready_{false}, output_ready_{false};
  std::atomic<std::uint8_t> untold_{0};
  std::atomic<std::uint64_t> received_{0}, transmitted_{0};
  Chain output_;  // begun, waiting for room
  std::size_t output_range_ = 0, output_offset_ = 0;
  std::uint64_t output_sent_ = 0;  // bytes of the chain that is begun, or of the next one
};

}  // namespace warren::vmm::virtio
