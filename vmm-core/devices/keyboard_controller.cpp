#include "vmm-core/devices/keyboard_controller.h"

#include <algorithm>

namespace warren::vmm {
namespace {

constexpr std::uint8_t kOutputFull = 0x01, kSystemFlag = 0x04, kUnlocked = 0x10;  // status
constexpr std::uint8_t kKeyboardInterrupt = 0x01, kKeyboardDisabled = 0x10,
                       kTranslate = 0x40;  // command byte
constexpr std::uint8_t kReadCommandByte = 0x20, kWriteCommandByte = 0x60, kDisableMouse = 0xa7,
                       kEnableMouse = 0xa8, kTestMouse = 0xa9, kSelfTest = 0xaa, kTestKeyboard = 0xab,
                       kDisableKeyboard = 0xad, kEnableKeyboard = 0xae, kReadOutputPort = 0xd0,
                       kWriteOutputPort = 0xd1, kEchoKeyboard = 0xd2, kEchoMouse = 0xd3, kWriteMouse = 0xd4,
                       kPulse = 0xf0;
constexpr std::uint8_t kAcknowledge = 0xfa, kResend = 0xfe;
constexpr std::uint8_t kExtended = 0xe0, kSet2Release = 0xf0;
// The scan code of set 2 whose translation (IBM PS/2 Technical Reference, "Scan Code Translation") is the
// index; 0 where there is none.
constexpr std::array<std::uint8_t, 128> kSet2OfSet1 = {
    0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b,
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a,
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03,
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69,
    0x72, 0x7a, 0x70, 0x71, 0x84, 0x60, 0x61, 0x78, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f,
    0x47, 0x4f, 0x56, 0x5e, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6f,
    0x13, 0x19, 0x39, 0x51, 0x53, 0x5c, 0x5f, 0x62, 0x63, 0x64, 0x65, 0x67, 0x68, 0x6a, 0x6d, 0x6e};
constexpr std::uint8_t kNoMouse = 0xff;  // what testing an absent mouse port answers other than 0

}  // namespace

KeyboardController::KeyboardController(std::unique_ptr<InterruptLine> interrupt, std::function<void()> reset)
    : interrupt_(std::move(interrupt)), reset_(std::move(reset)) {}

bool KeyboardController::push(std::uint8_t byte) noexcept {
  if (state_.count == kQueueSize) return false;
  state_.queue[(state_.first + state_.count) % kQueueSize] = byte;
  ++state_.count;
  return true;
}

std::uint8_t KeyboardController::pop() noexcept {
  if (state_.count == 0) return 0;
  const std::uint8_t byte = state_.queue[state_.first];
  state_.first = static_cast<std::uint8_t>((state_.first + 1) % kQueueSize);
  --state_.count;
  return byte;
}

std::uint8_t KeyboardController::status() const noexcept {
  return static_cast<std::uint8_t>((state_.count != 0 ? kOutputFull : 0) |
                                   (state_.command_byte & kSystemFlag) | kUnlocked);
}

void KeyboardController::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  const bool takes = offset == 0;
  for (auto& byte : data) {
    byte = std::byte{0xff};
    if (offset == 0) byte = static_cast<std::byte>(pop());
    if (offset == 4) byte = static_cast<std::byte>(status());
    ++offset;
  }
  if (!takes) return;
  // One edge for each byte: the line falls with the byte that was taken.
  interrupt_->set(false);
  update_interrupt();
}

void KeyboardController::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  bool resets = false;
  {
    const std::lock_guard lock(mutex_);
    for (const auto byte : data) {
      const auto value = std::to_integer<std::uint8_t>(byte);
      if (offset == 0) resets |= write_data(value);
      if (offset == 4) resets |= write_command(value);
      ++offset;
    }
    update_interrupt();
  }
  if (resets) reset_();
}

bool KeyboardController::write_command(std::uint8_t command) noexcept {
  state_.pending_command = 0;
  switch (command) {
    case kReadCommandByte:
      push(state_.command_byte);
      return false;
    case kWriteCommandByte:
    case kWriteOutputPort:
    case kEchoKeyboard:
    case kEchoMouse:
    case kWriteMouse:
      state_.pending_command = command;
      return false;
    case kTestMouse:
      push(kNoMouse);
      return false;
    case kSelfTest:
      state_.command_byte |= kSystemFlag;
      push(0x55);
      return false;
    case kTestKeyboard:
      push(0);
      return false;
    case kDisableKeyboard:
      state_.command_byte |= kKeyboardDisabled;
      return false;
    case kEnableKeyboard:
      state_.command_byte &= static_cast<std::uint8_t>(~kKeyboardDisabled);
      return false;
    case kReadOutputPort:
      push(state_.output_port);
      return false;
    case kDisableMouse:
    case kEnableMouse:
      return false;
    default:
      // 0xF0 to 0xFF pulse the output lines whose bits are 0; line 0 is the processor's reset.
      return command >= kPulse && (command & 1) == 0;
  }
}

