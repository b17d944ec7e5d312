#include "tests/guest/virtio/console_driver.h"

#include "tests/guest/machine/memory.h"

extern "C" void* memcpy(void*, const void*, std::size_t);

namespace guest {
namespace {

constexpr std::uint16_t kControlIn = 2, kControlOut = 3;
constexpr std::uint32_t kBufferBytes = 1024;

// struct virtio_console_control (§5.3.6.2).
struct Control {
  std::uint32_t port;
  std::uint16_t event;
  std::uint16_t value;
};
constexpr std::uint16_t kDeviceReady = 0, kPortAdd = 1, kPortReady = 3, kPortOpen = 6, kPortName = 7;

// §5.3.2
constexpr std::uint16_t receive_queue(std::uint32_t port) {
  return static_cast<std::uint16_t>(2 + 2 * port);
}
constexpr std::uint16_t transmit_queue(std::uint32_t port) {
  return static_cast<std::uint16_t>(3 + 2 * port);
}

}  // namespace

ConsoleDriver::ConsoleDriver(std::uint64_t features) : device_(VirtioType::console) {
  if (!device_ || !device_.negotiate(features | kMultiport)) return;
  if ((device_.negotiated() & kMultiport) == 0) return;
  port_count_ = read32(device_.configuration() + 4);
  if (port_count_ > kMaximumPorts) port_count_ = kMaximumPorts;
  control_in_ = &device_.set_up_queue(kControlIn, 16);
  control_out_ = &device_.set_up_queue(kControlOut, 16);
  for (std::uint32_t port = 1; port < port_count_; ++port) {
    ports_[port].receive = &device_.set_up_queue(receive_queue(port), 16);
    ports_[port].transmit = &device_.set_up_queue(transmit_queue(port), 16);
    ports_[port].buffer = allocate_array<char>(kBufferBytes);
  }
  heard_ = allocate_array<char>(kBufferBytes);
  said_ = allocate_array<char>(kBufferBytes);
  device_.start();
  lend(kControlIn, *control_in_, heard_);
  for (std::uint32_t port = 1; port < port_count_; ++port)
    lend(receive_queue(port), *ports_[port].receive, ports_[port].buffer);
  is_ready_ = true;
  tell(0xffffffff, kDeviceReady, 1);
}

void ConsoleDriver::lend(std::uint16_t index, Queue& queue, char* buffer) {
  Segment chain[] = {writable(buffer, kBufferBytes)};
  queue.add(chain);
  queue.request_interrupts(true);
  device_.notify(index, queue);
}

bool ConsoleDriver::has_news() const {
  if (control_in_->has_used()) return true;
  for (std::uint32_t port = 1; port < port_count_; ++port)
    if (ports_[port].taken < ports_[port].received || ports_[port].receive->has_used()) return true;
  return false;
}

void ConsoleDriver::serve_control() {
  while (auto used = control_in_->take_used()) {
    obey(used->length);
    lend(kControlIn, *control_in_, heard_);
  }
}

void ConsoleDriver::obey(std::uint32_t bytes) {
  Control message;
  if (bytes < sizeof(message)) return;
  memcpy(&message, heard_, sizeof(message));
  if (message.port == 0 || message.port >= port_count_) return;
  Port& port = ports_[message.port];
  if (message.event == kPortAdd) {
    port.is_added = true;
    tell(message.port, kPortReady, 1);
  }
  if (message.event == kPortOpen) port.is_host_open = message.value != 0;
  if (message.event == kPortName) {
    port.name_length = bytes - sizeof(message);
    if (port.name_length > sizeof(port.name)) port.name_length = sizeof(port.name);
    memcpy(port.name, heard_ + sizeof(message), port.name_length);
  }
}

std::uint32_t ConsoleDriver::find(std::string_view wanted) const {
  for (std::uint32_t port = 1; port < port_count_; ++port)
    if (name(port) == wanted) return port;
  return 0;
}

void ConsoleDriver::tell(std::uint32_t port, std::uint16_t event, std::uint16_t value) {
  Control message{port, event, value};
  memcpy(said_, &message, sizeof(message));
  Segment chain[] = {readable(said_, sizeof(message))};
  control_out_->add(chain);
  device_.notify(kControlOut, *control_out_);
  wait_used(*control_out_);
}

void ConsoleDriver::set_open(std::uint32_t port, bool is_open) {
  tell(port, kPortOpen, is_open ? 1 : 0);
}

std::string_view ConsoleDriver::read(std::uint32_t number, std::span<char> room) {
  Port& port = ports_[number];
  if (port.taken == port.received) {
    const auto used = port.receive->take_used();
    if (!used) return {};
    port.taken = 0;
    port.received = used->length;
  }
  std::uint32_t bytes = port.received - port.taken;
  if (bytes > room.size()) bytes = static_cast<std::uint32_t>(room.size());
  memcpy(room.data(), port.buffer + port.taken, bytes);
  port.taken += bytes;
  if (port.taken == port.received) lend(receive_queue(number), *port.receive, port.buffer);
  return {room.data(), bytes};
}

bool ConsoleDriver::write(std::uint32_t number, std::string_view text) {
  Port& port = ports_[number];
  while (!text.empty()) {
    const std::string_view part(text.data(), text.size() < kBufferBytes ? text.size() : kBufferBytes);
    text.remove_prefix(part.size());
    memcpy(said_, part.data(), part.size());
    Segment chain[] = {readable(said_, part.size())};
    port.transmit->add(chain);
    device_.notify(transmit_queue(number), *port.transmit);
    if (!wait_used(*port.transmit)) return false;
  }
  return true;
}

}  // namespace guest
