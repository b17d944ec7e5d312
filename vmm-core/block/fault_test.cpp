// One piece of work on disks of every kind, made again and again with another call to the host failing each
// time (class T12): every request comes back once and says what became of it, what was written before stays,
// and so does the image.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/block/chain.h"
#include "vmm-core/block/faulty_calls.h"
#include "vmm-core/block/qcow2/check.h"
#include "vmm-core/block/qcow2/create.h"
#include "vmm-core/block/raw_file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kSector = 512, kSectors = 512, kSize = kSector * kSectors;

struct Setting {
  const char* name;
  bool use_io_uring = true;
  ImageFormat format = ImageFormat::qcow2;
  bool backed = false;
  bool copy_on_read = false;
  qcow2::CreateOptions options = {.size = kSize, .cluster_bits = 12};
};

using Word = std::uint32_t;
using Sector = std::array<Word, kSector / sizeof(Word)>;

FileDescriptor make_file(std::uint64_t bytes) {
  FileDescriptor file(::memfd_create("image", MFD_CLOEXEC));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) throw_errno("memfd");
  return file;
}
RawFile host_file(const FileDescriptor& file) {
  return RawFile(std::make_unique<RawImage>(file.duplicate(), "image", RawImageOptions{}));
}

// One request, with what it carries.
class Step final : public Completion {
 public:
  void completed(Request&, int result) noexcept override {
    ++completions;
    error = result;
  }

  Request request;
  std::vector<Sector> memory;
  std::array<iovec, 2> ranges{};
  Word stamp = 0;  // of a write
  int completions = 0, error = 0;
};

// What each sector may hold: a write that failed may have been made, in part too.
class Model {
 public:
  explicit Model(bool backed) : now_(kSectors), flushed_(kSectors) {
    for (std::uint64_t sector = 0; sector < kSectors; ++sector)
      now_[sector] = flushed_[sector] = {backed ? stamp_below(sector) : 0};
  }
  static Word stamp_below(std::uint64_t sector) { return static_cast<Word>(1000 + sector); }

  void note(const Step& step) {
    const Request& request = step.request;
    if (request.operation == Operation::flush) {
      if (step.error == 0) flushed_ = now_;
      return;
    }
    if (request.operation == Operation::read) return;
    const bool certain = step.error == 0 && request.operation != Operation::discard;
    const std::uint64_t first = first_, count = count_;
    for (std::uint64_t sector = first; sector < first + count; ++sector) {
      if (certain) now_[sector].clear();
      now_[sector].insert(step.stamp);
      flushed_[sector].insert(step.stamp);
      if (certain && request.durable) flushed_[sector] = now_[sector];
    }
  }
  // The request's own members are used up when it has come back.
  void set_place(std::uint64_t first, std::uint64_t count) { first_ = first, count_ = count; }

  bool may_be(std::uint64_t first, const std::vector<Sector>& found) const {
    return fits(now_, first, found);
  }
  bool may_stay(const std::vector<Sector>& found) const { return fits(flushed_, 0, found); }

 private:
  using Possible = std::vector<std::set<Word>>;
  static bool fits(const Possible& possible, std::uint64_t first, const std::vector<Sector>& found) {
    for (std::size_t i = 0; i < found.size(); ++i)
      for (const Word word : found[i])
        if (!possible[first + i].contains(word)) return false;
    return true;
  }

  Possible now_, flushed_;
  std::uint64_t first_ = 0, count_ = 0;
};

struct Work {
  Operation operation;
  std::uint64_t sector, sectors;
  bool flag = false;  // durable; may_unmap
};
// What is in one list is under way at once, and shares clusters and no sectors.
const std::vector<std::vector<Work>> kWork = {
    {{Operation::write, 3, 5}, {Operation::write, 20, 30}, {Operation::read, 60, 17}},
    {{Operation::flush, 0, 0}},
    {{Operation::write, 100, 3, true}, {Operation::write, 108, 4, true}, {Operation::read, 300, 40}},
    {{Operation::write_zeroes, 18, 20, true},
     {Operation::write_zeroes, 200, 24},
     {Operation::discard, 400, 16}},
    {{Operation::read, 0, kSectors}},
    {{Operation::write, 3, 5},
     {Operation::write, 40, 2},
     {Operation::write, 210, 5},
     {Operation::read, 100, 12}},
    {{Operation::flush, 0, 0}},
    {{Operation::discard, 32, 32}, {Operation::write, 480, 32}},
    {{Operation::flush, 0, 0}},
};