bool KeyboardController::write_data(std::uint8_t value) noexcept {
  const std::uint8_t command = state_.pending_command;
  state_.pending_command = 0;
  switch (command) {
    case 0:
      write_keyboard(value);
      return false;
    case kWriteCommandByte:
      state_.command_byte = value;
      return false;
    case kWriteOutputPort:
      state_.output_port = value;
      return (value & 1) == 0;
    case kEchoKeyboard:
      push(value);
      return false;
    default:
      return false;  // to a mouse that is not there
  }
}

void KeyboardController::write_keyboard(std::uint8_t value) noexcept {
  const std::uint8_t command = state_.pending_keyboard_command;
  state_.pending_keyboard_command = 0;
  if (command != 0) {
    push(kAcknowledge);
    if (command == 0xf0 && value == 0)
      push(state_.command_byte & kTranslate ? 0x41 : 0x02);  // which scan code set
    return;
  }
  switch (value) {
    case 0xed:  // lights
    case 0xf0:  // scan code set
    case 0xf3:  // typematic rate
      state_.pending_keyboard_command = value;
      push(kAcknowledge);
      return;
    case 0xee:
      push(0xee);
      return;
    case 0xf2:  // identify: an MF2 keyboard, its second byte translated
      push(kAcknowledge);
      push(0xab);
      push((state_.command_byte & kTranslate) != 0 ? 0x41 : 0x83);
      return;
    case 0xf4:
    case 0xf6:
      state_.scanning = true;
      push(kAcknowledge);
      return;
    case 0xf5:
      state_.scanning = false;
      push(kAcknowledge);
      return;
    case 0xff:
      state_.scanning = true;
      push(kAcknowledge);
      push(0xaa);
      return;
    default:
      push(kResend);
  }
}

bool KeyboardController::can_type(std::size_t bytes) const noexcept {
  const bool disabled = (state_.command_byte & kKeyboardDisabled) != 0 || !state_.scanning;
  return !disabled && kQueueSize - state_.count >= bytes;
}

// What the keyboard sends is set 2; the controller translates it unless it is told not to.
void KeyboardController::type(std::uint16_t code, bool up) noexcept {
  const auto base = static_cast<std::uint8_t>(code & 0x7f);
  if (code > 0xff) push(kExtended);
  if ((state_.command_byte & kTranslate) != 0) {
    push(up ? static_cast<std::uint8_t>(base | 0x80) : base);
    return;
  }
  if (up) push(kSet2Release);
  push(kSet2OfSet1[base]);
}

bool KeyboardController::press(std::span<const std::uint16_t> codes) noexcept {
  const std::lock_guard lock(mutex_);
  if (!can_type(codes.size() * 2)) return false;
  for (const auto code : codes) type(code, false);
  update_interrupt();
  return true;
}

bool KeyboardController::release(std::span<const std::uint16_t> codes) noexcept {
  const std::lock_guard lock(mutex_);
  if (!can_type(codes.size() * 3)) return false;
  for (std::size_t i = codes.size(); i > 0; --i) type(codes[i - 1], true);
  update_interrupt();
  return true;
}

bool KeyboardController::press_ctrl_alt_del() noexcept {
  constexpr std::array<std::uint16_t, 3> kCodes = {0x1d, 0x38, 0xe053};
  const std::lock_guard lock(mutex_);
  if (!can_type(kCodes.size() * 5)) return false;
  for (const auto code : kCodes) type(code, false);
  for (std::size_t i = kCodes.size(); i > 0; --i) type(kCodes[i - 1], true);
  update_interrupt();
  return true;
}

void KeyboardController::update_interrupt() noexcept {
  interrupt_->set(state_.count != 0 && (state_.command_byte & kKeyboardInterrupt) != 0);
}

void KeyboardController::reset() noexcept {
  const std::lock_guard lock(mutex_);
  state_ = {};
  update_interrupt();
}

KeyboardController::State KeyboardController::save() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void KeyboardController::restore(const State& state) {
  const std::lock_guard lock(mutex_);
  state_ = state;
  state_.first %= kQueueSize;
  state_.count = std::min<std::uint8_t>(state_.count, kQueueSize);
  update_interrupt();
}

void KeyboardController::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("status", std::uint64_t{status()});
  node.add("command_byte", std::uint64_t{state_.command_byte});
  node.add("queued", std::uint64_t{state_.count});
  node.add("scanning", state_.scanning);
}

}  // namespace warren::vmm
