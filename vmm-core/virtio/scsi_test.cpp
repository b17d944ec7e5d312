// The SCSI host device: addressing, data, task management, events, and units that come and go.
#include "vmm-core/virtio/scsi.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "vmm-core/virtio/fake_scsi.h"

namespace warren::vmm::virtio {
namespace {

constexpr std::uint64_t kHotPlug = 2, kChange = 4;

// An image whose requests wait for the test to let them end, or fail.
class HeldImage final : public block::Image {
 public:
  explicit HeldImage(std::uint64_t bytes) : bytes_(bytes), bell_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  std::uint64_t size() const noexcept override { return bytes_; }
  bool read_only() const noexcept override { return false; }
  void resize(std::uint64_t bytes) override { bytes_ = bytes; }
  std::unique_ptr<block::BlockQueue> make_queue(unsigned) const override {
    return std::make_unique<Requests>(*this);
  }
  // All that are there and come; `error` or 0.
  void let_go(int error = 0) {
    error_ = error;
    held_ = false;
    const std::uint64_t one = 1;
    static_cast<void>(::write(bell_.get(), &one, sizeof(one)));
  }
  void hold() { held_ = true; }
  int submitted() const { return submitted_; }

 private:
  class Requests final : public block::BlockQueue {
   public:
    explicit Requests(const HeldImage& image) : image_(image) { requests_.reserve(1024); }
    void submit(block::Request& request) noexcept override {
      requests_.push_back(&request);
      ++image_.submitted_;
    }
    void kick() noexcept override {}
    unsigned reap() noexcept override { return image_.held_ ? 0 : finish(); }
    int event_descriptor() const noexcept override { return image_.bell_.get(); }
    void drain() noexcept override {
      while (finish() != 0) continue;
    }

   private:
    unsigned finish() noexcept {
      std::uint64_t rings = 0;
      static_cast<void>(!::read(image_.bell_.get(), &rings, sizeof(rings)));
      unsigned done = 0;
      while (!requests_.empty()) {
        block::Request& request = *requests_.front();
        requests_.erase(requests_.begin());
        request.completion->completed(request, image_.error_);
        ++done;
      }
      return done;
    }
    const HeldImage& image_;
    std::vector<block::Request*> requests_;
  };

