// Both engines on a real file, whose calls fail as a test says (class T12).
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm-core/block/faulty_calls.h"
#include "vmm-core/block/raw_image.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/image_lock.h"

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kSize = 1 << 20;

FileDescriptor make_file() {
  FileDescriptor file(::memfd_create("disk", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file || ::ftruncate(file.get(), kSize) != 0) throw_errno("memfd");
  return file;
}

class Outcome final : public Completion {
 public:
  void completed(Request&, int error) noexcept override {
    ++count;
    last = error;
  }
  int count = 0, last = -1;
};

struct Engine {
  const char* name;
  bool use_io_uring;
  bool direct;  // everything goes through the bounce buffer: the test's memory is not aligned
};

class EngineTest : public testing::TestWithParam<Engine> {
 protected:
  EngineTest() {
    plan_no_faults();
    make_queue();
  }
  void make_queue() {
    queue_.reset();
    // The file itself takes any alignment; the image is told otherwise.
    image_ = std::make_unique<RawImage>(
        file_.duplicate(), "disk",
        RawImageOptions{
            .direct = GetParam().direct, .alignment = 512, .use_io_uring = GetParam().use_io_uring});
    queue_ = GetParam().use_io_uring ? make_uring_queue(*image_, 8) : make_thread_queue(*image_, 8);
    if (!queue_) throw Error(std::errc::function_not_supported, "this host has no io_uring to test with");
  }

  Request make(Operation operation, std::uint64_t offset, std::span<iovec> ranges, std::uint64_t length) {
    Request request;
    request.operation = operation;
    request.offset = offset;
    request.length = length;
    request.ranges = ranges;
    request.completion = &outcome_;
    return request;
  }
  int perform_one(Request& request) {
    const int before = outcome_.count;
    queue_->submit(request);
    queue_->kick();
    while (outcome_.count == before) {
      pollfd event{queue_->event_descriptor(), POLLIN, 0};
      if (queue_->reap() == 0) ::poll(&event, 1, 10);
    }
    EXPECT_EQ(outcome_.count, before + 1);
    return outcome_.last;
  }
  // Three ranges of odd places in memory, 4096 bytes together.
  std::array<iovec, 3> scatter(std::vector<char>& memory) {
    memory.resize(5000);
    return {{{memory.data() + 1, 1000}, {memory.data() + 1003, 3000}, {memory.data() + 4005, 96}}};
  }
  int transfer_4096(Operation operation, std::vector<char>& memory, std::uint64_t offset = 8192) {
    auto ranges = scatter(memory);
    Request request = make(operation, offset, ranges, 4096);
    return perform_one(request);
  }

  FileDescriptor file_ = make_file();
  std::unique_ptr<RawImage> image_;
  std::unique_ptr<BlockQueue> queue_;
  Outcome outcome_;
};

TEST_P(EngineTest, WhatIsWrittenIsRead) {
  std::vector<char> memory, again;
  auto ranges = scatter(memory);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<char>(i * 7);
  Request write = make(Operation::write, 8192, ranges, 4096);
  write.durable = true;
  EXPECT_EQ(perform_one(write), 0);
  EXPECT_EQ(transfer_4096(Operation::read, again), 0);
  EXPECT_EQ(std::memcmp(memory.data() + 1, again.data() + 1, 1000), 0);
  EXPECT_EQ(std::memcmp(memory.data() + 1003, again.data() + 1003, 3000), 0);
  EXPECT_EQ(std::memcmp(memory.data() + 4005, again.data() + 4005, 96), 0);
}

// A ring keeps its files until the kernel gets to it: who starts the domain again is not to wait for that.
TEST_P(EngineTest, AnImageThatIsClosedIsFreeAtOnce) {
  const FileDescriptor other(::open(("/proc/self/fd/" + std::to_string(file_.get())).c_str(), O_RDWR));
  ASSERT_TRUE(other);
  ASSERT_EQ(lock_image(file_.get(), {.writes = true}), 0);
  std::vector<char> memory(5000, 'z');
  EXPECT_EQ(transfer_4096(Operation::write, memory), 0);
  EXPECT_EQ(lock_image(other.get(), {.writes = true}), EAGAIN);
  queue_.reset();
  image_.reset();
  EXPECT_EQ(lock_image(other.get(), {.writes = true}), 0);
}

TEST_P(EngineTest, T12ShortTransfersGoOn) {
  std::vector<char> memory(5000, 'x'), again;
  // Whole sectors for the bounce buffer, which cannot go on in the middle of one.
  const std::size_t piece = GetParam().direct ? 512 : 700;
  writes.plan({{.most = piece}, {.error = EINTR}, {.most = piece}, {.error = EAGAIN}});
  EXPECT_EQ(transfer_4096(Operation::write, memory), 0);
  reads.plan({{.most = piece}, {.most = piece}, {.error = EINTR}});
  EXPECT_EQ(transfer_4096(Operation::read, again), 0);
  EXPECT_TRUE(writes.all_met() && reads.all_met());
  EXPECT_EQ(std::memcmp(again.data() + 1003, std::vector<char>(3000, 'x').data(), 3000), 0);
}

TEST_P(EngineTest, T12ErrorsAreTold) {
  std::vector<char> memory;
  for (const int error : {EIO, ENOSPC, EDQUOT}) {
    reads.plan({{.error = error}});
    EXPECT_EQ(transfer_4096(Operation::read, memory), error);
    writes.plan({{.most = 512}, {.error = error}});
    EXPECT_EQ(transfer_4096(Operation::write, memory), error);
    EXPECT_EQ(transfer_4096(Operation::write, memory), 0);
  }
}

TEST_P(EngineTest, T12ARequestThatFailedIsTriedAgainFromWhereItCame) {
  std::vector<char> memory(5000, 'y'), again;
  auto ranges = scatter(memory);
  Request request = make(Operation::write, 8192, ranges, 4096);
  writes.plan({{.most = 1024}, {.error = ENOSPC}});
  EXPECT_EQ(perform_one(request), ENOSPC);
  RequestProgress(request).keep_rest();
  EXPECT_EQ(request.offset, 8192u + 1024);
  EXPECT_EQ(request.length, 3072u);
  EXPECT_EQ(perform_one(request), 0);
  EXPECT_EQ(transfer_4096(Operation::read, again), 0);
  EXPECT_EQ(std::memcmp(again.data() + 1003, std::vector<char>(3000, 'y').data(), 3000), 0);
}

TEST_P(EngineTest, T12AFlushThatFailsIsTold) {
  Request flush = make(Operation::flush, 0, {}, 0);
  syncs.plan({{.error = EIO}});
  EXPECT_EQ(perform_one(flush), EIO);
  // What the host's cache has lost no later flush brings back, and the kernel tells of it once.
  const int later = GetParam().direct ? 0 : EIO;
  EXPECT_EQ(perform_one(flush), later);
  const auto write_durably = [this] {
    std::vector<char> memory;
    auto ranges = scatter(memory);
    Request write = make(Operation::write, 0, ranges, 4096);
    write.durable = true;
    return perform_one(write);
  };
  EXPECT_EQ(write_durably(), later);
  make_queue();
  syncs.plan({{.error = EINTR}, {.error = ENOSPC}});
  EXPECT_EQ(write_durably(), ENOSPC);
}

TEST_P(EngineTest, ReadsBeyondAFileThatHasBecomeShorterFail) {
  std::vector<char> memory;
  ASSERT_EQ(::ftruncate(file_.get(), 8192 + 1024), 0);
  EXPECT_EQ(transfer_4096(Operation::read, memory), EIO);  // the first 1024 bytes came: a short transfer
}

TEST_P(EngineTest, AFullFileSystemIsTold) {
  // Pages of this file may be no more than there are: as on a full file system, but nothing to mount.
  ASSERT_EQ(::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_GROW), 0) << "memfd without sealing";
  std::vector<char> memory(5000, 'z');
  EXPECT_EQ(transfer_4096(Operation::write, memory, kSize), EPERM);
}

