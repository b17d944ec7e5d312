// A worker that is killed, and a power cut, at any write of a block job (class T11): the chain that the
// headers on disk name opens, its images check clean but for leaks, and every sector of the disk is as it was
// when the guest last flushed, or as it was at any moment since.
//
// JOB_CRASH_POINTS says how many cuts are tried (600 without it).
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "vmm-core/block/job/commit.h"
#include "vmm-core/block/job/guest_fixture.h"
#include "vmm-core/block/job/mirror.h"
#include "vmm-core/block/job/pull.h"
#include "vmm-core/block/qcow2/disk_fixture.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::job {
namespace {

using qcow2::Bytes;
using qcow2::MemoryDisk;
using qcow2::MemoryFile;
using qcow2::RandomWork;

constexpr std::uint64_t kSize = std::uint64_t{160} << 10;
constexpr std::size_t kSector = 512;

// The host's disks by the names in the headers, and the moment when all writing ends.
class Host {
 public:
  std::shared_ptr<MemoryDisk>& operator[](const std::string& name) { return disks_[name]; }
  bool has(const std::string& name) const { return disks_.contains(name); }

  // From here on writes are counted and logged; the `last`-th fails, half done, and all that come after it.
  void begin(std::uint64_t last) {
    left_ = last;
    for (auto& [name, disk] : disks_) {
      start_[name] = disk->bytes;
      disk->logs = true;
      disk->fault = [this](char what) {
        if (what == 'r') return 0;
        if (left_ == 0) return EIO;
        ++writes_;
        return --left_ == 0 ? EIO : 0;
      };
    }
  }
  std::uint64_t writes() const { return writes_; }
  bool is_dead() const { return left_ == 0; }

  // What is on disk then: all that was written, or (`power`) any of what was not synced.
  Host after(bool power, RandomWork& random) const {
    Host result;
    for (const auto& [name, disk] : disks_) {
      auto copy = std::make_shared<MemoryDisk>();
      result.disks_[name] = copy;
      copy->bytes = disk->bytes;
      if (!power || !start_.contains(name)) continue;
      copy->bytes = start_.at(name);
      std::size_t synced = 0;
      for (std::size_t i = 0; i < disk->log.size(); ++i)
        if (disk->log[i].kind == MemoryDisk::Record::Kind::sync) synced = i;
      for (std::size_t i = 0; i < disk->log.size(); ++i) {
        const MemoryDisk::Record& record = disk->log[i];
        for (std::size_t at = 0; at < record.bytes.size(); at += kSector) {
          if (i > synced && random.one_in(2)) continue;
          const std::size_t length = std::min(kSector, record.bytes.size() - at);
          if (record.offset + at + length > copy->bytes.size())
            copy->bytes.resize(record.offset + at + length);
          std::copy_n(record.bytes.begin() + static_cast<std::ptrdiff_t>(at), length,
                      copy->bytes.begin() + static_cast<std::ptrdiff_t>(record.offset + at));
        }
      }
      // A new length is the file system's business.
      if (disk->bytes.size() > copy->bytes.size()) copy->bytes.resize(disk->bytes.size());
    }
    return result;
  }

  ChainNode open(const std::string& name, const std::string& format, bool read_only,
                 std::shared_ptr<Layer> backing) {
    auto file = std::make_unique<MemoryFile>(disks_.at(name));
    if (format == "raw") {
      auto layer = std::make_shared<RawLayer>(std::move(file));
      RawLayer* raw = layer.get();
      return {.name = name, .layer = std::move(layer), .qcow2 = nullptr, .raw = raw};
    }
    auto layer = std::make_shared<qcow2::File>(std::move(file), name,
                                               qcow2::FileOptions{.read_only = read_only, .discard = true},
                                               nullptr, std::move(backing));
    qcow2::File* qcow2 = layer.get();
    return {.name = name, .layer = std::move(layer), .qcow2 = qcow2, .raw = nullptr};
  }

  // By what the headers say.
  Chain open_chain(const std::string& name, const std::string& format, bool read_only) {
    Chain below;
    if (format != "raw") {
      MemoryFile file(disks_.at(name));
      const qcow2::Header header = qcow2::read_header(file, name);
      if (!header.backing_file.empty()) below = open_chain(header.backing_file, header.backing_format, true);
    }
    Chain chain;
    chain.push_back(open(name, format, read_only, below.empty() ? nullptr : below.front().layer));
    chain.insert(chain.end(), below.begin(), below.end());
    return chain;
  }

