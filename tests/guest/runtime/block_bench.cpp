#include "tests/guest/runtime/block_bench.h"

#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/power.h"
#include "tests/guest/machine/user_mode.h"
#include "tests/guest/runtime/bench_line.h"
#include "tests/guest/runtime/print.h"
#include "tests/guest/virtio/block_driver.h"
#include "tests/guest/virtio/split_queue.h"

namespace guest {
namespace {

constexpr unsigned kMaximumQueues = 8, kMaximumDepth = 256;
constexpr std::uint16_t kQueueSize = 256;
constexpr unsigned kBuckets = 64 * 16;

struct Request {
  block::Header header;
  std::uint8_t status;
  std::uint64_t begun;  // nanoseconds
};

struct BenchQueue {
  SplitQueue* ring;
  std::uint64_t doorbell;
  std::uint16_t index;
  Request* requests;
};

struct Bench {
  bool writes, is_random;
  std::uint32_t bytes, depth, queues, milliseconds;
  std::uint64_t blocks;  // of the disk, of `bytes` each
  BenchQueue queue[kMaximumQueues];
  std::uint64_t next, state;  // of the places on the disk
  std::uint64_t operations, errors, longest, nanoseconds;
  std::uint32_t histogram[kBuckets];
};

Bench* bench;

// Sixteen buckets for each power of two.
unsigned bucket_of(std::uint64_t value) {
  if (value < 16) return static_cast<unsigned>(value);
  const unsigned power = 63 - static_cast<unsigned>(__builtin_clzll(value));
  return (power - 3) * 16 + static_cast<unsigned>(value >> (power - 4) & 15);
}
std::uint64_t end_of_bucket(unsigned bucket) {
  if (bucket < 16) return bucket;
  return std::uint64_t{bucket % 16 + 17} << (bucket / 16 - 1);
}

std::uint64_t percentile(std::uint64_t of_ten_thousand) {
  std::uint64_t left = bench->operations * of_ten_thousand / 10000;
  for (unsigned i = 0; i < kBuckets; ++i) {
    if (bench->histogram[i] > left) return end_of_bucket(i);
    left -= bench->histogram[i];
  }
  return bench->longest;
}

std::uint64_t next_sector() {
  std::uint64_t block = bench->next++;
  if (bench->is_random) {
    bench->state ^= bench->state << 13;
    bench->state ^= bench->state >> 7;
    bench->state ^= bench->state << 17;
    block = bench->state;
  }
  return block % bench->blocks * (bench->bytes / block::kSectorBytes);
}

void submit(BenchQueue& queue, std::uint16_t number) {
  Request& request = queue.requests[number];
  request.header.sector = next_sector();
  request.begun = now_nanoseconds();
  queue.ring->add_head(number);
}

// Returns whether anything was done.
bool serve(BenchQueue& queue, std::uint64_t& now, bool submits) {
  bool served = false;
  while (const auto used = queue.ring->take_used()) {
    const auto number = static_cast<std::uint16_t>(used->id % kMaximumDepth);
    const Request& request = queue.requests[number];
    now = now_nanoseconds();
    const std::uint64_t took = now - request.begun;
    ++bench->operations;
    ++bench->histogram[bucket_of(took)];
    if (took > bench->longest) bench->longest = took;
    if (request.status != block::kOk) ++bench->errors;
    if (submits) submit(queue, number);
    served = true;
  }
  if (served && submits && queue.ring->needs_notification()) write16(queue.doorbell, queue.index);
  return served;
}

std::uint64_t work(std::uint64_t) {
  const std::uint64_t begun = now_nanoseconds(), end = begun + bench->milliseconds * kMillisecond;
  std::uint64_t now = begun;
  const std::uint32_t share = bench->depth / bench->queues;
  for (unsigned i = 0; i < bench->queues; ++i) {
    for (std::uint16_t number = 0; number < share; ++number) submit(bench->queue[i], number);
    if (bench->queue[i].ring->needs_notification()) write16(bench->queue[i].doorbell, bench->queue[i].index);
  }
  while (now < end) {
    bool served = false;
    for (unsigned i = 0; i < bench->queues; ++i) served = serve(bench->queue[i], now, true) || served;
    if (!served) now = now_nanoseconds();
  }
  bench->nanoseconds = now - begun;
  const std::uint64_t counted = bench->operations;
  // What is under way is waited for, and not counted.
  const std::uint64_t patience = now + 10'000 * kMillisecond;
  while (bench->operations < counted + share * bench->queues && now < patience) {
    for (unsigned i = 0; i < bench->queues; ++i) serve(bench->queue[i], now, false);
    now = now_nanoseconds();
  }
  if (now >= patience) ++bench->errors;
  bench->operations = counted;
  return 0;
}

// One indirect table for each request, so that a queue holds as many as it has entries.
void prepare(BenchQueue& queue, std::uint16_t number, std::uint8_t* buffer) {
  Request& request = queue.requests[number];
  request.header = {bench->writes ? block::kOut : block::kIn, 0, 0};
  request.status = 0xff;
  auto* table = allocate_array<SplitDescriptor>(3, 16);
  table[0] = {physical(&request.header), sizeof(request.header), kDescriptorNext, 1};
  table[1] = {physical(buffer), bench->bytes,
              static_cast<std::uint16_t>(kDescriptorNext | (bench->writes ? 0 : kDescriptorWrite)), 2};
  table[2] = {physical(&request.status), 1, kDescriptorWrite, 0};
  queue.ring->descriptor(number) = {physical(table), 3 * sizeof(SplitDescriptor), kDescriptorIndirect, 0};
}

bool set_up(VirtioDevice& device) {
  const std::uint64_t wanted = kIndirectDescriptors | kEventIndex | block::kMultiQueue | block::kFlushFeature;
  if (!device || !device.negotiate(wanted) || !(device.negotiated() & kIndirectDescriptors)) return false;
  if (bench->queues > 1 && !(device.negotiated() & block::kMultiQueue)) return false;
  bench->blocks = read64(device.configuration()) * block::kSectorBytes / bench->bytes;
  auto* buffer = allocate_array<std::uint8_t>(bench->bytes, 4096);
  for (unsigned i = 0; i < bench->queues; ++i) {
    BenchQueue& queue = bench->queue[i];
    const auto index = static_cast<std::uint16_t>(i);
    // Without packed rings every queue is a split one.
    queue.ring = static_cast<SplitQueue*>(&device.set_up_queue(index, kQueueSize));
    queue.ring->request_interrupts(false);
    queue.index = index;
    queue.doorbell = device.notify_address(index);
    queue.requests = allocate_array<Request>(kMaximumDepth, 16);
    for (std::uint16_t number = 0; number < bench->depth / bench->queues; ++number)
      prepare(queue, number, buffer);
  }
  device.start();
  return bench->blocks != 0;
}

void measure(std::string_view words) {
  reset_allocations();
  bench = allocate_array<Bench>(1, 64);
  bench->writes = take_word(words) == "write";
  bench->is_random = take_word(words) == "random";
  bench->bytes = take_number(words);
  bench->depth = take_number(words);
  bench->queues = take_number(words);
  bench->milliseconds = take_number(words);
  bench->state = 0x9e37'79b9'7f4a'7c15;
  if (bench->bytes == 0 || bench->queues == 0 || bench->queues > kMaximumQueues ||
      bench->depth < bench->queues || bench->depth / bench->queues > kMaximumDepth)
    stop("no such measurement");
  VirtioDevice device(VirtioType::block);
  if (!set_up(device)) stop("the disk does not take its driver");
  print("BEGIN\n");
  run_in_user_mode(work, 0);
  print("RESULT operations=", bench->operations, " nanoseconds=", bench->nanoseconds,
        " p50=", percentile(5000), " p99=", percentile(9900), " p999=", percentile(9990),
        " max=", bench->longest, " errors=", bench->errors, "\n");
  device.reset();
}

}  // namespace

void measure_disk() {
  print("READY\n");
  for (;;) measure(read_line());
}

}  // namespace guest
