// Who may have an image open beside whom, and how it is opened for each cache mode.
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/domain/disk_chain.h"

namespace warren::driver::domain {
namespace {

class DiskLock : public testing::Test {
 protected:
  DiskLock() {
    char name[] = "/var/tmp/warren-lock-XXXXXX";  // where O_DIRECT works
    root_ = ::mkdtemp(name);
    std::ofstream(root_ / "disk") << std::string(65536, 'd');
  }
  ~DiskLock() override { std::filesystem::remove_all(root_); }

  config::Disk disk(bool writes, bool shares) const {
    config::Disk disk;
    disk.source = root_ / "disk";
    disk.target = "vda";
    disk.read_only = !writes;
    disk.shareable = shares;
    return disk;
  }
  std::string refusal(const config::Disk& of) const {
    try {
      open_disk_image(of);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), VIR_ERR_RESOURCE_BUSY);
      return error.message();
    }
  }

  std::filesystem::path root_;
};

TEST_F(DiskLock, WhoWritesHasItAloneUnlessAllShareIt) {
  enum Kind { writer, reader, sharing_writer, sharing_reader };
  const auto make = [this](unsigned kind) {
    return disk(kind == writer || kind == sharing_writer, kind == sharing_writer || kind == sharing_reader);
  };
  // By who has it, and who comes.
  constexpr std::array<std::array<bool, 4>, 4> kAllowed = {{{false, false, false, false},
                                                            {false, true, false, true},
                                                            {false, false, true, true},
                                                            {false, true, true, true}}};
  for (unsigned has = 0; has < kAllowed.size(); ++has) {
    const DiskImage held = open_disk_image(make(has));
    for (unsigned comes = 0; comes < kAllowed.size(); ++comes) {
      SCOPED_TRACE(testing::Message() << comes << " beside " << has);
      const std::string refused = refusal(make(comes));
      EXPECT_EQ(refused.empty(), kAllowed[has][comes]) << refused;
      if (!refused.empty()) {
        EXPECT_NE(refused.find("in use by another running domain"), std::string::npos) << refused;
      }
    }
  }
  // Nothing is left of those who were refused.
  EXPECT_EQ(refusal(disk(true, false)), "");
}

// The lock is the open file's: it goes with the last descriptor of it, whichever process has that.
TEST_F(DiskLock, TheLockLastsAsLongAsAnybodyHasTheFile) {
  vmm::FileDescriptor of_worker;
  {
    const DiskImage held = open_disk_image(disk(true, false));
    of_worker = held.file.duplicate();
  }
  EXPECT_NE(refusal(disk(false, false)), "");
  of_worker = {};
  EXPECT_EQ(refusal(disk(false, false)), "");
}

TEST_F(DiskLock, TheHolderIsNamed) {
  pid_t child = 0;
  {
    const DiskImage held = open_disk_image(disk(true, false));
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, held.file.get(), 20);
    char name[] = "sleep", seconds[] = "60";
    char* words[] = {name, seconds, nullptr};
    ASSERT_EQ(::posix_spawnp(&child, "sleep", &actions, nullptr, words, environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  const std::string refused = refusal(disk(true, false));
  EXPECT_NE(refused.find("disk vda: '" + (root_ / "disk").string() + "' is in use by process " +
                         std::to_string(child) + " (sleep); stop that one"),
            std::string::npos)
      << refused;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(refusal(disk(true, false)), "");
}

TEST_F(DiskLock, CacheModesSayHowFilesAreOpened) {
  std::ofstream(root_ / "data") << std::string(65536, 'd');
  config::Disk with_backing = disk(true, false);
  with_backing.driver.format = config::DiskFormat::qcow2;
  with_backing.source = root_ / "top";
  // A header, which is all that is read here.
  std::string header =
      std::string("QFI\xfb\0\0\0\3", 8) + std::string(12, '\0') + std::string("\0\0\0\x10", 4);
  header.resize(72);
  header += std::string(24, '\0') + std::string("\0\0\0\x04\0\0\0\x68", 8);
  header.resize(65536);
  std::ofstream(root_ / "top", std::ios::binary) << header;
  with_backing.backing = {{.format = config::DiskFormat::raw, .source = root_ / "data"}};
  with_backing.backing_store_end = true;
  for (const auto& [cache, direct] :
       {std::pair(config::DiskCache::default_mode, false), std::pair(config::DiskCache::none, true),
        std::pair(config::DiskCache::writethrough, false), std::pair(config::DiskCache::writeback, false),
        std::pair(config::DiskCache::directsync, true), std::pair(config::DiskCache::unsafe, false)}) {
    with_backing.driver.cache = cache;
    const auto chain = open_disk_chain(with_backing, {});
    ASSERT_EQ(chain.size(), 2u);
    for (const ChainImage& link : chain) {
      const int flags = ::fcntl(link.image.file.get(), F_GETFL);
      EXPECT_EQ((flags & O_DIRECT) != 0, direct);
      EXPECT_EQ(link.image.direct, direct);
      // Writes are synced one by one where they must be, not by the file.
      EXPECT_EQ(flags & (O_SYNC | O_DSYNC), 0);
      EXPECT_EQ(flags & O_ACCMODE, &link == &chain.front() ? O_RDWR : O_RDONLY);
    }
  }
}

}  // namespace
}  // namespace warren::driver::domain