class FaultTest : public testing::TestWithParam<Setting> {
 protected:
  FaultTest() {
    plan_no_faults();
    if (!GetParam().backed) return;
    std::vector<Sector> sectors(kSectors);
    for (std::uint64_t i = 0; i < kSectors; ++i) sectors[i].fill(Model::stamp_below(i));
    if (::pwrite(below_.get(), sectors.data(), kSize, 0) != static_cast<ssize_t>(kSize))
      throw_errno("pwrite");
  }

  void make_image() {
    plan_no_faults();
    const bool raw = GetParam().format == ImageFormat::raw;
    file_ = make_file(raw ? kSize : 0);
    if (raw) return;
    RawFile host = host_file(file_);
    qcow2::create(host, GetParam().options, "image");
  }
  std::unique_ptr<Image> open() {
    std::vector<ChainLink> links;
    links.push_back({.descriptor = file_.duplicate(), .name = "image", .format = GetParam().format});
    if (GetParam().backed) links.push_back({.descriptor = below_.duplicate(), .name = "below"});
    return open_chain(std::move(links), {.discard = true,
                                         .copy_on_read = GetParam().copy_on_read,
                                         .use_io_uring = GetParam().use_io_uring,
                                         .cache_bytes = 4096});
  }

  // One list of it: submitted together, and waited for.
  void perform(BlockQueue& queue, Model& model, const std::vector<Work>& works) {
    std::vector<Step> steps(works.size());
    for (std::size_t i = 0; i < works.size(); ++i) {
      const Work& work = works[i];
      Step& step = steps[i];
      step.request.operation = work.operation;
      step.request.offset = work.sector * kSector;
      step.request.length = work.sectors * kSector;
      step.request.completion = &step;
      if (work.operation == Operation::read || work.operation == Operation::write) {
        if (work.operation == Operation::write) step.stamp = ++stamp_;
        step.memory.resize(work.sectors);
        for (Sector& sector : step.memory) sector.fill(step.stamp);
        auto* bytes = reinterpret_cast<char*>(step.memory.data());  // an iovec in two parts
        step.ranges = {{{bytes, 300}, {bytes + 300, work.sectors * kSector - 300}}};
        step.request.ranges = step.ranges;
      }
      (work.operation == Operation::write ? step.request.durable : step.request.may_unmap) = work.flag;
      queue.submit(step.request);
    }
    queue.kick();
    wait(queue, steps);
    for (std::size_t i = 0; i < works.size(); ++i) judge(model, works[i], steps[i]);
  }

  void wait(BlockQueue& queue, const std::vector<Step>& steps) {
    const auto all_back = [&steps] {
      return std::ranges::all_of(steps, [](const Step& step) { return step.completions != 0; });
    };
    for (int i = 0; i < 5000 && !all_back(); ++i) {
      if (queue.reap() != 0) continue;
      pollfd event{queue.event_descriptor(), POLLIN, 0};
      ::poll(&event, 1, 1);
    }
    ASSERT_TRUE(all_back()) << "a request never came back";
  }

  void judge(Model& model, const Work& work, const Step& step) {
    EXPECT_EQ(step.completions, 1);
    EXPECT_TRUE(step.error == 0 || expected_.contains(step.error)) << step.error;
    if (work.operation == Operation::read && step.error == 0) {
      EXPECT_TRUE(model.may_be(work.sector, step.memory)) << "read at sector " << work.sector;
    }
    model.set_place(work.sector, work.sectors);
    model.note(step);
  }

  // All of it, with what was planned before. `errors`: what requests may end with.
  void run(std::set<int> errors, const std::function<void()>& plan) {
    Model model(GetParam().backed);
    make_image();
    {
      const auto image = open();
      const auto queue = image->make_queue(8);
      expected_ = std::move(errors);
      plan();
      for (const auto& works : kWork) perform(*queue, model, works);
      for (std::size_t i = 0; i < all_.size(); ++i) calls_[i] = all_[i]->calls();
      plan_no_faults();
      // When the host works again, so does all that is no flush.
      const std::set<int> during = std::exchange(expected_, {});
      perform(*queue, model, {{Operation::read, 0, kSectors}});
      expected_ = during;
    }
    check(model);
  }

