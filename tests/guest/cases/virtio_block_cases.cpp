// virtio-blk (virtio 1.2 §5.2) over split and packed rings. The disk's sectors hold the pattern of
// sector_is_original; tests that write use sectors from 1024 on.
#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/runtime/test.h"
#include "tests/guest/virtio/block_driver.h"

namespace guest {
namespace {

constexpr std::uint64_t kAllRings = kIndirectDescriptors | kEventIndex;

void fill(std::uint64_t* data, std::uint64_t words, std::uint64_t seed) {
  for (std::uint64_t i = 0; i < words; ++i) data[i] = (i + seed) * 0x9e3779b97f4a7c15ull;
}

bool equal(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t words) {
  for (std::uint64_t i = 0; i < words; ++i)
    if (a[i] != b[i]) return false;
  return true;
}

void read_and_write(std::uint64_t features, bool indirect) {
  BlockDriver disk(features);
  if (!disk.device()) SKIP("no virtio-blk device");
  REQUIRE(disk.ready());
  if (features & kRingPacked && !(disk.device().negotiated() & kRingPacked))
    SKIP("packed rings are not offered");
  auto* data = allocate_array<std::uint64_t>(512, 4096);
  auto* back = allocate_array<std::uint64_t>(512, 4096);
  for (std::uint64_t round = 0; round < 200; ++round) {  // several times around the ring
    auto result = disk.read(round % 8 * 8, data, 4096, indirect);
    REQUIRE(result.completed);
    REQUIRE_EQUAL(unsigned{result.status}, 0u);
    REQUIRE_EQUAL(result.length, 4097u);
    if (round < 8) REQUIRE(sector_is_original(data, round % 8 * 8));
  }
  for (std::uint64_t round = 0; round < 4; ++round) {
    fill(data, 512, round);
    auto result = disk.write(1024 + round * 8, data, 4096, indirect);
    REQUIRE_EQUAL(unsigned{result.status}, 0u);
    REQUIRE_EQUAL(result.length, 1u);  // only the status was written
    REQUIRE_EQUAL(unsigned{disk.read(1024 + round * 8, back, 4096, indirect).status}, 0u);
    REQUIRE(equal(data, back, 512));
  }
}

}  // namespace

TEST(virtio_blk, split) {
  read_and_write(0, false);
}
TEST(virtio_blk, split_indirect) {
  read_and_write(kIndirectDescriptors, true);
}
TEST(virtio_blk, split_event_index) {
  read_and_write(kEventIndex, false);
}
TEST(virtio_blk, split_all) {
  read_and_write(kAllRings, true);
}
TEST(virtio_blk, packed) {
  read_and_write(kRingPacked, false);
}
TEST(virtio_blk, packed_indirect) {
  read_and_write(kRingPacked | kIndirectDescriptors, true);
}
TEST(virtio_blk, packed_event_index) {
  read_and_write(kRingPacked | kEventIndex, false);
}
TEST(virtio_blk, packed_all) {
  read_and_write(kRingPacked | kAllRings, true);
}

TEST(virtio_blk, read) {
  BlockDriver disk(kAllRings);
  REQUIRE(disk.ready());
  auto* data = allocate_array<std::uint64_t>(64 * 64, 4096);
  REQUIRE_EQUAL(unsigned{disk.read(0, data, 64 * 512).status}, 0u);
  for (std::uint64_t sector = 0; sector < 64; ++sector)
    REQUIRE(sector_is_original(data + sector * 64, sector));
}

TEST(virtio_blk, capacity) {
  BlockDriver disk(0);
  REQUIRE(disk.ready());
  EXPECT(disk.capacity_sectors() > 0);
  if (auto sectors = command_line_number("disk_sectors", 0)) EXPECT_EQUAL(disk.capacity_sectors(), sectors);
}

TEST(virtio_blk, get_id) {
  BlockDriver disk(0);
  REQUIRE(disk.ready());
  auto* id = allocate_array<char>(21);
  Segment segment{physical(id), 20, true};
  auto result = disk.request(block::kGetId, 0, {&segment, 1});
  REQUIRE_EQUAL(unsigned{result.status}, 0u);
  EXPECT_EQUAL(result.length, 21u);
  if (auto serial = command_line_value("disk_serial"); !serial.empty())
    EXPECT_EQUAL(std::string_view(id), serial);
}

TEST(virtio_blk, flush) {
  BlockDriver disk(block::kFlushFeature);
  REQUIRE(disk.ready());
  if (!(disk.device().negotiated() & block::kFlushFeature)) SKIP("flush is not offered");
  auto result = disk.request(block::kFlush, 0, {});
  EXPECT_EQUAL(unsigned{result.status}, 0u);
  EXPECT_EQUAL(result.length, 1u);
}

TEST(virtio_blk, scatter_gather) {
  BlockDriver disk(kAllRings);
  REQUIRE(disk.ready());
  auto* data = allocate_array<std::uint8_t>(16384, 4096);
  Segment segments[8];
  std::uint32_t lengths[8] = {512, 1024, 24, 488, 4096, 1, 1023, 1024};  // 8192, in odd pieces
  std::uint32_t at = 0;
  for (unsigned i = 0; i < 8; ++i) {
    segments[i] = {physical(data + at), lengths[i], true};
    at += lengths[i];
  }
  for (bool indirect : {false, true}) {
    auto result = disk.request(block::kIn, 16, segments, indirect);
    REQUIRE_EQUAL(unsigned{result.status}, 0u);
    EXPECT_EQUAL(result.length, 8193u);
    for (unsigned sector = 0; sector < 16; ++sector)
      REQUIRE(sector_is_original(reinterpret_cast<std::uint64_t*>(data) + sector * 64, 16 + sector));
  }
}

// The framing of header and status is the driver's choice (§2.7.4.1): here header and data share descriptors.
TEST(virtio_blk, header_in_pieces) {
  BlockDriver disk(0);
  REQUIRE(disk.ready());
  auto* header = allocate_array<block::Header>(1, 16);
  auto* tail = allocate_array<std::uint8_t>(4096, 16);
  *header = {block::kIn, 0, 5};
  tail[512] = 0xff;
  Segment chain[] = {{physical(header), 4, false}, {physical(header) + 4, 12, false}, writable(tail, 513)};
  disk.queue().add(chain);
  disk.device().notify(0, disk.queue());
  auto used = wait_used(disk.queue());
  REQUIRE(used.has_value());
  EXPECT_EQUAL(used->length, 513u);
  EXPECT_EQUAL(unsigned{tail[512]}, 0u);
  EXPECT(sector_is_original(reinterpret_cast<std::uint64_t*>(tail), 5));
}

TEST(virtio_blk, many_in_flight) {
  BlockDriver disk(kAllRings, 128);
  REQUIRE(disk.ready());
  constexpr unsigned kRequests = 40;
  auto* headers = allocate_array<block::Header>(kRequests, 16);
  auto* data = allocate_array<std::uint64_t>(kRequests * 64, 4096);
  auto* status = allocate_array<std::uint8_t>(kRequests);
  for (unsigned i = 0; i < kRequests; ++i) {
    headers[i] = {block::kIn, 0, kRequests - i};
    status[i] = 0xff;
    Segment chain[] = {readable(headers + i), writable(data + i * 64, 512), writable(status + i)};
    disk.queue().add(chain);
  }
  disk.queue().request_interrupts(true);
  disk.device().notify(0, disk.queue());
  for (unsigned i = 0; i < kRequests; ++i) REQUIRE(wait_used(disk.queue()).has_value());
  for (unsigned i = 0; i < kRequests; ++i) {
    EXPECT_EQUAL(unsigned{status[i]}, 0u);
    EXPECT(sector_is_original(data + i * 64, kRequests - i));
  }
}

TEST(virtio_blk, out_of_range) {
  BlockDriver disk(0);
  REQUIRE(disk.ready());
  auto* data = allocate_array<std::uint64_t>(512, 4096);
  std::uint64_t capacity = disk.capacity_sectors();
  for (std::uint64_t sector :
       {capacity, capacity - 1, ~std::uint64_t{0}, ~std::uint64_t{0} >> 9, ~std::uint64_t{7}}) {
    auto read = disk.read(sector, data, 4096);
    REQUIRE(read.completed);
    EXPECT_EQUAL(unsigned{read.status}, unsigned{block::kIoError});
    auto write = disk.write(sector, data, 4096);
    REQUIRE(write.completed);
    EXPECT_EQUAL(unsigned{write.status}, unsigned{block::kIoError});
  }
  EXPECT_EQUAL(unsigned{disk.read(capacity - 8, data, 4096).status}, 0u);
}

TEST(virtio_blk, unknown_request) {
  BlockDriver disk(0);
  REQUIRE(disk.ready());
  auto* data = allocate_array<std::uint64_t>(64, 512);
  Segment segment{physical(data), 512, true};
  auto result = disk.request(0x77, 0, {&segment, 1});
  EXPECT_EQUAL(unsigned{result.status}, unsigned{block::kUnsupported});
}

TEST(virtio_blk, partial_sector) {
  BlockDriver disk(0);
  REQUIRE(disk.ready());
  auto* data = allocate_array<std::uint64_t>(64, 512);
  auto result = disk.read(0, data, 100);
  REQUIRE(result.completed);
  EXPECT_EQUAL(unsigned{result.status}, unsigned{block::kIoError});
  EXPECT_EQUAL(unsigned{disk.read(0, data, 512).status}, 0u);
}

TEST(virtio_blk, read_only) {
  BlockDriver disk(block::kReadOnly);
  REQUIRE(disk.ready());
  if (!(disk.device().negotiated() & block::kReadOnly)) SKIP("the disk is writable");
  auto* data = allocate_array<std::uint64_t>(64, 512);
  EXPECT_EQUAL(unsigned{disk.write(0, data, 512).status}, unsigned{block::kIoError});
  EXPECT_EQUAL(unsigned{disk.read(0, data, 512).status}, 0u);
  EXPECT(sector_is_original(data, 0));
}

TEST(virtio_blk, discard) {
  BlockDriver disk(block::kDiscardFeature);
  REQUIRE(disk.ready());
  if (!(disk.device().negotiated() & block::kDiscardFeature)) SKIP("discard is not offered");
  struct Range {
    std::uint64_t sector;
    std::uint32_t sectors, flags;
  };
  auto* range = allocate_array<Range>(1, 16);
  *range = {2048, 64, 0};
  Segment segment = readable(range);
  EXPECT_EQUAL(unsigned{disk.request(block::kDiscard, 0, {&segment, 1}).status}, 0u);
  *range = {disk.capacity_sectors() - 1, 64, 0};
  EXPECT(disk.request(block::kDiscard, 0, {&segment, 1}).status != 0);
}

TEST(virtio_blk, write_zeroes) {
  BlockDriver disk(block::kWriteZeroesFeature);
  REQUIRE(disk.ready());
  if (!(disk.device().negotiated() & block::kWriteZeroesFeature)) SKIP("write zeroes is not offered");
  auto* data = allocate_array<std::uint64_t>(64, 512);
  data[0] = 1;
  REQUIRE_EQUAL(unsigned{disk.write(3000, data, 512).status}, 0u);
  struct Range {
    std::uint64_t sector;
    std::uint32_t sectors, flags;
  };
  auto* range = allocate_array<Range>(1, 16);
  *range = {3000, 1, 0};
  Segment segment = readable(range);
  EXPECT_EQUAL(unsigned{disk.request(block::kWriteZeroes, 0, {&segment, 1}).status}, 0u);
  REQUIRE_EQUAL(unsigned{disk.read(3000, data, 512).status}, 0u);
  EXPECT_EQUAL(data[0], std::uint64_t{0});
}

// T7: reset with requests in flight; the device starts again and nothing of before comes back.
TEST(virtio_blk, reset_in_flight) {
  auto* data = allocate_array<std::uint64_t>(512, 4096);
  for (int round = 0; round < 10; ++round) {
    BlockDriver disk(0, 64);
    REQUIRE(disk.ready());
    auto* headers = allocate_array<block::Header>(16, 16);
    auto* status = allocate_array<std::uint8_t>(16);
    for (unsigned i = 0; i < 16; ++i) {
      headers[i] = {block::kIn, 0, i};
      Segment chain[] = {readable(headers + i), writable(data, 4096), writable(status + i)};
      disk.queue().add(chain);
    }
    disk.device().ring(0);
    disk.device().reset();
    EXPECT_EQUAL(unsigned{disk.device().status()}, 0u);
  }
  BlockDriver disk(0);
  REQUIRE_EQUAL(unsigned{disk.read(3, data, 512).status}, 0u);
  EXPECT(sector_is_original(data, 3));
}

// What was written before is there: the second start of a disk the host kept (command line: expect_marker=1).
TEST(virtio_blk, persistence) {
  BlockDriver disk(block::kFlushFeature);
  REQUIRE(disk.ready());
  auto* data = allocate_array<std::uint64_t>(64, 512);
  auto* expected = allocate_array<std::uint64_t>(64, 512);
  fill(expected, 64, 4711);
  if (command_line_number("expect_marker", 0) == 1) {
    REQUIRE_EQUAL(unsigned{disk.read(1030, data, 512).status}, 0u);
    EXPECT(equal(data, expected, 64));
  } else {
    EXPECT_EQUAL(unsigned{disk.write(1030, expected, 512).status}, 0u);
    EXPECT_EQUAL(unsigned{disk.request(block::kFlush, 0, {}).status}, 0u);
  }
}

TEST(virtio_blk, every_queue) {
  VirtioDevice device(VirtioType::block);
  if (!device) SKIP("no virtio-blk device");
  REQUIRE(device.negotiate(block::kMultiQueue));
  if (!(device.negotiated() & block::kMultiQueue)) SKIP("one queue only");
  std::uint16_t queues = read16(device.configuration() + 34);
  REQUIRE(queues >= 1);
  Queue* all[16];
  for (std::uint16_t i = 0; i < queues && i < 16; ++i) all[i] = &device.set_up_queue(i, 16);
  device.start();
  auto* header = allocate_array<block::Header>(1, 16);
  auto* data = allocate_array<std::uint64_t>(64, 512);
  auto* status = allocate_array<std::uint8_t>(1);
  for (std::uint16_t i = 0; i < queues && i < 16; ++i) {
    *header = {block::kIn, 0, i + 1u};
    Segment chain[] = {readable(header), writable(data, 512), writable(status)};
    all[i]->add(chain);
    device.notify(i, *all[i]);
    REQUIRE(wait_used(*all[i]).has_value());
    EXPECT(sector_is_original(data, i + 1u));
  }
}

}  // namespace guest