 private:
  std::map<std::string, std::shared_ptr<MemoryDisk>> disks_;
  std::map<std::string, Bytes> start_;
  std::uint64_t left_ = ~std::uint64_t{0}, writes_ = 0;
};

Bytes contents(const Chain& chain) {
  Bytes bytes(chain.front().layer->size());
  iovec range{bytes.data(), bytes.size()};
  Scatter to(std::span<const iovec>(&range, 1));
  return chain.front().layer->read(0, bytes.size(), to) == 0 ? bytes : Bytes{};
}

enum class Kind { pull, pull_to_base, commit, commit_raw, active_commit, copy, copy_shallow };

// One disk, one job, and a guest that does something between its pieces.
class Scenario {
 public:
  Scenario(Kind kind, std::uint64_t seed) : kind_(kind), random_(seed, kSize), seed_(seed) { make_images(); }

  // Until the job has ended and some more, or the host dies at write number `last`.
  void run(std::uint64_t last) {
    Chain chain = host_.open_chain("top", "qcow2", false);
    states_ = {contents(chain)};
    const ChainOptions options{.discard = true};
    auto owner = std::make_unique<ChainImage>(std::move(chain), options);
    ChainImage& image = *owner;
    Disk disk("disk", std::move(owner), DiskOptions{}, counters_, 1);
    StepGuest guest(disk);
    host_.begin(last);
    try {
      drive(disk, image, guest);
    } catch (const Error&) {
      EXPECT_TRUE(host_.is_dead());
    }
  }

  Host& host() { return host_; }
  // What the guest's disk is on, as whoever keeps the definition knows it.
  std::string top() const { return top_; }

  bool allows(const Bytes& found, std::string& why) const {
    for (std::size_t at = 0; at < kSize; at += kSector) {
      const bool allowed = found.size() >= kSize && std::ranges::any_of(states_, [&](const Bytes& state) {
                             return std::equal(found.begin() + static_cast<std::ptrdiff_t>(at),
                                               found.begin() + static_cast<std::ptrdiff_t>(at + kSector),
                                               state.begin() + static_cast<std::ptrdiff_t>(at));
                           });
      if (allowed) continue;
      why = "sector " + std::to_string(at / kSector);
      return false;
    }
    return true;
  }

 private:
  void make_images() {
    for (const char* name : {"base", "middle", "top"}) host_[name] = std::make_shared<MemoryDisk>();
    const bool raw = kind_ == Kind::commit_raw || seed_ % 2 == 0;
    host_["base"]->bytes.resize(kSize - 48 * kSector);
    base_format_ = raw ? "raw" : "qcow2";
    const std::array<unsigned, 4> bits = {9, 12, 14, 12};
    const auto make = [&](const std::string& name, std::uint64_t size, const std::string& below,
                          const std::string& format) {
      MemoryFile file(host_[name]);
      qcow2::create(file,
                    {.size = size,
                     .version = seed_ % 7 == 3 ? 2u : 3u,
                     .cluster_bits = bits[random_.below(bits.size())],
                     .backing_file = below,
                     .backing_format = format},
                    name);
    };
    if (!raw) {
      host_["base"]->bytes.clear();
      make("base", kSize - 48 * kSector, "", "");
    }
    if (raw) host_["base"]->bytes = qcow2::pattern(0, kSize - 48 * kSector, 77);
    make("middle", kSize - 16 * kSector, "base", base_format_);
    make("top", kSize, "middle", "qcow2");
    for (const char* name : {"base", "middle", "top"}) {
      const Chain chain = host_.open_chain(name, name == std::string("base") ? base_format_ : "qcow2", false);
      for (unsigned i = 0; i < 4 && chain.front().qcow2 != nullptr; ++i) {
        auto step = random_.next();
        step.length = std::min(
            step.length, chain.front().layer->size() - std::min(chain.front().layer->size(), step.offset));
        step.stamp += 1000;
        if (step.length == 0) continue;
        ASSERT_EQ(qcow2::perform_step(*chain.front().qcow2, step), 0);
      }
    }
  }

  std::unique_ptr<Work> begin(Disk& disk, ChainImage& image) {
    const auto writable = [&](const std::string& name, std::size_t place) {
      return host_.open(name, name == "base" ? base_format_ : "qcow2", false,
                        place + 1 < image.chain().size() ? image.chain()[place + 1].layer : nullptr);
    };
    switch (kind_) {
      case Kind::pull:
        return std::make_unique<Pull>(disk, image, PullOptions{});
      case Kind::pull_to_base:
        return std::make_unique<Pull>(disk, image, PullOptions{2, "base", base_format_});
      case Kind::commit:
      case Kind::commit_raw:
        return std::make_unique<Commit>(disk, image, CommitPlan{1, 2, "base", base_format_},
                                        writable("base", 2), nullptr);
      case Kind::active_commit:
        return Mirror::commit(disk, image, 1, writable("middle", 1));
      case Kind::copy:
      case Kind::copy_shallow:
        break;
    }
    const bool shallow = kind_ == Kind::copy_shallow;
    host_["copy"] = std::make_shared<MemoryDisk>();
    MemoryFile file(host_["copy"]);
    qcow2::CreateOptions options{.size = kSize, .cluster_bits = 12};
    if (shallow) options.backing_file = "middle", options.backing_format = "qcow2";
    qcow2::create(file, options, "copy");
    return Mirror::copy(
        disk, image, host_.open("copy", "qcow2", false, shallow ? image.chain()[1].layer : nullptr), shallow);
  }

