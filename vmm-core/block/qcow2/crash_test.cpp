// A power cut at any moment (class T11): what was written to the host is recorded, and every prefix of it,
// cut at each sync and torn at each sector, and with what a disk may reorder between two syncs, must open,
// check clean but for leaks, and hold everything that was flushed.
//
// CRASH_POINTS says how many cuts are tried (5,000 without it), CRASH_FIRST the number of the first image. Of
// some QEMU's tools are asked as well.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "vmm-core/block/qcow2/disk_fixture.h"
#include "vmm-core/block/qcow2/peer_program.h"

namespace warren::vmm::block::qcow2 {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSector = 512;
constexpr std::size_t kPeerLooks = 250;  // at one of so many cuts

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
    const auto is_as = [&](const Moment& moment, std::size_t at) {
      const auto begin = static_cast<std::ptrdiff_t>(at), end = begin + static_cast<std::ptrdiff_t>(kSector);
      return moment.disk.size() > at &&
             std::equal(found.begin() + begin, found.begin() + end, moment.disk.begin() + begin);
    };
    const auto any = [&](auto&& is) {
      return std::any_of(moments_.begin() + static_cast<std::ptrdiff_t>(first),
                         moments_.begin() + static_cast<std::ptrdiff_t>(last) + 1, is);
    };
    why = " between moments " + std::to_string(first) + " and " + std::to_string(last);
    if (!any([&](const Moment& moment) { return moment.disk.size() == found.size(); })) {
      why = std::to_string(found.size()) + " bytes" + why;
      return false;
    }
    for (std::size_t at = 0; at < found.size(); at += kSector) {
      if (any([&](const Moment& moment) { return is_as(moment, at); })) continue;
      why = "sector " + std::to_string(at / kSector) + why;
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

// QEMU's tools on what is left of an image: they find nothing wrong with it but leaks, and read the same.
class PeerLook {
 public:
  PeerLook() {
    std::string name =
        (fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path().string()) + "/qcow2-crash-XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~PeerLook() { fs::remove_all(folder_); }
  PeerLook(const PeerLook&) = delete;
  PeerLook& operator=(const PeerLook&) = delete;

  // What they say against it; nothing is good. `content` gets what they read.
  std::string complaint(const Disk& disk, Bytes& content) {
    const fs::path image = folder_ / "image", raw = folder_ / "raw";
    save(image, disk.host->bytes);
    if (disk.backing) save(folder_ / "base", disk.backing->bytes);
    const auto features = load<std::uint64_t>(disk.host->bytes.data() + field::kIncompatible);
    const bool dirty = disk.host->bytes[field::kVersion + 3] == std::byte{3} && (features & kDirty) != 0;
    std::vector<std::string> words = {"qemu-img", "check", "-f", "qcow2"};
    if (dirty) words.insert(words.end(), {"-r", "all"});
    words.push_back(image);
    std::string said;
    constexpr int kLeaks = 3;
    if (const int status = run_peer(words, said); status != 0 && (dirty || status != kLeaks)) return said;
    if (run_peer({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw}, said) != 0) return said;
    content.resize(fs::file_size(raw));
    std::ifstream(raw, std::ios::binary)
        .read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(content.size()));
    return {};
  }

 private:
  static void save(const fs::path& path, const Bytes& bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  fs::path folder_;
};

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
    const std::string where =
        "seed " + std::to_string(seed_) + ", " + how + " after " + std::to_string(records) + ": ";
    static PeerLook peer;
    static std::size_t looks = 0;
    std::string why;
    Disk found;
    found.host->bytes = std::move(bytes);
    found.backing = disk_.backing;
    if (looks++ % kPeerLooks == 0) {
      Bytes read;
      ASSERT_EQ(peer.complaint(found, read), "") << where;
      ASSERT_TRUE(history_.allows(records, read, why)) << where << "the peer reads: " << why;
    }
    Bytes content;
    try {
      auto file = found.open({});
      content = whole_disk(*file);
      file.reset();
    } catch (const std::exception& error) {
      FAIL() << where << error.what();
    }
    ASSERT_TRUE(history_.allows(records, content, why)) << where << why;
    const CheckResult result = found.check();
    ASSERT_EQ(result.corruptions, 0u) << where << messages(result);
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
    disk.back_with(pattern(0, options.size, 0x8000'0000));
  }
  disk.create_image(options);
  const Bytes start = disk.host->bytes;
  disk.host->logs = true;
  auto file = disk.open();
  History history(whole_disk(*file));
  RandomWork steps(seed + 1, options.size);
  const bool snapshots = options.version >= 3 && options.refcount_order >= 2 && work.one_in(3);
  const bool resizes = !snapshots && work.one_in(3);
  for (int i = 0; i < 14; ++i) {
    auto step = steps.next();
    bool flushed = step.kind == RandomWork::Step::Kind::flush;
    if (snapshots && i % 5 == 3) {
      file->create_snapshot("s", 0, 0);
      if (i > 8) file->delete_snapshot("1");
      if (i > 12) file->apply_snapshot("2");
      flushed = true;
    } else if (resizes && i % 4 == 2) {
      file->resize((32 + work.below(160)) * kSector);
      steps.set_size(file->size());
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
  const char* from = std::getenv("CRASH_FIRST");
  const std::uint64_t first = from != nullptr ? std::strtoul(from, nullptr, 10) : 1;
  std::size_t tried = 0;
  std::uint64_t seed = first;
  for (; tried < points && !HasFailure(); ++seed) tried += crash(seed);
  std::printf("%zu cuts of %llu images\n", tried, static_cast<unsigned long long>(seed - first));
}

}  // namespace
}  // namespace warren::vmm::block::qcow2
