// A virtio SCSI driver (virtio 1.2 §5.6) for tests: one request queue, one command at a time, and events.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "tests/guest/virtio/device.h"

namespace guest {

struct ScsiUnit {
  std::uint8_t target = 0;
  std::uint16_t lun = 0;
};

struct ScsiResult {
  std::uint8_t response = 0xff;  // 0xff: the device wrote none
  std::uint8_t status = 0xff;
  std::uint32_t sense = 0;  // key, code and qualifier in one number
  bool ok() const { return response == 0 && status == 0; }
};

struct ScsiEvent {
  std::uint32_t event = 0;
  std::uint8_t lun[8] = {};
  std::uint32_t reason = 0;
};

class ScsiDriver {
 public:
  static constexpr std::uint32_t kDataBytes = 4096;

  // Negotiates HOTPLUG and CHANGE and starts the queues of the first controller. Check ready().
  ScsiDriver();
  bool ready() const { return requests_ != nullptr; }
  // For data in either direction: kDataBytes.
  std::uint8_t* data() { return data_; }
  ScsiResult command(ScsiUnit unit, std::span<const std::uint8_t> cdb, std::uint32_t out_bytes = 0,
                     std::uint32_t in_bytes = 0);
  // What the device has told since the last question, if anything.
  std::optional<ScsiEvent> take_event();

 private:
  void lend_event();

  VirtioDevice device_;
  Queue* events_ = nullptr;
  Queue* requests_ = nullptr;
  std::uint8_t* data_ = nullptr;
  std::uint8_t* header_ = nullptr;
  std::uint8_t* response_ = nullptr;
  ScsiEvent* event_ = nullptr;
};

}  // namespace guest
