// Stand-ins for what a device is given, for the tests of devices/.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "vmm-core/bus/interrupt.h"
#include "vmm-core/chardev/character_backend.h"

namespace warren::vmm {

// A wire whose level the test sees.
class FakeLine final : public InterruptLine {
 public:
  explicit FakeLine(bool& level) : level_(level) {}
  void set(bool asserted) noexcept override { level_ = asserted; }

 private:
  bool& level_;
};

// Takes `room` bytes of output, then none until the test makes room.
class FakeCharacterBackend final : public CharacterBackend {
 public:
  void set_listener(CharacterListener* listener) noexcept override { listener_ = listener; }
  std::size_t write(std::span<const std::byte> bytes) noexcept override {
    const std::size_t taken = bytes.size() < room ? bytes.size() : room;
    room -= taken;
    for (std::size_t i = 0; i < taken; ++i) output.push_back(static_cast<char>(bytes[i]));
    return taken;
  }
  void resume_input() noexcept override { ++resumed; }

  // As much of `text` as the device takes; returns how much that was.
  std::size_t type(const std::string& text) {
    const std::size_t size = std::min(text.size(), listener_->receive_capacity());
    listener_->receive(std::as_bytes(std::span(text.data(), size)));
    return size;
  }
  CharacterListener& listener() { return *listener_; }

  std::size_t room = 1 << 20;
  std::string output;
  int resumed = 0;

 private:
  CharacterListener* listener_ = nullptr;
};

}  // namespace warren::vmm
