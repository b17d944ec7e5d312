// virtio-rng (virtio 1.2 §5.4): buffers come back with at least one random byte.
#include "tests/guest/machine/memory.h"
#include "tests/guest/runtime/test.h"
#include "tests/guest/virtio/device.h"

namespace guest {
namespace {

void fill_buffers(std::uint64_t features) {
  VirtioDevice device(VirtioType::entropy);
  if (!device) SKIP("no virtio-rng device");
  REQUIRE(device.negotiate(features));
  if (features & kRingPacked && !(device.negotiated() & kRingPacked)) SKIP("packed rings are not offered");
  Queue& queue = device.set_up_queue(0, 8);
  device.start();
  auto* data = allocate_array<std::uint8_t>(1024, 16);
  std::uint32_t counts[256] = {};
  std::uint32_t total = 0;
  for (std::uint32_t round = 0; round < 40; ++round) {
    std::uint32_t wanted = 1 + round * 25;
    for (std::uint32_t i = 0; i < 1024; ++i) data[i] = 0;
    Segment chain[] = {writable(data, wanted)};
    queue.add(chain);
    queue.request_interrupts(true);
    device.notify(0, queue);
    auto used = wait_used(queue);
    REQUIRE(used.has_value());
    REQUIRE(used->length > 0 && used->length <= wanted);
    for (std::uint32_t i = 0; i < used->length; ++i) ++counts[data[i]];
    total += used->length;
    for (std::uint32_t i = wanted; i < 1024; ++i)
      REQUIRE_EQUAL(unsigned{data[i]}, 0u);  // nothing beyond the buffer
  }
  std::uint32_t most = 0;
  for (auto count : counts) most = count > most ? count : most;
  EXPECT(total > 1000 ? most < total / 20 : most < 30);  // no value stands out
}

}  // namespace

TEST(virtio_rng, split) {
  fill_buffers(0);
}
TEST(virtio_rng, split_event_index) {
  fill_buffers(kEventIndex | kIndirectDescriptors);
}
TEST(virtio_rng, packed) {
  fill_buffers(kRingPacked);
}

// T1: a readable buffer, and one that is not memory.
TEST(virtio_rng, malformed_chains) {
  VirtioDevice device(VirtioType::entropy);
  if (!device) SKIP("no virtio-rng device");
  REQUIRE(device.negotiate(0));
  Queue& queue = device.set_up_queue(0, 8);
  device.start();
  auto* data = allocate_array<std::uint8_t>(16);
  Segment chains[] = {
      {physical(data), 16, false}, {std::uint64_t{1} << 44, 16, true}, {~std::uint64_t{7}, 16, true}};
  for (const auto& chain : chains) {
    queue.add({&chain, 1});
    device.ring(0);
    auto used = wait_used(queue);
    REQUIRE(used.has_value());
    EXPECT_EQUAL(used->length, 0u);
  }
  EXPECT_EQUAL(device.status() & kNeedsReset, 0);
}

}  // namespace guest
