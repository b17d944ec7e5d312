// The disk in an image, against a plain model of one: every option, random work, and failures of the host in
// the middle of it (classes T10, T12).
#include <map>

#include <gtest/gtest.h>

#include "vmm-core/block/qcow2/disk_fixture.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

void run(std::uint64_t seed, bool with_backing, bool external) {
  RandomWork work(seed, 512);
  CreateOptions options = random_options(work);
  Disk disk;
  if (external) {
    options.version = 3;
    options.data_file = "data";
    options.raw_data_file = !with_backing && work.one_in(2);
    disk.data = std::make_shared<MemoryDisk>();
  }
  Bytes model(options.size);
  if (with_backing) {
    // Shorter and longer ones.
    disk.back_with(pattern(0, (1 + work.below(options.size / 512 + 64)) * 512, 0x8000'0000));
    std::copy_n(disk.backing->bytes.begin(), std::min(disk.backing->bytes.size(), model.size()),
                model.begin());
  }
  disk.create_image(options);
  RandomWork steps(seed + 1, options.size);
  auto file = disk.open();
  for (int i = 0; i < 60; ++i) {
    const auto step = steps.next();
    ASSERT_EQ(perform_step(*file, step), 0) << "seed " << seed << " step " << i;
    model_step(model, step);
    const Bytes now = whole_disk(*file);
    ASSERT_EQ(now.size(), model.size());
    if (step.kind == RandomWork::Step::Kind::discard) {
      // Whole clusters read as zeros, the rest as before.
      for (std::uint64_t at = step.offset; at < step.offset + step.length; at += 512) {
        if (now[at] == std::byte{0})
          std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(at), 512, std::byte{0});
      }
    }
    ASSERT_TRUE(now == model) << "seed " << seed << " step " << i << " kind " << static_cast<int>(step.kind);
    if (i % 20 == 19) {
      file.reset();
      const CheckResult result = disk.check();
      ASSERT_TRUE(result.is_clean()) << "seed " << seed << ": " << messages(result);
      file = disk.open();
    }
  }
  if (options.raw_data_file) {
    Bytes data = disk.data->bytes;
    data.resize(model.size());
    EXPECT_TRUE(data == model) << "seed " << seed;
  }
}

TEST(Qcow2File, HoldsWhatIsWritten) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) ASSERT_NO_FATAL_FAILURE(run(seed, false, false));
}
TEST(Qcow2File, HoldsWhatIsWrittenOverABackingFile) {
  for (std::uint64_t seed = 1001; seed <= 1060; ++seed) ASSERT_NO_FATAL_FAILURE(run(seed, true, false));
}
TEST(Qcow2File, HoldsWhatIsWrittenInAnExternalDataFile) {
  for (std::uint64_t seed = 2001; seed <= 2040; ++seed)
    ASSERT_NO_FATAL_FAILURE(run(seed, seed % 2 == 0, true));
}

