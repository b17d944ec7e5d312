// Taking over what is below an image, and another name of that in its header.
#include <gtest/gtest.h>

#include "vmm-core/block/qcow2/backing_name.h"
#include "vmm-core/block/qcow2/disk_fixture.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

constexpr std::uint64_t kSize = std::uint64_t{256} << 10;

int fill(File& file, std::uint64_t offset, Bytes bytes) {
  return file.fill(offset, bytes);
}

struct Form {
  const char* name;
  CreateOptions options;
};
const std::vector<Form> kForms = {
    {"512", {.size = kSize, .cluster_bits = 9}},
    {"4k", {.size = kSize, .cluster_bits = 12}},
    {"64k", {.size = kSize}},
    {"subclusters", {.size = kSize, .extended_l2 = true}},
    {"version2", {.size = kSize, .version = 2, .cluster_bits = 12}},
};

// What was written since somebody looked is not lost, whatever is around it, and nothing is left below.
TEST(Fill, LeavesWhatTheImageHas) {
  for (const Form& form : kForms) {
    SCOPED_TRACE(form.name);
    Disk disk;
    disk.back_with(pattern(0, kSize - 3 * 512, 1));  // not even whole clusters
    disk.create_image(form.options);
    const auto file = disk.open();
    RandomWork work(form.options.cluster_bits, kSize);
    Bytes model = whole_disk(*file);
    for (int i = 0; i < 6; ++i) {
      auto step = work.next();
      step.length = std::min<std::uint64_t>(step.length, 20 * 512);
      if (step.kind == RandomWork::Step::Kind::discard) continue;
      model_step(model, step);
      ASSERT_EQ(perform_step(*file, step), 0);
    }
    // The pieces that a job would bring, of all of it.
    const Bytes below = disk.backing->bytes;
    const std::uint64_t half = 100 * 512;
    ASSERT_EQ(fill(*file, 0, Bytes(below.begin(), below.begin() + half)), 0);
    ASSERT_EQ(fill(*file, half, Bytes(below.begin() + half, below.end())), 0);
    ASSERT_EQ(file->fill_zeroes(below.size(), kSize - below.size()), 0);
    for (std::uint64_t at = 0; at < kSize;) {
      Allocation own;
      ASSERT_EQ(file->allocation(at, kSize - at, own), 0);
      EXPECT_NE(own.kind, Allocation::Kind::below) << at;
      at += own.length;
    }
    EXPECT_TRUE(whole_disk(*file) == model);
    // Another file below, with other bytes everywhere and more of them: none is seen.
    auto other = std::make_shared<MemoryDisk>();
    other->bytes = pattern(0, kSize, 9);
    file->set_backing(std::make_shared<RawLayer>(std::make_unique<MemoryFile>(other)));
    EXPECT_TRUE(whole_disk(*file) == model);
    file->close();
    EXPECT_TRUE(disk.check().is_clean()) << messages(disk.check());
  }
}

TEST(Fill, ZeroesHideWhatIsBelow) {
  for (const Form& form : kForms) {
    SCOPED_TRACE(form.name);
    Disk disk;
    disk.back_with(pattern(0, kSize, 1));
    disk.create_image(form.options);
    const auto file = disk.open();
    ASSERT_EQ(write_disk(*file, 70 * 512, pattern(70 * 512, 4 * 512, 5)), 0);
    Bytes model = whole_disk(*file);
    // The write took what was around it along.
    const std::uint64_t begin = 65 * 512, end = begin + 205 * 512;
    for (std::uint64_t at = begin; at < end;) {
      Allocation own;
      ASSERT_EQ(file->allocation(at, end - at, own), 0);
      if (own.kind == Allocation::Kind::below)
        std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(at), own.length, std::byte{0});
      at += own.length;
    }
    ASSERT_EQ(file->fill_zeroes(begin, end - begin), 0);
    EXPECT_TRUE(whole_disk(*file) == model);
  }
}