  std::atomic<std::uint64_t> bytes_;
  FileDescriptor bell_;
  std::atomic<bool> held_{true};
  std::atomic<int> error_{0};
  mutable std::atomic<int> submitted_{0};
};

class ScsiTest : public testing::Test {
 protected:
  void start(std::uint64_t features = kHotPlug | kChange, const ScsiOptions& options = {.queues = 2}) {
    guest_ = std::make_unique<FakeGuest>(host_.make_device(options));
    ASSERT_TRUE(guest_->start(features | kFeatureVersion1 | kFeatureIndirect));
    ScsiHost::settle(*guest_);
  }
  // A disk at target 5 whose requests are held.
  void add_held() {
    auto unit = host_.disk_unit(kHeld);
    auto image = std::make_unique<HeldImage>(ScsiHost::kDiskBytes);
    held_ = image.get();
    block::DiskOptions options = host_.disk_options();
    options.discard = true;
    unit.disk = std::make_unique<block::Disk>("held", std::move(image), options, counters_, 1);
    held_disk_ = unit.disk.get();
    host_.device().add_unit(std::move(unit));
    ASSERT_TRUE(run(kHeld, {0})->has_sense(scsi::kReset));
  }
  std::optional<ScsiHost::Result> run(ScsiUnitAddress address, const ScsiHost::Cdb& cdb,
                                      std::uint32_t out = 0, std::uint32_t in = 0) {
    return ScsiHost::run(*guest_, address, cdb, out, in);
  }
  ScsiHost::Result run_at(const ScsiLun& lun, const ScsiHost::Cdb& cdb, std::uint32_t in = 0) {
    ScsiHost::offer(*guest_, lun, cdb, 0, in);
    guest_->kick(ScsiHost::kRequests);
    EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests));
    return ScsiHost::result(*guest_);
  }
  std::vector<std::uint8_t> bytes(std::size_t count, std::uint64_t at = ScsiHost::data()) {
    std::vector<std::uint8_t> all(count);
    static_cast<void>(guest_->memory().read(GuestAddress{at}, std::as_writable_bytes(std::span(all))));
    return all;
  }
  void fill(std::uint8_t value, std::size_t count) {
    const std::vector<std::uint8_t> all(count, value);
    static_cast<void>(guest_->memory().write(GuestAddress{ScsiHost::data()}, std::as_bytes(std::span(all))));
  }
  static constexpr std::uint64_t kFunction = FakeGuest::kTables;
  void offer_function(std::uint32_t function, ScsiUnitAddress address, std::uint64_t id = 0) {
    ScsiFunctionRequest request;
    request.function = function;
    request.lun = ScsiHost::lun_of(address);
    request.id = id;
    static_cast<void>(guest_->memory().write_object({kFunction}, request));
    static_cast<void>(guest_->memory().write_object({kFunction + 64}, std::uint8_t{0xee}));
    guest_->queue(ScsiHost::kControl).offer({{kFunction, sizeof(request), false}, {kFunction + 64, 1, true}});
    guest_->kick(ScsiHost::kControl);
  }
  int function_response() {
    return guest_->memory().read_object<std::uint8_t>({kFunction + 64}).value_or(0xdd);
  }
  int function(std::uint32_t number, ScsiUnitAddress address, std::uint64_t id = 0) {
    offer_function(number, address, id);
    EXPECT_TRUE(guest_->wait_used(ScsiHost::kControl));
    return function_response();
  }
  void offer_event(std::size_t slot = 0) {
    guest_->queue(ScsiHost::kEvents).offer({{kFunction + 0x1000 + 64 * slot, 16, true}});
    guest_->kick(ScsiHost::kEvents);
  }
  ScsiEvent event(std::size_t slot = 0) {
    EXPECT_TRUE(guest_->wait_used(ScsiHost::kEvents));
    return guest_->memory().read_object<ScsiEvent>({kFunction + 0x1000 + 64 * slot}).value_or(ScsiEvent{});
  }
  bool wait_submitted(int count) {
    return FakeGuest::eventually([&] { return held_->submitted() >= count; });
  }

  static constexpr ScsiUnitAddress kHeld{5, 1};
  ScsiHost host_;
  BlockCounters counters_{};
  HeldImage* held_ = nullptr;
  block::Disk* held_disk_ = nullptr;
  std::unique_ptr<FakeGuest> guest_;
};

TEST_F(ScsiTest, TheConfigurationIsThatOfTheSpecification) {
  start(0, {.queues = 3, .commands_per_unit = 17, .maximum_sectors = 99});
  EXPECT_EQ(guest_->config<std::uint16_t>(2), 0x1048);
  const std::uint64_t at = FakeGuest::kDevice;
  EXPECT_EQ(guest_->get<std::uint32_t>(at), 3u);
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 4), 254u);
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 8), 99u);
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 12), 17u);
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 16), 16u);
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 20), 96u);
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 24), 32u);
  EXPECT_EQ(guest_->get<std::uint16_t>(at + 30), 255u);
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 32), 16383u);
  guest_->set<std::uint32_t>(at + 20, 20);
  guest_->set<std::uint32_t>(at + 24, 1 << 20);  // not to be had
  guest_->set<std::uint32_t>(at + 4, 1);
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 20), 20u);
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 24), 32u);
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 4), 254u);
  guest_->reset();
  EXPECT_EQ(guest_->get<std::uint32_t>(at + 20), 96u);
}

TEST_F(ScsiTest, UnitsAreFoundByTheirAddress) {
  start();
  EXPECT_TRUE(run(ScsiHost::kDisk, {0})->is_good());
  EXPECT_TRUE(run(ScsiHost::kDrive, {0})->is_good());
  EXPECT_TRUE(run_at({1, 0, 0, 0}, {0}).is_good()) << "peripheral form";
  EXPECT_EQ(run({1, 0}, {0})->header.response, 3) << "no such target";
  EXPECT_TRUE(run({0, 1}, {0})->has_sense(scsi::kNoSuchUnit));
  EXPECT_TRUE(run({0, 1}, {0x12, 0, 0, 0, 36}, 0, 36)->is_good());
  EXPECT_EQ(bytes(1)[0], 0x7f);
  for (const ScsiLun& bad : {ScsiLun{0, 0, 0x40, 0}, ScsiLun{2, 0, 0x40, 0}, ScsiLun{1, 0, 0x80, 0},
                             ScsiLun{1, 0, 1, 0}, ScsiLun{1, 0, 0x40, 0, 0, 0, 0, 1}})
    EXPECT_EQ(run_at(bad, {0}).header.response, 3);
}

