// An evdev device of the host with which a user of the host types and points into the machine, while a toggle
// of keys is on: libvirt's <input type='evdev'>.
#pragma once

#include <atomic>
#include <bitset>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "vmm-core/control/machine_specification.h"
#include "vmm-core/control/probes.h"
#include "vmm-core/os/event_thread.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/virtio/host_input.h"

namespace boost::asio {
class io_context;
}

namespace warren::vmm::worker {

// Reads on `thread`; all else on the loop's.
class EvdevSource final : public std::enable_shared_from_this<EvdevSource>, private virtio::InputSink {
 public:
  // Frames on their way to the loop; what comes when there are more is dropped, and every key released.
  static constexpr unsigned kFramesUnderWay = 64;

  struct Actions {
    std::function<void(const control::SendInput&)> input;
    std::function<void(bool grabbed)> toggled;  // by its user, and done
  };
  // `device` is grabbed. Throws Error.
  static std::shared_ptr<EvdevSource> make(boost::asio::io_context& loop, EventThread& thread,
                                           const control::EvdevSpecification& evdev, FileDescriptor device,
                                           Actions actions);
  ~EvdevSource() override;

  // Whether the machine has what its user does, or the host.
  void set_grabbed(bool grabbed) noexcept;
  bool is_grabbed() const noexcept { return grabbed_.load(std::memory_order_relaxed); }
  const std::string& id() const noexcept { return evdev_.id; }

 private:
  EvdevSource(boost::asio::io_context& loop, EventThread& thread, const control::EvdevSpecification& evdev,
              FileDescriptor device, Actions actions);

  bool send(std::span<const virtio::InputEvent> frame) noexcept override;
  void release_keys() noexcept override;
  void follow_keys(const virtio::InputEvent& event) noexcept;
  bool is_toggle_pressed() const noexcept;
  void pass_on(std::span<const virtio::InputEvent> frame) noexcept;
  void take(const control::SendInput& input);
  void let_keys_go();

  boost::asio::io_context& loop_;
  EventThread& thread_;
  const control::EvdevSpecification evdev_;
  const Actions actions_;
  virtio::HostInput device_;
  std::atomic<bool> grabbed_{true};
  std::atomic<unsigned> under_way_{0};
  std::atomic<bool> lost_{false};
  // On `thread`.
  std::bitset<virtio::Input::kKeys> down_;
  bool wants_toggle_ = false;
  // On the loop's.
  std::bitset<virtio::Input::kKeys> told_down_;
};

}  // namespace warren::vmm::worker
