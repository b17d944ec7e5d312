#include "vmm-core/worker/evdev_source.h"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <linux/input-event-codes.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::worker {
namespace {

using virtio::InputEvent;

struct Extended {
  std::uint16_t code, at;
};
// What an AT keyboard sends for keys behind the first 88, whose codes are the same (AT set 1).
constexpr auto kExtended = std::to_array<Extended>({{KEY_KPENTER, 0xe01c},
                                                    {KEY_RIGHTCTRL, 0xe01d},
                                                    {KEY_KPSLASH, 0xe035},
                                                    {KEY_SYSRQ, 0xe037},
                                                    {KEY_RIGHTALT, 0xe038},
                                                    {KEY_HOME, 0xe047},
                                                    {KEY_UP, 0xe048},
                                                    {KEY_PAGEUP, 0xe049},
                                                    {KEY_LEFT, 0xe04b},
                                                    {KEY_RIGHT, 0xe04d},
                                                    {KEY_END, 0xe04f},
                                                    {KEY_DOWN, 0xe050},
                                                    {KEY_PAGEDOWN, 0xe051},
                                                    {KEY_INSERT, 0xe052},
                                                    {KEY_DELETE, 0xe053},
                                                    {KEY_LEFTMETA, 0xe05b},
                                                    {KEY_RIGHTMETA, 0xe05c},
                                                    {KEY_COMPOSE, 0xe05d}});

std::uint16_t at_code(std::uint16_t code) noexcept {
  if (code <= KEY_F12) return code;
  const auto* found = std::ranges::find(kExtended, code, &Extended::code);
  return found == kExtended.end() ? std::uint16_t{0} : found->at;
}

// Where the axis of a device of the host is, on that of a tablet.
std::int32_t scaled(const control::EvdevSpecification& evdev, const InputEvent& event) noexcept {
  const auto axis = std::ranges::find(evdev.axes, event.code, &control::InputAxisSpecification::code);
  if (axis == evdev.axes.end() || axis->maximum <= axis->minimum) return 0;
  const std::int64_t value = std::clamp(static_cast<std::int32_t>(event.value), axis->minimum, axis->maximum);
  const std::int64_t range = std::int64_t{axis->maximum} - axis->minimum;
  return static_cast<std::int32_t>((value - axis->minimum) * virtio::kTabletMaximum / range);
}

}  // namespace

std::shared_ptr<EvdevSource> EvdevSource::make(boost::asio::io_context& loop, EventThread& thread,
                                               const control::EvdevSpecification& evdev,
                                               FileDescriptor device, Actions actions) {
  std::shared_ptr<EvdevSource> source(
      new EvdevSource(loop, thread, evdev, std::move(device), std::move(actions)));
  std::exception_ptr failed;
  thread.run([&] {
    try {
      source->device_.start(thread, *source);
    } catch (...) {
      failed = std::current_exception();
    }
  });
  if (failed) std::rethrow_exception(failed);
  return source;
}

EvdevSource::EvdevSource(boost::asio::io_context& loop, EventThread& thread,
                         const control::EvdevSpecification& evdev, FileDescriptor device, Actions actions)
    : loop_(loop), thread_(thread), evdev_(evdev), actions_(std::move(actions)), device_(std::move(device)) {}

EvdevSource::~EvdevSource() {
  thread_.run([this] { device_.stop(thread_); });
}

bool EvdevSource::is_toggle_pressed() const noexcept {
  const auto both = [this](std::size_t one, std::size_t other) { return down_[one] && down_[other]; };
  switch (evdev_.toggle) {
    case control::GrabToggle::ctrl_ctrl:
      return both(KEY_LEFTCTRL, KEY_RIGHTCTRL);
    case control::GrabToggle::alt_alt:
      return both(KEY_LEFTALT, KEY_RIGHTALT);
    case control::GrabToggle::shift_shift:
      return both(KEY_LEFTSHIFT, KEY_RIGHTSHIFT);
    case control::GrabToggle::meta_meta:
      return both(KEY_LEFTMETA, KEY_RIGHTMETA);
    case control::GrabToggle::scrolllock:
      return down_[KEY_SCROLLLOCK];
    case control::GrabToggle::ctrl_scrolllock:
      return (down_[KEY_LEFTCTRL] || down_[KEY_RIGHTCTRL]) && down_[KEY_SCROLLLOCK];
  }
  return false;
}

void EvdevSource::follow_keys(const InputEvent& event) noexcept {
  if (event.type != virtio::kEventKey || event.code >= down_.size()) return;
  down_.set(event.code, event.value != 0);
  if (is_toggle_pressed()) wants_toggle_ = true;
}

bool EvdevSource::send(std::span<const InputEvent> frame) noexcept {
  std::ranges::for_each(frame, [this](const InputEvent& event) { follow_keys(event); });
  if (is_grabbed()) pass_on(frame);
  // When all keys are up again, so that nobody is left with one that is down.
  if (wants_toggle_ && down_.none()) {
    wants_toggle_ = false;
    boost::asio::post(loop_, [self = weak_from_this()] {
      const auto alive = self.lock();
      if (!alive) return;
      alive->set_grabbed(!alive->is_grabbed());
      alive->actions_.toggled(alive->is_grabbed());
    });
  }
  return true;
}

void EvdevSource::release_keys() noexcept {
  down_.reset();
  lost_ = true;
  pass_on({});
}

void EvdevSource::pass_on(std::span<const InputEvent> frame) noexcept {
  if (under_way_.load(std::memory_order_relaxed) >= kFramesUnderWay) {
    lost_ = true;
    return;
  }
  control::SendInput input;
  for (const InputEvent& event : frame) {
    const auto value = static_cast<std::int32_t>(event.value);
    if (event.type == virtio::kEventKey && (event.value < 2 || evdev_.repeat)) {
      input.events.push_back({event.type, event.code, value, at_code(event.code)});
    } else if (event.type == virtio::kEventRelative) {
      input.events.push_back({event.type, event.code, value, 0});
    } else if (event.type == virtio::kEventAbsolute && (event.code == ABS_X || event.code == ABS_Y)) {
      input.events.push_back({event.type, event.code, scaled(evdev_, event), 0});
    }
  }
  under_way_.fetch_add(1, std::memory_order_relaxed);
  boost::asio::post(loop_, [self = weak_from_this(), input = std::move(input)] {
    if (const auto alive = self.lock()) alive->take(input);
  });
}

void EvdevSource::take(const control::SendInput& input) {
  for (const auto& event : input.events)
    if (event.type == virtio::kEventKey && event.code < told_down_.size())
      told_down_.set(event.code, event.value != 0);
  if (!input.events.empty()) actions_.input(input);
  // What was lost came after all that is under way.
  const bool was_last = under_way_.fetch_sub(1, std::memory_order_relaxed) == 1;
  if (was_last && lost_.exchange(false)) let_keys_go();
}

void EvdevSource::let_keys_go() {
  control::SendInput releases;
  for (std::size_t key = 0; key < told_down_.size(); ++key) {
    if (!told_down_[key]) continue;
    const auto code = static_cast<std::uint16_t>(key);
    releases.events.push_back({virtio::kEventKey, code, 0, at_code(code)});
  }
  told_down_.reset();
  if (!releases.events.empty()) actions_.input(releases);
}

void EvdevSource::set_grabbed(bool grabbed) noexcept {
  if (grabbed == is_grabbed()) return;
  grabbed_.store(grabbed, std::memory_order_relaxed);
  device_.grab(grabbed);
  if (!grabbed) let_keys_go();
}

}  // namespace warren::vmm::worker
