// T23: from inside the worker: no network, no files, no capabilities, no foreign descriptors.
#include "vmm-core/sandbox/isolation.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm-core/os/error.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/sandbox/probe.h"

namespace warren::vmm {
namespace {

constexpr uid_t kNobody = 65534;

// Both ways in: from root, and from an ordinary user (what session mode is).
enum class Start { root, user };

class IsolationTest : public testing::TestWithParam<Start> {
 protected:
  void SetUp() override {
    if (geteuid() != 0 && GetParam() == Start::root) GTEST_SKIP() << "not root";
  }

  // Runs `attempts` isolated; they return the number of things that went wrong.
  ProbeResult isolated(const std::function<int(const Isolation&)>& attempts) {
    Start start = GetParam();
    return run_probe([&] {
      if (start == Start::root) return attempts(enter_isolation({.user = kNobody, .group = kNobody}));
      if (geteuid() == 0 &&
          (setresgid(kNobody, kNobody, kNobody) != 0 || setresuid(kNobody, kNobody, kNobody) != 0))
        return 254;
      prctl(PR_SET_DUMPABLE, 1);  // an exec would have made it so again
      return attempts(enter_isolation({}));
    });
  }
};

#define EXPECT_REFUSED(probe_result)                                                \
  do {                                                                              \
    auto result = (probe_result);                                                   \
    EXPECT_EQ(result.exit_code, 0) << result.output << " signal " << result.signal; \
  } while (false)

TEST_P(IsolationTest, SeesNoFiles) {
  EXPECT_REFUSED(isolated([](const Isolation&) {
    return expect_errno(open("/etc/passwd", O_RDONLY), EACCES, ENOENT, "open a file") +
           expect_errno(open("/proc/self/status", O_RDONLY), EACCES, ENOENT, "open /proc") +
           expect_errno(open("/dev/kvm", O_RDWR), EACCES, ENOENT, "open /dev/kvm") +
           expect_errno(open("..", O_RDONLY | O_DIRECTORY), EACCES, ENOENT, "open the parent directory") +
           expect_errno(open("/file", O_RDWR | O_CREAT, 0600), EACCES, EROFS, "create a file") +
           expect_errno(mkdir("/directory", 0700), EACCES, EROFS, "make a directory") +
           expect_errno(open("/tmp", O_TMPFILE | O_RDWR, 0600), EACCES, ENOENT, "make a temporary file") +
           (opendir("/") == nullptr ? 0 : 1);
  }));
}

TEST_P(IsolationTest, KeptDirectoryDescriptorsLeadNowhere) {
  FileDescriptor etc(open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_REFUSED(isolated([&](const Isolation& isolation) {
    if (isolation.landlock_abi == 0)
      return 0;  // without Landlock such a descriptor is as good as its directory
    return expect_errno(openat(etc.get(), "passwd", O_RDONLY), EACCES, EPERM, "open below a kept directory");
  }));
}

TEST_P(IsolationTest, HasNoNetwork) {
  EXPECT_REFUSED(isolated([](const Isolation& isolation) {
    if (!isolation.namespaces) return 0;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(22);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int socket_fd = socket(AF_INET, SOCK_STREAM, 0);
    int wrong = expect_errno(connect(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address),
                             ENETUNREACH, EACCES, "connect to the loopback address");
    auto* interfaces = if_nameindex();
    for (auto* entry = interfaces; entry != nullptr && entry->if_index != 0; ++entry)
      if (strcmp(entry->if_name, "lo") != 0) ++wrong;
    return wrong + expect_errno(socket(AF_PACKET, SOCK_RAW, 0), EPERM, EACCES, "open a packet socket");
  }));
}

// A socket in the abstract name space belongs to no file system; the network name space hides it.
TEST_P(IsolationTest, ReachesNoAbstractSocket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "warren-sandbox-test-%d", getpid());
  FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  EXPECT_REFUSED(isolated([&](const Isolation& isolation) {
    if (!isolation.namespaces && isolation.landlock_abi < 6) return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return expect_errno(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), ECONNREFUSED,
                        EPERM, "connect to an abstract socket outside");
  }));
}

TEST_P(IsolationTest, TouchesNoOtherProcess) {
  pid_t outside = getpid();
  static std::array<char, 8> secret = {'s', 'e', 'c', 'r', 'e', 't'};
  EXPECT_REFUSED(isolated([&](const Isolation&) {
    std::array<char, 8> copy;
    iovec local{copy.data(), copy.size()}, remote{secret.data(), secret.size()};
    return expect_errno(ptrace(PTRACE_ATTACH, outside, nullptr, nullptr), EPERM, ESRCH, "ptrace") +
           expect_errno(process_vm_readv(outside, &local, 1, &remote, 1, 0), EPERM, ESRCH,
                        "read its memory") +
           expect_errno(kill(outside, 0), EPERM, ESRCH, "signal it");
  }));
}

TEST_P(IsolationTest, StartsNoProgram) {
  FileDescriptor program(open("/bin/true", O_RDONLY | O_CLOEXEC));
  EXPECT_REFUSED(isolated([&](const Isolation& isolation) {
    std::array<char*, 1> none = {nullptr};
    int wrong = expect_errno(execve("/bin/true", none.data(), none.data()), EACCES, ENOENT, "execve");
    if (isolation.landlock_abi == 0) return wrong;
    return wrong +
           expect_errno(syscall(SYS_execveat, program.get(), "", none.data(), none.data(), AT_EMPTY_PATH),
                        EACCES, ENOENT, "execute a kept descriptor");
  }));
}

TEST_P(IsolationTest, HasNoCapabilities) {
  EXPECT_REFUSED(isolated([](const Isolation& isolation) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> sets{};
    int wrong = syscall(SYS_capget, &header, sets.data()) == 0 ? 0 : 1;
    for (const auto& set : sets) wrong += (set.effective | set.permitted | set.inheritable) != 0;
    if (isolation.namespaces)
      for (int i = 0; prctl(PR_CAPBSET_READ, i) >= 0; ++i) wrong += prctl(PR_CAPBSET_READ, i);
    wrong += prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
    wrong += prctl(PR_GET_DUMPABLE) != 0;
    wrong += getuid() == 0 || geteuid() == 0 || getgid() == 0;
    wrong += getgroups(0, nullptr) > (isolation.namespaces && getuid() != kNobody ? 0 : 1);
    return wrong + expect_errno(setresuid(0, 0, 0), EPERM, EINVAL, "become root") +
           expect_errno(mount("none", "/", "tmpfs", 0, nullptr), EPERM, EACCES, "mount") +
           expect_errno(unshare(CLONE_NEWNS), EPERM, EACCES, "make a mount name space") +
           expect_errno(chroot("/"), EPERM, EACCES, "chroot");
  }));
}

