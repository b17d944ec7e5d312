// A disk as its guest sees it while calls to the host fail (class T12), and what its cache mode has the host
// asked for: raw and qcow2, by both engines.
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <thread>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/block/chain.h"
#include "vmm-core/block/faulty_calls.h"
#include "vmm-core/block/qcow2/create.h"
#include "vmm-core/block/raw_file.h"
#include "vmm-core/virtio/fake_devices.h"

namespace warren::vmm::virtio {
namespace {

using block::OnDiskError;
using Action = block::DiskFault::Action;
using Flush = block::DiskOptions::Flush;

constexpr std::uint32_t kRead = 0, kWrite = 1, kFlushCache = 4, kDiscard = 11, kZero = 13;
constexpr std::uint64_t kFlushFeature = 1 << 9, kWritebackFeature = 1 << 11;
constexpr std::uint8_t kUntouched = 0xee;

struct Setting {
  const char* name;
  bool use_io_uring;
  block::ImageFormat format;
};

class BlockFaultTest : public testing::TestWithParam<Setting>, public block::DiskListener {
 protected:
  BlockFaultTest() : file_(::memfd_create("disk", MFD_CLOEXEC)) {
    block::plan_no_faults();
    const bool raw = GetParam().format == block::ImageFormat::raw;
    if (!file_ || (raw && ::ftruncate(file_.get(), BlockHost::kSize) != 0)) throw_errno("memfd");
    if (!raw) {
      block::RawFile host(
          std::make_unique<block::RawImage>(file_.duplicate(), "disk", block::RawImageOptions{}));
      block::qcow2::create(host, {.size = BlockHost::kSize, .cluster_bits = 12}, "disk");
    }
    block::plan_no_faults();
  }
  // Its thread calls this listener, which is to be whole until then.
  void TearDown() override {
    block::plan_no_faults();
    guest_.reset();
  }

  void make(BlockOptions options, std::uint64_t without = 0) {
    std::vector<block::ChainLink> links;
    links.push_back({.descriptor = file_.duplicate(), .name = "disk", .format = GetParam().format});
    auto image = block::open_chain(std::move(links), {.discard = true,
                                                      .sync = options.disk.flush != Flush::ignore,
                                                      .use_io_uring = GetParam().use_io_uring});
    options.disk.listener = this;
    options.disk.discard = true;
    auto device = std::make_unique<Block>("disk", std::move(image), options, counters_,
                                          std::vector<EventThread*>{&thread_});
    device_ = device.get();
    guest_ = std::make_unique<FakeGuest>(std::move(device));
    ASSERT_TRUE(guest_->start((device_->features() & ~without) | kFeatureVersion1));
    // What a first write has to prepare is there.
    ASSERT_EQ(write(0, 'a'), 0);
    ASSERT_EQ(request(kFlushCache, 0), 0);
    block::take_trace();
  }
  void disk_has_news(block::Disk&) noexcept override { ++told_; }
  void disk_goes(block::Disk&) noexcept override { device_ = nullptr; }

