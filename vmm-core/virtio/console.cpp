#include "vmm-core/virtio/console.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/console_port.h"

namespace warren::vmm::virtio {
namespace {

// §5.3.2: the queues of port 0, those of control messages, then those of the other ports.
constexpr std::uint16_t kControlInput = 2, kControlOutput = 3, kFirstOfPort1 = 4;

// virtio_console_config (§5.3.4); the size of the screen is not known.
struct Configuration {
  std::uint16_t columns = 0, rows = 0;
  std::uint32_t maximum_ports = 0;
  std::uint32_t emergency_write = 0;
};
static_assert(sizeof(Configuration) == 12);

// virtio_console_control (§5.3.6.2).
struct ControlMessage {
  std::uint32_t port = 0;
  std::uint16_t event = 0;
  std::uint16_t value = 0;
};
static_assert(sizeof(ControlMessage) == 8);

constexpr std::uint16_t input_queue_of(std::uint32_t port) noexcept {
  return static_cast<std::uint16_t>(port == 0 ? 0 : kFirstOfPort1 + 2 * (port - 1));
}
constexpr std::uint16_t output_queue_of(std::uint32_t port) noexcept {
  return static_cast<std::uint16_t>(input_queue_of(port) + 1);
}

bool needs_multiport(const Console::Options& options) {
  if (options.maximum_ports > 1 || options.ports.size() != 1) return true;
  return !options.ports.front().is_console || !options.ports.front().name.empty();
}

}  // namespace

class Console::Wake final : public EventHandler {
 public:
  explicit Wake(Console& console) : console_(console) {}
  void on_event(std::uint32_t) noexcept override {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(console_.wake_.get(), &count, sizeof(count));
    console_.look_at_all();
  }

