// T1, T2, T6: chains no driver should make. Each is returned with length 0 and the queue goes on; only damage
// to the ring itself asks for a reset.
#include "tests/guest/machine/memory.h"
#include "tests/guest/runtime/test.h"
#include "tests/guest/virtio/block_driver.h"
#include "tests/guest/virtio/packed_queue.h"
#include "tests/guest/virtio/split_queue.h"

namespace guest {
namespace {

constexpr std::uint16_t kN = kDescriptorNext, kW = kDescriptorWrite, kI = kDescriptorIndirect;

// A disk with a split queue whose descriptors the test writes itself, plus a good header and status to use.
struct Raw {
  BlockDriver disk{kIndirectDescriptors, 32};
  block::Header* header = allocate_array<block::Header>(1, 16);
  std::uint8_t* data = allocate_array<std::uint8_t>(4096, 4096);
  std::uint8_t* status = allocate_array<std::uint8_t>(1);

  SplitQueue& queue() { return static_cast<SplitQueue&>(disk.queue()); }
  void set(std::uint16_t index, std::uint64_t address, std::uint32_t length, std::uint16_t flags,
           std::uint16_t next = 0) {
    queue().descriptor(index) = {address, length, flags, next};
  }
  // Header in descriptor 20 and status in 22, the middle is the test's: 20 → 21 → 22.
  void good_frame() {
    set(20, physical(header), 16, kN, 21);
    set(22, physical(status), 1, kW);
  }
};

// The chain at `head` comes back with length 0, untouched, and a good request after it works.
void expect_returned(Raw& raw, std::uint16_t head) {
  *raw.status = 0xee;
  raw.queue().add_head(head);
  raw.disk.device().ring(0);
  auto used = wait_used(raw.queue());
  REQUIRE(used.has_value());
  EXPECT_EQUAL(used->id, std::uint32_t{head});
  EXPECT_EQUAL(used->length, 0u);
  EXPECT_EQUAL(unsigned{*raw.status}, 0xeeu);
  EXPECT_EQUAL(raw.disk.device().status() & kNeedsReset, 0);
  // The free-running allocation of add() starts at descriptor 0 and does not collide with the raw ones.
  auto* data = allocate_array<std::uint64_t>(64, 512);
  auto good = raw.disk.read(1, data, 512);
  EXPECT(good.completed);
  EXPECT_EQUAL(unsigned{good.status}, 0u);
  EXPECT(sector_is_original(data, 1));
}

}  // namespace

#define RAW_OR_SKIP()                                   \
  Raw raw;                                              \
  if (!raw.disk.device()) SKIP("no virtio-blk device"); \
  REQUIRE(raw.disk.ready());                            \
  raw.good_frame()

// That the frame is good: with a good middle it is an ordinary read.
TEST(virtio_chain, good_frame) {
  RAW_OR_SKIP();
  *raw.header = {block::kIn, 0, 9};
  raw.set(21, physical(raw.data), 512, kN | kW, 22);
  raw.queue().add_head(20);
  raw.disk.device().ring(0);
  auto used = wait_used(raw.queue());
  REQUIRE(used.has_value());
  EXPECT_EQUAL(used->length, 513u);
  EXPECT_EQUAL(unsigned{*raw.status}, 0u);
  EXPECT(sector_is_original(reinterpret_cast<std::uint64_t*>(raw.data), 9));
}

TEST(virtio_chain, address_outside_memory) {
  RAW_OR_SKIP();
  raw.set(21, std::uint64_t{1} << 45, 512, kN | kW, 22);
  expect_returned(raw, 20);
}

TEST(virtio_chain, address_in_hole_below_4_gib) {
  RAW_OR_SKIP();
  raw.set(21, 0xfd000000, 512, kN | kW, 22);
  expect_returned(raw, 20);
}

TEST(virtio_chain, address_of_own_registers) {  // T6
  RAW_OR_SKIP();
  raw.set(21, raw.disk.device().common(), 512, kN | kW, 22);
  expect_returned(raw, 20);
}

TEST(virtio_chain, address_of_local_apic) {  // T6
  RAW_OR_SKIP();
  raw.set(21, 0xfee00000, 512, kN | kW, 22);
  expect_returned(raw, 20);
}

TEST(virtio_chain, length_across_end_of_memory) {
  RAW_OR_SKIP();
  raw.set(21, allocatable_end() - 256, 0x80000000, kN | kW, 22);
  expect_returned(raw, 20);
}

TEST(virtio_chain, address_plus_length_overflows) {
  RAW_OR_SKIP();
  raw.set(21, ~std::uint64_t{0} - 255, 512, kN | kW, 22);
  expect_returned(raw, 20);
}

TEST(virtio_chain, header_outside_memory) {
  RAW_OR_SKIP();
  raw.set(20, std::uint64_t{1} << 50, 16, kN, 21);
  raw.set(21, physical(raw.data), 512, kN | kW, 22);
  expect_returned(raw, 20);
}

TEST(virtio_chain, loop_to_itself) {  // T2
  RAW_OR_SKIP();
  raw.set(21, physical(raw.data), 512, kN | kW, 21);
  expect_returned(raw, 20);
}

TEST(virtio_chain, loop_to_head) {
  RAW_OR_SKIP();
  raw.set(21, physical(raw.data), 512, kN, 20);
  expect_returned(raw, 20);
}

TEST(virtio_chain, next_out_of_range) {
  RAW_OR_SKIP();
  raw.set(21, physical(raw.data), 512, kN | kW, 32);
  expect_returned(raw, 20);
  raw.good_frame();
  raw.set(21, physical(raw.data), 512, kN | kW, 0xffff);
  expect_returned(raw, 20);
}

TEST(virtio_chain, readable_after_writable) {
  RAW_OR_SKIP();
  raw.set(21, physical(raw.data), 512, kN | kW, 23);
  raw.set(23, physical(raw.data), 512, kN, 22);
  expect_returned(raw, 20);
}

TEST(virtio_chain, no_room_for_status) {
  RAW_OR_SKIP();
  raw.set(20, physical(raw.header), 16, 0);
  expect_returned(raw, 20);
}

TEST(virtio_chain, header_too_short) {
  RAW_OR_SKIP();
  raw.set(20, physical(raw.header), 15, kN, 22);
  expect_returned(raw, 20);
}

TEST(virtio_chain, only_writable) {
  RAW_OR_SKIP();
  expect_returned(raw, 22);
}

TEST(virtio_chain, indirect_with_next) {
  RAW_OR_SKIP();
  auto* table = allocate_array<SplitDescriptor>(4, 16);
  table[0] = {physical(raw.header), 16, kN, 1};
  table[1] = {physical(raw.status), 1, kW, 0};
  raw.set(20, physical(table), 32, kI | kN, 22);
  expect_returned(raw, 20);
}

TEST(virtio_chain, indirect_in_indirect) {
  RAW_OR_SKIP();
  auto* inner = allocate_array<SplitDescriptor>(4, 16);
  auto* table = allocate_array<SplitDescriptor>(4, 16);
  inner[0] = {physical(raw.header), 16, kN, 1};
  inner[1] = {physical(raw.status), 1, kW, 0};
  table[0] = {physical(inner), 32, kI, 0};
  raw.set(20, physical(table), 16, kI);
  expect_returned(raw, 20);
}

TEST(virtio_chain, indirect_odd_length) {
  RAW_OR_SKIP();
  auto* table = allocate_array<SplitDescriptor>(4, 16);
  table[0] = {physical(raw.header), 16, kN, 1};
  table[1] = {physical(raw.status), 1, kW, 0};
  for (std::uint32_t length : {0u, 8u, 31u, 33u}) {
    raw.set(20, physical(table), length, kI);
    expect_returned(raw, 20);
  }
}

TEST(virtio_chain, indirect_table_outside_memory) {
  RAW_OR_SKIP();
  raw.set(20, std::uint64_t{1} << 45, 32, kI);
  expect_returned(raw, 20);
}

TEST(virtio_chain, indirect_loop) {
  RAW_OR_SKIP();
  auto* table = allocate_array<SplitDescriptor>(4, 16);
  table[0] = {physical(raw.header), 16, kN, 1};
  table[1] = {physical(raw.data), 512, kN | kW, 1};
  raw.set(20, physical(table), 64, kI);
  expect_returned(raw, 20);
}

TEST(virtio_chain, indirect_next_out_of_table) {
  RAW_OR_SKIP();
  auto* table = allocate_array<SplitDescriptor>(4, 16);
  table[0] = {physical(raw.header), 16, kN, 2};
  table[1] = table[2] = {physical(raw.status), 1, kW, 0};
  raw.set(20, physical(table), 32, kI);
  expect_returned(raw, 20);
}

TEST(virtio_chain, indirect_not_negotiated) {
  RAW_OR_SKIP();
  BlockDriver disk(0, 32);
  REQUIRE(disk.ready());
  auto& queue = static_cast<SplitQueue&>(disk.queue());
  auto* table = allocate_array<SplitDescriptor>(4, 16);
  queue.descriptor(20) = {physical(table), 32, kI, 0};
  queue.add_head(20);
  disk.device().ring(0);
  auto used = wait_used(queue);
  REQUIRE(used.has_value());
  EXPECT_EQUAL(used->length, 0u);
}

TEST(virtio_chain, huge_lengths) {  // T8
  RAW_OR_SKIP();
  *raw.header = {block::kIn, 0, 0};
  for (std::uint16_t i = 20; i < 28; ++i)
    raw.set(static_cast<std::uint16_t>(i + 1), physical(raw.data), 0xffffffff, kN | kW,
            static_cast<std::uint16_t>(i + 2));
  raw.set(29, physical(raw.status), 1, kW);
  expect_returned(raw, 20);
}

// --- damage to the ring: the device asks for a reset (virtio 1.2 §2.1.2) and works after it ---

static void expect_needs_reset(Raw& raw) {
  raw.disk.device().ring(0);
  auto& device = raw.disk.device();
  EXPECT(wait_until([&] { return (device.status() & kNeedsReset) != 0; }, 2000));
  BlockDriver again(0);
  REQUIRE(again.ready());
  auto* data = allocate_array<std::uint64_t>(64, 512);
  EXPECT_EQUAL(unsigned{again.read(2, data, 512).status}, 0u);
  EXPECT(sector_is_original(data, 2));
}

TEST(virtio_ring, available_index_jumps) {
  RAW_OR_SKIP();
  raw.queue().set_available_index(static_cast<std::uint16_t>(raw.queue().available_index() + 33));
  expect_needs_reset(raw);
}

TEST(virtio_ring, head_out_of_range) {
  RAW_OR_SKIP();
  raw.queue().add_head(32);
  expect_needs_reset(raw);
}

// One of the three areas lies where no memory is: the queue must not run, and the device survive.
TEST(virtio_ring, areas_outside_memory) {
  VirtioDevice device(VirtioType::block);
  if (!device) SKIP("no virtio-blk device");
  for (std::uint32_t bad : {common::kQueueDescriptors, common::kQueueDriver, common::kQueueDevice}) {
    for (std::uint32_t high : {0x2000u, 0xffffffffu}) {
      REQUIRE(device.negotiate(0));
      SplitQueue queue(16, false);
      device.select_queue(0);
      write16(device.common() + common::kQueueSize, 16);
      std::uint64_t areas[] = {queue.descriptor_area(), queue.driver_area(), queue.device_area()};
      for (std::uint32_t i = 0; i < 3; ++i) {
        std::uint64_t field = device.common() + common::kQueueDescriptors + 8 * i;
        write32(field, static_cast<std::uint32_t>(areas[i]));
        write32(field + 4, field == device.common() + bad ? high : 0);
      }
      write16(device.common() + common::kQueueEnable, 1);
      device.start();
      queue.add_head(0);
      device.ring(0);
      wait_milliseconds(5);
      EXPECT(!queue.has_used());
      device.reset();
    }
  }
  BlockDriver again(0);
  auto* data = allocate_array<std::uint64_t>(64, 512);
  EXPECT_EQUAL(unsigned{again.read(2, data, 512).status}, 0u);
}

// --- the same classes on the packed ring ---

namespace {

struct RawPacked {
  BlockDriver disk{kIndirectDescriptors | kRingPacked, 32};
  block::Header* header = allocate_array<block::Header>(1, 16);
  std::uint8_t* data = allocate_array<std::uint8_t>(4096, 4096);
  std::uint8_t* status = allocate_array<std::uint8_t>(1);
  PackedQueue& queue() { return static_cast<PackedQueue&>(disk.queue()); }
};

void expect_packed_returned(RawPacked& raw, std::uint16_t id, std::uint16_t length) {
  raw.queue().note_chain_length(id, length);
  raw.disk.device().ring(0);
  auto used = wait_used(raw.queue());
  REQUIRE(used.has_value());
  EXPECT_EQUAL(used->id, std::uint32_t{id});
  EXPECT_EQUAL(used->length, 0u);
  auto* data = allocate_array<std::uint64_t>(64, 512);
  auto good = raw.disk.read(1, data, 512);
  EXPECT_EQUAL(unsigned{good.status}, 0u);
  EXPECT(sector_is_original(data, 1));
}

}  // namespace

#define RAW_PACKED_OR_SKIP()                            \
  RawPacked raw;                                        \
  if (!raw.disk.device()) SKIP("no virtio-blk device"); \
  REQUIRE(raw.disk.ready());                            \
  if (!(raw.disk.device().negotiated() & kRingPacked)) SKIP("packed rings are not offered")

TEST(virtio_packed_chain, good_frame) {
  RAW_PACKED_OR_SKIP();
  *raw.header = {block::kIn, 0, 9};
  raw.queue().add_raw(physical(raw.header), 16, 31, kN, false);
  raw.queue().add_raw(physical(raw.data), 512, 31, kN | kW);
  raw.queue().add_raw(physical(raw.status), 1, 31, kW);
  raw.queue().publish();
  raw.queue().note_chain_length(31, 3);
  raw.disk.device().ring(0);
  auto used = wait_used(raw.queue());
  REQUIRE(used.has_value());
  EXPECT_EQUAL(used->id, 31u);
  EXPECT_EQUAL(used->length, 513u);
  EXPECT(sector_is_original(reinterpret_cast<std::uint64_t*>(raw.data), 9));
}

TEST(virtio_packed_chain, address_outside_memory) {
  RAW_PACKED_OR_SKIP();
  raw.queue().add_raw(physical(raw.header), 16, 31, kN, false);
  raw.queue().add_raw(std::uint64_t{1} << 45, 512, 31, kN | kW);
  raw.queue().add_raw(physical(raw.status), 1, 31, kW);
  raw.queue().publish();
  expect_packed_returned(raw, 31, 3);
}

TEST(virtio_packed_chain, readable_after_writable) {
  RAW_PACKED_OR_SKIP();
  raw.queue().add_raw(physical(raw.data), 512, 31, kN | kW, false);
  raw.queue().add_raw(physical(raw.header), 16, 31, kN);
  raw.queue().add_raw(physical(raw.status), 1, 31, kW);
  raw.queue().publish();
  expect_packed_returned(raw, 31, 3);
}

TEST(virtio_packed_chain, indirect_with_next) {
  RAW_PACKED_OR_SKIP();
  auto* table = allocate_array<PackedDescriptor>(2, 16);
  raw.queue().add_raw(physical(table), 32, 31, kI | kN, false);
  raw.queue().add_raw(physical(raw.status), 1, 31, kW);
  raw.queue().publish();
  expect_packed_returned(raw, 31, 2);
}

TEST(virtio_packed_chain, indirect_odd_length) {
  RAW_PACKED_OR_SKIP();
  auto* table = allocate_array<PackedDescriptor>(2, 16);
  raw.queue().add_raw(physical(table), 31, 31, kI);
  expect_packed_returned(raw, 31, 1);
}

TEST(virtio_packed_chain, indirect_table_outside_memory) {
  RAW_PACKED_OR_SKIP();
  raw.queue().add_raw(std::uint64_t{1} << 45, 32, 31, kI);
  expect_packed_returned(raw, 31, 1);
}

}  // namespace guest
