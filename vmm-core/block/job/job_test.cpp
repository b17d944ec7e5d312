// Block jobs beside guests that never stop writing, on real files: every byte that a guest reads, and every
// byte of the chain that is left in the end, is the one that was written last.
//
// JOB_ROUNDS says how often each is done (2 without it).
#include "vmm-core/block/job/job.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm-core/block/job/commit.h"
#include "vmm-core/block/job/guest_fixture.h"
#include "vmm-core/block/job/mirror.h"
#include "vmm-core/block/job/pull.h"
#include "vmm-core/block/qcow2/check.h"
#include "vmm-core/block/qcow2/create.h"
#include "vmm-core/block/qcow2/header.h"
#include "vmm-core/block/raw_file.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/image_lock.h"
#include "vmm-core/sandbox/filter.h"
#include "vmm-core/sandbox/probe.h"

namespace warren::vmm::block::job {
namespace {

constexpr std::uint64_t kSize = std::uint64_t{6} << 20;

FileDescriptor make_file(std::uint64_t bytes = 0) {
  FileDescriptor file(::memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) throw_errno("memfd");
  return file;
}

std::unique_ptr<RawFile> as_host(const FileDescriptor& file) {
  return std::make_unique<RawFile>(std::make_unique<RawImage>(file.duplicate(), "image", RawImageOptions{}));
}

// A file that images are on, with what opens it.
struct TestImage {
  FileDescriptor file;
  ImageFormat format = ImageFormat::qcow2;
  ChainLink link() const { return {.descriptor = file.duplicate(), .name = "image", .format = format}; }
};

std::vector<ChainLink> links_of(const std::vector<const TestImage*>& images) {
  std::vector<ChainLink> links;
  for (const TestImage* image : images) links.push_back(image->link());
  return links;
}

TestImage raw_image(std::uint64_t bytes) {
  return {make_file(bytes), ImageFormat::raw};
}
TestImage qcow2_image(const qcow2::CreateOptions& options) {
  TestImage image{make_file(), ImageFormat::qcow2};
  qcow2::create(*as_host(image.file), options, "image");
  return image;
}

std::vector<char> contents(const std::vector<const TestImage*>& images) {
  const auto image = open_chain(links_of(images), {.read_only = true});
  std::vector<char> bytes(image->size());
  iovec range{bytes.data(), bytes.size()};
  Scatter to(std::span<const iovec>(&range, 1));
  EXPECT_EQ(image->chain().front().layer->read(0, bytes.size(), to), 0);
  return bytes;
}

// Some data here and there, through the chain.
void scribble(const std::vector<const TestImage*>& images, std::uint64_t seed, unsigned pieces) {
  const auto image = open_chain(links_of(images), {});
  std::mt19937_64 random(seed);
  for (unsigned i = 0; i < pieces; ++i) {
    const std::uint64_t offset = random() % (image->size() / 512) * 512;
    const std::uint64_t length = std::min((random() % 200 + 1) * 512, image->size() - offset);
    if (i % 5 == 4) {
      ASSERT_EQ(image->chain().front().zero(offset, length, true), 0);
      continue;
    }
    std::vector<char> bytes(length, static_cast<char>(random()));
    iovec range{bytes.data(), bytes.size()};
    Scatter from(std::span<const iovec>(&range, 1));
    ASSERT_EQ(image->chain().front().write(offset, length, from), 0);
  }
  ASSERT_EQ(image->chain().front().flush(), 0);
}

class JobTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    const unsigned bits = GetParam() ? 16 : 12;
    base_ = raw_image(kSize / 2);
    scribble({&base_}, 1, 30);
    lower_ = qcow2_image({.size = kSize, .cluster_bits = 14});
    scribble({&lower_, &base_}, 2, 20);
    // Smaller than what is below it, and not even whole clusters.
    middle_ = qcow2_image({.size = kSize - 300 * 512, .cluster_bits = bits, .extended_l2 = GetParam()});
    scribble({&middle_, &lower_, &base_}, 3, 20);
    top_ = qcow2_image(
        {.size = kSize, .cluster_bits = bits, .backing_file = "middle", .backing_format = "qcow2"});
    scribble({&top_, &middle_, &lower_, &base_}, 4, 10);
  }

