// virtio-console (virtio 1.2 §5.3). For `echo` the host sends back every line it gets.
#include "tests/guest/machine/memory.h"
#include "tests/guest/runtime/test.h"
#include "tests/guest/virtio/console_driver.h"

extern "C" int memcmp(const void*, const void*, std::size_t);
extern "C" void* memcpy(void*, const void*, std::size_t);

namespace guest {
namespace {

constexpr std::uint16_t kReceive = 0, kTransmit = 1;

void echo(std::uint64_t features) {
  VirtioDevice device(VirtioType::console);
  if (!device) SKIP("no virtio-console device");
  REQUIRE(device.negotiate(features));
  if (features & kRingPacked && !(device.negotiated() & kRingPacked)) SKIP("packed rings are not offered");
  Queue& receive = device.set_up_queue(kReceive, 16);
  Queue& transmit = device.set_up_queue(kTransmit, 16);
  device.start();
  constexpr std::string_view kLine = "a line through the console\n";
  auto* out = allocate_array<char>(64);
  auto* in = allocate_array<char>(256);
  memcpy(out, kLine.data(), kLine.size());
  for (int round = 0; round < 20; ++round) {
    Segment sent[] = {{physical(out), 5, false},
                      {physical(out) + 5, static_cast<std::uint32_t>(kLine.size()) - 5, false}};
    transmit.add(sent);
    device.notify(kTransmit, transmit);
    auto done = wait_used(transmit);
    REQUIRE(done.has_value());
    EXPECT_EQUAL(done->length, 0u);
    std::uint32_t received = 0;
    while (received < kLine.size()) {
      Segment buffer[] = {writable(in + received, 128)};
      receive.add(buffer);
      receive.request_interrupts(true);
      device.notify(kReceive, receive);
      auto part = wait_used(receive);
      REQUIRE(part.has_value());
      REQUIRE(part->length > 0 && part->length <= 128);
      received += part->length;
    }
    REQUIRE_EQUAL(std::uint64_t{received}, std::uint64_t{kLine.size()});
    REQUIRE_EQUAL(memcmp(in, kLine.data(), kLine.size()), 0);
  }
}

// Obeys the device until it has said enough. Not within wait_until's condition: obeying waits itself.
template <typename Condition>
bool serve_until(ConsoleDriver& driver, Condition condition) {
  while (!condition()) {
    if (!wait_until([&] { return driver.has_news(); }, 4000)) return false;
    driver.serve_control();
  }
  return true;
}

// Port 1 is a channel; the host has its end open and sends back what it gets.
void echo_on_channel(std::uint64_t features) {
  ConsoleDriver driver(features);
  if (!driver.ready()) SKIP("no virtio-console device with several ports");
  REQUIRE(serve_until(driver, [&] { return driver.find("org.example.test") != 0; }));
  const std::uint32_t port = driver.find("org.example.test");
  REQUIRE_EQUAL(port, 1u);
  driver.set_open(port, true);
  REQUIRE(serve_until(driver, [&] { return driver.is_host_open(port); }));
  constexpr std::string_view kLine = "a line through the channel\n";
  for (int round = 0; round < 20; ++round) {
    REQUIRE(driver.write(port, kLine));
    char room[64];
    std::size_t received = 0;
    while (received < kLine.size()) {
      REQUIRE(wait_until([&] { return driver.has_news(); }, 2000));
      driver.serve_control();
      received += driver.read(port, std::span(room).subspan(received)).size();
    }
    REQUIRE_EQUAL(std::uint64_t{received}, std::uint64_t{kLine.size()});
    REQUIRE_EQUAL(memcmp(room, kLine.data(), kLine.size()), 0);
  }
  driver.set_open(port, false);
}

}  // namespace

TEST(virtio_console, channel_split) {
  echo_on_channel(0);
}
TEST(virtio_console, channel_packed) {
  echo_on_channel(kRingPacked | kEventIndex);
}

TEST(virtio_console, transmit) {
  VirtioDevice device(VirtioType::console);
  if (!device) SKIP("no virtio-console device");
  REQUIRE(device.negotiate(0));
  Queue& transmit = device.set_up_queue(kTransmit, 16);
  device.start();
  auto* text = allocate_array<char>(8192, 4096);
  for (unsigned i = 0; i < 8192; ++i) text[i] = static_cast<char>(i % 64 == 63 ? '\n' : 'A' + i % 26);
  for (std::uint32_t bytes : {1u, 64u, 4096u, 8192u}) {
    Segment chain[] = {{physical(text), bytes, false}};
    transmit.add(chain);
    device.notify(kTransmit, transmit);
    auto used = wait_used(transmit);
    REQUIRE(used.has_value());
    EXPECT_EQUAL(used->length, 0u);
  }
}

TEST(virtio_console, echo_split) {
  echo(0);
}
TEST(virtio_console, echo_event_index) {
  echo(kEventIndex | kIndirectDescriptors);
}
TEST(virtio_console, echo_packed) {
  echo(kRingPacked);
}

// T1
TEST(virtio_console, malformed_chains) {
  VirtioDevice device(VirtioType::console);
  if (!device) SKIP("no virtio-console device");
  REQUIRE(device.negotiate(0));
  Queue& transmit = device.set_up_queue(kTransmit, 16);
  device.start();
  auto* data = allocate_array<char>(16);
  Segment chains[] = {
      {std::uint64_t{1} << 44, 16, false}, {~std::uint64_t{0}, 16, false}, writable(data, 16)};
  for (const auto& chain : chains) {
    transmit.add({&chain, 1});
    device.ring(kTransmit);
    auto used = wait_used(transmit);
    REQUIRE(used.has_value());
    EXPECT_EQUAL(used->length, 0u);
  }
  EXPECT_EQUAL(device.status() & kNeedsReset, 0);
}

}  // namespace guest