// Zeros that are brought up need no place, where the format has a way to say so.
TEST(Fill, ZerosNeedNoPlace) {
  for (const Form& form : kForms) {
    SCOPED_TRACE(form.name);
    Disk disk;
    disk.back_with(Bytes(kSize));
    disk.create_image(form.options);
    const auto file = disk.open();
    ASSERT_EQ(fill(*file, 0, Bytes(kSize)), 0);
    Allocation own;
    ASSERT_EQ(file->allocation(0, kSize, own), 0);
    EXPECT_EQ(own.kind, form.options.version == 2 ? Allocation::Kind::data : Allocation::Kind::zeros);
    EXPECT_EQ(own.length, kSize);
  }
}

struct Named {
  std::string file, format;
  friend bool operator==(const Named&, const Named&) = default;
};

Named name_in(const std::shared_ptr<MemoryDisk>& host) {
  MemoryFile file(host);
  const Header header = read_header(file, "image");
  return {header.backing_file, header.backing_file.empty() ? "" : header.backing_format};
}

// T11: however much of it reaches the disk, the header names the one file or the other, with its own format.
TEST(BackingName, T11OneOrTheOtherAtEveryMoment) {
  unsigned done = 0, refused = 0;
  for (const Form& form : kForms) {
    for (const std::size_t old_length : {4u, 200u, 1000u}) {
      for (const std::size_t new_length : {0u, 5u, 190u, 1023u}) {
        const Named before{std::string(old_length, 'o'), "raw"};
        const Named after{std::string(new_length, 'n'), new_length == 0 ? "" : "qcow2"};
        SCOPED_TRACE(std::string(form.name) + " " + std::to_string(old_length) + " " +
                     std::to_string(new_length));
        CreateOptions options = form.options;
        options.backing_file = before.file;
        options.backing_format = before.format;
        Disk disk;
        try {
          MemoryFile file(disk.host);
          create(file, options, "image");
        } catch (const Error&) {
          continue;  // such a name does not fit into such clusters at all
        }
        const Bytes start = disk.host->bytes;
        disk.host->logs = true;
        MemoryFile file(disk.host);
        try {
          write_backing_name(file, "image", after.file, after.format);
        } catch (const Error& error) {
          EXPECT_NE(std::string(error.what()).find("no room"), std::string::npos);
          EXPECT_TRUE(disk.host->bytes == start);
          ++refused;
          continue;
        }
        ++done;
        EXPECT_EQ(name_in(disk.host), after);
        EXPECT_TRUE(disk.check().is_clean());
        // Every sector of every write, with what was synced before it.
        auto cut = std::make_shared<MemoryDisk>();
        cut->bytes = start;
        for (const auto& record : disk.host->log) {
          for (std::size_t at = 0; at < record.bytes.size();) {
            const std::size_t length =
                std::min<std::size_t>(512 - (record.offset + at) % 512, record.bytes.size() - at);
            std::copy_n(record.bytes.begin() + static_cast<std::ptrdiff_t>(at), length,
                        cut->bytes.begin() + static_cast<std::ptrdiff_t>(record.offset + at));
            at += length;
            const Named found = name_in(cut);
            EXPECT_TRUE(found == before || found == after) << found.file << " " << found.format;
          }
        }
      }
    }
  }
  EXPECT_GT(done, 30u);
  std::printf("%u changed, %u refused\n", done, refused);
}

// There and back again, in an image that is in use.
TEST(BackingName, ChangesInAnOpenImage) {
  for (const Form& form : kForms) {
    SCOPED_TRACE(form.name);
    Disk disk;
    disk.back_with(pattern(0, kSize, 1));
    disk.create_image(form.options);
    const auto file = disk.open();
    for (unsigned i = 0; i < 6; ++i) {
      const Named next =
          i % 3 == 2 ? Named{} : Named{"/images/" + std::string(i * 20, 'x'), i % 2 != 0 ? "raw" : "qcow2"};
      ASSERT_EQ(write_disk(*file, 512, pattern(512, 512, 7)), 0);
      file->set_backing_name(next.file, next.format);
      EXPECT_EQ(name_in(disk.host), next);
    }
    file->resize(kSize * 2);  // the header is written anew, with what stands in it
    file->close();
    EXPECT_EQ(name_in(disk.host), Named{});
    EXPECT_TRUE(disk.check().is_clean()) << messages(disk.check());
  }
}

}  // namespace
}  // namespace warren::vmm::block::qcow2
