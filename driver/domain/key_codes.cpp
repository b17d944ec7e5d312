#include "driver/domain/key_codes.h"

#include <iterator>

#include <libvirt/libvirt.h>

namespace warren::driver::domain {

namespace {

// The set 1 code with its 0xe0 prefix folded into one bit: bit 8 for Linux's raw mode, bit 7 for RFB's
// extended key event.
std::int32_t folded(std::int32_t set1, std::int32_t extended_bit) noexcept {
  return set1 > 0xff ? extended_bit | (set1 & 0x7f) : set1;
}

std::int32_t code_in(const KeyCodes& key, std::uint32_t code_set) noexcept {
  switch (code_set) {
    case VIR_KEYCODE_SET_LINUX:
      return key.linux_input;
    case VIR_KEYCODE_SET_XT:  // the same as AT set 1
    case VIR_KEYCODE_SET_ATSET1:
      return key.at_set1;
    case VIR_KEYCODE_SET_ATSET2:
      return key.at_set2;
    case VIR_KEYCODE_SET_ATSET3:
      return key.at_set3;
    case VIR_KEYCODE_SET_OSX:
      return key.os_x;
    case VIR_KEYCODE_SET_XT_KBD:
      return folded(key.at_set1, 0x100);
    case VIR_KEYCODE_SET_USB:
      return key.usb;
    case VIR_KEYCODE_SET_WIN32:
      return key.win32;
    case VIR_KEYCODE_SET_QNUM:
      return folded(key.at_set1, 0x80);
    default:
      return -1;
  }
}

}  // namespace

const KeyCodes* find_key(std::uint32_t code_set, std::uint32_t code) noexcept {
  if (code > 0xffff) return nullptr;
  for (const KeyCodes& key : all_keys())
    if (code_in(key, code_set) == static_cast<std::int32_t>(code)) return &key;
  return nullptr;
}

const char* name_of_code_set(std::uint32_t code_set) noexcept {
  constexpr const char* kNames[] = {"linux", "xt",     "atset1", "atset2", "atset3",
                                    "os_x",  "xt_kbd", "usb",    "win32",  "qnum"};
  return code_set < std::size(kNames) ? kNames[code_set] : "";
}

}  // namespace warren::driver::domain