  void drive(Disk& disk, ChainImage& image, StepGuest& guest) {
    auto work = begin(disk, image);
    unsigned pieces = 0;
    while (true) {
      act(guest);
      const Work::Step step = work->step();
      if (step.error != 0 || host_.is_dead()) return work->give_up();
      if (step.next == Work::Next::done || (work->is_ready() && ++pieces > 4)) break;
    }
    try {
      work->finish(true);
    } catch (const Error&) {
      work->give_up();
      throw;
    }
    if (kind_ == Kind::active_commit) top_ = "middle";
    if (kind_ == Kind::copy || kind_ == Kind::copy_shallow) top_ = "copy";
    work.reset();
    for (unsigned i = 0; i < 3; ++i) act(guest);
  }

  void act(StepGuest& guest) {
    const RandomWork::Step step = random_.next();
    using What = RandomWork::Step::Kind;
    if (step.kind == What::discard || step.kind == What::read || host_.is_dead()) return;
    Bytes bytes = qcow2::pattern(step.offset, step.length, step.stamp);
    if (step.kind == What::flush) {
      if (guest.perform(Operation::flush, 0, bytes) == 0) states_.erase(states_.begin(), states_.end() - 1);
      return;
    }
    Bytes next = states_.back();
    qcow2::model_step(next, step);
    states_.push_back(std::move(next));
    guest.perform(step.kind == What::write ? Operation::write : Operation::write_zeroes, step.offset, bytes,
                  step.kind == What::zero_unmap);
  }

  const Kind kind_;
  RandomWork random_;
  const std::uint64_t seed_;
  Host host_;
  std::string base_format_, top_ = "top";
  BlockCounters counters_{};
  std::vector<Bytes> states_;  // since the last flush
};

void look(Scenario& scenario, bool power, std::uint64_t last, std::uint64_t seed) {
  RandomWork random(last * 2 + (power ? 1 : 0), 512);
  Host host = scenario.host().after(power, random);
  const std::string what =
      "seed " + std::to_string(seed) + ", write " + std::to_string(last) + (power ? ", power" : ", kill");
  try {
    const Chain chain = host.open_chain(scenario.top(), "qcow2", false);
    std::string why;
    ASSERT_TRUE(scenario.allows(contents(chain), why)) << what << ": " << why;
  } catch (const std::exception& error) {
    FAIL() << what << ": " << error.what();
  }
  for (const char* name : {"top", "middle", "base"}) {
    if (host[name]->bytes.size() < 4 || host[name]->bytes[0] != std::byte{'Q'}) continue;
    MemoryFile file(host[name]);
    const auto result = qcow2::check(file, name);
    ASSERT_EQ(result.corruptions, 0u) << what << ", " << name << ": " << messages(result);
  }
}

class JobCrash : public testing::TestWithParam<Kind> {};

TEST_P(JobCrash, T11EveryMomentOfAJobIsAGoodChain) {
  const char* wanted = std::getenv("JOB_CRASH_POINTS");
  const std::size_t points = (wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : 600) / 7 + 1;
  std::size_t tried = 0;
  for (std::uint64_t seed = 1; tried < points && !HasFailure(); ++seed) {
    Scenario whole(GetParam(), seed);
    whole.run(~std::uint64_t{0});
    const std::uint64_t writes = whole.host().writes();
    ASSERT_GT(writes, 0u);
    look(whole, false, writes, seed);
    const std::uint64_t stride = std::max<std::uint64_t>(1, writes / 40);
    for (std::uint64_t last = 1 + seed % stride; last <= writes && !HasFailure(); last += stride) {
      Scenario scenario(GetParam(), seed);
      scenario.run(last);
      look(scenario, false, last, seed);
      look(scenario, true, last, seed);
      tried += 2;
    }
  }
  std::printf("%zu cuts\n", tried);
}

constexpr std::array kNames = {"pull",          "pull_to_base", "commit",      "commit_raw",
                               "active_commit", "copy",         "copy_shallow"};

INSTANTIATE_TEST_SUITE_P(All, JobCrash,
                         testing::Values(Kind::pull, Kind::pull_to_base, Kind::commit, Kind::commit_raw,
                                         Kind::active_commit, Kind::copy, Kind::copy_shallow),
                         [](const auto& test) {
                           return std::string(kNames[static_cast<std::size_t>(test.param)]);
                         });

}  // namespace
}  // namespace warren::vmm::block::job
