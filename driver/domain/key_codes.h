// From libvirt's key code sets to what an AT keyboard sends. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>

namespace warren::driver::domain {

struct KeyCodes {
  std::int32_t linux_input;
  std::int32_t at_set1;  // extended keys as 0xe0 in the high byte
  std::int32_t at_set2;
  std::int32_t at_set3;
  std::int32_t os_x;
  std::int32_t usb;
  std::int32_t win32;
};

std::span<const KeyCodes> all_keys() noexcept;

// `code_set` is a virKeycodeSet. Null for a key the keyboard does not have, or the set does not.
const KeyCodes* find_key(std::uint32_t code_set, std::uint32_t code) noexcept;
// "linux", "atset1", …; "" for a number that is no set.
const char* name_of_code_set(std::uint32_t code_set) noexcept;

}  // namespace warren::driver::domain