TEST_P(EngineTest, ZeroingAndDiscarding) {
  std::vector<char> memory(5000, 'a'), again;
  for (const auto operation : {Operation::write_zeroes, Operation::discard}) {
    for (const bool may_unmap : {false, true}) {
      for (const int error : {0, EINTR, EOPNOTSUPP}) {
        ASSERT_EQ(transfer_4096(Operation::write, memory), 0);
        Request zero = make(operation, 8192, {}, 4096);
        zero.may_unmap = may_unmap;
        if (error != 0) allocations.plan({{.error = error}});
        EXPECT_EQ(perform_one(zero), 0);
        EXPECT_TRUE(allocations.all_met());
        EXPECT_EQ(transfer_4096(Operation::read, again), 0);
        if (operation == Operation::write_zeroes) {
          EXPECT_EQ(again[1003], 0);
        }
      }
      allocations.plan({{.error = ENOSPC}});
      Request zero = make(operation, 8192, {}, 4096);
      EXPECT_EQ(perform_one(zero), ENOSPC);
    }
  }
}

TEST_P(EngineTest, EveryRequestCompletesOnceWhenDrained) {
  std::vector<std::vector<char>> memories(64);
  std::vector<std::array<iovec, 3>> ranges(64);
  std::vector<Request> requests(64);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ranges[i] = scatter(memories[i]);
    requests[i] = make(i % 2 == 0 ? Operation::write : Operation::read, i * 4096, ranges[i], 4096);
    queue_->submit(requests[i]);
    if (i % 8 == 7) queue_->kick(), queue_->drain();
  }
  EXPECT_EQ(outcome_.count, 64);
}

