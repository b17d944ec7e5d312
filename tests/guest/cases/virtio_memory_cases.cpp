// The virtio memory device (virtio 1.2 §5.15): blocks are plugged, hold what is written to them, and are gone
// when they are unplugged, for CPUs and for other devices.
#include "tests/guest/machine/cpu.h"
#include "tests/guest/runtime/test.h"
#include "tests/guest/virtio/memory_driver.h"

namespace guest {
namespace {

using namespace memory_request;

constexpr std::uint64_t kFeatures = 3;  // a node; unplugged memory is not to be touched

void plug_and_unplug(std::uint64_t features) {
  MemoryDriver memory(VirtioDevice(VirtioType::memory), features | kFeatures);
  if (!memory.device()) SKIP("no virtio-mem device");
  REQUIRE(memory.ready());
  const std::uint64_t block = memory.block(), start = memory.address();
  REQUIRE_EQUAL(memory.ask(kUnplugAll, 0, 0), kAcknowledged);
  REQUIRE_EQUAL(memory.plugged(), std::uint64_t{0});
  const auto blocks = static_cast<std::uint16_t>(memory.requested() / block);
  REQUIRE(blocks >= 4);
  REQUIRE_EQUAL(memory.ask(kPlug, start, blocks), kAcknowledged);
  EXPECT_EQUAL(memory.ask(kPlug, start + blocks * block, 1), kDenied);
  EXPECT_EQUAL(memory.plugged(), memory.requested());
  for (std::uint64_t at = start; at < start + blocks * block; at += 4096) {
    REQUIRE_EQUAL(read64(at), std::uint64_t{0});
    write64(at, ~at);
  }
  for (std::uint64_t at = start; at < start + blocks * block; at += 4096) REQUIRE_EQUAL(read64(at), ~at);
  std::uint16_t state = kNoAnswer;
  EXPECT_EQUAL(memory.ask(kState, start, blocks, &state), kAcknowledged);
  EXPECT_EQUAL(unsigned{state}, 0u);
  // One that comes back is empty.
  REQUIRE_EQUAL(memory.ask(kUnplug, start + block, 2), kAcknowledged);
  EXPECT_EQUAL(memory.ask(kState, start, blocks, &state), kAcknowledged);
  EXPECT_EQUAL(unsigned{state}, 2u);
  REQUIRE_EQUAL(memory.ask(kPlug, start + block, 2), kAcknowledged);
  EXPECT_EQUAL(read64(start + block), std::uint64_t{0});
  EXPECT_EQUAL(read64(start), ~start);
  REQUIRE_EQUAL(memory.ask(kUnplugAll, 0, 0), kAcknowledged);
  // Nothing is there now; a processor that looks all the same reads ones, as from any hole.
  EXPECT_EQUAL(read64(start), ~std::uint64_t{0});
}

}  // namespace

TEST(virtio_mem, blocks_split) {
  plug_and_unplug(0);
}
TEST(virtio_mem, blocks_packed) {
  plug_and_unplug(kRingPacked | kIndirectDescriptors | kEventIndex);
}

// T1: what cannot be plugged is refused, and a ring in memory that is not plugged breaks the queue alone.
TEST(virtio_mem, T1_refusals) {
  MemoryDriver memory(VirtioDevice(VirtioType::memory), kFeatures);
  if (!memory.device()) SKIP("no virtio-mem device");
  REQUIRE(memory.ready());
  const std::uint64_t block = memory.block(), start = memory.address();
  REQUIRE_EQUAL(memory.ask(kUnplugAll, 0, 0), kAcknowledged);
  EXPECT_EQUAL(memory.ask(kPlug, start + 4096, 1), kError);
  EXPECT_EQUAL(memory.ask(kPlug, start - block, 1), kError);
  EXPECT_EQUAL(memory.ask(kPlug, start + memory.size(), 1), kError);
  EXPECT_EQUAL(memory.ask(kPlug, ~std::uint64_t{0} - block + 1, 2), kError);
  EXPECT_EQUAL(memory.ask(kPlug, start, 0), kError);
  EXPECT_EQUAL(memory.ask(kUnplug, start, 1), kError);
  // No DMA reaches an unplugged block.
  VirtioDevice entropy(VirtioType::entropy);
  if (!entropy || !entropy.negotiate(0)) return;
  Queue& queue = entropy.set_up_queue(0, 8);
  entropy.start();
  Segment chain[] = {{start, 64, true}};
  queue.add(chain);
  entropy.notify(0, queue);
  const auto used = wait_used(queue);
  REQUIRE(used.has_value());
  EXPECT_EQUAL(used->length, 0u);
}

}  // namespace guest