TEST_F(ScsiTest, ReportLunsOfATarget) {
  start();
  const ScsiHost::Cdb report = {0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
  const auto result = run(ScsiHost::kDrive, report, 0, 256);
  ASSERT_TRUE(result->is_good());
  EXPECT_EQ(result->header.residual, 256 - 16u);
  EXPECT_EQ(bytes(16)[3], 8);
  EXPECT_EQ(bytes(16)[8], 0x41);
  EXPECT_EQ(bytes(16)[9], 300 - 256);
  EXPECT_TRUE(run({3, 0}, report, 0, 256)->is_good()) << "a unit that is not there";
  EXPECT_TRUE(run_at({1, 3, 0xc1, 0x01}, report, 256).is_good()) << "well known";
  EXPECT_EQ(bytes(16)[3], 8);
  EXPECT_EQ(run_at({1, 9, 0xc1, 0x01}, report, 256).header.response, 3);
}

TEST_F(ScsiTest, DataGoesBothWaysAndResidualsAreTold) {
  start();
  fill(0x5a, 1024);
  auto result = run(ScsiHost::kDisk, {0x2a, 0, 0, 0, 0, 1, 0, 0, 1}, 1024, 0);
  ASSERT_TRUE(result->is_good());
  EXPECT_EQ(result->header.residual, 512u);
  std::array<char, 512> sector{};
  EXPECT_EQ(::pread(host_.disk_file(), sector.data(), sector.size(), 512), 512);
  EXPECT_EQ(std::ranges::count(sector, 0x5a), 512);
  fill(0, 1024);
  result = run(ScsiHost::kDisk, {0x28, 0, 0, 0, 0, 1, 0, 0, 1}, 0, 1024);
  EXPECT_EQ(result->header.residual, 512u);
  EXPECT_EQ(result->used, 108 + 512u);
  EXPECT_EQ(bytes(1024)[511], 0x5a);
  EXPECT_EQ(bytes(1024)[512], 0);
  EXPECT_EQ(host_.counters().write_bytes.load(), 512u);
  EXPECT_EQ(host_.counters().read_bytes.load(), 512u);
  EXPECT_TRUE(run(ScsiHost::kDisk, {0x35})->is_good());
  EXPECT_EQ(host_.counters().flush_requests.load(), 1u);
}

// T1: buffers that are too short for what the command says.
TEST_F(ScsiTest, T1ShortBuffersAreAnOverrun) {
  start();
  EXPECT_EQ(run(ScsiHost::kDisk, {0x28, 0, 0, 0, 0, 1, 0, 0, 2}, 0, 512)->header.response, 1);
  EXPECT_EQ(run(ScsiHost::kDisk, {0x2a, 0, 0, 0, 0, 1, 0, 0, 2}, 512, 0)->header.response, 1);
  EXPECT_EQ(run(ScsiHost::kDisk, {0x2a, 0, 0, 0, 0, 1, 0, 0, 1}, 0, 512)->header.response, 1);
  EXPECT_EQ(run(ScsiHost::kDisk, {0x12, 0, 0, 0, 36}, 0, 8)->header.response, 1);
  EXPECT_EQ(run(ScsiHost::kDisk, {0x42, 0, 0, 0, 0, 0, 0, 0, 24}, 8, 0)->header.response, 1);
  // No room for a response.
  guest_->queue(ScsiHost::kRequests).offer({{FakeGuest::kBuffers, 51, false}, {ScsiHost::data(), 107, true}});
  guest_->kick(ScsiHost::kRequests);
  EXPECT_EQ(guest_->wait_used(ScsiHost::kRequests).value_or(FakeUsed{0, 1}).length, 0u);
  EXPECT_TRUE(run(ScsiHost::kDisk, {0})->is_good());
}

TEST_F(ScsiTest, TheFramingOfAChainIsTheDriversOwn) {
  start();
  ScsiHost::offer(*guest_, ScsiHost::lun_of(ScsiHost::kDisk), {0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0, 512);
  guest_->kick(ScsiHost::kRequests);
  ASSERT_TRUE(guest_->wait_used(ScsiHost::kRequests));
  // The same request, its parts cut where nothing ends.
  const std::uint64_t at = ScsiHost::place(0);
  std::vector<FakeBuffer> chain = {{at, 5, false}, {at + 5, 46, false}};
  const std::uint64_t back = at + ScsiHost::kResponse;
  chain.insert(chain.end(),
               {{back, 3, true}, {back + 3, 50, true}, {back + 53, 55 + 100, true}, {back + 208, 412, true}});
  guest_->queue(ScsiHost::kRequests).offer(chain, FakeGuest::kTables);
  guest_->kick(ScsiHost::kRequests);
  const auto used = guest_->wait_used(ScsiHost::kRequests);
  EXPECT_EQ(used.value_or(FakeUsed{}).length, 108 + 512u);
  EXPECT_TRUE(ScsiHost::result(*guest_).is_good());
}

TEST_F(ScsiTest, UnmapGivesSpaceBackAndWriteSameFills) {
  start();
  fill(0x11, 8192);
  for (std::uint8_t block = 0; block < 64; block = static_cast<std::uint8_t>(block + 16))
    ASSERT_TRUE(run(ScsiHost::kDisk, {0x2a, 0, 0, 0, 0, block, 0, 0, 16}, 8192, 0)->is_good());
  struct stat before{}, after{};
  ::fstat(host_.disk_file(), &before);
  std::vector<std::uint8_t> list(8 + 32);
  list[3] = 32;
  list[8 + 7] = 0;
  list[8 + 11] = 16;
  list[24 + 7] = 32;
  list[24 + 11] = 16;
  static_cast<void>(guest_->memory().write(GuestAddress{ScsiHost::data()}, std::as_bytes(std::span(list))));
  ASSERT_TRUE(run(ScsiHost::kDisk, {0x42, 0, 0, 0, 0, 0, 0, 0, 40}, 40, 0)->is_good());
  ::fstat(host_.disk_file(), &after);
  EXPECT_EQ(before.st_blocks - after.st_blocks, 32);
  std::array<char, 64 * 512> image{};
  ASSERT_EQ(::pread(host_.disk_file(), image.data(), image.size(), 0), static_cast<ssize_t>(image.size()));
  EXPECT_EQ(std::ranges::count(image, 0x11), 32 * 512);
  EXPECT_EQ(image[32 * 512], 0);
  // 1000 times one block.
  fill(0x77, 512);
  ASSERT_TRUE(run(ScsiHost::kDisk, {0x41, 0, 0, 0, 0, 5, 0, 3, 232}, 512, 0)->is_good());
  std::vector<char> whole(ScsiHost::kDiskBytes);
  ASSERT_EQ(::pread(host_.disk_file(), whole.data(), whole.size(), 0), static_cast<ssize_t>(whole.size()));
  EXPECT_EQ(std::ranges::count(whole, 0x77), 1000 * 512);
  EXPECT_EQ(whole[5 * 512], 0x77);
  EXPECT_EQ(whole[1004 * 512 + 511], 0x77);
  EXPECT_EQ(whole[4 * 512], 0);
  ASSERT_TRUE(run(ScsiHost::kDisk, {0x93, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0})->is_good());
  ASSERT_EQ(::pread(host_.disk_file(), whole.data(), whole.size(), 0), static_cast<ssize_t>(whole.size()));
  EXPECT_EQ(std::ranges::count(whole, 0), static_cast<std::ptrdiff_t>(whole.size()));
}

// T12.
TEST_F(ScsiTest, T12AFailureOfTheHostIsAMediumError) {
  host_.disk_options().write_error = block::OnDiskError::report;
  start();
  add_held();
  held_->let_go(EIO);
  EXPECT_TRUE(run(kHeld, {0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0, 512)->has_sense(scsi::kUnrecoveredRead));
  EXPECT_TRUE(run(kHeld, {0x2a, 0, 0, 0, 0, 0, 0, 0, 1}, 512, 0)->has_sense(scsi::kWriteError));
  EXPECT_EQ(counters_.errors.load(), 2u);
}

TEST_F(ScsiTest, T12AStoppedCommandGoesOnWithTheMachine) {
  host_.disk_options().write_error = block::OnDiskError::stop;
  start();
  add_held();
  held_->let_go(ENOSPC);
  ScsiHost::offer(*guest_, ScsiHost::lun_of(kHeld), {0x2a, 0, 0, 0, 0, 0, 0, 0, 1}, 512, 0);
  guest_->kick(ScsiHost::kRequests);
  EXPECT_TRUE(FakeGuest::eventually([&] { return held_disk_->stalled_error() == ENOSPC; }));
  guest_->transport().pause();
  EXPECT_FALSE(guest_->wait_used(ScsiHost::kRequests, 20));
  held_->let_go(0);
  guest_->transport().resume();
  EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests));
  EXPECT_TRUE(ScsiHost::result(*guest_).is_good());
}

TEST_F(ScsiTest, AUnitTakesAsManyCommandsAsItSays) {
  start(kHotPlug, {.commands_per_unit = 2});
  add_held();
  for (std::size_t slot = 0; slot < 3; ++slot)
    ScsiHost::offer(*guest_, ScsiHost::lun_of(kHeld), {0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0, 512, slot);
  guest_->kick(ScsiHost::kRequests);
  EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests));
  EXPECT_EQ(ScsiHost::result(*guest_, 2).header.status, 0x28);
  held_->let_go();
  EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests));
  EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests));
  EXPECT_TRUE(ScsiHost::result(*guest_, 0).is_good());
}

