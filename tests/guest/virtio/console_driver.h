// A virtio console driver for several ports (virtio 1.2 §5.3.5): it learns the ports' names over the control
// queues, opens and closes them, reads and writes. Port 0 is left alone.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tests/guest/virtio/device.h"

namespace guest {

class ConsoleDriver {
 public:
  static constexpr std::uint32_t kMaximumPorts = 8;
  static constexpr std::uint64_t kMultiport = 1 << 1;

  // Negotiates the multiport feature and `features`, and says that the driver is ready. Check ready().
  explicit ConsoleDriver(std::uint64_t features = 0);
  bool ready() const { return is_ready_; }
  std::uint32_t port_count() const { return port_count_; }

  // Whether there is something to serve or to read.
  bool has_news() const;
  // Obeys what the device has said of its ports.
  void serve_control();
  // The number of the port of that name; 0: the device has told of none.
  std::uint32_t find(std::string_view name) const;
  bool is_added(std::uint32_t port) const { return ports_[port].is_added; }
  // Empty: not told (yet).
  std::string_view name(std::uint32_t port) const { return {ports_[port].name, ports_[port].name_length}; }
  bool is_host_open(std::uint32_t port) const { return ports_[port].is_host_open; }

  void set_open(std::uint32_t port, bool is_open);
  // What has come, at most what there is room for; empty when there is nothing.
  std::string_view read(std::uint32_t port, std::span<char> room);
  // False when the device does not take it within two seconds.
  bool write(std::uint32_t port, std::string_view text);

 private:
  struct Port {
    Queue* receive;
    Queue* transmit;
    char* buffer;            // lent to the device
    std::uint32_t received;  // bytes of it that came
    std::uint32_t taken;     // and were read
    char name[64];
    std::size_t name_length;
    bool is_host_open;
    bool is_added;  // the device has it; it tells how many it may have only
  };

  void tell(std::uint32_t port, std::uint16_t event, std::uint16_t value);
  void obey(std::uint32_t bytes);
  void lend(std::uint16_t index, Queue& queue, char* buffer);

  VirtioDevice device_;
  bool is_ready_ = false;
  std::uint32_t port_count_ = 0;
  Queue* control_in_ = nullptr;
  Queue* control_out_ = nullptr;
  char* heard_ = nullptr;
  char* said_ = nullptr;
  Port ports_[kMaximumPorts] = {};
};

}  // namespace guest