  static unsigned rounds() {
    const char* wanted = std::getenv("JOB_ROUNDS");
    return wanted != nullptr ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10)) : 2;
  }

  // A disk on the chain with two guests.
  void open(const std::vector<const TestImage*>& images) {
    before_ = contents(images);
    model_ = before_;
    auto image = open_chain(links_of(images), {.discard = true, .use_io_uring = GetParam()});
    image_ = image.get();
    disk_ = std::make_unique<Disk>("disk", std::move(image), DiskOptions{}, counters_, 2);
    for (unsigned i = 0; i < 2; ++i)
      guests_.push_back(std::make_unique<BusyGuest>(*disk_, model_, i, 2, ++seed_));
  }
  void close() {
    for (auto& guest : guests_) guest->end();
    for (auto& guest : guests_) {
      EXPECT_FALSE(guest->saw_wrong());
      EXPECT_FALSE(guest->saw_error());
      EXPECT_GT(guest->requests(), 0u);
    }
    guests_.clear();
    disk_ = nullptr;
  }
  void expect_contents(const std::vector<const TestImage*>& images) {
    EXPECT_TRUE(contents(images) == model_);
    for (const TestImage* image : images) expect_clean(*image);
  }
  static void expect_clean(const TestImage& image) {
    if (image.format != ImageFormat::qcow2) return;
    const auto result = qcow2::check(*as_host(image.file), "image");
    EXPECT_TRUE(result.is_clean()) << result.corruptions << " corruptions, " << result.leaks << " leaks";
  }

  static Status wait_for(Job& job, State state) {
    for (int i = 0; i < 60'000 && !job.has_ended(); ++i) {
      const Status status = job.status();
      if (status.state == state) return status;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const Status status = job.status();
    EXPECT_EQ(status.state, state) << status.message;
    return status;
  }
  static std::unique_ptr<Job> begin(std::unique_ptr<Work> work, std::uint64_t speed = 0) {
    return std::make_unique<Job>("disk", std::move(work), speed, [] {}, job_starts);
  }
  static inline std::function<void()> job_starts;
  // To the end, with the guests going on for a moment after it.
  static void complete(Job& job) {
    wait_for(job, State::ready);
    job.complete(true);
    const Status status = wait_for(job, State::completed);
    EXPECT_TRUE(status.pivoted);
    EXPECT_EQ(status.current, status.end);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::string backing_of(const TestImage& image) {
    return qcow2::read_header(*as_host(image.file), "image").backing_file;
  }

  TestImage base_, lower_, middle_, top_;
  std::vector<char> before_, model_;
  BlockCounters counters_{};
  ChainImage* image_ = nullptr;
  std::unique_ptr<Disk> disk_;
  std::vector<std::unique_ptr<BusyGuest>> guests_;
  std::uint64_t seed_ = 100;
};

TEST_P(JobTest, PullsEverythingUp) {
  for (unsigned round = 0; round < rounds(); ++round) {
    SetUp();
    open({&top_, &middle_, &lower_, &base_});
    auto job = begin(std::make_unique<Pull>(*disk_, *image_, PullOptions{}));
    const Status status = wait_for(*job, State::completed);
    EXPECT_EQ(status.current, status.end);
    EXPECT_EQ(image_->chain().size(), 1u);
    close();
    expect_contents({&top_});
    EXPECT_EQ(backing_of(top_), "");
  }
}

TEST_P(JobTest, PullsDownToABase) {
  for (unsigned round = 0; round < rounds(); ++round) {
    SetUp();
    open({&top_, &middle_, &lower_, &base_});
    auto job = begin(std::make_unique<Pull>(*disk_, *image_, PullOptions{2, "/images/lower", "qcow2"}));
    wait_for(*job, State::completed);
    EXPECT_EQ(image_->chain().size(), 3u);
    close();
    expect_contents({&top_, &lower_, &base_});
    EXPECT_EQ(backing_of(top_), "/images/lower");
  }
}

TEST_P(JobTest, CommitsTheMiddle) {
  for (unsigned round = 0; round < rounds(); ++round) {
    SetUp();
    open({&top_, &middle_, &lower_, &base_});
    auto job = begin(std::make_unique<Commit>(*disk_, *image_, CommitPlan{1, 2, "lower", "qcow2"},
                                              CommitFiles{lower_.link(), {}}));
    wait_for(*job, State::completed);
    EXPECT_EQ(image_->chain().size(), 3u);
    close();
    expect_contents({&top_, &lower_, &base_});
    EXPECT_EQ(backing_of(top_), "lower");
  }
}

// Into a raw base that is smaller than what comes, below an image that is only read.
TEST_P(JobTest, CommitsFurtherDown) {
  for (unsigned round = 0; round < rounds(); ++round) {
    SetUp();
    open({&top_, &middle_, &lower_, &base_});
    auto job = begin(std::make_unique<Commit>(*disk_, *image_, CommitPlan{2, 3, "base", "raw"},
                                              CommitFiles{base_.link(), middle_.link()}));
    wait_for(*job, State::completed);
    EXPECT_EQ(image_->chain().size(), 3u);
    close();
    expect_contents({&top_, &middle_, &base_});
    EXPECT_EQ(backing_of(middle_), "base");
  }
}

TEST_P(JobTest, CommitsTheTopAndPivots) {
  for (unsigned round = 0; round < rounds(); ++round) {
    SetUp();
    open({&top_, &middle_, &lower_, &base_});
    auto job = begin(Mirror::commit(*disk_, *image_, 2, lower_.link()));
    complete(*job);
    EXPECT_EQ(image_->chain().size(), 2u);
    close();
    expect_contents({&lower_, &base_});
    SetUp();
    open({&top_, &middle_, &lower_, &base_});
    job = begin(Mirror::commit(*disk_, *image_, 3, base_.link()));
    complete(*job);
    EXPECT_EQ(disk_->size(), kSize);
    close();
    expect_contents({&base_});
  }
}

TEST_P(JobTest, CopiesAllAndPivots) {
  for (unsigned round = 0; round < rounds(); ++round) {
    for (const ImageFormat format : {ImageFormat::raw, ImageFormat::qcow2}) {
      SetUp();
      open({&top_, &middle_, &lower_, &base_});
      const TestImage target{make_file(), format};
      auto job = begin(Mirror::copy(*disk_, *image_, {.target = target.link(), .make = CopyOptions::New{}}));
      complete(*job);
      close();
      expect_contents({&target});
    }
  }
}

// Its old contents are nothing.
TEST_P(JobTest, CopiesOverWhatTheTargetHas) {
  open({&top_, &middle_, &lower_, &base_});
  TestImage target = qcow2_image({.size = kSize});
  scribble({&target}, 9, 40);
  auto job = begin(Mirror::copy(*disk_, *image_, {.target = target.link(), .make = {}}));
  complete(*job);
  close();
  expect_contents({&target});
}

TEST_P(JobTest, CopiesTheTopAlone) {
  for (unsigned round = 0; round < rounds(); ++round) {
    SetUp();
    open({&top_, &middle_, &lower_, &base_});
    const TestImage target{make_file(), ImageFormat::qcow2};
    auto job = begin(Mirror::copy(
        *disk_, *image_,
        {.target = target.link(), .make = CopyOptions::New{"middle", "qcow2"}, .shallow = true}));
    complete(*job);
    EXPECT_EQ(image_->chain().size(), 4u);
    close();
    expect_contents({&target, &middle_, &lower_, &base_});
    EXPECT_EQ(backing_of(target), "middle");
  }
}

// Behind the end of what it is backed by the guest zeroes and discards, and nothing of it comes back.
TEST_P(JobTest, ACopyOfTheTopAloneForgetsWhatTheGuestForgets) {
  for (const Operation operation : {Operation::write_zeroes, Operation::discard}) {
    for (const std::uint32_t version : {2u, 3u}) {
      SCOPED_TRACE(version);
      const TestImage top =
          qcow2_image({.size = kSize, .version = version, .backing_file = "base", .backing_format = "raw"});
      const TestImage target{make_file(), ImageFormat::qcow2};
      std::vector<std::byte> seen(kSize);
      {
        auto image = open_chain(links_of({&top, &base_}), {.discard = true, .use_io_uring = GetParam()});
        ChainImage& chain = *image;
        Disk disk("disk", std::move(image), DiskOptions{.discard = true}, counters_, 1);
        StepGuest guest(disk);
        std::vector<std::byte> bytes(kSize / 2, std::byte{7});
        ASSERT_EQ(guest.perform(Operation::write, kSize / 4, bytes), 0);
        auto job = begin(Mirror::copy(
            disk, chain,
            {.target = target.link(), .make = CopyOptions::New{"base", "raw"}, .shallow = true}));
        wait_for(*job, State::ready);
        bytes.resize(kSize / 2 - 5 * 512);  // on both sides of the end
        ASSERT_EQ(guest.perform(operation, kSize / 4 + 512, bytes, true), 0);
        ASSERT_EQ(guest.perform(Operation::read, 0, seen), 0);
        EXPECT_EQ(seen[kSize / 2 + (std::size_t{128} << 10)], std::byte{0});
        complete(*job);
      }
      const std::vector<char> copied = contents({&target, &base_});
      EXPECT_EQ(std::memcmp(copied.data(), seen.data(), kSize), 0);
      expect_clean(target);
    }
  }
}

// Where there is nothing at all a new target is given nothing, not even tables that say so.
TEST_P(JobTest, ACopyOfNothingTakesNoSpace) {
  for (const bool shallow : {false, true}) {
    const TestImage top = qcow2_image({.size = kSize << 13, .backing_file = "base", .backing_format = "raw"});
    auto image = open_chain(links_of({&top, &base_}), {});
    ChainImage& chain = *image;
    Disk disk("disk", std::move(image), DiskOptions{}, counters_, 1);
    const TestImage target{make_file(), ImageFormat::qcow2};
    auto job = begin(
        Mirror::copy(disk, chain, {.target = target.link(), .make = CopyOptions::New{}, .shallow = shallow}));
    wait_for(*job, State::ready);
    job->cancel();
    wait_for(*job, State::cancelled);
    EXPECT_LT(as_host(target.file)->size(), kSize / 2 + (std::uint64_t{1} << 20));
  }
}

// Its size is what the header says, and costs whoever wrote that nothing.
TEST_P(JobTest, ADiskOfAnySizeCanBeFollowed) {
  const std::uint64_t size = std::uint64_t{1} << 50;
  const TestImage top = qcow2_image({.size = size, .cluster_bits = 21}),
                  target = qcow2_image({.size = size, .cluster_bits = 21});
  auto image = open_chain(links_of({&top}), {});
  ChainImage& chain = *image;
  Disk disk("disk", std::move(image), DiskOptions{}, counters_, 1);
  StepGuest guest(disk);
  auto job = begin(Mirror::copy(disk, chain, {.target = target.link(), .make = {}}));
  std::vector<std::byte> bytes(512, std::byte{7});
  ASSERT_EQ(guest.perform(Operation::write, size - 512, bytes), 0);
  EXPECT_EQ(job->status().state, State::running);
  job->cancel();
  wait_for(*job, State::cancelled);
}

TEST_P(JobTest, CopiesARawDisk) {
  open({&base_});
  const TestImage target{make_file(), ImageFormat::qcow2};
  auto job = begin(Mirror::copy(*disk_, *image_, {.target = target.link(), .make = CopyOptions::New{}}));
  complete(*job);
  close();
  expect_contents({&target});
}

// A copy that ends without taking over is the disk of that moment.
TEST_P(JobTest, ACopyMayEndWithoutTakingOver) {
  open({&top_, &middle_, &lower_, &base_});
  const TestImage target{make_file(), ImageFormat::raw};
  auto job = begin(Mirror::copy(*disk_, *image_, {.target = target.link(), .make = CopyOptions::New{}}));
  wait_for(*job, State::ready);
  for (auto& guest : guests_) guest->end();
  job->complete(false);
  EXPECT_FALSE(wait_for(*job, State::completed).pivoted);
  EXPECT_TRUE(contents({&target}) == model_);
  close();
  expect_contents({&top_, &middle_, &lower_, &base_});
}

// And so is the base of a commit: from then on the images above it have what the guest writes.
TEST_P(JobTest, ACommitOfTheTopMayEndWithoutTakingOver) {
  open({&top_, &middle_, &lower_, &base_});
  auto job = begin(Mirror::commit(*disk_, *image_, 2, lower_.link()));
  wait_for(*job, State::ready);
  for (auto& guest : guests_) guest->end();
  job->complete(false);
  EXPECT_FALSE(wait_for(*job, State::completed).pivoted);
  EXPECT_EQ(image_->chain().size(), 4u);
  EXPECT_TRUE(contents({&lower_, &base_}) == model_);
  // It is nobody's to write any more.
  job = begin(Mirror::commit(*disk_, *image_, 2, lower_.link()));
  complete(*job);
  EXPECT_EQ(image_->chain().size(), 2u);
  close();
  expect_contents({&lower_, &base_});
}

TEST_P(JobTest, ACancelledJobLeavesTheChain) {
  for (unsigned kind = 0; kind < 4; ++kind) {
    SetUp();
    open({&top_, &middle_, &lower_, &base_});
    const TestImage target{make_file(), ImageFormat::raw};
    std::unique_ptr<Work> work;
    if (kind == 0) work = std::make_unique<Pull>(*disk_, *image_, PullOptions{});
    if (kind == 1)
      work = std::make_unique<Commit>(*disk_, *image_, CommitPlan{1, 2, "lower", "qcow2"},
                                      CommitFiles{lower_.link(), {}});
    if (kind == 2) work = Mirror::commit(*disk_, *image_, 2, lower_.link());
    if (kind == 3)
      work = Mirror::copy(*disk_, *image_, {.target = target.link(), .make = CopyOptions::New{}});
    auto job = begin(std::move(work), 64 << 10);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    job->cancel();
    wait_for(*job, State::cancelled);
    EXPECT_EQ(image_->chain().size(), 4u);
    close();
    expect_contents({&top_, &middle_, &lower_, &base_});
    expect_clean(lower_);
  }
}

TEST_P(JobTest, GoesAtTheSpeedThatIsSet) {
  open({&base_});
  guests_.clear();
  const TestImage target{make_file(), ImageFormat::raw};
  scribble({&base_}, 11, 200);
  const auto began = std::chrono::steady_clock::now();
  auto job =
      begin(Mirror::copy(*disk_, *image_, {.target = target.link(), .make = CopyOptions::New{}}), 2 << 20);
  EXPECT_EQ(job->status().speed, 2u << 20);
  EXPECT_THROW(job->complete(true), Error);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_LE(job->status().current, 3u << 20);
  job->set_speed(0);
  wait_for(*job, State::ready);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

// Whoever sees that a job has ended may use what it had.
TEST(Job, HasEndedWhenNothingOfItIsLeft) {
  struct Watched final : Work {
    Watched(std::atomic<const Job*>& job, std::atomic<bool>& told) : job_(job), told_(told) {}
    ~Watched() override {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      told_ = job_.load()->has_ended();
    }
    Step step() noexcept override { return {.next = job_.load() != nullptr ? Next::done : Next::idle}; }
    void finish(bool) override {}
    void give_up() noexcept override {}

   private:
    std::atomic<const Job*>& job_;
    std::atomic<bool>& told_;
  };
  std::atomic<const Job*> job = nullptr;
  std::atomic<bool> told = true;
  const Job one("disk", std::make_unique<Watched>(job, told), 0, [] {});
  job = &one;
  while (!one.has_ended()) std::this_thread::yield();
  EXPECT_FALSE(told);
}

// A target that is full ends the job; the guest never notices. T12.
TEST_P(JobTest, T12ATargetThatIsFullEndsTheJobAlone) {
  open({&top_, &middle_, &lower_, &base_});
  TestImage target = raw_image(kSize);
  ASSERT_EQ(::fcntl(target.file.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  auto job = begin(Mirror::copy(*disk_, *image_, {.target = target.link(), .make = {}}));
  const Status status = wait_for(*job, State::failed);
  EXPECT_EQ(status.error, EPERM);
  EXPECT_NE(status.message.find("disk: "), std::string::npos);
  close();
  expect_contents({&top_, &middle_, &lower_, &base_});
}

std::string refusal(const std::function<void()>& begin) {
  try {
    begin();
  } catch (const Error& error) {
    return error.what();
  }
  return "begun";
}

TEST_P(JobTest, WhatCannotBeIsRefusedAtTheStart) {
  open({&top_, &middle_, &lower_, &base_});
  EXPECT_NE(refusal([&] {
              Mirror::copy(*disk_, *image_, {.target = raw_image(kSize - 512).link(), .make = {}});
            }).find("holds"),
            std::string::npos);
  EXPECT_NE(
      refusal([&] { Mirror::copy(*disk_, *image_, {.target = lower_.link(), .make = {}}); }).find("already"),
      std::string::npos);
  EXPECT_NE(refusal([&] { Mirror::commit(*disk_, *image_, 2, middle_.link()); }).find("image"),
            std::string::npos);
  EXPECT_NE(refusal([&] { Mirror::commit(*disk_, *image_, 4, base_.link()); }).find("not below"),
            std::string::npos);
  EXPECT_NE(refusal([&] { Pull(*disk_, *image_, PullOptions{4, "x", "raw"}); }).find("nothing to pull"),
            std::string::npos);
  EXPECT_EQ(image_->chain().size(), 4u);
  close();
  expect_contents({&top_, &middle_, &lower_, &base_});
}

// The same file by another description, as another process has it.
TestImage by_itself(const TestImage& image, int flags) {
  const std::string path = "/proc/self/fd/" + std::to_string(image.file.get());
  return {FileDescriptor(::open(path.c_str(), flags | O_CLOEXEC)), image.format};
}

// Nobody else reads what is written, and everybody does again afterwards.
TEST_P(JobTest, AnImageThatIsWrittenIsTheJobsAlone) {
  TestImage reader = by_itself(lower_, O_RDONLY);
  open({&top_, &middle_, &reader, &base_});
  // Not before: who looked at the contents gave up the locks with the image.
  ASSERT_EQ(lock_image(reader.file.get(), {}), 0);
  TestImage writer = by_itself(lower_, O_RDWR);
  {
    const TestImage stranger = by_itself(lower_, O_RDONLY);
    ASSERT_EQ(lock_image(stranger.file.get(), {}), 0);
    ASSERT_EQ(reserve_for_writing(writer.file.get()), 0);
    EXPECT_NE(refusal([&] { Mirror::commit(*disk_, *image_, 2, writer.link()); }).find("in use by others"),
              std::string::npos);
  }
  auto job = begin(Mirror::commit(*disk_, *image_, 2, writer.link()), 64 << 10);
  writer.file = FileDescriptor();
  EXPECT_EQ(lock_image(by_itself(lower_, O_RDONLY).file.get(), {}), EAGAIN);
  job->cancel();
  wait_for(*job, State::cancelled);
  EXPECT_EQ(lock_image(by_itself(lower_, O_RDONLY).file.get(), {}), 0);
  EXPECT_EQ(lock_image(by_itself(lower_, O_RDWR).file.get(), {.writes = true}), EAGAIN);
  writer = by_itself(lower_, O_RDWR);
  ASSERT_EQ(reserve_for_writing(writer.file.get()), 0);
  job = begin(Mirror::commit(*disk_, *image_, 2, writer.link()));
  writer.file = FileDescriptor();
  complete(*job);
  EXPECT_EQ(lock_image(by_itself(lower_, O_RDONLY).file.get(), {}), EAGAIN);
  close();
  reader.file = FileDescriptor();
  expect_contents({&lower_, &base_});
}

// Nobody gets in when the job ends, however it tries.
TEST_P(JobTest, AnImageThatWasWrittenIsNeverWithoutLocks) {
  TestImage reader = by_itself(lower_, O_RDONLY);
  open({&top_, &middle_, &reader, &base_});
  // Not before: who looked at the contents gave up the locks with the image.
  ASSERT_EQ(lock_image(reader.file.get(), {}), 0);
  std::atomic<bool> ends = false;
  std::atomic<unsigned> got_in = 0, tried = 0;
  std::thread stranger([&] {
    const TestImage other = by_itself(lower_, O_RDWR);
    while (!ends) {
      got_in += lock_image(other.file.get(), {.writes = true}) == 0;
      ++tried;
    }
  });
  for (unsigned round = 0; round < 20 && got_in == 0; ++round) {
    TestImage writer = by_itself(lower_, O_RDWR);
    const int reserved = reserve_for_writing(writer.file.get());
    EXPECT_EQ(reserved, 0);
    if (reserved != 0) break;
    const bool commits = round == 19;
    auto job = begin(commits ? std::make_unique<Commit>(*disk_, *image_, CommitPlan{1, 2, "lower", "qcow2"},
                                                        CommitFiles{writer.link(), {}})
                             : std::unique_ptr<Work>(Mirror::commit(*disk_, *image_, 2, writer.link())));
    writer.file = FileDescriptor();
    if (!commits) job->cancel();
    wait_for(*job, commits ? State::completed : State::cancelled);
  }
  ends = true;
  stranger.join();
  EXPECT_EQ(got_in, 0u);
  EXPECT_GT(tried, 100u);
  close();
}

// T22: a job begins within what the worker's cage allows its control thread, and works and ends, with the
// queues that it makes, within what threads may do that work on images.
TEST_P(JobTest, T22KeepsToTheRulesOfTheCage) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer makes calls that no rule allows";
#endif
  const TestImage copy{make_file(), ImageFormat::qcow2};
  const auto result = run_probe([&] {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    install_filter(ThreadKind::control, FilterMode::report);
    job_starts = [] { install_filter(ThreadKind::io, FilterMode::report); };
    open({&top_, &middle_, &lower_, &base_});
    auto job = begin(std::make_unique<Commit>(*disk_, *image_, CommitPlan{2, 3, "base", "raw"},
                                              CommitFiles{base_.link(), middle_.link()}));
    wait_for(*job, State::completed);
    job = begin(Mirror::commit(*disk_, *image_, 1, middle_.link()), 64 << 10);
    job->cancel();
    wait_for(*job, State::cancelled);
    job = begin(Mirror::commit(*disk_, *image_, 1, middle_.link()));
    complete(*job);
    job = begin(std::make_unique<Pull>(*disk_, *image_, PullOptions{}));
    wait_for(*job, State::completed);
    job = begin(Mirror::copy(*disk_, *image_, {.target = copy.link(), .make = CopyOptions::New{}}));
    complete(*job);
    job = nullptr;
    close();
    expect_contents({&copy});
    return HasFailure() ? 1 : 0;
  });
  EXPECT_EQ(result.exit_code, 0) << result.output << " signal " << result.signal;
}

INSTANTIATE_TEST_SUITE_P(All, JobTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "uring" : "threads"; });

}  // namespace
}  // namespace warren::vmm::block::job