  // The sector is 4 KiB, each in a cluster of its own.
  static std::uint64_t sector(std::uint64_t number) { return number * 8; }
  std::vector<FakeBuffer> chain_of(std::uint32_t type, std::uint64_t number) {
    auto& memory = guest_->memory();
    static_cast<void>(memory.write_object({BlockHost::kHeader}, std::uint64_t{type}));
    static_cast<void>(memory.write_object({BlockHost::kHeader + 8}, sector(number)));
    static_cast<void>(memory.write_object({BlockHost::kStatus}, kUntouched));
    std::vector<FakeBuffer> chain = {{BlockHost::kHeader, 16, false}};
    if (type == kRead || type == kWrite) chain.push_back({BlockHost::kData, 4096, type == kRead});
    if (type == kDiscard || type == kZero) {
      static_cast<void>(memory.write_object({BlockHost::kData}, sector(number)));
      static_cast<void>(memory.write_object({BlockHost::kData + 8}, std::uint64_t{8}));  // sectors, no flags
      chain.push_back({BlockHost::kData, 16, false});
    }
    chain.push_back({BlockHost::kStatus, 1, true});
    return chain;
  }
  std::uint8_t status() {
    return guest_->memory().read_object<std::uint8_t>({BlockHost::kStatus}).value_or(0xdd);
  }
  // Its status, when it came back, once.
  int request(std::uint32_t type, std::uint64_t number) {
    if (!guest_->request(0, chain_of(type, number))) return -1;
    EXPECT_FALSE(guest_->queue(0).take_used()) << "came back twice";
    return status();
  }
  int write(std::uint64_t number, char fill) {
    std::array<char, 4096> bytes{};
    bytes.fill(fill);
    static_cast<void>(guest_->memory().write_object({BlockHost::kData}, bytes));
    return request(kWrite, number);
  }
  // Whether all of the sector is that; nothing else is under way.
  bool holds(std::uint64_t number, char fill) {
    if (request(kRead, number) != 0) return false;
    const auto bytes = guest_->memory().read_object<std::array<char, 4096>>({BlockHost::kData});
    return bytes && std::count(bytes->begin(), bytes->end(), fill) == 4096;
  }
  bool wait_for_news() {
    for (int i = 0; i < 5000 && told_ == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return told_.exchange(0) != 0;
  }
  Action action() { return device_->disk().take_news().fault.value_or(block::DiskFault{}).action; }

  // Every call of every kind fails from now on.
  static void fail_all(int error) {
    for (block::Faults* faults : {&block::reads, &block::writes, &block::syncs, &block::allocations})
      faults->plan(std::vector<block::Faults::Step>(64, {.error = error}));
  }

  FileDescriptor file_;
  EventThread thread_{"block-test"};
  BlockCounters counters_{};
  std::atomic<int> told_{0};
  Block* device_ = nullptr;
  std::unique_ptr<FakeGuest> guest_;
};

// Sector 0 is there; what is done to 0 and 9 fails.
const std::array<std::pair<std::uint32_t, std::uint64_t>, 4> kFailing = {
    {{kRead, 0}, {kWrite, 0}, {kWrite, 9}, {kFlushCache, 0}}};

TEST_P(BlockFaultTest, T12ReportedErrorsAreTheGuests) {
  make({.disk = {.read_error = OnDiskError::report, .write_error = OnDiskError::report}});
  for (const int error : {EIO, ENOSPC}) {
    for (const auto& [type, number] : kFailing) {
      SCOPED_TRACE(testing::Message() << type << " of " << number << ": " << error);
      if (type == kFlushCache) {
        ASSERT_EQ(write(20, 'f'), 0);  // so that there is something to be flushed
      }
      fail_all(error);
      EXPECT_EQ(request(type, number), 1);
      block::plan_no_faults();
      ASSERT_TRUE(wait_for_news());
      EXPECT_EQ(action(), Action::report);
      EXPECT_TRUE(holds(0, 'a'));
    }
    EXPECT_EQ(write(9, 'n'), 0);
    EXPECT_TRUE(holds(9, 'n'));
  }
  EXPECT_EQ(counters_.errors.load(), 8u);
}

TEST_P(BlockFaultTest, T12IgnoredErrorsAreNobodys) {
  make({.disk = {.read_error = OnDiskError::ignore, .write_error = OnDiskError::ignore}});
  for (const auto& [type, number] : kFailing) {
    fail_all(EIO);
    EXPECT_EQ(request(type, number), 0);
    block::plan_no_faults();
    ASSERT_TRUE(wait_for_news());
    EXPECT_EQ(action(), Action::ignore);
    EXPECT_TRUE(holds(0, 'a'));
  }
}

TEST_P(BlockFaultTest, T12StoppedRequestsAreMadeAgainAndDoneOnce) {
  make({.disk = {.read_error = OnDiskError::stop, .write_error = OnDiskError::stop}});
  const auto stops = [&](std::uint32_t type, std::uint64_t number) {
    fail_all(EIO);
    static_cast<void>(guest_->queue(0).offer(chain_of(type, number)));
    guest_->kick(0);
    ASSERT_TRUE(wait_for_news());
    guest_->transport().pause();
    EXPECT_EQ(action(), Action::stop);
    EXPECT_EQ(status(), kUntouched);
    EXPECT_EQ(device_->disk().stalled_error(), EIO);
    // Still broken when the machine goes on.
    guest_->transport().resume();
    ASSERT_TRUE(wait_for_news());
    guest_->transport().pause();
    EXPECT_EQ(status(), kUntouched);
    block::plan_no_faults();
    guest_->transport().resume();
    ASSERT_TRUE(guest_->wait_used(0));
    EXPECT_EQ(status(), 0);
    EXPECT_FALSE(guest_->queue(0).take_used());
    EXPECT_EQ(device_->disk().stalled_error(), 0);
    device_->disk().take_news();
    told_ = 0;
  };
  std::array<char, 4096> bytes{};
  bytes.fill('s');
  stops(kRead, 0);
  static_cast<void>(guest_->memory().write_object({BlockHost::kData}, bytes));
  stops(kWrite, 0);
  static_cast<void>(guest_->memory().write_object({BlockHost::kData}, bytes));
  stops(kWrite, 30);
  EXPECT_TRUE(holds(0, 's') && holds(30, 's'));
  if (GetParam().format == block::ImageFormat::raw) stops(kZero, 30), stops(kDiscard, 0);
  EXPECT_EQ(counters_.errors.load(), 0u);
}

TEST_P(BlockFaultTest, T12NoSpaceStopsAndTheRestIsReported) {
  make({.disk = {.write_error = OnDiskError::stop_for_no_space}});
  fail_all(EIO);
  EXPECT_EQ(request(kWrite, 9), 1);
  ASSERT_TRUE(wait_for_news());
  EXPECT_EQ(action(), Action::report);
  fail_all(ENOSPC);
  static_cast<void>(guest_->queue(0).offer(chain_of(kWrite, 9)));
  guest_->kick(0);
  ASSERT_TRUE(wait_for_news());
  guest_->transport().pause();
  EXPECT_EQ(action(), Action::stop);
  EXPECT_EQ(device_->disk().stalled_error(), ENOSPC);
  block::plan_no_faults();
  guest_->transport().resume();
  ASSERT_TRUE(guest_->wait_used(0));
  EXPECT_EQ(status(), 0);
}

TEST_P(BlockFaultTest, T12WhatPassesIsNobodysConcern) {
  make({});
  for (const block::Faults::Step step :
       {block::Faults::Step{.error = EINTR}, {.error = EAGAIN}, {.most = 1000}}) {
    for (block::Faults* faults : {&block::reads, &block::writes, &block::syncs, &block::allocations}) {
      // A sync and an allocation are never short.
      if (step.error == 0 && (faults == &block::syncs || faults == &block::allocations)) continue;
      faults->plan({step, step});
    }
    EXPECT_EQ(write(0, 'p'), 0);
    EXPECT_EQ(write(11, 'p'), 0);
    EXPECT_EQ(request(kZero, 12), 0);
    EXPECT_EQ(request(kFlushCache, 0), 0);
    EXPECT_TRUE(holds(0, 'p') && holds(11, 'p'));
  }
  EXPECT_EQ(told_, 0);
}

// none and writeback: a write is done when it is with the host, and a flush syncs.
TEST_P(BlockFaultTest, ACacheIsWrittenBackWhenTheGuestSaysSo) {
  make({});
  EXPECT_NE(device_->features() & kFlushFeature, 0u);
  EXPECT_NE(device_->features() & kWritebackFeature, 0u);
  EXPECT_EQ(write(0, 'w'), 0);
  EXPECT_EQ(block::take_trace(), "w");
  EXPECT_EQ(request(kFlushCache, 0), 0);
  EXPECT_EQ(block::take_trace(), "s");
  // The guest may have it otherwise (§5.2.6.2).
  const std::uint8_t off = 0;
  device_->write_configuration(32, std::as_bytes(std::span(&off, 1)));
  EXPECT_EQ(write(0, 'x'), 0);
  EXPECT_EQ(block::take_trace(), "ws");
}

// writethrough and directsync: every write is synced before it is done, and the guest cannot change that.
TEST_P(BlockFaultTest, AWriteThroughIsSyncedAtOnce) {
  make({.disk = {.flush = Flush::always}});
  EXPECT_EQ(device_->features() & (kFlushFeature | kWritebackFeature), 0u);
  std::uint8_t writeback = 1;
  device_->read_configuration(32, std::as_writable_bytes(std::span(&writeback, 1)));
  EXPECT_EQ(writeback, 0);
  writeback = 1;
  device_->write_configuration(32, std::as_bytes(std::span(&writeback, 1)));
  EXPECT_EQ(write(0, 'w'), 0);
  EXPECT_EQ(block::take_trace(), "ws");
  // What a new place needs besides is synced with it: nothing written is without a sync behind it.
  EXPECT_EQ(write(40, 'n'), 0);
  const std::string trace = block::take_trace();
  EXPECT_EQ(trace.back(), 's') << trace;
  EXPECT_EQ(request(kZero, 40), 0);
  EXPECT_EQ(block::take_trace().back(), 's');
  block::syncs.plan({{.error = EIO}});
  EXPECT_EQ(write(0, 'x'), 1) << "what could not be synced was not written";
}

// A driver that knows no flush must not lose what it wrote (§5.2.6.2).
TEST_P(BlockFaultTest, WhoCannotFlushIsWrittenThrough) {
  make({}, kFlushFeature | kWritebackFeature);
  EXPECT_EQ(write(0, 'w'), 0);
  EXPECT_EQ(block::take_trace(), "ws");
}

// unsafe: nothing is synced, not even what the image's own order needs.
TEST_P(BlockFaultTest, UnsafeSyncsNothing) {
  make({.disk = {.flush = Flush::ignore}});
  EXPECT_NE(device_->features() & kFlushFeature, 0u);
  EXPECT_EQ(device_->features() & kWritebackFeature, 0u);
  for (std::uint64_t number = 0; number < 50; number += 5) {
    EXPECT_EQ(write(number, 'u'), 0);
    EXPECT_EQ(request(kFlushCache, 0), 0);
  }
  EXPECT_EQ(request(kZero, 3), 0);
  guest_->reset();
  EXPECT_EQ(block::take_trace().find('s'), std::string::npos);
  guest_.reset();
  EXPECT_EQ(block::take_trace().find('s'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, BlockFaultTest,
                         testing::Values(Setting{"raw_uring", true, block::ImageFormat::raw},
                                         Setting{"raw_threads", false, block::ImageFormat::raw},
                                         Setting{"qcow2_uring", true, block::ImageFormat::qcow2},
                                         Setting{"qcow2_threads", false, block::ImageFormat::qcow2}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace warren::vmm::virtio
