// The file that formats are kept in: every call that it makes, failing in every way (class T12).
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/block/faulty_calls.h"
#include "vmm-core/block/raw_file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kSize = 64 << 10;

// `direct`: everything goes by whole blocks of 4096 bytes, which the file itself does not ask for.
class HostFileTest : public testing::TestWithParam<bool> {
 protected:
  HostFileTest() : memory_(::memfd_create("file", MFD_CLOEXEC)) {
    plan_no_faults();
    if (!memory_ || ::ftruncate(memory_.get(), kSize) != 0) throw_errno("memfd");
    file_ = std::make_unique<RawFile>(std::make_unique<RawImage>(
        memory_.duplicate(), "file", RawImageOptions{.direct = GetParam(), .alignment = 4096}));
    plan_no_faults();
  }
  int write(std::uint64_t offset, std::size_t size, char fill) {
    std::vector<char> bytes(size, fill);
    std::array<iovec, 2> ranges = {iovec{bytes.data(), size / 3},
                                   iovec{bytes.data() + size / 3, size - size / 3}};
    return file_->write(offset, ranges);
  }
  // How many bytes of the range are `expected`; -errno when it cannot be read.
  long read(std::uint64_t offset, std::size_t size, char expected) {
    std::vector<char> bytes(size, '?');
    std::array<iovec, 2> ranges = {iovec{bytes.data(), size / 3},
                                   iovec{bytes.data() + size / 3, size - size / 3}};
    if (const int error = file_->read(offset, ranges)) return -error;
    return std::count(bytes.begin(), bytes.end(), expected);
  }

  FileDescriptor memory_;
  std::unique_ptr<RawFile> file_;
};

TEST_P(HostFileTest, T12WhatPassesIsTriedAgain) {
  for (const int error : {EINTR, EAGAIN}) {
    for (Faults* faults : {&reads, &writes, &syncs, &allocations, &truncations})
      faults->plan({{.error = error}, {.error = error}});
    EXPECT_EQ(write(1000, 5000, 'w'), 0);
    EXPECT_EQ(read(1000, 5000, 'w'), 5000);
    EXPECT_EQ(file_->zero(8192, 4096, true), 0);
    EXPECT_EQ(file_->zero(8192, 4096, false), 0);
    EXPECT_EQ(file_->discard(16384, 4096), 0);
    EXPECT_EQ(file_->sync(), 0);
    EXPECT_EQ(file_->resize(2 * kSize), 0);
    for (const Faults* faults : {&reads, &writes, &syncs, &allocations, &truncations})
      EXPECT_TRUE(faults->all_met());
    EXPECT_EQ(file_->size(), 2 * kSize);
    EXPECT_EQ(file_->resize(kSize), 0);
  }
}

TEST_P(HostFileTest, T12ShortTransfersGoOn) {
  // Whole blocks where they are asked for.
  const std::size_t piece = GetParam() ? 4096 : 700;
  writes.plan({{.most = piece}, {.error = EINTR}, {.most = piece}});
  EXPECT_EQ(write(1000, 20000, 's'), 0);
  EXPECT_TRUE(writes.all_met());
  reads.plan({{.most = piece}, {.error = EAGAIN}, {.most = piece}});
  EXPECT_EQ(read(1000, 20000, 's'), 20000);
  EXPECT_TRUE(reads.all_met());
  EXPECT_EQ(read(0, 1000, 0), 1000);
  EXPECT_EQ(read(21000, 1000, 0), 1000);
}

TEST_P(HostFileTest, T12ErrorsAreToldAndWhatWasThereStays) {
  for (const int error : {EIO, ENOSPC}) {
    ASSERT_EQ(write(0, 8192, 'o'), 0);
    reads.plan({{.error = error}});
    EXPECT_EQ(read(0, 8192, 'o'), -error);
    EXPECT_EQ(read(0, 8192, 'o'), 8192);
    writes.plan({{.error = error}});
    EXPECT_EQ(write(1000, 5000, 'n'), error);
    EXPECT_EQ(read(0, 8192, 'o'), 8192);
    // What is before the place of the failure may have been written, and nothing behind it.
    writes.plan({{.most = 4096}, {.error = error}});
    EXPECT_EQ(write(0, 8192, 'n'), error);
    EXPECT_EQ(read(0, 4096, 'n'), 4096);
    EXPECT_EQ(read(4096, 4096, 'o'), 4096);
    truncations.plan({{.error = error}});
    EXPECT_EQ(file_->resize(2 * kSize), error);
    EXPECT_EQ(file_->size(), kSize);
    allocations.plan({{.error = error}});
    EXPECT_EQ(file_->zero(4096, 4096, true), error);
    allocations.plan({{.error = error}});
    EXPECT_EQ(file_->discard(4096, 4096), error);
    EXPECT_EQ(read(4096, 4096, 'o'), 4096);
    // A file system that cannot zero is given zeros, which may fail in turn.
    allocations.plan({{.error = EOPNOTSUPP}});
    writes.plan({{.most = 1024}, {.error = error}});
    EXPECT_EQ(file_->zero(4096, 4096, false), error);
  }
  // A part of a block cannot be written when what is around it cannot be read.
  if (!GetParam()) return;
  ASSERT_EQ(write(0, 8192, 'o'), 0);
  reads.plan({{.error = EIO}});
  writes.plan({});
  EXPECT_EQ(write(100, 100, 'n'), EIO);
  EXPECT_EQ(writes.calls(), 0u);
}

TEST_P(HostFileTest, T12ASyncThatFailsIsToldOf) {
  syncs.plan({{.error = EIO}});
  EXPECT_EQ(file_->sync(), EIO);
  // What the host's cache has lost is lost; without one there was nothing in between.
  EXPECT_EQ(file_->sync(), GetParam() ? 0 : EIO);
}

TEST_P(HostFileTest, WhatIsBeyondTheEndIsZeros) {
  ASSERT_EQ(write(kSize - 100, 100, 'e'), 0);
  EXPECT_EQ(read(kSize - 100, 300, 'e'), 100);
  EXPECT_EQ(read(kSize - 100, 300, 0), 200);
  EXPECT_EQ(read(2 * kSize, 100, 0), 100);
  ASSERT_EQ(write(kSize + 100, 10, 'g'), 0);
  EXPECT_EQ(read(kSize + 100, 10, 'g'), 10);
  EXPECT_EQ(read(kSize, 100, 0), 100);
}

INSTANTIATE_TEST_SUITE_P(All, HostFileTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "direct" : "cached"; });

}  // namespace
}  // namespace warren::vmm::block