// A request in several parts goes on from its completion, wherever that is told.
TEST_P(EngineTest, WhatACompletionSubmitsIsDrainedToo) {
  class Parts final : public Completion {
   public:
    void completed(Request& request, int error) noexcept override {
      failed = failed || error != 0;
      if (++count == 50) return;
      const auto operation = count % 2 == 0 ? Operation::discard : Operation::write_zeroes;
      request.operation = operation;
      request.offset = static_cast<std::uint64_t>(count) * 4096;
      request.length = 4096;
      queue->submit(request);
    }
    BlockQueue* queue = nullptr;
    int count = 0;
    bool failed = false;
  } parts;
  parts.queue = queue_.get();
  Request request = make(Operation::write_zeroes, 0, {}, 4096);
  request.completion = &parts;
  queue_->submit(request);
  ::alarm(60);  // what is lost is waited for without end
  queue_->drain();
  ::alarm(0);
  EXPECT_EQ(parts.count, 50);
  EXPECT_FALSE(parts.failed);
}

// Whoever waits for the descriptor needs to know nothing of which requests a ring does by itself.
TEST_P(EngineTest, ItsDescriptorTellsOfEverything) {
  std::vector<char> memory;
  auto ranges = scatter(memory);
  for (const auto operation :
       {Operation::write, Operation::read, Operation::flush, Operation::write_zeroes, Operation::discard}) {
    const bool transfers = operation == Operation::write || operation == Operation::read;
    ranges = scatter(memory);
    Request request = make(operation, 8192, transfers ? std::span<iovec>(ranges) : std::span<iovec>(),
                           operation == Operation::flush ? 0 : 4096);
    const int before = outcome_.count;
    queue_->submit(request);
    queue_->kick();
    pollfd event{queue_->event_descriptor(), POLLIN, 0};
    EXPECT_EQ(::poll(&event, 1, 10'000), 1) << static_cast<int>(operation);
    while (outcome_.count == before) queue_->reap();
    EXPECT_EQ(outcome_.last, 0);
    EXPECT_EQ(::poll(&event, 1, 0), 0) << static_cast<int>(operation);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EngineTest,
                         testing::Values(Engine{"uring", true, false}, Engine{"uring_bounce", true, true},
                                         Engine{"threads", false, false},
                                         Engine{"threads_bounce", false, true}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(RawImage, ODirectNeedsAlignmentOfAddressOffsetAndLength) {
  const RawImage image(make_file(), "disk", {.direct = true, .alignment = 4096});
  alignas(4096) static std::array<char, 8192> memory;
  iovec range{memory.data(), 4096};
  Request request;
  request.length = 4096;
  request.ranges = {&range, 1};
  EXPECT_TRUE(is_aligned(image, request));
  request.offset = 512;
  EXPECT_FALSE(is_aligned(image, request));
  EXPECT_EQ(perform(image, request), 0);
  request.offset = 0;
  request.ranges = {&range, 1};
  range = {memory.data(), 4096};
  range.iov_base = memory.data() + 512;
  EXPECT_FALSE(is_aligned(image, request));
  EXPECT_EQ(perform(image, request), 0);
}

// A guest with sectors of 512 bytes on a host whose blocks are larger, as with cache='none' on a 4Kn disk:
// neighbours in one block, written, zeroed and discarded by several queues at once, keep what is theirs.
TEST(RawImage, SectorsSmallerThanABlockAreWrittenOneByOne) {
  constexpr unsigned kSectors = 64, kRounds = 200, kGuests = 3;
  plan_no_faults();
  const FileDescriptor file = make_file();
  const std::vector<char> before(kSize, 'b');
  ASSERT_EQ(::pwrite(file.get(), before.data(), kSize, 0), static_cast<ssize_t>(kSize));
  const RawImage image(file.duplicate(), "disk", {.direct = true, .alignment = 4096});
  std::vector<std::thread> guests;
  std::array<unsigned, kGuests> wrong{};
  for (unsigned guest = 0; guest < kGuests; ++guest) {
    guests.emplace_back([&, guest] {
      for (unsigned round = 0; round < kRounds; ++round) {
        const std::uint64_t offset = 512 * ((round * 7 % (kSectors / kGuests)) * kGuests + guest);
        std::array<char, 512> memory{};
        memory.fill(static_cast<char>('A' + guest));
        iovec range{memory.data(), memory.size()};
        Request request;
        request.operation = round % 3 == 2 ? Operation::write_zeroes : Operation::write;
        request.offset = offset;
        request.length = memory.size();
        if (round % 3 != 2) request.ranges = {&range, 1};
        wrong[guest] += perform(image, request) != 0;
        range = {memory.data(), memory.size()};
        request.operation = Operation::read;
        request.ranges = {&range, 1};
        wrong[guest] += perform(image, request) != 0;
        const char expected = round % 3 == 2 ? '\0' : static_cast<char>('A' + guest);
        wrong[guest] += std::count(memory.begin(), memory.end(), expected) != 512;
      }
    });
  }
  for (std::thread& guest : guests) guest.join();
  EXPECT_EQ(wrong, (std::array<unsigned, kGuests>{}));
  std::vector<char> after(kSize);
  ASSERT_EQ(::pread(file.get(), after.data(), kSize, 0), static_cast<ssize_t>(kSize));
  EXPECT_EQ(std::count(after.begin() + 512 * kSectors, after.end(), 'b'), kSize - 512 * kSectors);
}

// The disk is as large when it is opened next.
TEST(RawImage, AFileThatIsNotWholeBlocksKeepsItsLength) {
  constexpr std::uint64_t kLength = kSize - 3 * 512 + 100;  // and not even whole sectors
  plan_no_faults();
  const FileDescriptor file = make_file();
  ASSERT_EQ(::ftruncate(file.get(), kLength), 0);
  RawImage image(file.duplicate(), "disk", {.direct = true, .alignment = 4096, .fixed_length = true});
  const std::uint64_t disk = image.size();
  std::array<char, 1024> memory{};
  memory.fill('x');
  iovec range{memory.data(), memory.size()};
  Request request;
  request.operation = Operation::write;
  request.offset = disk - memory.size();
  request.length = memory.size();
  request.ranges = {&range, 1};
  ASSERT_EQ(perform(image, request), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(::lseek(file.get(), 0, SEEK_END)), kLength);
  std::array<char, 1124> after{};
  ASSERT_EQ(::pread(file.get(), after.data(), after.size(), static_cast<off_t>(disk - memory.size())), 1124);
  EXPECT_EQ(std::count(after.begin(), after.end(), 'x'), 1024);
  Request zero;
  zero.operation = Operation::write_zeroes;
  zero.offset = disk - 512;
  zero.length = 512;
  ASSERT_EQ(perform(image, zero), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(::lseek(file.get(), 0, SEEK_END)), kLength);
  image.resize(2 * kSize);
  EXPECT_EQ(static_cast<std::uint64_t>(::lseek(file.get(), 0, SEEK_END)), 2 * kSize);
}

TEST(RawImage, PartsOfBlocksAreZeroedAndNotDiscarded) {
  plan_no_faults();
  const FileDescriptor file = make_file();
  const std::vector<char> before(kSize, 'b');
  ASSERT_EQ(::pwrite(file.get(), before.data(), kSize, 0), static_cast<ssize_t>(kSize));
  const RawImage image(file.duplicate(), "disk", {.direct = true, .alignment = 4096});
  const auto perform_zeroing = [&image](Operation operation, std::uint64_t offset, std::uint64_t length) {
    Request request;
    request.operation = operation;
    request.offset = offset;
    request.length = length;
    return perform(image, request);
  };
  const auto zeros = [&file] {
    std::vector<char> bytes(kSize);
    EXPECT_EQ(::pread(file.get(), bytes.data(), kSize, 0), static_cast<ssize_t>(kSize));
    return std::count(bytes.begin(), bytes.end(), 0);
  };
  EXPECT_EQ(perform_zeroing(Operation::discard, 512, 4096), 0);
  EXPECT_EQ(zeros(), 0);
  EXPECT_EQ(perform_zeroing(Operation::discard, 512, 8192), 0);
  EXPECT_EQ(zeros(), 4096);
  EXPECT_EQ(perform_zeroing(Operation::write_zeroes, 512 * 33, 512), 0);
  EXPECT_EQ(zeros(), 4096 + 512);
  EXPECT_EQ(perform_zeroing(Operation::write_zeroes, 65536 + 1024, 16384), 0);
  EXPECT_EQ(zeros(), 4096 + 512 + 16384);
}

// cache='unsafe': nothing is ever synced, whoever asks.
TEST(RawImage, WhatIsNotSyncedIsNot) {
  for (const bool use_io_uring : {true, false}) {
    const RawImage image(make_file(), "disk", {.sync = false, .use_io_uring = use_io_uring});
    const auto queue = image.make_queue(8);
    plan_no_faults();
    take_trace();
    Outcome outcome;
    std::array<char, 512> memory{};
    iovec range{memory.data(), memory.size()};
    Request write, flush;
    write.operation = Operation::write;
    write.length = memory.size();
    write.ranges = {&range, 1};
    write.durable = true;
    flush.operation = Operation::flush;
    write.completion = flush.completion = &outcome;
    queue->submit(write);
    queue->submit(flush);
    queue->drain();
    EXPECT_EQ(outcome.count, 2);
    EXPECT_EQ(outcome.last, 0);
    EXPECT_EQ(take_trace(), "w");
  }
}

// What a kernel that is short of something has not taken is handed to it again.
TEST(UringQueue, T12SubmissionsThatFailAreMadeAgain) {
  const RawImage image(make_file(), "disk", {});
  const auto queue = make_uring_queue(image, 8);
  ASSERT_NE(queue, nullptr) << "this host has no io_uring to test with";
  Outcome outcome;
  std::array<std::array<char, 512>, 2> memory{};
  std::array<iovec, 2> ranges{};
  std::array<Request, 2> requests;
  const auto submit = [&](std::size_t i) {
    ranges[i] = {memory[i].data(), memory[i].size()};
    requests[i].offset = i * 512;
    requests[i].length = 512;
    requests[i].ranges = {&ranges[i], 1};
    requests[i].completion = &outcome;
    queue->submit(requests[i]);
  };
  plan_no_faults();
  submissions.plan({{.error = EAGAIN}, {.error = EINTR}, {.error = EBUSY}});
  submit(0);
  queue->kick();
  EXPECT_TRUE(submissions.all_met());
  pollfd event{queue->event_descriptor(), POLLIN, 0};
  ASSERT_EQ(::poll(&event, 1, 5000), 1);
  // The first is there to be reaped when the second is refused: nobody kicks again for it.
  submissions.plan({{.error = EBUSY}});
  submit(1);
  queue->kick();
  while (outcome.count < 2) {
    ASSERT_EQ(::poll(&event, 1, 5000), 1) << "the second was never handed over";
    queue->reap();
  }
  EXPECT_EQ(outcome.last, 0);
}

// Eight writes that are to last, and a sync that fails for all that waited for it.
TEST(UringQueue, WhatWaitsForASyncSharesIt) {
  plan_no_faults();
  const RawImage image(make_file(), "disk", RawImageOptions{});
  const auto queue = make_uring_queue(image, 16);
  ASSERT_TRUE(queue);
  for (const int error : {0, EIO}) {
    std::array<char, 512> memory{};
    std::array<iovec, 8> ranges;
    ranges.fill({memory.data(), memory.size()});
    std::array<Request, 9> requests;
    std::array<Outcome, 9> outcomes;
    if (error != 0) syncs.plan({{.error = error}, {.error = error}, {.error = error}});
    take_trace();
    for (std::size_t i = 0; i < requests.size(); ++i) {
      Request& request = requests[i];
      request.completion = &outcomes[i];
      request.operation = i < ranges.size() ? Operation::write : Operation::flush;
      if (i < ranges.size()) {
        request.durable = true;
        request.offset = i * memory.size();
        request.length = memory.size();
        request.ranges = std::span(ranges).subspan(i, 1);
      }
      queue->submit(request);
    }
    queue->drain();
    for (const Outcome& outcome : outcomes) {
      EXPECT_EQ(outcome.count, 1);
      EXPECT_EQ(outcome.last, error);
    }
    const std::string trace = take_trace();
    EXPECT_EQ(std::ranges::count(trace, 'w'), 8) << trace;
    EXPECT_EQ(trace.back(), 's') << "the last write was not synced: " << trace;
    // One for the flush, which began at once, and one or two for what was written meanwhile.
    EXPECT_LE(std::ranges::count(trace, 's'), 3) << trace;
    plan_no_faults();
  }
}

TEST(RawImage, GrowsAndShrinks) {
  FileDescriptor file = make_file();
  RawImage image(file.duplicate(), "disk", {});
  for (const std::uint64_t bytes : {2 * kSize, kSize / 2, std::uint64_t{512}}) {
    image.resize(bytes);
    EXPECT_EQ(image.size(), bytes);
    EXPECT_EQ(static_cast<std::uint64_t>(::lseek(file.get(), 0, SEEK_END)), bytes);
  }
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{513}, ~std::uint64_t{511}}) {
    EXPECT_THROW(image.resize(bytes), Error) << bytes;
    EXPECT_EQ(image.size(), 512u);
  }
  ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW), 0);
  EXPECT_THROW(image.resize(kSize), Error);
  EXPECT_EQ(image.size(), 512u);
  RawImage locked(make_file(), "disk", {.read_only = true});
  EXPECT_THROW(locked.resize(512), Error);
}

// T12: a host that cannot zero writes the zeros, and what else its thread does is not held up by gigabytes.
TEST(UringQueue, T12ZeroingTakesTurns) {
  constexpr std::uint64_t kMuch = std::uint64_t{80} << 20, kFrom = 4096;
  plan_no_faults();
  const FileDescriptor file = make_file();
  ASSERT_EQ(::ftruncate(file.get(), kMuch + kSize), 0);
  const char byte = 'x';
  for (const std::uint64_t at : {kFrom - 1, kFrom, kMuch / 2, kFrom + kMuch - 1, kFrom + kMuch})
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, static_cast<off_t>(at)), 1);
  const RawImage image(file.duplicate(), "disk", {});
  const auto queue = make_uring_queue(image, 8);
  ASSERT_TRUE(queue);
  allocations.plan(std::vector<Faults::Step>(16, {.error = EOPNOTSUPP}));
  Outcome zeroed, read;
  Request zero;
  zero.operation = Operation::write_zeroes;
  zero.offset = kFrom;
  zero.length = kMuch;
  zero.durable = true;
  zero.completion = &zeroed;
  std::array<char, 512> memory{};
  iovec range{memory.data(), memory.size()};
  Request other;
  other.length = memory.size();
  other.ranges = {&range, 1};
  other.completion = &read;
  queue->submit(zero);
  queue->kick();
  unsigned turns = 0;
  while (zeroed.count == 0) {
    pollfd event{queue->event_descriptor(), POLLIN, 0};
    ASSERT_EQ(::poll(&event, 1, 10'000), 1);
    queue->reap();
    if (++turns != 1) continue;
    EXPECT_EQ(zeroed.count, 0);
    queue->submit(other);
    queue->kick();
  }
  EXPECT_GE(turns, kMuch >> 24);
  EXPECT_EQ(zeroed.last, 0);
  EXPECT_EQ(read.count, 1);
  std::vector<char> after(kMuch + kSize);
  ASSERT_EQ(::pread(file.get(), after.data(), after.size(), 0), static_cast<ssize_t>(after.size()));
  EXPECT_EQ(std::count(after.begin(), after.end(), 'x'), 2);
  // What is left when the queue goes is done all the same.
  zero.completion = &read;
  queue->submit(zero);
  queue->drain();
  EXPECT_EQ(read.count, 2);
  plan_no_faults();
}

// The ring refuses what it was not made for, whoever asks.
TEST(UringQueue, DoesNothingButReadWriteAndSyncItsImage) {
  const RawImage image(make_file(), "disk", {});
  const auto queue = make_uring_queue(image, 8);
  ASSERT_NE(queue, nullptr) << "this host has no io_uring to test with";
  const int ring = queue->event_descriptor();
  const int descriptor = image.descriptor();
  EXPECT_EQ(::syscall(SYS_io_uring_register, ring, 2 /* IORING_REGISTER_FILES */, &descriptor, 1), -1);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(::syscall(SYS_io_uring_register, ring, 3 /* IORING_UNREGISTER_FILES */, nullptr, 0), -1);
  EXPECT_EQ(errno, EACCES);
}

}  // namespace
}  // namespace warren::vmm::block
