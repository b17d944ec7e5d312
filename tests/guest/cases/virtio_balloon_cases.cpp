// virtio-balloon (virtio 1.2 §5.5): pages given away read as zeros when they are used again; statistics are
// asked for; free pages are reported.
#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/runtime/test.h"
#include "tests/guest/virtio/device.h"

namespace guest {
namespace {

constexpr std::uint64_t kStatistics = 1 << 1, kDeflateOnOom = 1 << 2, kReporting = 1 << 5;
constexpr std::uint16_t kInflateQueue = 0, kDeflateQueue = 1, kStatisticsQueue = 2, kReportingQueue = 3;
constexpr std::uint32_t kPages = 64, kPage = 4096;

// One chain there and back; false when it does not come.
bool send(VirtioDevice& device, Queue& queue, std::uint16_t index, Segment segment) {
  queue.add({&segment, 1});
  queue.request_interrupts(true);
  device.notify(index, queue);
  const auto used = wait_used(queue);
  return used.has_value() && used->length == 0;
}

void give_and_take(std::uint64_t features) {
  VirtioDevice device(VirtioType::balloon);
  if (!device) SKIP("no virtio-balloon device");
  REQUIRE(device.negotiate(features));
  if (features & kRingPacked && !(device.negotiated() & kRingPacked)) SKIP("packed rings are not offered");
  Queue& inflate = device.set_up_queue(kInflateQueue, 16);
  Queue& deflate = device.set_up_queue(kDeflateQueue, 16);
  device.start();
  EXPECT_EQUAL(read32(device.configuration()), 256u);  // a MiB is asked for
  auto* pages = allocate_array<std::uint64_t>(kPages * kPage / 8, kPage);
  auto* numbers = allocate_array<std::uint32_t>(kPages);
  for (std::uint32_t i = 0; i < kPages; ++i) {
    for (std::uint32_t j = 0; j < kPage / 8; ++j) pages[i * kPage / 8 + j] = ~std::uint64_t{i};
  }
  // Every second page, from the last one down.
  for (std::uint32_t i = 0; i < kPages / 2; ++i)
    numbers[i] = static_cast<std::uint32_t>(physical(pages) / kPage) + kPages - 1 - 2 * i;
  REQUIRE(send(device, inflate, kInflateQueue, readable(numbers, kPages / 2 * 4)));
  for (std::uint32_t i = 0; i < kPages; ++i) {
    const std::uint64_t expected = i % 2 == 1 ? 0 : ~std::uint64_t{i};
    REQUIRE_EQUAL(pages[i * kPage / 8], expected);
    REQUIRE_EQUAL(pages[(i + 1) * kPage / 8 - 1], expected);
  }
  for (std::uint32_t i = 0; i < kPages; ++i) pages[i * kPage / 8] = i;
  REQUIRE(send(device, deflate, kDeflateQueue, readable(numbers, kPages / 2 * 4)));
  for (std::uint32_t i = 0; i < kPages; ++i) REQUIRE_EQUAL(pages[i * kPage / 8], std::uint64_t{i});
}

}  // namespace

TEST(virtio_balloon, pages_split) {
  give_and_take(kStatistics | kDeflateOnOom);
}
TEST(virtio_balloon, pages_packed) {
  give_and_take(kRingPacked | kIndirectDescriptors | kEventIndex);
}

// The device keeps the driver's buffer until it wants statistics, which here is every second.
TEST(virtio_balloon, statistics) {
  VirtioDevice device(VirtioType::balloon);
  if (!device) SKIP("no virtio-balloon device");
  REQUIRE(device.negotiate(kStatistics));
  REQUIRE((device.negotiated() & kStatistics) != 0);
  Queue& statistics = device.set_up_queue(kStatisticsQueue, 4);
  device.start();
  struct [[gnu::packed]] Statistic {
    std::uint16_t tag;
    std::uint64_t value;
  };
  auto* list = allocate_array<Statistic>(2);
  for (std::uint64_t round = 0; round < 2; ++round) {
    list[0] = {4, (round + 1) << 20};
    list[1] = {5, std::uint64_t{64} << 20};
    const Segment buffer = readable(list, 2 * sizeof(Statistic));
    statistics.add({&buffer, 1});
    statistics.request_interrupts(true);
    device.notify(kStatisticsQueue, statistics);
    REQUIRE(wait_used(statistics, 3000).has_value());
  }
}

TEST(virtio_balloon, reported_pages) {
  VirtioDevice device(VirtioType::balloon);
  if (!device) SKIP("no virtio-balloon device");
  REQUIRE(device.negotiate(kReporting));
  REQUIRE((device.negotiated() & kReporting) != 0);
  Queue& reporting = device.set_up_queue(kReportingQueue, 16);
  device.start();
  auto* pages = allocate_array<std::uint8_t>(4 * kPage, kPage);
  for (std::uint32_t i = 0; i < 4 * kPage; ++i) pages[i] = 0xa5;
  REQUIRE(send(device, reporting, kReportingQueue, writable(pages + kPage, 2 * kPage)));
  for (std::uint32_t i = 0; i < 4 * kPage; ++i)
    REQUIRE_EQUAL(unsigned{pages[i]}, i / kPage == 1 || i / kPage == 2 ? 0u : 0xa5u);
}

// Gives what is asked for, and takes it back when the host asks for nothing any more.
TEST(virtio_balloon, follows_the_host) {
  VirtioDevice device(VirtioType::balloon);
  if (!device) SKIP("no virtio-balloon device");
  REQUIRE(device.negotiate(0));
  Queue& inflate = device.set_up_queue(kInflateQueue, 16);
  Queue& deflate = device.set_up_queue(kDeflateQueue, 16);
  device.start();
  const std::uint32_t wanted = read32(device.configuration());
  REQUIRE(wanted > 0 && wanted <= 1024);
  auto* pages = allocate_array<std::uint8_t>(wanted * kPage, kPage);
  auto* numbers = allocate_array<std::uint32_t>(wanted);
  for (std::uint32_t i = 0; i < wanted; ++i)
    numbers[i] = static_cast<std::uint32_t>(physical(pages) / kPage) + i;
  REQUIRE(send(device, inflate, kInflateQueue, readable(numbers, wanted * 4)));
  write32(device.configuration() + 4, wanted);
  REQUIRE(wait_until([&] { return read32(device.configuration()) == 0; }, 30000));
  REQUIRE(send(device, deflate, kDeflateQueue, readable(numbers, wanted * 4)));
  write32(device.configuration() + 4, 0);
  wait_milliseconds(3000);
}

// T6: no number makes the host let go of anything but this guest's RAM.
TEST(virtio_balloon, pages_that_are_no_memory) {
  VirtioDevice device(VirtioType::balloon);
  if (!device) SKIP("no virtio-balloon device");
  REQUIRE(device.negotiate(0));
  Queue& inflate = device.set_up_queue(kInflateQueue, 16);
  device.start();
  auto* numbers = allocate_array<std::uint32_t>(4);
  numbers[0] = 0xffff'ffff;
  numbers[1] = 0xfee00;
  numbers[2] = 0xb0000;  // configuration space
  numbers[3] = static_cast<std::uint32_t>(device.common() / kPage);
  REQUIRE(send(device, inflate, kInflateQueue, readable(numbers, 16)));
  REQUIRE(send(device, inflate, kInflateQueue, readable(numbers, 3)));
  EXPECT_EQUAL(device.status() & kNeedsReset, 0);
  EXPECT_EQUAL(read32(device.configuration() + 4), 0u);
}

}  // namespace guest
