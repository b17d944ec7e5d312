// A disk that stands still for a moment while its guest goes on.
#include "vmm-core/block/disk_hold.h"

#include <cerrno>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/block/faulty_calls.h"
#include "vmm-core/block/job/guest_fixture.h"
#include "vmm-core/block/raw_image.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block {
namespace {

class DiskHoldTest : public testing::TestWithParam<bool> {
 protected:
  DiskHoldTest() {
    plan_no_faults();
    FileDescriptor file(::memfd_create("disk", MFD_CLOEXEC));
    if (!file || ::ftruncate(file.get(), 1 << 20) != 0) throw_errno("memfd");
    disk_ = std::make_unique<Disk>(
        "disk",
        std::make_unique<RawImage>(std::move(file), "disk", RawImageOptions{.use_io_uring = GetParam()}),
        DiskOptions{}, counters_, 1);
  }

  BlockCounters counters_{};
  std::unique_ptr<Disk> disk_;
};

// T12: what a guest has in flight, and all that it sends later, is answered, though the host has no memory to
// wait for the new queue for a while.
TEST_P(DiskHoldTest, T12AQueueThatCannotBeWaitedForIsLookedAt) {
  job::StepGuest guest(*disk_);
  std::vector<std::byte> bytes(4096, std::byte{7}), again(4096);
  ASSERT_EQ(guest.perform(Operation::write, 8192, bytes), 0);
  {
    DiskHold hold(*disk_);
    hold.change([] {}, [] { FAIL(); });
    waits.plan({{.error = ENOSPC}, {.error = ENOMEM}, {.error = ENOSPC}});
  }
  EXPECT_GE(waits.calls(), 1u);
  for (int i = 0; i < 10 || !waits.all_met(); ++i) {
    ASSERT_EQ(guest.perform(Operation::write, 4096, bytes), 0);
    ASSERT_EQ(guest.perform(Operation::read, 4096, again), 0);
    EXPECT_TRUE(again == bytes);
    ASSERT_EQ(guest.perform(Operation::write_zeroes, 4096, again), 0);
    ASSERT_EQ(guest.perform(Operation::flush, 0, again), 0);
    ASSERT_LT(i, 10'000);
  }
  // It is waited for again.
  EXPECT_EQ(waits.calls(), 4u);
  DiskHold hold(*disk_);
}

// A guest that is told looks at everything again: it is not told for nothing.
TEST_P(DiskHoldTest, ASizeIsToldWhenItHasChanged) {
  unsigned told = 0;
  disk_->set_resize_handler([&] { ++told; });
  disk_->tell_size();
  EXPECT_EQ(told, 0u);
  disk_->resize(2 << 20);
  EXPECT_EQ(told, 1u);
  disk_->resize(2 << 20);
  disk_->tell_size();
  EXPECT_EQ(told, 1u);
  disk_->image()->resize(4 << 20);  // as a job does that goes over to a larger target
  disk_->tell_size();
  EXPECT_EQ(told, 2u);
}

INSTANTIATE_TEST_SUITE_P(All, DiskHoldTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "uring" : "threads"; });

}  // namespace
}  // namespace warren::vmm::block