// More chains than the queue has commands: they wait, also on another queue's account.
TEST_F(ScsiTest, AFullQueueGoesOnWhenCommandsEnd) {
  start(kHotPlug, {.queues = 2, .queue_size = 16});
  add_held();
  for (std::size_t slot = 0; slot < 5; ++slot)
    ScsiHost::offer(*guest_, ScsiHost::lun_of(kHeld), {0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0, 512, slot,
                    ScsiHost::kRequests, FakeGuest::kTables + 0x1000 * slot);
  guest_->kick(ScsiHost::kRequests);
  ASSERT_TRUE(wait_submitted(5));
  held_->let_go();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests));
  EXPECT_TRUE(ScsiHost::run(*guest_, kHeld, {0}, 0, 0, ScsiHost::kRequests + 1)->is_good());
}

TEST_F(ScsiTest, AbortWaitsForTheHostAndEndsTheCommand) {
  start();
  add_held();
  ScsiHost::offer(*guest_, ScsiHost::lun_of(kHeld), {0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0, 512, 1);
  guest_->kick(ScsiHost::kRequests);
  ASSERT_TRUE(wait_submitted(1));
  EXPECT_EQ(function(6, kHeld, 0x1001), 10) << "QUERY TASK: it is there";
  EXPECT_EQ(function(6, kHeld, 0x1002), 0);
  EXPECT_EQ(function(7, kHeld), 10);
  EXPECT_EQ(function(0, kHeld, 0x1002), 0) << "there is nothing to abort";
  offer_function(0, kHeld, 0x1001);
  EXPECT_FALSE(guest_->wait_used(ScsiHost::kControl, 20));
  held_->let_go();
  EXPECT_TRUE(guest_->wait_used(ScsiHost::kControl));
  EXPECT_EQ(function_response(), 0);
  EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests));
  EXPECT_EQ(ScsiHost::result(*guest_, 1).header.response, 2);
  EXPECT_EQ(function(7, kHeld), 0);
}

