// A program in a cage: what it sees, and when it ends.
#include "driver/cage/cage.h"

#include <array>
#include <fstream>
#include <string>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/contract/error.h"

namespace warren::driver::cage {
namespace {

using testing::HasSubstr;
using testing::Not;
using vmm::FileDescriptor;

class CageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "warren-cage-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    std::ofstream(image()) << "before";
    std::filesystem::permissions(image(),
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    connect();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path image() const { return directory_ / "image"; }

  void connect() {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    here_.reset(ends[0]);
    there_.reset(ends[1]);
  }

  // A shell that runs `script`, after which it is ready; what it says to descriptor 3 is heard here.
  CageLaunch shell(const std::string& script, bool writable = true) {
    return {.cage_program = CAGE_PATH,
            .words = {"/usr/bin/sh", "-c", script},
            .files = {{image(), "/image", writable}},
            .listener = &there_};
  }
  // All that it says until nobody has the socket any more.
  std::string hear() {
    there_.reset();
    std::string said;
    std::array<char, 4096> buffer;
    pollfd wait{.fd = here_.get(), .events = POLLIN, .revents = 0};
    while (::poll(&wait, 1, 15'000) == 1) {
      const ssize_t got = ::read(here_.get(), buffer.data(), buffer.size());
      if (got <= 0) return said;
      said.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return said + "(and goes on)";
  }
  std::string run(const std::string& script, bool writable = true) {
    connect();
    FileDescriptor lifeline;
    try {
      lifeline = launch_in_cage(shell("exec >&3; " + script, writable));
    } catch (const Error& error) {
      return error.message();
    }
    lifeline.reset();
    return hear();
  }

  std::filesystem::path directory_;
  FileDescriptor here_, there_;
};

TEST_F(CageTest, SeesUsrAndWhatItIsGiven) {
  EXPECT_EQ(run("cd /; echo *; echo dev/*; cat image"), "bin dev image lib lib64 usr\ndev/null\nbefore");
}

TEST_F(CageTest, WritesOnlyWhatItMay) {
  EXPECT_EQ(run("echo after > /image; (echo x > /new) 2>&3; (echo x > /usr/new) 2>&3; true"),
            "/usr/bin/sh: 1: cannot create /new: Read-only file system\n"
            "/usr/bin/sh: 1: cannot create /usr/new: Read-only file system\n");
  std::string text;
  std::ifstream(image()) >> text;
  EXPECT_EQ(text, "after");
}

TEST_F(CageTest, ReadsOnlyWhatItMayOnlyRead) {
  EXPECT_EQ(run("(echo after > /image) 2>&3; cat /image", false),
            "/usr/bin/sh: 1: cannot create /image: Read-only file system\nbefore");
}

TEST_F(CageTest, IsNobodyAmongItself) {
  EXPECT_EQ(run("id -u; echo $$; kill -0 3 2>/dev/null || echo alone"),
            fmt::format("{}\n2\nalone\n", ::geteuid() == 0 ? 65534 : ::geteuid()));
}

TEST_F(CageTest, HasNoCallThatItsWorkDoesNotNeed) {
  // By unshare(2), and by clone(2) in the first process of a name space.
  EXPECT_THAT(run("unshare --user true 2>&3; true"), HasSubstr("Function not implemented"));
  EXPECT_THAT(run("mount --bind /usr/bin /usr/lib 2>&3; true"), Not(HasSubstr("goes on")));
  EXPECT_EQ(
      run("perl -e 'print STDOUT syscall(56, 0x10000000 | 17, 0, 0, 0, 0), \" \", $!{ENOSYS} ? \"none\" : "
          "\"some\"' 2>&3; true"),
      "-1 none");
}

TEST_F(CageTest, TellsWhatItSaysWhenItFails) {
  try {
    launch_in_cage(shell("echo first >&2; echo 'the reason' >&2; exit 3"));
    FAIL() << "it is ready";
  } catch (const Error& error) {
    EXPECT_EQ(error.detail(), "the reason");
  }
  try {
    CageLaunch launch = shell("true");
    launch.words[0] = "/usr/bin/not-there";
    launch_in_cage(launch);
    FAIL() << "it is ready";
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("/usr/bin/not-there"));
  }
}

TEST_F(CageTest, IsNotWaitedForBeyondItsPatience) {
  CageLaunch launch = shell("sleep 60");
  launch.patience = std::chrono::milliseconds(300);
  EXPECT_THROW(launch_in_cage(launch), Error);
  EXPECT_EQ(hear(), "");  // and it ended
}

TEST_F(CageTest, LivesAsLongAsItsLifelineAndEndsInOrder) {
  FileDescriptor lifeline = launch_in_cage(
      shell("(trap 'echo ending >&3; exit' TERM; echo ready >&3; while :; do sleep 0.05; done) &"));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  pollfd wait{.fd = here_.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&wait, 1, 10'000), 1);
  std::array<char, 6> ready{};
  ASSERT_EQ(::read(here_.get(), ready.data(), ready.size()), 6);
  lifeline.reset();
  EXPECT_EQ(hear(), "ending\n");
}

TEST_F(CageTest, IsKilledWhenItDoesNotEnd) {
  FileDescriptor lifeline =
      launch_in_cage(shell("(trap '' TERM; echo ready >&3; while :; do sleep 0.05; done) &"));
  std::array<char, 6> ready{};
  ASSERT_EQ(::read(here_.get(), ready.data(), ready.size()), 6);
  const auto begin = std::chrono::steady_clock::now();
  lifeline.reset();
  EXPECT_EQ(hear(), "");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, kTimeToEnd);
}

// What is locked by the file that is held stays locked until then.
TEST_F(CageTest, WhatIsHeldIsHeldUntilItHasEnded) {
  FileDescriptor held(::open(image().c_str(), O_RDWR | O_CLOEXEC));
  const FileDescriptor other(::open(image().c_str(), O_RDWR | O_CLOEXEC));
  const auto lock = [](const FileDescriptor& file) {
    struct flock range{};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    return ::fcntl(file.get(), F_OFD_SETLK, &range) == 0;
  };
  ASSERT_TRUE(lock(held));
  CageLaunch launch = shell("(trap 'sleep 0.3; exit' TERM; while :; do sleep 0.05; done) &");
  launch.held = &held;
  FileDescriptor lifeline = launch_in_cage(launch);
  held.reset();
  EXPECT_FALSE(lock(other));
  lifeline.reset();
  EXPECT_FALSE(lock(other));
  EXPECT_EQ(hear(), "");
  for (int i = 0; i < 100 && !lock(other); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(lock(other));
}

TEST_F(CageTest, WhatIsHeldIsWhatIsBound) {
  const FileDescriptor held(::open("/dev/null", O_RDWR | O_CLOEXEC));
  CageLaunch launch = shell("exit 0");
  launch.held = &held;
  try {
    launch_in_cage(launch);
    FAIL() << "it is ready";
  } catch (const Error& error) {
    EXPECT_THAT(error.detail(), HasSubstr("was replaced meanwhile"));
  }
}

TEST_F(CageTest, HasTheSecret) {
  FileDescriptor secret(::memfd_create("secret", MFD_CLOEXEC));
  ASSERT_EQ(::write(secret.get(), "sesame", 6), 6);
  CageLaunch launch = shell("cat /secret >&3; ls -l /secret >&3");
  launch.secret = &secret;
  launch_in_cage(launch);
  EXPECT_THAT(hear(), testing::StartsWith("sesame-r--------"));
}

TEST_F(CageTest, IsPlacedBeforeItBegins) {
  bool placed = false;
  CageLaunch launch = shell("exit 0");
  launch.place = [&](pid_t pid) {
    placed = std::filesystem::exists(fmt::format("/proc/{}/exe", pid));
    // Nothing of it has begun: it is in our name spaces still.
    EXPECT_EQ(std::filesystem::read_symlink(fmt::format("/proc/{}/ns/net", pid)),
              std::filesystem::read_symlink("/proc/self/ns/net"));
  };
  launch_in_cage(launch);
  EXPECT_TRUE(placed);
}

}  // namespace
}  // namespace warren::driver::cage
