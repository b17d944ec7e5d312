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

// <input type='keyboard' bus='ps2'/>: the i8042 of the machine has one, whether named or not.
struct Input {
  DeviceInfo info;
  bool operator==(const Input&) const = default;
};

}  // namespace warren::driver::config