TEST_F(ScsiTest, AResetOfAUnitEndsAllOfItsCommands) {
  start();
  add_held();
  for (std::size_t slot = 1; slot < 4; ++slot)
    ScsiHost::offer(*guest_, ScsiHost::lun_of(kHeld), {0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0, 512, slot);
  guest_->kick(ScsiHost::kRequests);
  ASSERT_TRUE(wait_submitted(3));
  offer_function(5, kHeld);
  EXPECT_FALSE(guest_->wait_used(ScsiHost::kControl, 20));
  EXPECT_TRUE(ScsiHost::run(*guest_, ScsiHost::kDisk, {0})->is_good()) << "another is not disturbed";
  held_->let_go();
  EXPECT_TRUE(guest_->wait_used(ScsiHost::kControl));
  EXPECT_EQ(function_response(), 0);
  for (std::size_t slot = 1; slot < 4; ++slot) {
    EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests));
    EXPECT_EQ(ScsiHost::result(*guest_, slot).header.response, 4);
  }
  EXPECT_TRUE(run(kHeld, {0})->has_sense(scsi::kReset));
  EXPECT_EQ(function(4, {5, 0}), 0) << "I_T NEXUS RESET: any unit of the target";
  EXPECT_TRUE(run(kHeld, {0})->has_sense(scsi::kReset));
}

