// Who keeps whom out, and that nobody can slip in while a reader becomes a writer.
#include "vmm-core/os/image_lock.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm {
namespace {

constexpr ImageUse kReader{}, kWriter{.writes = true};

class ImageLock : public testing::Test {
 protected:
  ImageLock() {
    char name[] = "/tmp/warren-lock-XXXXXX";
    FileDescriptor(::mkstemp(name)).reset();
    path_ = name;
  }
  ~ImageLock() override { std::filesystem::remove(path_); }

  FileDescriptor open(int flags) const { return FileDescriptor(::open(path_.c_str(), flags | O_CLOEXEC)); }

  std::string path_;
};

TEST_F(ImageLock, ReadersShareAndAWriterIsAlone) {
  const FileDescriptor one = open(O_RDONLY), two = open(O_RDONLY);
  EXPECT_EQ(lock_image(one.get(), kReader), 0);
  EXPECT_EQ(lock_image(two.get(), kReader), 0);
  {
    const FileDescriptor writer = open(O_RDWR);
    EXPECT_EQ(lock_image(writer.get(), kWriter), EAGAIN);
  }
  const FileDescriptor other = open(O_RDWR);
  EXPECT_EQ(reserve_for_writing(other.get()), 0);
  EXPECT_EQ(take_over(one.get(), other.get()), EAGAIN) << "two reads it";
  const FileDescriptor late = open(O_RDWR);
  EXPECT_EQ(lock_image(late.get(), kWriter), EAGAIN) << "one reads it as before";
}

// A program that locks what it likes of QEMU's bytes has the image, and nobody of ours beside it.
TEST_F(ImageLock, WhoStandsAsideForAProgramKeepsAllOthersAway) {
  constexpr ImageUse kSharer{.writes = true, .shares = true}, kSharingReader{.shares = true};
  const FileDescriptor holder = open(O_RDWR);
  ASSERT_EQ(lock_image(holder.get(), kWriter), 0);
  ASSERT_EQ(stand_aside(holder.get()), 0);
  for (const ImageUse use : {kWriter, kSharer, kSharingReader}) {
    const FileDescriptor other = open(O_RDWR);
    EXPECT_EQ(lock_image(other.get(), use), EAGAIN);
  }
  const FileDescriptor program = open(O_RDWR);
  for (const off_t byte : {off_t{100}, off_t{101}, off_t{201}, off_t{263}}) {
    struct flock range{};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_start = byte;
    range.l_len = 1;
    EXPECT_EQ(::fcntl(program.get(), F_OFD_SETLK, &range), 0) << byte;
  }
}

TEST_F(ImageLock, WhoSharesIsInTheWayOfWhoDoesNot) {
  constexpr ImageUse kSharer{.writes = true, .shares = true};
  const FileDescriptor one = open(O_RDWR), two = open(O_RDWR), alone = open(O_RDWR);
  EXPECT_EQ(lock_image(one.get(), kSharer), 0);
  EXPECT_EQ(lock_image(two.get(), kSharer), 0);
  EXPECT_EQ(lock_image(alone.get(), kWriter), EAGAIN);
}

TEST_F(ImageLock, AReaderBecomesTheWriterAndIsAReaderAgain) {
  FileDescriptor reader = open(O_RDONLY), writer = open(O_RDWR);
  ASSERT_EQ(lock_image(reader.get(), kReader), 0);
  ASSERT_EQ(reserve_for_writing(writer.get()), 0);
  EXPECT_EQ(lock_image(open(O_RDWR).get(), kWriter), EAGAIN);
  ASSERT_EQ(take_over(reader.get(), writer.get()), 0);
  EXPECT_EQ(lock_image(open(O_RDONLY).get(), kReader), EAGAIN);
  ASSERT_EQ(give_back(writer.get(), reader.get()), 0);
  EXPECT_EQ(lock_image(open(O_RDWR).get(), kWriter), EAGAIN);
  writer.reset();
  EXPECT_EQ(lock_image(open(O_RDONLY).get(), kReader), 0);
  EXPECT_EQ(lock_image(open(O_RDWR).get(), kWriter), EAGAIN) << "the reader is still there";
  reader.reset();
  EXPECT_EQ(lock_image(open(O_RDWR).get(), kWriter), 0);
}

TEST_F(ImageLock, WhatCannotBeGivenBackIsStillTheWriters) {
  const FileDescriptor reader = open(O_RDONLY), writer = open(O_RDWR);
  ASSERT_EQ(lock_image(reader.get(), kReader), 0);
  ASSERT_EQ(reserve_for_writing(writer.get()), 0);
  ASSERT_EQ(take_over(reader.get(), writer.get()), 0);
  const FileDescriptor blind = open(O_WRONLY);  // takes no lock to read
  EXPECT_EQ(give_back(writer.get(), blind.get()), EBADF);
  EXPECT_EQ(lock_image(open(O_RDWR).get(), kWriter), EAGAIN);
}

TEST_F(ImageLock, NobodyReservesWhatAnotherWrites) {
  const FileDescriptor writer = open(O_RDWR), other = open(O_RDWR);
  ASSERT_EQ(lock_image(writer.get(), kWriter), 0);
  EXPECT_EQ(reserve_for_writing(other.get()), EAGAIN);
  EXPECT_EQ(lock_image(other.get(), kReader), EAGAIN);
}

}  // namespace
}  // namespace warren::vmm
