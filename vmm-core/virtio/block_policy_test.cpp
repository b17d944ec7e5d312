// What a block device does when the host fails it (T12), and its limits, threshold and size.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "vmm-core/virtio/fake_devices.h"

namespace warren::vmm::virtio {
namespace {

// A real image whose next requests end with the errors they are told to.
class FailingImage final : public block::Image {
 public:
  explicit FailingImage(std::unique_ptr<block::RawImage> image) : image_(std::move(image)) {}
  std::uint64_t size() const noexcept override { return image_->size(); }
  bool read_only() const noexcept override { return false; }
  void resize(std::uint64_t bytes) override { image_->resize(bytes); }
  std::unique_ptr<block::BlockQueue> make_queue(unsigned depth) const override {
    return std::make_unique<Requests>(*this, image_->make_queue(depth));
  }
  // The next `count` requests fail; written by the test, read by the I/O thread.
  void fail(int error, int count = 1) {
    error_ = error;
    left_ = count;
  }

 private:
  class Requests final : public block::BlockQueue, public block::Completion {
   public:
    Requests(const FailingImage& image, std::unique_ptr<block::BlockQueue> queue)
        : image_(image), queue_(std::move(queue)) {
      failed_.reserve(1024);
    }
    void submit(block::Request& request) noexcept override {
      if (image_.left_ > 0) {
        --image_.left_;
        failed_.push_back(&request);
        return;
      }
      queue_->submit(request);
    }
    void kick() noexcept override { queue_->kick(); }
    unsigned reap() noexcept override {
      unsigned done = queue_->reap();
      for (; !failed_.empty(); ++done) {
        block::Request& request = *failed_.back();
        failed_.pop_back();
        request.completion->completed(request, image_.error_);
      }
      return done;
    }
    void completed(block::Request&, int) noexcept override {}
    int event_descriptor() const noexcept override { return queue_->event_descriptor(); }
    void drain() noexcept override {
      queue_->drain();
      reap();
    }

   private:
    const FailingImage& image_;
    std::unique_ptr<block::BlockQueue> queue_;
    std::vector<block::Request*> failed_;
  };

  std::unique_ptr<block::RawImage> image_;
  std::atomic<int> error_{0};
  mutable std::atomic<int> left_{0};
};

class BlockPolicyTest : public testing::Test, public block::DiskListener {
 protected:
  ~BlockPolicyTest() override { guest_.reset(); }
  void make(BlockOptions options) {
    auto image = std::make_unique<FailingImage>(
        std::make_unique<block::RawImage>(host_file_.duplicate(), "disk", block::RawImageOptions{}));
    image_ = image.get();
    options.disk.listener = this;
    auto device = std::make_unique<Block>("disk", std::move(image), options, counters_,
                                          std::vector<EventThread*>{&thread_});
    device_ = device.get();
    guest_ = std::make_unique<FakeGuest>(std::move(device));
    ASSERT_TRUE(guest_->start(device_->features() | kFeatureVersion1));
  }
  void disk_has_news(block::Disk&) noexcept override { ++told_; }
  void disk_goes(block::Disk&) noexcept override { device_ = nullptr; }

