// The small devices of a domain: entropy, input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "driver/config/device_address.h"

namespace warren::driver::config {

enum class RngBackend {
  random,   // <backend model='random'>path</backend>
  builtin,  // <backend model='builtin'/>
};

// <rng model='virtio'>
struct Rng {
  RngBackend backend = RngBackend::random;
  std::string path;  // backend random: /dev/random or /dev/urandom, set after fill_defaults
  std::optional<std::uint32_t> rate_bytes;      // in each period
  std::optional<std::uint32_t> rate_period_ms;  // none: 1000
  DeviceInfo info;
  bool operator==(const Rng&) const = default;
};

enum class InputType {
  keyboard,
  mouse,
  tablet,
  passthrough,  // <source evdev=…/>: a device of the host
  evdev,        // <source dev=…/>: one whose user types and points on what the guest has
};
enum class InputBus {
  ps2,  // the i8042 of the machine has one keyboard, whether named or not
  virtio,
  none,  // of evdev
};
enum class GrabToggle { ctrl_ctrl, alt_alt, shift_shift, meta_meta, scrolllock, ctrl_scrolllock };
enum class InputModel { virtio, virtio_non_transitional };

// <input type= bus= model=/>
struct Input {
  InputType type = InputType::keyboard;
  InputBus bus = InputBus::ps2;
  std::optional<InputModel> model;  // of bus virtio; the same device either way
  std::string source;               // of passthrough and evdev: the path of its node
  bool grab_all = false;            // of evdev: <source grab='all'/>
  std::optional<GrabToggle> grab_toggle;
  std::optional<bool> repeat;
  DeviceInfo info;
  bool operator==(const Input&) const = default;
};

}  // namespace warren::driver::config
