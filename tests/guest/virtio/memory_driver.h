// A driver of the virtio memory device (virtio 1.2 §5.15), request by request.
#pragma once

#include <cstdint>

#include "tests/guest/virtio/device.h"

namespace guest {

namespace memory_request {
enum Type : std::uint64_t { kPlug = 0, kUnplug = 1, kUnplugAll = 2, kState = 3 };
inline constexpr std::uint16_t kAcknowledged = 0, kDenied = 1, kError = 3, kNoAnswer = 0xffff;
}  // namespace memory_request

class MemoryDriver {
 public:
  // Maps the device's memory; not ready when there is no device, or it does not agree to the features.
  MemoryDriver(VirtioDevice device, std::uint64_t features);

  bool ready() const { return queue_ != nullptr; }
  VirtioDevice& device() { return device_; }
  std::uint64_t block() const { return field(0); }
  std::uint64_t address() const { return field(16); }
  std::uint64_t size() const { return field(24); }
  std::uint64_t plugged() const { return field(40); }
  std::uint64_t requested() const { return field(48); }

  // The answer's type; its state where one is asked for.
  std::uint16_t ask(memory_request::Type type, std::uint64_t address, std::uint16_t blocks,
                    std::uint16_t* state = nullptr);
  // Plugs or unplugs the last blocks until there is as much as is requested. True when that was not so.
  bool follow();

 private:
  struct Answer {
    std::uint16_t type, padding[3], state;
  };
  std::uint64_t field(std::uint64_t offset) const;

  VirtioDevice device_;
  Queue* queue_ = nullptr;
  std::uint64_t* request_ = nullptr;
  Answer* answer_ = nullptr;
};

}  // namespace guest