  void check(const Model& model) {
    // What is lazy counts when it is opened after what it could not finish.
    if (GetParam().options.lazy_refcounts) open();
    if (GetParam().format == ImageFormat::qcow2) {
      RawFile host = host_file(file_);
      const auto result = qcow2::check(host, "image");
      EXPECT_EQ(result.corruptions, 0u) << (result.messages.empty() ? "" : result.messages.front());
    }
    const auto image = open();
    Step all;
    all.memory.resize(kSectors);
    all.ranges[0] = {all.memory.data(), kSize};
    all.request.length = kSize;
    all.request.ranges = std::span(all.ranges).first(1);
    all.request.completion = &all;
    const auto queue = image->make_queue(8);
    queue->submit(all.request);
    queue->drain();
    EXPECT_EQ(all.error, 0);
    EXPECT_TRUE(model.may_stay(all.memory)) << "what was flushed is gone";
  }

  const std::array<Faults*, 5> all_ = {&reads, &writes, &syncs, &allocations, &truncations};
  const std::array<const char*, 5> names_ = {"read", "write", "sync", "fallocate", "ftruncate"};
  FileDescriptor below_ = make_file(kSize), file_;
  std::array<std::size_t, 5> calls_{};
  std::set<int> expected_;
  Word stamp_ = 0;
};

TEST_P(FaultTest, T12EveryCallFailsOnce) {
  run({}, [] {});
  const auto calls = calls_;
  EXPECT_GT(calls[0], 2u);
  EXPECT_GT(calls[1], 4u);
  EXPECT_GT(calls[2], 2u);
  for (std::size_t kind = 0; kind < all_.size(); ++kind) {
    for (std::size_t call = 0; call < calls[kind]; ++call) {
      SCOPED_TRACE(testing::Message() << names_[kind] << " " << call);
      for (const int error : {EIO, ENOSPC})
        run({error}, [&] { all_[kind]->plan_after(call, {.error = error}); });
      for (const int error : {EINTR, EAGAIN})
        run({}, [&] { all_[kind]->plan_after(call, {.error = error}); });
      if (kind < 2) run({}, [&] { all_[kind]->plan_after(call, {.most = 700}); });
      if (HasFatalFailure()) return;
    }
  }
}

// Half of a transfer is done, and then the host is gone for good.
TEST_P(FaultTest, T12EveryCallFromOneOnFails) {
  run({}, [] {});
  const auto calls = calls_;
  for (std::size_t kind = 0; kind < all_.size(); ++kind) {
    for (std::size_t call = 0; call < calls[kind]; call += 3) {
      SCOPED_TRACE(testing::Message() << names_[kind] << " " << call);
      run({EIO}, [&] {
        std::vector<Faults::Step> steps(call + 1000, {.error = EIO});
        for (std::size_t i = 0; i < call; ++i) steps[i] = {};
        if (kind < 2 && call != 0) steps[call - 1].most = 700;
        all_[kind]->plan(std::move(steps));
      });
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(FaultTest, T12AnImageThatCannotBeOpenedIsRefused) {
  for (const std::size_t kind : {0u, 1u, 2u}) {
    for (std::size_t call = 0; call < 8; ++call) {
      make_image();
      for (const int error : {EIO, EINTR}) {
        all_[kind]->plan_after(call, {.error = error});
        try {
          open();
        } catch (const Error& refused) {
          EXPECT_EQ(error, EIO) << refused.what();
        }
      }
      plan_no_faults();
      check(Model(GetParam().backed));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, FaultTest,
    testing::Values(Setting{"raw_uring", true, ImageFormat::raw},
                    Setting{"raw_threads", false, ImageFormat::raw}, Setting{"qcow2_uring"},
                    Setting{"qcow2_threads", false}, Setting{"backed_uring", true, ImageFormat::qcow2, true},
                    Setting{"backed_threads",
                            false,
                            ImageFormat::qcow2,
                            true,
                            false,
                            {.size = kSize, .cluster_bits = 14, .extended_l2 = true}},
                    Setting{"copy_on_read", true, ImageFormat::qcow2, true, true},
                    Setting{"lazy",
                            true,
                            ImageFormat::qcow2,
                            false,
                            false,
                            {.size = kSize, .cluster_bits = 12, .lazy_refcounts = true}}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace warren::vmm::block
