#include "tests/guest/runtime/channels.h"

#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/power.h"
#include "tests/guest/runtime/print.h"
#include "tests/guest/virtio/console_driver.h"

namespace guest {
namespace {

constexpr std::string_view kAgent = "org.qemu.guest_agent.0";

struct Line {
  char text[2048];
  std::size_t length = 0;
  std::string_view view() const { return {text, length}; }
};

// Where `part` begins in `text`; its size when it does not.
std::size_t place_of(std::string_view text, std::string_view part) {
  for (std::size_t at = 0; at + part.size() <= text.size(); ++at)
    if (std::string_view(text.data() + at, part.size()) == part) return at;
  return text.size();
}
bool contains(std::string_view text, std::string_view part) {
  return place_of(text, part) < text.size();
}

void answer_as_agent(ConsoleDriver& driver, std::uint32_t port, std::string_view line) {
  const auto runs = [&](std::string_view command) { return contains(line, command); };
  if (runs("guest-sync-delimited")) {
    constexpr std::string_view kId = "\"id\":";
    std::string_view number = line;
    number.remove_prefix(place_of(line, kId));
    number.remove_prefix(number.empty() ? 0 : kId.size());
    std::size_t digits = 0;
    while (digits < number.size() && number[digits] >= '0' && number[digits] <= '9') ++digits;
    driver.write(port, "\xff{\"return\": ");
    driver.write(port, {number.data(), digits});
    driver.write(port, "}\n");
  } else if (runs("guest-ping")) {
    driver.write(port, "{\"return\": {}}\n");
  } else if (runs("guest-get-host-name")) {
    driver.write(port, "{\"return\": {\"host-name\": \"test-guest\"}}\n");
  } else if (runs("guest-shutdown")) {
    if (runs("\"reboot\"")) reset_machine();
    power_off();
  } else if (!runs("test-silence")) {
    driver.write(
        port, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"not a command of this guest\"}}\n");
  }
}

void answer(ConsoleDriver& driver, std::uint32_t port, std::string_view line) {
  if (driver.name(port) == kAgent) return answer_as_agent(driver, port, line);
  if (line == "close") {
    driver.set_open(port, false);
    wait_milliseconds(500);
    driver.set_open(port, true);
    return;
  }
  driver.write(port, line);
  driver.write(port, "\n");
}

void serve(ConsoleDriver& driver, std::uint32_t port, Line& line) {
  char room[256];
  while (true) {
    const std::string_view part = driver.read(port, room);
    if (part.empty()) return;
    for (const char character : part) {
      if (character == '\n') {
        answer(driver, port, line.view());
        line.length = 0;
      } else if (line.length < sizeof(line.text)) {
        line.text[line.length++] = character;
      }
    }
  }
}

}  // namespace

void serve_channels() {
  static ConsoleDriver driver;
  if (!driver.ready()) stop("no virtio console device with several ports");
  static Line lines[ConsoleDriver::kMaximumPorts];
  bool is_open[ConsoleDriver::kMaximumPorts] = {};
  bool is_said = false;
  for (;;) {
    driver.serve_control();
    bool all_open = true, has_port = false;
    for (std::uint32_t port = 1; port < driver.port_count(); ++port) {
      if (!is_open[port] && !driver.name(port).empty()) {
        is_open[port] = true;
        driver.set_open(port, true);
      }
      has_port = has_port || driver.is_added(port);
      all_open = all_open && is_open[port] == driver.is_added(port);
      serve(driver, port, lines[port]);
    }
    if (has_port && all_open && !is_said) {
      is_said = true;
      print("READY\n");
    }
    wait_until([&] { return driver.has_news(); }, 1000);
  }
}

}  // namespace guest
