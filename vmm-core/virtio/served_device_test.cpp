// How a device shares its thread with others, whatever its driver does.
#include "vmm-core/virtio/served_device.h"

#include <algorithm>
#include <array>
#include <functional>

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "vmm-core/virtio/fake_devices.h"

namespace warren::vmm::virtio {
namespace {

constexpr std::uint64_t kRamSize = 1 << 20, kBuffers = 0x20000;

class QuietHost final : public DeviceHost {
 public:
  void signal_queue(std::uint16_t) noexcept override {}
  void signal_configuration() noexcept override {}
  void request_reset() noexcept override {}
};

// Whose driver makes the next chain available as soon as one is served, `chains` times.
class Refilled final : public ServedDevice {
 public:
  Refilled(EventThread& thread, FakeDriver& driver, unsigned chains)
      : ServedDevice("refilled", {&thread}), driver_(driver), left_(chains) {}
  DeviceType type() const noexcept override { return DeviceType::rng; }
  std::uint64_t features() const noexcept override { return 0; }
  bool offers_packed() const noexcept override { return true; }
  std::uint16_t queue_count() const noexcept override { return 1; }
  std::uint16_t queue_size() const noexcept override { return 8; }
  void read_configuration(std::uint64_t, std::span<std::byte>) noexcept override {}
  void write_configuration(std::uint64_t, std::span<const std::byte>) noexcept override {}

  // On the thread.
  void others_had_their_turn() noexcept { in_a_row_ = 0; }
  unsigned left() const noexcept { return left_; }
  unsigned most_in_a_row() const noexcept { return most_in_a_row_; }

 private:
  Served serve(std::uint16_t index) noexcept override {
    most_in_a_row_ = std::max(most_in_a_row_, ++in_a_row_);
    Chain chain;
    while (queue(index).pop(chain)) chain.ticket.complete(0);
    while (driver_.take_used()) {
    }
    if (left_ != 0 && driver_.offer({{kBuffers, 8, true}})) --left_;
    return Served::all;
  }

  FakeDriver& driver_;
  unsigned left_, in_a_row_ = 0, most_in_a_row_ = 0;
};

// One queue of a device, and another on its thread who always has something to do.
class ServedDeviceTest : public testing::TestWithParam<bool>, private EventHandler {
 protected:
  // Not while it is made or goes: the thread calls what it is.
  void SetUp() override {
    thread_.run([this] { thread_.add(ready_.get(), EPOLLIN, *this); });
  }
  void TearDown() override {
    thread_.run([this] { thread_.remove(ready_.get()); });
  }
  // Its first queue; one behind it is not set up.
  void activate(ServedDevice& device, const FakeDriver& driver) {
    ASSERT_TRUE(queue_.activate(driver.configuration()));
    const std::array<Queue*, 2> queues = {&queue_, &unused_};
    const std::array<int, 2> doorbells = {doorbell_.get(), unused_doorbell_.get()};
    const std::size_t count = device.queue_count();
    device.activate({.features = 0,
                     .queues = std::span(queues).first(count),
                     .doorbells = std::span(doorbells).first(count),
                     .host = &host_});
  }
  // How many of all `chains` come back before others have their turn.
  unsigned served_at_once(ServedDevice& device, FakeDriver& driver, unsigned chains) {
    unsigned total = 0;
    const auto count = [&] {
      while (driver.take_used()) ++total;
    };
    thread_.run([&] {
      activate(device, driver);
      count();
    });
    const unsigned at_once = total;
    EXPECT_TRUE(FakeGuest::eventually([&] {
      thread_.run(count);
      return total == chains;
    })) << total;
    device.deactivate();
    return at_once;
  }

  static constexpr GuestMemory::Layout kLayout[] = {{GuestAddress{0}, kRamSize}};
  static constexpr unsigned kShare = 256;
  GuestMemory memory_{kLayout};
  Queue queue_{memory_}, unused_{memory_};
  QuietHost host_;
  const FileDescriptor doorbell_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)},
      unused_doorbell_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)},
      ready_{::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)};
  EventThread thread_{"served-test"};
  std::function<void()> turn_;  // the other's, on the thread

 private:
  void on_event(std::uint32_t) noexcept override {
    if (turn_) turn_();
  }
};
INSTANTIATE_TEST_SUITE_P(Layouts, ServedDeviceTest, testing::Bool(),
                         [](const auto& layout) { return layout.param ? "Packed" : "Split"; });

TEST_P(ServedDeviceTest, T8ADriverThatRefillsAsFastAsItIsServedLeavesTheThreadToOthers) {
  constexpr unsigned kChains = 1000;
  FakeDriver driver(memory_, 8, GetParam());
  Refilled device(thread_, driver, kChains);
  thread_.run([&] { turn_ = [&] { device.others_had_their_turn(); }; });
  ASSERT_NO_FATAL_FAILURE(activate(device, driver));
  unsigned most = 0;
  EXPECT_TRUE(FakeGuest::eventually([&] {
    unsigned left = kChains;
    thread_.run([&] { left = device.left(); });
    return left == 0;
  })) << "the rest is served when others had their turn";
  thread_.run([&] {
    most = device.most_in_a_row();
    turn_ = {};
  });
  EXPECT_LE(most, 64U);
  device.deactivate();
}

// Requests of a disk that are over as soon as they are looked at.
TEST_P(ServedDeviceTest, T8RequestsThatAreRefusedCountToTheShare) {
  constexpr unsigned kChains = 1000;
  FakeDriver driver(memory_, 1024, GetParam());
  for (unsigned i = 0; i < kChains; ++i) ASSERT_TRUE(driver.offer({{kBuffers, 1, true}}));
  FileDescriptor file(::memfd_create("disk", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), kRamSize), 0);
  BlockCounters counters{};
  Block device("disk", std::make_unique<block::RawImage>(std::move(file), "disk", block::RawImageOptions{}),
               {.packed = true}, counters, {&thread_});
  EXPECT_EQ(served_at_once(device, driver, kChains), kShare);
  EXPECT_EQ(counters.malformed_chains.load(), kChains);
}

TEST_P(ServedDeviceTest, T8InputInSmallPiecesCountsToTheShare) {
  constexpr unsigned kChains = 1000;
  FakeDriver driver(memory_, 1024, GetParam());
  for (unsigned i = 0; i < kChains; ++i) ASSERT_TRUE(driver.offer({{kBuffers, 1, true}}));
  FakeCharacters characters;
  Console device("console", {.ports = {{.backend = &characters}}}, thread_);
  characters.type(std::string(Console::kInputSize, 'x'));
  EXPECT_EQ(served_at_once(device, driver, kChains), kShare);
}

}  // namespace
}  // namespace warren::vmm::virtio