TEST_F(ScsiTest, FunctionsThatCannotBe) {
  start();
  EXPECT_EQ(function(5, {0, 9}), 12);
  EXPECT_EQ(function(5, {9, 0}), 3);
  EXPECT_EQ(function(2, ScsiHost::kDisk), 11);
  EXPECT_EQ(function(99, ScsiHost::kDisk), 11);
  ScsiNotificationRequest query;
  query.type = 1;
  query.lun = ScsiHost::lun_of(ScsiHost::kDisk);
  query.events = 0x7e;
  static_cast<void>(guest_->memory().write_object({kFunction}, query));
  const auto used =
      guest_->request(ScsiHost::kControl, {{kFunction, sizeof(query), false}, {kFunction + 64, 5, true}});
  EXPECT_EQ(used.value_or(FakeUsed{}).length, 5u);
  EXPECT_EQ(guest_->memory().read_object<std::uint32_t>({kFunction + 64}), 0u);
  EXPECT_EQ(function_response(), 0);
  static_cast<void>(guest_->memory().write_object({kFunction}, std::uint32_t{77}));
  const auto bad = guest_->request(ScsiHost::kControl, {{kFunction, 24, false}, {kFunction + 64, 5, true}});
  EXPECT_EQ(bad.value_or(FakeUsed{0, 9}).length, 0u);
}

// A throttled command is with nobody: it ends at once.
TEST_F(ScsiTest, AThrottledCommandIsAbortedAtOnce) {
  block::ThrottleLimits limits;
  limits.total_operations.rate = 1;
  block::Throttle throttle(limits);
  host_.disk_options().throttle = &throttle;
  start();
  for (std::size_t slot = 0; slot < 4; ++slot)
    ScsiHost::offer(*guest_, ScsiHost::lun_of(ScsiHost::kDisk), {0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0, 512, slot);
  guest_->kick(ScsiHost::kRequests);
  EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests, 2000));  // the first, so that all have been taken
  EXPECT_EQ(function(1, ScsiHost::kDisk), 0);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests, 2000));
  EXPECT_EQ(ScsiHost::result(*guest_, 3).header.response, 2);
  guest_.reset();  // before the limits
}

