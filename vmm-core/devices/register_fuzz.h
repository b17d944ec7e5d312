// Drives a device's registers with whatever a fuzzer makes up (class T5): accesses of 1 to 8 bytes at any
// offset, as a bus would pass them on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "vmm-core/bus/io_handler.h"
#include "vmm-core/os/error.h"

namespace warren::vmm {

struct FuzzStep {
  std::uint8_t action;  // what the target makes of it, but for its lowest bit: write
  std::uint8_t offset;
  std::uint8_t size;  // 1 to 8, the rest by remainder
  std::uint8_t argument;
  std::array<std::byte, 8> data;
};
static_assert(sizeof(FuzzStep) == 12);

inline void access(IoHandler& device, const FuzzStep& step, std::uint64_t ports) {
  const std::size_t size = step.size % 8u + 1;
  std::array<std::byte, 8> data = step.data;
  if ((step.action & 1) != 0) {
    device.write(step.offset % ports, std::span<const std::byte>(data).first(size));
  } else {
    device.read(step.offset % ports, std::span(data).first(size));
  }
}

// Pauses the device and has it take back its saved state, as `spoil` has changed it (class T21): it may
// refuse.
template <typename Device, typename Spoil>
void restore_spoiled(Device& device, Spoil spoil) {
  device.pause();
  auto state = device.save();
  spoil(state);
  try {
    device.restore(state);
  } catch (const Error&) {
  }
  device.resume();
}

// Calls `each` for every step of the input.
template <typename Each>
void for_each_step(const std::uint8_t* data, std::size_t size, Each each) {
  for (; size >= sizeof(FuzzStep); data += sizeof(FuzzStep), size -= sizeof(FuzzStep)) {
    FuzzStep step;
    std::memcpy(&step, data, sizeof(step));
    each(step);
  }
}

}  // namespace warren::vmm