// Each operation of the host fails once, wherever it is met.
TEST(Qcow2File, T12AFailureOfTheHostIsToldAndNothingElseIsHurt) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    RandomWork work(seed, 512);
    Disk disk;
    CreateOptions options = random_options(work);
    disk.create_image(options);
    Bytes model(options.size);
    auto file = disk.open();
    const char what = "wwrsz"[seed % 5];
    const int error = seed % 2 == 0 ? EIO : ENOSPC;
    std::uint64_t countdown = 3 + work.below(60);
    disk.host->fault = [&](char kind) {
      return kind == what && countdown != 0 && --countdown == 0 ? error : 0;
    };
    RandomWork steps(seed + 7, options.size);
    for (int i = 0; i < 60; ++i) {
      const auto step = steps.next();
      const int result = perform_step(*file, step);
      ASSERT_TRUE(result == 0 || result == error) << result;
      const auto begin = static_cast<std::ptrdiff_t>(step.offset);
      const bool reads =
          step.kind == RandomWork::Step::Kind::read || step.kind == RandomWork::Step::Kind::flush;
      Bytes now = whole_disk(*file);
      if (now.empty()) now = whole_disk(*file);  // that one failed
      // What the step did not touch is as it was.
      for (std::size_t at = 0; at < model.size(); at += 512) {
        const bool touched = !reads && at >= step.offset && at < step.offset + step.length;
        if (touched && (result != 0 || step.kind == RandomWork::Step::Kind::discard)) continue;
        if (touched) continue;
        ASSERT_TRUE(std::equal(now.begin() + static_cast<std::ptrdiff_t>(at),
                               now.begin() + static_cast<std::ptrdiff_t>(at) + 512,
                               model.begin() + static_cast<std::ptrdiff_t>(at)))
            << "seed " << seed << " step " << i << " at " << at << " from " << begin;
      }
      model = now;
    }
    disk.host->fault = {};
    ASSERT_EQ(file->flush(), 0);
    file.reset();
    const CheckResult result = disk.check();
    ASSERT_EQ(result.corruptions, 0u) << "seed " << seed << ": " << messages(result);
    ASSERT_TRUE(whole_disk(*disk.open()) == model) << "seed " << seed;
  }
}

TEST(Qcow2File, GrowsAndShrinks) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    RandomWork work(seed, 512);
    Disk disk;
    CreateOptions options = random_options(work);
    const bool backed = seed % 3 == 0;
    if (backed) {
      disk.back_with(pattern(0, 300 * 512, 0x8000'0000));
    }
    disk.create_image(options);
    auto file = disk.open();
    Bytes model = whole_disk(*file);
    for (int round = 0; round < 6; ++round) {
      RandomWork steps(seed * 100 + static_cast<std::uint64_t>(round), model.size());
      for (int i = 0; i < 10; ++i) ASSERT_EQ(perform_step(*file, steps.next()), 0);
      model = whole_disk(*file);
      const std::uint64_t bytes = (1 + work.below(4096)) * 512;
      file->resize(bytes);
      model.resize(bytes);
      ASSERT_TRUE(whole_disk(*file) == model) << "seed " << seed << " round " << round;
    }
    file.reset();
    const CheckResult result = disk.check();
    ASSERT_TRUE(result.is_clean()) << "seed " << seed << ": " << messages(result);
    ASSERT_TRUE(whole_disk(*disk.open()) == model);
  }
}

// Whoever makes the disk larger again need not look for what was there.
TEST(Qcow2File, NothingIsLeftBehindTheEndOfAShrunkDisk) {
  for (const bool kept : {false, true}) {
    Disk disk;
    disk.create_image({.size = 1 << 20});
    auto file = disk.open();
    ASSERT_EQ(write_disk(*file, 0, pattern(0, 131072, 1)), 0);
    if (kept) file->create_snapshot("kept", 0, 0);
    file->resize(4096);
    file.reset();
    store(disk.host->bytes.data() + field::kSize, std::uint64_t{131072});
    Bytes expected = pattern(0, 4096, 1);
    expected.resize(131072);
    EXPECT_TRUE(whole_disk(*disk.open()) == expected);
    EXPECT_TRUE(disk.check().is_clean()) << messages(disk.check());
  }
}

