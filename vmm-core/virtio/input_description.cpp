#include "vmm-core/virtio/input_description.h"

#include <algorithm>
#include <numeric>

#include <linux/input.h>

namespace warren::vmm::virtio {
namespace {

// The ids that guests know the input devices of virtual machines by.
constexpr std::uint16_t kVendor = 0x0627;

InputDescription make(std::string name, std::uint16_t number) {
  InputDescription description;
  description.name = std::move(name);
  description.bus = BUS_VIRTUAL;
  description.vendor = kVendor;
  description.product = number;
  description.version = number;
  return description;
}

const std::vector<std::uint16_t> kButtons = {BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA};

}  // namespace

bool InputDescription::has(std::uint16_t type, std::uint16_t code) const noexcept {
  const auto found = events.find(type);
  return found != events.end() && std::ranges::binary_search(found->second, code);
}

InputDescription describe_keyboard() {
  InputDescription description = make("Warren Virtio Keyboard", 1);
  // Every key of a keyboard; what comes behind them is buttons and switches.
  std::vector<std::uint16_t> keys(KEY_MICMUTE);
  std::iota(keys.begin(), keys.end(), std::uint16_t{KEY_ESC});
  description.events = {{EV_KEY, std::move(keys)},
                        {EV_LED, {LED_NUML, LED_CAPSL, LED_SCROLLL}},
                        {EV_REP, {REP_DELAY, REP_PERIOD}}};
  return description;
}

InputDescription describe_mouse() {
  InputDescription description = make("Warren Virtio Mouse", 2);
  description.events = {{EV_KEY, kButtons}, {EV_REL, {REL_X, REL_Y, REL_HWHEEL, REL_WHEEL}}};
  return description;
}

InputDescription describe_tablet() {
  InputDescription description = make("Warren Virtio Tablet", 3);
  std::vector<std::uint16_t> buttons = kButtons;
  buttons.push_back(BTN_TOUCH);
  description.events = {
      {EV_KEY, std::move(buttons)}, {EV_REL, {REL_HWHEEL, REL_WHEEL}}, {EV_ABS, {ABS_X, ABS_Y}}};
  for (const std::uint16_t axis : {std::uint16_t{ABS_X}, std::uint16_t{ABS_Y}})
    description.axes.push_back({.code = axis, .minimum = 0, .maximum = kTabletMaximum});
  return description;
}

static_assert(kEventSynchronize == EV_SYN && kEventKey == EV_KEY && kEventRelative == EV_REL &&
              kEventAbsolute == EV_ABS && kEventLed == EV_LED && kEventRepeat == EV_REP &&
              kSynchronizeReport == SYN_REPORT && kSynchronizeDropped == SYN_DROPPED);

}  // namespace warren::vmm::virtio