 private:
  Console& console_;
};

Console::Console(std::string name, Options options, EventThread& thread)
    : ServedDevice(std::move(name), {&thread}),
      multiport_(needs_multiport(options)),
      maximum_ports_(options.maximum_ports),
      guest_opened_(std::move(options.guest_opened)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      waker_(std::make_unique<Wake>(*this)) {
  if (!wake_) throw_errno(this->name() + ": eventfd");
  if (maximum_ports_ == 0 || maximum_ports_ > kMaximumPorts)
    throw Error(std::errc::invalid_argument, this->name() + ": not 1 to 64 ports");
  by_number_.resize(maximum_ports_);
  ports_.reserve(maximum_ports_);
  for (const ConsolePort& port : options.ports) {
    check(port);
    ports_.push_back(std::make_unique<Port>(*this, port, !multiport_));
    by_number_[port.number] = ports_.back().get();
  }
}

void Console::check(const ConsolePort& port) const {
  if (port.number < maximum_ports_ && by_number_[port.number] == nullptr && port.backend != nullptr) return;
  throw Error(std::errc::invalid_argument, name() + ": port " + std::to_string(port.number) +
                                               " is too high, used twice or without a back end");
}

void Console::add_port(const ConsolePort& port) {
  if (!multiport_) throw Error(std::errc::operation_not_supported, name() + ": it is a console and no more");
  check(port);
  auto made = std::make_unique<Port>(*this, port, false);
  thread_of(0).run([&] {
    by_number_[port.number] = made.get();
    if (driver_knows_ports_) made->tell(Port::kAdd);
    ports_.push_back(std::move(made));  // there is room for all there may be
    // Without a port they waited, and wanted no notifications.
    for (const std::uint16_t index : {input_queue_of(port.number), output_queue_of(port.number)})
      if (is_running(index)) work(index);
  });
  ring();
}

void Console::remove_port(std::uint32_t number) noexcept {
  std::unique_ptr<Port> gone;
  thread_of(0).run([&] {
    Port* port = number < by_number_.size() ? by_number_[number] : nullptr;
    if (port == nullptr) return;
    const std::uint16_t output = output_queue_of(number);
    // The driver takes back what it had made available (§5.3.6.2).
    if (is_running(output)) port->give_back(queue(output));
    if (driver_knows_ports_) removed_ |= std::uint64_t{1} << number;
    if (port->set_guest_open(false) && guest_opened_) guest_opened_(number, false);
    by_number_[number] = nullptr;
    const auto place = std::ranges::find(ports_, port, &std::unique_ptr<Port>::get);
    gone = std::move(*place);
    ports_.erase(place);
  });
  ring();
}

Console::~Console() {
  deactivate();
  ports_.clear();  // before what their back ends may still ring
}

std::uint16_t Console::queue_count() const noexcept {
  return multiport_ ? static_cast<std::uint16_t>(kFirstOfPort1 + 2 * (maximum_ports_ - 1)) : kControlInput;
}

void Console::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const Configuration configuration{.maximum_ports = multiport_ ? maximum_ports_ : 0};
  read_bytes(std::as_bytes(std::span(&configuration, 1)), offset, data);
}

void Console::ring() noexcept {
  const std::uint64_t one = 1;
  // A full counter has rung already.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

Console::Port* Console::port_of(std::uint16_t queue) noexcept {
  if (queue < kControlInput) return by_number_[0];
  if (!uses_multiport() || queue < kFirstOfPort1) return nullptr;
  const std::size_t number = static_cast<std::size_t>(queue - kFirstOfPort1) / 2 + 1;
  return number < by_number_.size() ? by_number_[number] : nullptr;
}

void Console::started(std::uint16_t) noexcept {
  if (running_queues_++ != 0) return;
  try {
    thread_of(0).add(wake_.get(), EPOLLIN, *waker_);
  } catch (const Error&) {
    host()->request_reset();
  }
  // A driver that does not know of ports cannot open its one.
  if (!uses_multiport() && by_number_[0] != nullptr) by_number_[0]->accept(true);
}

void Console::stopped(std::uint16_t index) noexcept {
  if (--running_queues_ == 0) thread_of(0).remove(wake_.get());
  Port* port = port_of(index);
  if (port != nullptr && index % 2 == 1) port->give_back(queue(index));
}

void Console::deactivate() noexcept {
  ServedDevice::deactivate();
  thread_of(0).run([this] {
    driver_knows_ports_ = false;
    removed_ = 0;
    for (const auto& port : ports_) {
      port->forget();
      port->accept(!multiport_);
      if (port->set_guest_open(false) && guest_opened_) guest_opened_(port->options().number, false);
    }
  });
}

ServedDevice::Served Console::serve(std::uint16_t index) noexcept {
  if (uses_multiport() && index == kControlInput) return serve_control_input();
  if (uses_multiport() && index == kControlOutput) return serve_control_output();
  Port* port = port_of(index);
  // Queues of ports that are not there are not served.
  if (port == nullptr) return Served::waiting;
  return index % 2 == 0 ? port->serve_input(queue(index)) : port->serve_output(queue(index));
}

void Console::look_at_all() noexcept {
  for (std::uint16_t index = 0; index < queue_count(); ++index) {
    Port* port = port_of(index);
    if (!is_running(index) || port == nullptr) continue;
    if (index % 2 == 0 ? port->has_input() : port->take_output_ready()) work(index);
  }
  const bool untold = removed_ != 0 || std::ranges::any_of(ports_, [](const std::unique_ptr<Port>& port) {
                        return port->has_untold();
                      });
  if (untold && uses_multiport() && is_running(kControlInput)) work(kControlInput);
}

// What a port has to tell the driver, one message in each buffer.
ServedDevice::Served Console::serve_control_input() noexcept {
  Chain chain;
  // First, since another port may have come to the place of one that went.
  while (removed_ != 0) {
    if (!queue(kControlInput).pop(chain)) return Served::all;
    const ControlMessage message{
        .port = static_cast<std::uint32_t>(std::countr_zero(removed_)), .event = kPortRemove, .value = 1};
    removed_ &= removed_ - 1;
    Writer writer(chain.writable);
    writer.write(std::as_bytes(std::span(&message, 1)));
    chain.ticket.complete(static_cast<std::uint32_t>(writer.written()));
  }
  for (const auto& port : ports_) {
    while (port->has_untold()) {
      if (!queue(kControlInput).pop(chain)) return Served::all;
      ControlMessage message{.port = port->options().number, .event = kPortAdd, .value = 1};
      const std::uint8_t untold = port->next_untold();
      if (untold == Port::kIsConsole) message.event = kConsolePort;
      if (untold == Port::kName) message.event = kPortName;
      if (untold == Port::kOpen) message = {message.port, kPortOpen, port->host_open()};
      Writer writer(chain.writable);
      writer.write(std::as_bytes(std::span(&message, 1)));
      if (untold == Port::kName) writer.write(std::as_bytes(std::span(port->options().name)));
      chain.ticket.complete(static_cast<std::uint32_t>(writer.written()));
    }
  }
  return Served::waiting;
}

ServedDevice::Served Console::serve_control_output() noexcept {
  Chain chain;
  for (unsigned served = 0; served < kShare; ++served) {
    if (!queue(kControlOutput).pop(chain)) return Served::all;
    ControlMessage message;
    if (Reader(chain.readable).read_object(message)) obey(message.port, message.event, message.value);
    chain.ticket.complete(0);
  }
  return Served::more;
}

void Console::obey(std::uint32_t number, std::uint16_t event, std::uint16_t value) noexcept {
  if (event == kDeviceReady) {
    if (value != 1) return;  // the driver could not set the device up
    driver_knows_ports_ = true;
    for (const auto& port : ports_) port->tell(Port::kAdd);
    return ring();
  }
  Port* port = number < by_number_.size() ? by_number_[number] : nullptr;
  if (port == nullptr) return;
  if (event == kPortReady && value == 1) {
    port->set_ready(true);
    if (port->options().is_console) port->tell(Port::kIsConsole);
    if (!port->options().name.empty()) port->tell(Port::kName);
    if (port->host_open()) port->tell(Port::kOpen);
    ring();
  }
  if (event == kPortOpen) {
    if (port->set_guest_open(value != 0) && guest_opened_) guest_opened_(number, value != 0);
    port->accept(value != 0);
  }
}

ConsoleState Console::save() const {
  ConsoleState state;
  for (const auto& port : ports_) state.ports.push_back(port->save());
  return state;
}

void Console::restore(const ConsoleState& state) {
  if (state.ports.size() != ports_.size())
    throw Error(std::errc::invalid_argument, name() + ": saved state has another number of ports");
  for (const ConsolePortState& port : state.ports) {
    if (port.input.size() > kInputSize) {
      throw Error(std::errc::invalid_argument, name() + ": saved state has more input than a port holds");
    }
  }
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    ports_[i]->restore(state.ports[i]);
    ports_[i]->accept(!multiport_ || state.ports[i].guest_open);
    driver_knows_ports_ = driver_knows_ports_ || state.ports[i].ready;
  }
}

void Console::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  for (const auto& port : ports_) {
    port->inspect(node.child("port" + std::to_string(port->options().number)));
  }
}

}  // namespace warren::vmm::virtio
