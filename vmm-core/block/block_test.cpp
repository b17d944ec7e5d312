// Both engines on a real file, whose system calls fail as a test says (class T12): io_uring where the kernel
// makes the faults, the thread pool and the bounce buffer where the test does.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm-core/block/raw_image.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block {
namespace {

// What the next calls of one kind do, in order; then they work again.
class Faults {
 public:
  struct Step {
    int error = 0;                // errno, or 0
    std::size_t most = SIZE_MAX;  // bytes transferred at most
  };
  void plan(std::vector<Step> steps) {
    steps_ = std::move(steps);
    next_ = 0;
  }
  Step next() noexcept {
    const std::size_t at = next_.fetch_add(1);
    return at < steps_.size() ? steps_[at] : Step{};
  }
  bool all_met() const noexcept { return next_ >= steps_.size(); }

 private:
  std::vector<Step> steps_;
  std::atomic<std::size_t> next_{0};
};

Faults reads, writes, syncs, allocations;

ssize_t transfer(Faults& faults, long number, int descriptor, const iovec* ranges, int count, off_t offset) {
  const Faults::Step step = faults.next();
  if (step.error != 0) return errno = step.error, -1;
  std::array<iovec, 64> some{};
  std::size_t left = step.most, used = 0;
  for (; used < static_cast<std::size_t>(count) && used < some.size() && left != 0; ++used) {
    some[used] = {ranges[used].iov_base, std::min(ranges[used].iov_len, left)};
    left -= some[used].iov_len;
  }
  return ::syscall(number, descriptor, some.data(), used, offset, 0);
}

}  // namespace
}  // namespace warren::vmm::block

// These come before libc's for everything that is linked into this program.
extern "C" {
ssize_t preadv(int descriptor, const iovec* ranges, int count, off_t offset) {
  return warren::vmm::block::transfer(warren::vmm::block::reads, SYS_preadv, descriptor, ranges, count,
                                      offset);
}
ssize_t pwritev(int descriptor, const iovec* ranges, int count, off_t offset) {
  return warren::vmm::block::transfer(warren::vmm::block::writes, SYS_pwritev, descriptor, ranges, count,
                                      offset);
}
ssize_t pread(int descriptor, void* data, size_t size, off_t offset) {
  const iovec range{data, size};
  return warren::vmm::block::transfer(warren::vmm::block::reads, SYS_preadv, descriptor, &range, 1, offset);
}
ssize_t pwrite(int descriptor, const void* data, size_t size, off_t offset) {
  const iovec range{const_cast<void*>(data), size};
  return warren::vmm::block::transfer(warren::vmm::block::writes, SYS_pwritev, descriptor, &range, 1, offset);
}
int fdatasync(int descriptor) {
  const auto step = warren::vmm::block::syncs.next();
  if (step.error != 0) return errno = step.error, -1;
  return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}
int fallocate(int descriptor, int mode, off_t offset, off_t length) {
  const auto step = warren::vmm::block::allocations.next();
  if (step.error != 0) return errno = step.error, -1;
  return static_cast<int>(::syscall(SYS_fallocate, descriptor, mode, offset, length));
}
}

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
    for (Faults* faults : {&reads, &writes, &syncs, &allocations}) faults->plan({});
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
  bool uses_calls() const { return !GetParam().use_io_uring || GetParam().direct; }

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

TEST_P(EngineTest, T12ShortTransfersGoOn) {
  if (!uses_calls()) GTEST_SKIP() << "the kernel makes these; see AFileThatHasBecomeShorterFails";
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
  if (!uses_calls()) GTEST_SKIP() << "the kernel makes these; see AFullFileSystemIsTold";
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
  if (!uses_calls()) GTEST_SKIP() << "needs a fault in the middle";
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
  if (GetParam().use_io_uring) GTEST_SKIP() << "the ring syncs by itself";
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
  // Not even a bounce buffer writes half a block.
  EXPECT_EQ(perform(image, request), EINVAL);
  request.offset = 0;
  range.iov_base = memory.data() + 512;
  EXPECT_FALSE(is_aligned(image, request));
  EXPECT_EQ(perform(image, request), 0);
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
