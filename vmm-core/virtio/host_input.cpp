#include "vmm-core/virtio/host_input.h"

#include <cerrno>

#include <linux/input.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace warren::vmm::virtio {
namespace {
// Reads before others on the thread have their turn.
constexpr unsigned kReads = 16;
constexpr std::size_t kEventsAtOnce = 64;
}  // namespace

void HostInput::start(EventThread& thread, InputSink& target) {
  target_ = &target;
  if (is_gone()) return;
  thread.add(device_.get(), EPOLLIN, *this);
  thread_ = &thread;
}

void HostInput::stop(EventThread& thread) noexcept {
  if (thread_ == nullptr) return;
  thread.remove(device_.get());
  thread_ = nullptr;
}

void HostInput::drain() noexcept {
  for (unsigned i = 0; i < kReads && read_some(nullptr); ++i) continue;
  count_ = 0;
  skipping_ = false;
}

void HostInput::write(const InputEvent& event) noexcept {
  input_event native{};
  native.type = event.type;
  native.code = event.code;
  native.value = static_cast<std::int32_t>(event.value);
  // A device that does not take it has no such LED, or is gone.
  [[maybe_unused]] const ssize_t written = ::write(device_.get(), &native, sizeof(native));
}

void HostInput::grab(bool alone) noexcept {
  // One that is gone needs no grabbing.
  [[maybe_unused]] const int result = ::ioctl(device_.get(), EVIOCGRAB, alone ? 1 : 0);
}

void HostInput::on_event(std::uint32_t) noexcept {
  for (unsigned i = 0; i < kReads && read_some(target_); ++i) continue;
}

bool HostInput::read_some(InputSink* target) noexcept {
  std::array<input_event, kEventsAtOnce> events;
  const ssize_t got = ::read(device_.get(), events.data(), sizeof(events));
  if (got < 0 && errno == EINTR) return true;
  if (got <= 0) {
    if (got < 0 && errno == EAGAIN) return false;
    // Unplugged: it would be readable for ever.
    gone_.store(true, std::memory_order_relaxed);
    if (thread_ != nullptr) stop(*thread_);
    if (target != nullptr) target->release_keys();
    return false;
  }
  const std::size_t count = static_cast<std::size_t>(got) / sizeof(input_event);
  for (std::size_t i = 0; target != nullptr && i < count; ++i) {
    take({events[i].type, events[i].code, static_cast<std::uint32_t>(events[i].value)}, *target);
  }
  return count == events.size();
}

void HostInput::take(const InputEvent& event, InputSink& target) noexcept {
  if (event.type == kEventSynchronize && event.code == kSynchronizeDropped) {
    // The kernel's own buffer was full: up to the end of this frame nothing can be relied on.
    skipping_ = true;
    target.release_keys();
  } else if (event.type == kEventSynchronize && event.code == kSynchronizeReport) {
    if (!skipping_ && count_ != 0) target.send(std::span(frame_).first(count_));
    skipping_ = false;
    count_ = 0;
  } else if (count_ == frame_.size()) {
    skipping_ = true;
  } else {
    frame_[count_++] = event;
  }
}

}  // namespace warren::vmm::virtio