TEST(Qcow2File, SnapshotsComeAndGo) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    RandomWork work(seed, 512);
    Disk disk;
    CreateOptions options = random_options(work);
    if (options.refcount_order < 4) options.refcount_order = 4;
    disk.create_image(options);
    auto file = disk.open();
    std::map<std::string, Bytes> kept;
    RandomWork steps(seed + 3, options.size);
    for (int i = 0; i < 12; ++i) {
      for (int j = 0; j < 5; ++j) ASSERT_EQ(perform_step(*file, steps.next()), 0);
      const Bytes now = whole_disk(*file);
      if (kept.empty() || work.one_in(2)) {
        kept[file->create_snapshot("s" + std::to_string(i), 1, 2)] = now;
      } else {
        auto chosen = kept.begin();
        std::advance(chosen, work.below(kept.size()));
        if (work.one_in(2)) {
          file->apply_snapshot(chosen->first);
          ASSERT_TRUE(whole_disk(*file) == chosen->second) << "seed " << seed << " step " << i;
        } else {
          file->delete_snapshot(chosen->first);
          kept.erase(chosen);
          ASSERT_TRUE(whole_disk(*file) == now) << "seed " << seed << " step " << i;
        }
      }
      file->close();
      const CheckResult result = disk.check();
      ASSERT_TRUE(result.is_clean()) << "seed " << seed << " step " << i << ": " << messages(result);
      ASSERT_EQ(file->snapshots().size(), kept.size());
    }
    for (const auto& [id, bytes] : kept) {
      file->apply_snapshot(id);
      ASSERT_TRUE(whole_disk(*file) == bytes) << "seed " << seed << " snapshot " << id;
    }
  }
}

TEST(Qcow2File, TooNarrowCountsRefuseASnapshot) {
  Disk disk;
  disk.create_image({.size = 1 << 20, .refcount_order = 0});
  auto file = disk.open();
  ASSERT_EQ(write_disk(*file, 0, pattern(0, 4096, 1)), 0);
  EXPECT_THROW(file->create_snapshot("one", 0, 0), Error);
  ASSERT_EQ(write_disk(*file, 4096, pattern(4096, 4096, 1)), 0);
  file.reset();
  EXPECT_TRUE(disk.check().is_clean()) << messages(disk.check());
}

TEST(Qcow2File, PreallocatedClustersReadAsZeros) {
  for (const bool extended : {false, true}) {
    Disk disk;
    disk.create_image({.size = 3 << 20, .extended_l2 = extended});
    {
      auto file = disk.open();
      file->preallocate();
      EXPECT_TRUE(whole_disk(*file) == Bytes(3 << 20));
      ASSERT_EQ(write_disk(*file, 70000 / 512 * 512, pattern(0, 4096, 1)), 0);
    }
    EXPECT_TRUE(disk.check().is_clean()) << messages(disk.check());
    EXPECT_EQ(disk.check().allocated_clusters, 48u);
  }
}

TEST(Qcow2File, ADirtyImageIsCountedAnewWhenItIsOpened) {
  Disk disk;
  disk.create_image({.size = 8 << 20, .cluster_bits = 9, .refcount_order = 6, .lazy_refcounts = true});
  Bytes model;
  auto copy = std::make_shared<MemoryDisk>();
  {
    auto file = disk.open();
    RandomWork steps(5, 8 << 20);
    for (int i = 0; i < 50; ++i) ASSERT_EQ(perform_step(*file, steps.next()), 0);
    ASSERT_EQ(file->flush(), 0);
    model = whole_disk(*file);
    copy->bytes = disk.host->bytes;  // as it is when the power fails
  }
  disk.host = copy;
  EXPECT_GT(disk.check().corruptions, 0u);
  EXPECT_TRUE(whole_disk(*disk.open()) == model);
  EXPECT_TRUE(disk.check().is_clean()) << messages(disk.check());
}

TEST(Qcow2File, LeaksAreRepaired) {
  Disk disk;
  disk.create_image({.size = 1 << 20});
  {
    auto file = disk.open();
    ASSERT_EQ(write_disk(*file, 0, pattern(0, 4096, 1)), 0);
  }
  // The counts of two clusters that nothing refers to.
  const auto table = load<std::uint64_t>(disk.host->bytes.data() + field::kRefcountTableOffset);
  const auto block = load<std::uint64_t>(disk.host->bytes.data() + table);
  store(disk.host->bytes.data() + block + 2 * 20, std::uint16_t{1});
  store(disk.host->bytes.data() + block + 2 * 21, std::uint16_t{3});
  EXPECT_EQ(disk.check().leaks, 2u);
  MemoryFile file(disk.host);
  EXPECT_TRUE(repair(file, "image", RepairLevel::leaks).is_clean());
}

}  // namespace
}  // namespace warren::vmm::block::qcow2
