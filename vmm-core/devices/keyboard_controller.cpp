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

bool KeyboardController::press_ctrl_alt_del() noexcept {
  const std::lock_guard lock(mutex_);
  // Set 2, and what the controller translates it to; each key down, then up.
  constexpr std::array<std::uint8_t, 4> kDown1 = {0x1d, 0x38, 0xe0, 0x53};
  constexpr std::array<std::uint8_t, 4> kUp1 = {0xe0, 0xd3, 0xb8, 0x9d};
  constexpr std::array<std::uint8_t, 4> kDown2 = {0x14, 0x11, 0xe0, 0x71};
  constexpr std::array<std::uint8_t, 7> kUp2 = {0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14};
  const bool disabled = (state_.command_byte & kKeyboardDisabled) != 0 || !state_.scanning;
  if (disabled || kQueueSize - state_.count < kDown2.size() + kUp2.size()) return false;
  const auto type = [this](std::span<const std::uint8_t> codes) {
    for (const auto code : codes) push(code);
  };
  const bool translated = (state_.command_byte & kTranslate) != 0;
  type(translated ? std::span<const std::uint8_t>(kDown1) : kDown2);
  type(translated ? std::span<const std::uint8_t>(kUp1) : kUp2);
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
