// The virtio console device (virtio 1.2 §5.3): one or several ports, each on a character back end.
//
// A device whose only port is an unnamed console does without VIRTIO_CONSOLE_F_MULTIPORT; any other offers it
// and tells the driver its ports over the control queues (§5.3.6.2). A driver that does not take the offer
// has port 0 alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vmm-core/chardev/character_backend.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

struct ConsolePort {
  std::uint32_t number = 0;             // below the device's maximum, each once
  std::string name;                     // told to the driver unless empty
  bool is_console = true;               // else a port for programs
  CharacterBackend* backend = nullptr;  // outlives the device
};

struct ConsolePortState {
  std::vector<std::byte> input;   // from the host, not yet taken by the guest
  std::uint64_t output_sent = 0;  // bytes of the next chain of the transmit queue
  bool ready = false;             // PORT_READY came
  bool guest_open = false;
  std::uint8_t untold = 0;  // control messages for the driver that wait, one bit each
};

struct ConsoleState {
  std::uint32_t version = 2;
  std::vector<ConsolePortState> ports;  // as they were given
};

class Console final : public ServedDevice {
 public:
  static constexpr std::uint64_t kFeatureMultiport = 1U << 1;
  static constexpr std::uint32_t kMaximumPorts = 64;

  struct Options {
    std::vector<ConsolePort> ports;
    std::uint32_t maximum_ports = 1;  // as the driver is told; up to kMaximumPorts
    // The guest has opened or closed the port of that number. On the device's thread.
    std::function<void(std::uint32_t number, bool open)> guest_opened;
  };

  // Throws Error for port numbers that are too high or used twice.
  Console(std::string name, Options options, EventThread& thread);
  ~Console() override;

  DeviceType type() const noexcept override { return DeviceType::console; }
  std::uint64_t features() const noexcept override { return multiport_ ? kFeatureMultiport : 0; }
  bool offers_packed() const noexcept override { return true; }
  std::uint16_t queue_count() const noexcept override;
  std::uint16_t queue_size() const noexcept override { return 128; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t, std::span<const std::byte>) noexcept override {}

  // Input that was not yet taken stays; of output that was begun, what is not yet sent is sent. The driver is
  // gone: no port is open.
  void deactivate() noexcept override;
  // A port comes to, or goes from, a device that offers ports, whatever it is doing; the driver is told when
  // it knows of ports (§5.3.6.2). Not on the device's thread. add_port() throws Error for a number that is
  // too high or taken, and for a lone console; a port that is not there is removed already.
  void add_port(const ConsolePort& port);
  void remove_port(std::uint32_t number) noexcept;

  // While the device is paused or inactive.
  ConsoleState save() const;
  void restore(const ConsoleState& state);
  void inspect(InspectNode& node) const override;

  static constexpr std::size_t kInputSize = 4096;

 private:
  class Port;
  class Wake;

  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;
  Served serve_control_input() noexcept;
  Served serve_control_output() noexcept;
  void obey(std::uint32_t port, std::uint16_t event, std::uint16_t value) noexcept;
  bool uses_multiport() const noexcept { return (accepted_features() & kFeatureMultiport) != 0; }
  Port* port_of(std::uint16_t queue) noexcept;
  void check(const ConsolePort& port) const;
  void look_at_all() noexcept;
  void ring() noexcept;

  const bool multiport_;
  const std::uint32_t maximum_ports_;
  const std::function<void(std::uint32_t, bool)> guest_opened_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<Port*> by_number_;
  FileDescriptor wake_;  // an eventfd that calls the thread to everything that waits
  std::unique_ptr<Wake> waker_;
  unsigned running_queues_ = 0;
  bool driver_knows_ports_ = false;  // it has asked for them; device's thread
  std::uint64_t removed_ = 0;        // numbers of ports that the driver is to be told of; likewise
};

}  // namespace warren::vmm::virtio