TEST_P(IsolationTest, ClosesForeignDescriptors) {
  EXPECT_REFUSED(isolated([](const Isolation&) {
    int first = dup(STDERR_FILENO), second = dup(STDERR_FILENO), third = dup(STDERR_FILENO);
    close_descriptors_except(std::array{third, STDERR_FILENO, -1, first});
    return expect_errno(fcntl(second, F_GETFD), EBADF, EBADF, "use a foreign descriptor") +
           expect_errno(fcntl(STDIN_FILENO, F_GETFD), EBADF, EBADF, "use standard input") +
           (fcntl(first, F_GETFD) >= 0 && fcntl(third, F_GETFD) >= 0 && fcntl(STDERR_FILENO, F_GETFD) >= 0
                ? 0
                : 1);
  }));
}

INSTANTIATE_TEST_SUITE_P(FromRootAndUser, IsolationTest, testing::Values(Start::root, Start::user),
                         [](const auto& start) { return start.param == Start::root ? "Root" : "User"; });

TEST(IsolationOptionsTest, NeverStaysRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "not root";
  for (IsolationOptions options : {IsolationOptions{}, IsolationOptions{.user = 0, .group = 0}}) {
    auto result = run_probe([&] {
      enter_isolation(options);
      return 0;
    });
    EXPECT_EQ(result.exit_code, 255);
    EXPECT_NE(result.output.find("without an unprivileged identity"), std::string::npos) << result.output;
  }
}

TEST(IsolationOptionsTest, EntersThePreparedNetwork) {
  if (geteuid() != 0) GTEST_SKIP() << "not root";
  auto result = run_probe([&] {
    FileDescriptor ours(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (unshare(CLONE_NEWNET) != 0) return 1;
    FileDescriptor prepared(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (setns(ours.get(), CLONE_NEWNET) != 0 || if_nametoindex("lo") == 0) return 2;
    enter_isolation({.user = kNobody, .group = kNobody, .network_namespace = prepared.get()});
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return expect_errno(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), ENETUNREACH,
                        EACCES, "connect");
  });
  EXPECT_EQ(result.exit_code, 0) << result.output;
}

}  // namespace
}  // namespace warren::vmm