TEST_F(ScsiTest, UnitsComeAndGo) {
  start();
  offer_event(0);
  offer_event(1);
  ASSERT_NO_FATAL_FAILURE(add_held());
  EXPECT_EQ(event(0).event, kTransportReset);
  const ScsiEvent added = guest_->memory().read_object<ScsiEvent>({kFunction + 0x1000}).value_or(ScsiEvent{});
  EXPECT_EQ(added.reason, kResetRescan);
  EXPECT_EQ(added.lun, ScsiHost::lun_of(kHeld));
  EXPECT_THROW(host_.device().add_unit(host_.disk_unit(kHeld)), Error);
  ScsiHost::offer(*guest_, ScsiHost::lun_of(kHeld), {0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0, 512, 1);
  guest_->kick(ScsiHost::kRequests);
  ASSERT_TRUE(wait_submitted(1));
  host_.device().remove_unit(kHeld);
  EXPECT_EQ(event(1).reason, kResetRemoved);
  EXPECT_TRUE(guest_->wait_used(ScsiHost::kRequests));
  EXPECT_EQ(run(kHeld, {0})->header.response, 3);
  EXPECT_THROW(host_.device().remove_unit(kHeld), Error);
}

TEST_F(ScsiTest, EventsWaitForBuffersAndTheyDoNotGrow) {
  start();
  for (int i = 0; i < 20; ++i) {  // 40 events, for which there is room for 32
    host_.device().add_unit(host_.disk_unit({7, 7}));
    host_.device().remove_unit({7, 7});
  }
  offer_event();
  EXPECT_EQ(event().event, kTransportReset | kEventsMissed);
  for (int i = 0; i < 31; ++i) {
    offer_event();
    EXPECT_EQ(event().event, kTransportReset) << i;
  }
  offer_event();
  EXPECT_FALSE(guest_->wait_used(ScsiHost::kEvents, 20));
  host_.device().add_unit(host_.disk_unit({7, 7}));
  EXPECT_EQ(event().reason, kResetRescan) << "a buffer waits for an event";
}

TEST_F(ScsiTest, AnEventBufferThatIsTooSmallIsGivenBack) {
  start();
  guest_->queue(ScsiHost::kEvents).offer({{kFunction, 15, true}});
  guest_->kick(ScsiHost::kEvents);
  offer_event();
  host_.device().add_unit(host_.disk_unit({7, 7}));
  EXPECT_EQ(guest_->wait_used(ScsiHost::kEvents).value_or(FakeUsed{0, 9}).length, 0u);
  EXPECT_EQ(event().event, kTransportReset);
}

TEST_F(ScsiTest, ADriverWithoutEventsHearsOfUnitsFromTheOthers) {
  start(0);
  host_.device().add_unit(host_.disk_unit({0, 1}));
  EXPECT_TRUE(run(ScsiHost::kDisk, {0})->has_sense(scsi::kUnitsChanged));
  EXPECT_TRUE(run(ScsiHost::kDisk, {0})->is_good());
  EXPECT_TRUE(run(ScsiHost::kDrive, {0})->is_good()) << "another target";
  host_.device().remove_unit({0, 1});
  EXPECT_TRUE(run(ScsiHost::kDisk, {0})->has_sense(scsi::kUnitsChanged));
}

TEST_F(ScsiTest, ANewCapacityIsTold) {
  start();
  offer_event();
  host_.disk().resize(2 * ScsiHost::kDiskBytes);
  const ScsiEvent told = event();
  EXPECT_EQ(told.event, kParameterChange);
  EXPECT_EQ(told.reason, 0x092au);
  EXPECT_TRUE(run(ScsiHost::kDisk, {0})->has_sense(scsi::kCapacityChanged));
  EXPECT_TRUE(run(ScsiHost::kDisk, {0x25}, 0, 8)->is_good());
  EXPECT_EQ(bytes(4), (std::vector<std::uint8_t>{0, 0, 0x0f, 0xff}));
  EXPECT_TRUE(run(ScsiHost::kDisk, {0x28, 0, 0, 0, 0x0f, 0xff, 0, 0, 1}, 0, 512)->is_good());
}

TEST_F(ScsiTest, MediaAreReadAndChanged) {
  start();
  ASSERT_EQ(::pwrite(host_.medium_file().get(), "first", 5, 2048), 5);
  ASSERT_TRUE(run(ScsiHost::kDrive, {0x28, 0, 0, 0, 0, 1, 0, 0, 1}, 0, 2048)->is_good());
  EXPECT_EQ(bytes(5), (std::vector<std::uint8_t>{'f', 'i', 'r', 's', 't'}));
  const FileDescriptor other = ScsiHost::make_file(4 * 2048);
  ASSERT_EQ(::pwrite(other.get(), "second", 6, 2048), 6);
  Scsi& device = host_.device();
  EXPECT_EQ(device.open_tray(ScsiHost::kDrive, false), scsi::OpticalDrive::Opening::opened);
  EXPECT_TRUE(run(ScsiHost::kDrive, {0})->has_sense(scsi::kNoMediumTrayOpen));
  device.set_medium(ScsiHost::kDrive, host_.make_image(other, true));
  device.close_tray(ScsiHost::kDrive);
  EXPECT_TRUE(run(ScsiHost::kDrive, {0})->has_sense(scsi::kMediumMayHaveChanged));
  ASSERT_TRUE(run(ScsiHost::kDrive, {0x28, 0, 0, 0, 0, 1, 0, 0, 1}, 0, 2048)->is_good());
  EXPECT_EQ(bytes(3), (std::vector<std::uint8_t>{'s', 'e', 'c'}));
  EXPECT_TRUE(
      run(ScsiHost::kDrive, {0x28, 0, 0, 0, 0, 4, 0, 0, 1}, 0, 2048)->has_sense(scsi::kAddressOutOfRange));
  device.set_medium(ScsiHost::kDrive, nullptr);
  EXPECT_TRUE(run(ScsiHost::kDrive, {0})->has_sense(scsi::kNoMediumTrayClosed));
  EXPECT_THROW(static_cast<void>(device.open_tray(ScsiHost::kDisk, false)), Error);
  EXPECT_THROW(device.set_medium({9, 9}, nullptr), Error);
}

// T7.
TEST_F(ScsiTest, T7AResetGivesUpWhatIsInFlight) {
  start();
  add_held();
  for (int round = 0; round < 5; ++round) {
    held_->hold();
    const int before = held_->submitted();
    ScsiHost::offer(*guest_, ScsiHost::lun_of(kHeld), {0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0, 512, 1);
    guest_->kick(ScsiHost::kRequests);
    ASSERT_TRUE(wait_submitted(before + 1));
    offer_function(5, kHeld);
    guest_->reset();
    ASSERT_TRUE(guest_->start(kHotPlug | kFeatureVersion1));
    ScsiHost::settle(*guest_);
    EXPECT_TRUE(run(kHeld, {0})->has_sense(scsi::kReset));
  }
  EXPECT_TRUE(host_.works(*guest_));
}

// A fill of several requests is broken off by a pause and goes on after it.
TEST_F(ScsiTest, ALongFillSurvivesPauses) {
  start();
  fill(0x33, 512);
  ScsiHost::offer(*guest_, ScsiHost::lun_of(ScsiHost::kDisk), {0x41, 0, 0, 0, 0, 0, 0, 7, 208}, 512, 0);
  guest_->kick(ScsiHost::kRequests);
  for (int i = 0; i < 3; ++i) {
    guest_->transport().pause();
    guest_->transport().resume();
  }
  ASSERT_TRUE(guest_->wait_used(ScsiHost::kRequests));
  EXPECT_TRUE(ScsiHost::result(*guest_).is_good());
  std::vector<char> whole(2000 * 512);
  ASSERT_EQ(::pread(host_.disk_file(), whole.data(), whole.size(), 0), static_cast<ssize_t>(whole.size()));
  EXPECT_EQ(std::ranges::count(whole, 0x33), static_cast<std::ptrdiff_t>(whole.size()));
}

TEST_F(ScsiTest, StateTravelsAndIsLookedAt) {
  start();
  guest_->set<std::uint32_t>(FakeGuest::kDevice + 20, 20);
  static_cast<void>(run(ScsiHost::kDrive, {0x1e, 0, 0, 0, 1}));
  guest_->transport().pause();
  ScsiState state = host_.device().save();
  EXPECT_EQ(state.sense_bytes, 20u);
  ASSERT_EQ(state.units.size(), 2u);
  EXPECT_TRUE(std::get<scsi::OpticalDriveState>(state.units[1].state).locked);
  guest_->plug(host_.make_device());
  host_.device().restore(state);
  EXPECT_EQ(guest_->get<std::uint32_t>(FakeGuest::kDevice + 20), 20u);
  EXPECT_EQ(host_.device().open_tray(ScsiHost::kDrive, false), scsi::OpticalDrive::Opening::locked);
  state.units[1].address.lun = 4;  // T21
  EXPECT_THROW(host_.device().restore(state), Error);
  state.units.pop_back();
  EXPECT_THROW(host_.device().restore(state), Error);
}

}  // namespace
}  // namespace warren::vmm::virtio
