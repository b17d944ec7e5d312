// A power cut at any moment (class T11): what was written to the host is recorded, and every prefix of it,
// cut at each sync and torn at each sector, and with what a disk may reorder between two syncs, must open,
// check clean but for leaks, and hold everything that was flushed.
//
// CRASH_POINTS says how many cuts are tried (5,000 without it).
#include <cstdlib>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "vmm-core/block/qcow2/disk_fixture.h"

namespace warren::vmm::block::qcow2 {
namespace {

constexpr std::size_t kSector = 512;

// What the guest's disk held, and when: after how many records of the host's log.
struct Moment {
  std::size_t records = 0;
  Bytes disk;
  bool flushed = false;  // all of it is on stable storage
};

class History {
 public:
  explicit History(Bytes start) { moments_.push_back({0, std::move(start), true}); }
  void add(std::size_t records, Bytes disk, bool flushed) {
    moments_.push_back({records, std::move(disk), flushed});
  }

  // Whether a disk that is found after `records` of the log may be that: each sector is as it was when it was
  // last flushed, or as it was at any moment since.
  bool allows(std::size_t records, const Bytes& found, std::string& why) const {
    std::size_t first = 0, last = 0;
    for (std::size_t i = 0; i < moments_.size(); ++i) {
      if (moments_[i].flushed && moments_[i].records <= records) first = i;
      // The step that was under way counts too.
      if (i == 0 || moments_[i - 1].records <= records) last = i;
    }
    for (std::size_t at = 0; at < found.size(); at += kSector) {
      bool allowed = false;
      for (std::size_t i = first; i <= last && !allowed; ++i)
        allowed = std::equal(found.begin() + static_cast<std::ptrdiff_t>(at),
                             found.begin() + static_cast<std::ptrdiff_t>(at + kSector),
                             moments_[i].disk.begin() + static_cast<std::ptrdiff_t>(at));
      if (allowed) continue;
      why = "sector " + std::to_string(at / kSector) + " between moments " + std::to_string(first) + " and " +
            std::to_string(last);
      return false;
    }
    return true;
  }

 private:
  std::vector<Moment> moments_;
};

void apply(Bytes& bytes, const MemoryDisk::Record& record, std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  if (record.offset + end > bytes.size()) bytes.resize(record.offset + end);
  std::copy(record.bytes.begin() + static_cast<std::ptrdiff_t>(begin),
            record.bytes.begin() + static_cast<std::ptrdiff_t>(end),
            bytes.begin() + static_cast<std::ptrdiff_t>(record.offset + begin));
}

class Cuts {
 public:
  Cuts(const Disk& disk, const History& history, std::uint64_t seed)
      : disk_(disk), history_(history), seed_(seed) {}

  // Returns how many cuts were tried.
  std::size_t run(Bytes start) {
    const auto& log = disk_.host->log;
    Bytes durable = std::move(start);
    RandomWork random(seed_, 512);
    std::size_t tried = 0, epoch = 0;
    while (epoch < log.size() && !testing::Test::HasFatalFailure()) {
      std::size_t end = epoch;
      while (end < log.size() && log[end].kind == MemoryDisk::Record::Kind::write) ++end;
      Bytes now = durable;
      for (std::size_t i = epoch; i < end; ++i) {
        // In order, torn at each sector.
        for (std::size_t at = 0; at < log[i].bytes.size(); at += kSector) {
          // Of long data every sector is alike; its first ones and its last are enough.
          if (at > 8 * kSector && at + 2 * kSector < log[i].bytes.size() && !random.one_in(8)) continue;
          Bytes torn = now;
          apply(torn, log[i], 0, at);
          look(torn, i, "torn");
          ++tried;
        }
        apply(now, log[i], 0, log[i].bytes.size());
      }
      look(now, end, "cut");
      ++tried;
      // Out of order: any sectors of anything since the last sync.
      for (std::size_t i = 0; i < (end - epoch > 1 ? 6u : 0u); ++i) {
        Bytes mixed = durable;
        const std::uint64_t odds = 2 + random.below(3);
        for (std::size_t j = epoch; j < end; ++j) {
          for (std::size_t at = 0; at < log[j].bytes.size(); at += kSector) {
            if (!random.one_in(odds)) apply(mixed, log[j], at, std::min(at + kSector, log[j].bytes.size()));
          }
        }
        look(mixed, end, "mixed");
        ++tried;
      }
      durable = std::move(now);
      epoch = end + 1;
    }
    return tried;
  }

 private:
  void look(Bytes bytes, std::size_t records, const char* how) {
    Disk found;
    found.host->bytes = std::move(bytes);
    found.backing = disk_.backing;
    Bytes content;
    try {
      auto file = found.open({});
      content = whole_disk(*file);
      file.reset();
    } catch (const std::exception& error) {
      FAIL() << "seed " << seed_ << ", " << how << " after " << records << ": " << error.what();
    }
    std::string why;
    ASSERT_TRUE(history_.allows(records, content, why))
        << "seed " << seed_ << ", " << how << " after " << records << ": " << why;
    const CheckResult result = found.check();
    ASSERT_EQ(result.corruptions, 0u)
        << "seed " << seed_ << ", " << how << " after " << records << ": " << messages(result);
  }

  const Disk& disk_;
  const History& history_;
  const std::uint64_t seed_;
};

// Some work on an image; then all the cuts of it.
std::size_t crash(std::uint64_t seed) {
  RandomWork work(seed, 512);
  CreateOptions options = random_options(work);
  options.size = std::min<std::uint64_t>(options.size, (64 + work.below(128)) * kSector);
  if (options.cluster_bits > 14) options.cluster_bits = 14;
  Disk disk;
  if (work.one_in(3)) {
    disk.backing = std::make_shared<MemoryDisk>();
    disk.backing->bytes = pattern(0, options.size, 0x8000'0000);
  }
  disk.create_image(options);
  const Bytes start = disk.host->bytes;
  disk.host->logs = true;
  auto file = disk.open();
  History history(whole_disk(*file));
  RandomWork steps(seed + 1, options.size);
  const bool snapshots = options.version >= 3 && options.refcount_order >= 2 && work.one_in(3);
  for (int i = 0; i < 14; ++i) {
    auto step = steps.next();
    bool flushed = step.kind == RandomWork::Step::Kind::flush;
    if (snapshots && i % 5 == 3) {
      file->create_snapshot("s", 0, 0);
      if (i > 8) file->delete_snapshot("1");
      flushed = true;
    } else {
      EXPECT_EQ(perform_step(*file, step), 0);
    }
    history.add(disk.host->log.size(), whole_disk(*file), flushed);
  }
  file.reset();
  history.add(disk.host->log.size(), whole_disk(*disk.open({.read_only = true})), true);
  return Cuts(disk, history, seed).run(start);
}

TEST(Qcow2Crash, T11EveryPrefixOfTheLogIsAGoodImage) {
  const char* wanted = std::getenv("CRASH_POINTS");
  const std::size_t points = wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : 5000;
  std::size_t tried = 0;
  std::uint64_t seed = 1;
  for (; tried < points; ++seed) {
    tried += crash(seed);
    if (HasFailure()) break;
  }
  std::printf("%zu cuts of %llu images\n", tried, static_cast<unsigned long long>(seed - 1));
}

}  // namespace
}  // namespace warren::vmm::block::qcow2