  static constexpr std::uint32_t kRead = 0, kWrite = 1;
  std::optional<std::uint8_t> request(std::uint32_t type, std::uint64_t sector = 0) {
    return BlockHost::request(*guest_, type, sector, {{BlockHost::kData, 512, type == kRead}});
  }
  void offer(std::uint32_t type, std::uint64_t sector, unsigned slot = 0) {
    const std::uint64_t header = BlockHost::kHeader + slot * 128;
    static_cast<void>(guest_->memory().write_object({header}, std::uint64_t{type}));
    static_cast<void>(guest_->memory().write_object({header + 8}, sector));
    static_cast<void>(guest_->memory().write_object({header + 64}, std::uint8_t{0xee}));
    guest_->queue(0).offer(
        {{header, 16, false}, {BlockHost::kData, 512, type == kRead}, {header + 64, 1, true}});
  }
  std::uint8_t status(unsigned slot = 0) {
    return guest_->memory().read_object<std::uint8_t>({BlockHost::kHeader + slot * 128 + 64}).value_or(0xdd);
  }
  bool wait_for_news() {
    for (int i = 0; i < 2000 && told_ == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return told_.exchange(0) != 0;
  }

  static FileDescriptor make_file() {
    FileDescriptor file(::memfd_create("disk", MFD_CLOEXEC));
    if (!file || ::ftruncate(file.get(), BlockHost::kSize) != 0) throw_errno("memfd");
    return file;
  }
  FileDescriptor host_file_ = make_file();
  EventThread thread_{"block-test"};
  BlockCounters counters_{};
  std::atomic<int> told_{0};
  FailingImage* image_ = nullptr;
  Block* device_ = nullptr;
  std::unique_ptr<FakeGuest> guest_;
};

TEST_F(BlockPolicyTest, T12ReportIsAnIoErrorForTheGuest) {
  make({.disk = {.write_error = block::OnDiskError::report}});
  for (const std::uint32_t type : {kRead, kWrite}) {
    image_->fail(ENOSPC);
    EXPECT_EQ(request(type), 1);
    ASSERT_TRUE(wait_for_news());
    const auto news = device_->disk().take_news();
    ASSERT_TRUE(news.fault);
    EXPECT_EQ(news.fault->error, ENOSPC);
    EXPECT_EQ(news.fault->writes, type == kWrite);
    EXPECT_EQ(news.fault->action, block::DiskFault::Action::report);
    EXPECT_FALSE(device_->disk().take_news().fault);
  }
  EXPECT_EQ(counters_.errors.load(), 2u);
}

TEST_F(BlockPolicyTest, T12IgnoreTellsTheGuestThatAllIsWell) {
  make({.disk = {.read_error = block::OnDiskError::ignore, .write_error = block::OnDiskError::ignore}});
  for (const std::uint32_t type : {kRead, kWrite}) {
    image_->fail(EIO);
    EXPECT_EQ(request(type), 0);
    ASSERT_TRUE(wait_for_news());
    EXPECT_EQ(device_->disk().take_news().fault.value_or(block::DiskFault{}).action,
              block::DiskFault::Action::ignore);
  }
}

TEST_F(BlockPolicyTest, T12StopKeepsTheRequestUntilTheMachineGoesOn) {
  make({.disk = {.read_error = block::OnDiskError::stop, .write_error = block::OnDiskError::stop}});
  image_->fail(EIO, 2);
  offer(kWrite, 1, 0);
  offer(kRead, 1, 1);
  guest_->kick(0);
  ASSERT_TRUE(wait_for_news());
  guest_->transport().pause();
  EXPECT_EQ(device_->disk().take_news().fault.value_or(block::DiskFault{}).action,
            block::DiskFault::Action::stop);
  EXPECT_EQ(device_->disk().stalled_error(), EIO);
  EXPECT_EQ(status(0), 0xee);
  EXPECT_EQ(status(1), 0xee);
  image_->fail(EIO, 1);  // still broken for one of them
  guest_->transport().resume();
  ASSERT_TRUE(wait_for_news());
  guest_->transport().pause();
  EXPECT_EQ(device_->disk().stalled_error(), EIO);
  guest_->transport().resume();
  EXPECT_TRUE(guest_->wait_used(0));
  EXPECT_TRUE(guest_->wait_used(0));
  EXPECT_EQ(status(0), 0);
  EXPECT_EQ(status(1), 0);
  EXPECT_EQ(device_->disk().stalled_error(), 0);
  EXPECT_EQ(counters_.write_requests.load(), 1u);
}

TEST_F(BlockPolicyTest, T12NoSpaceStopsAndOtherErrorsAreReported) {
  make({.disk = {.write_error = block::OnDiskError::stop_for_no_space}});
  image_->fail(EIO);
  EXPECT_EQ(request(kWrite), 1);
  ASSERT_TRUE(wait_for_news());
  device_->disk().take_news();
  image_->fail(ENOSPC);
  offer(kWrite, 1);
  guest_->kick(0);
  ASSERT_TRUE(wait_for_news());
  EXPECT_EQ(device_->disk().take_news().fault.value_or(block::DiskFault{}).action,
            block::DiskFault::Action::stop);
}

TEST_F(BlockPolicyTest, T7AResetGivesUpWhatWaits) {
  make({.disk = {.write_error = block::OnDiskError::stop}});
  image_->fail(EIO);
  offer(kWrite, 1);
  guest_->kick(0);
  ASSERT_TRUE(wait_for_news());
  guest_->reset();
  EXPECT_EQ(device_->disk().stalled_error(), 0);
  ASSERT_TRUE(guest_->start(device_->features() | kFeatureVersion1));
  EXPECT_EQ(request(kWrite), 0);
}

TEST_F(BlockPolicyTest, T9LimitsHoldOverARealQueueAndChangeLive) {
  block::ThrottleLimits limits;
  limits.total_operations.rate = 50;  // slow, so that a busy host keeps up
  block::Throttle throttle(limits);
  make({.disk = {.throttle = &throttle}});
  auto run = [&](int count) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) EXPECT_EQ(request(i % 2 == 0 ? kRead : kWrite), 0);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  run(15);  // the bucket fills
  EXPECT_NEAR(run(200), 4.0, 0.2);
  // One that would wait for long goes on when the limits are lifted.
  throttle.set({.total_operations = {.rate = 1}});
  device_->disk().set_throttle(&throttle);
  EXPECT_EQ(request(kRead), 0);
  EXPECT_EQ(request(kRead), 0);
  offer(kRead, 0);
  offer(kRead, 0, 1);
  guest_->kick(0);
  throttle.set({});
  device_->disk().set_throttle(&throttle);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(guest_->wait_used(0));
  EXPECT_TRUE(guest_->wait_used(0));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(500));
}

TEST_F(BlockPolicyTest, AThresholdIsToldOfOnce) {
  make({});
  device_->disk().set_threshold(4096);
  EXPECT_EQ(request(kWrite, 7), 0);
  EXPECT_EQ(device_->disk().threshold(), 4096u);
  EXPECT_EQ(request(kRead, 100), 0);
  EXPECT_EQ(device_->disk().threshold(), 4096u);
  EXPECT_EQ(request(kWrite, 10), 0);
  ASSERT_TRUE(wait_for_news());
  const auto news = device_->disk().take_news();
  ASSERT_TRUE(news.crossed);
  EXPECT_EQ(news.crossed->threshold, 4096u);
  EXPECT_EQ(news.crossed->excess, 11 * 512u - 4096);
  EXPECT_EQ(device_->disk().threshold(), 0u);
  EXPECT_EQ(request(kWrite, 20), 0);
  EXPECT_EQ(told_, 0);
  EXPECT_EQ(counters_.highest_written.load(), 21 * 512u);
}

TEST_F(BlockPolicyTest, ANewSizeIsInTheConfigurationAndReachable) {
  make({});
  const std::uint64_t sectors = BlockHost::kSize / 512;
  EXPECT_EQ(request(kWrite, sectors), 1);
  device_->disk().resize(2 * BlockHost::kSize);
  std::uint64_t capacity = 0;
  device_->read_configuration(0, std::as_writable_bytes(std::span(&capacity, 1)));
  EXPECT_EQ(capacity, 2 * sectors);
  EXPECT_EQ(request(kWrite, sectors), 0);
  device_->disk().resize(BlockHost::kSize / 2);
  EXPECT_EQ(request(kWrite, sectors / 2), 1);
  EXPECT_THROW(device_->disk().resize(513), Error);
  EXPECT_EQ(device_->disk().size(), BlockHost::kSize / 2);
}

TEST_F(BlockPolicyTest, ZerosAreDetected) {
  make({.disk = {.discard = true, .detect_zeroes = block::DiskOptions::DetectZeroes::unmap}});
  static_cast<void>(guest_->memory().write_object({BlockHost::kData}, std::uint64_t{0}));
  struct stat status{};
  std::vector<char> page(BlockHost::kSize, 'x');
  ASSERT_EQ(::pwrite(host_file_.get(), page.data(), page.size(), 0), static_cast<ssize_t>(page.size()));
  ::fstat(host_file_.get(), &status);
  const auto before = status.st_blocks;
  for (std::uint64_t sector = 0; sector < 8; ++sector) EXPECT_EQ(request(kWrite, sector), 0);
  std::array<char, 4096> read{};
  EXPECT_EQ(::pread(host_file_.get(), read.data(), read.size(), 0), 4096);
  EXPECT_EQ(std::count(read.begin(), read.end(), 0), 4096);
  EXPECT_EQ(counters_.write_bytes.load(), 4096u);
  EXPECT_EQ(::fstat(host_file_.get(), &status), 0);
  EXPECT_LE(status.st_blocks, before);
}

}  // namespace
}  // namespace warren::vmm::virtio
