// What an input device says of itself (virtio 1.2 §5.8.4), and the three that a machine has of its own.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace warren::vmm::virtio {

// Types and codes of Linux's input events (linux/input-event-codes.h), as many as have a meaning here.
inline constexpr std::uint16_t kEventSynchronize = 0x00, kEventKey = 0x01, kEventRelative = 0x02,
                               kEventAbsolute = 0x03, kEventLed = 0x11, kEventRepeat = 0x14;
inline constexpr std::uint16_t kSynchronizeReport = 0, kSynchronizeDropped = 3;
// A bitmap has 128 bytes (§5.8.4): codes and properties are below this.
inline constexpr std::uint16_t kInputCodes = 1024;

struct InputAxis {
  std::uint16_t code = 0;  // ABS_…
  std::int32_t minimum = 0, maximum = 0, fuzz = 0, flat = 0, resolution = 0;
};

struct InputDescription {
  std::string name, serial;  // of which 128 bytes are told
  std::uint16_t bus = 0, vendor = 0, product = 0, version = 0;
  std::vector<std::uint16_t> properties;                       // INPUT_PROP_…
  std::map<std::uint16_t, std::vector<std::uint16_t>> events;  // the codes of each type, sorted
  std::vector<InputAxis> axes;

  bool has(std::uint16_t type, std::uint16_t code) const noexcept;
};

// Absolute axes go from 0 to this.
inline constexpr std::int32_t kTabletMaximum = 0x7fff;

InputDescription describe_keyboard();
InputDescription describe_mouse();
InputDescription describe_tablet();

}  // namespace warren::vmm::virtio
