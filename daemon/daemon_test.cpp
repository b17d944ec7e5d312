#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/config/configuration_file.h"
#include "daemon/instance_lock.h"
#include "daemon/options.h"
#include "daemon/service_manager.h"
#include "daemon/worker_settings.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::daemon {
namespace {

Options parse(std::vector<std::string> words, bool is_root = true) {
  words.insert(words.begin(), "virtwarrend");
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return parse_options(static_cast<int>(words.size()), pointers.data(), is_root);
}

std::string error_of(std::vector<std::string> words) {
  try {
    parse(std::move(words));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "none";
}

TEST(Options, AreThoseOfLibvirtsDaemonsAndRoot) {
  Options options = parse({"--root", "/srv/w/", "--timeout=120", "--verbose", "-f", "x.conf"});
  EXPECT_EQ(options.root, "/srv/w/");
  EXPECT_EQ(options.timeout, std::chrono::seconds(120));
  EXPECT_EQ(options.configuration, "x.conf");
  EXPECT_TRUE(options.verbose);
  EXPECT_FALSE(options.session);
  EXPECT_EQ(parse({"--print-procedures"}).action, Options::Action::print_procedures);
}

TEST(Options, WhoeverIsNotRootGetsTheirOwnDaemon) {
  EXPECT_TRUE(parse({}, false).session);
  EXPECT_FALSE(parse({}, true).session);
  EXPECT_FALSE(parse({"--root", "/tmp/w"}, false).session);
}

TEST(Options, ErrorsNameTheOption) {
  EXPECT_EQ(error_of({"--timeout", "0"}), "--timeout needs a number of seconds above 0, not '0'");
  EXPECT_EQ(error_of({"--timeout", "1m"}), "--timeout needs a number of seconds above 0, not '1m'");
  EXPECT_EQ(error_of({"--rot"}), "unknown option '--rot'");
  EXPECT_EQ(error_of({"--root"}), "option '--root' needs a value");
  EXPECT_EQ(error_of({"x"}), "unexpected argument 'x'");
  EXPECT_EQ(error_of({"--root", "/x", "--session"}), "--root is for the system daemon, not for --session");
}

TEST(InstanceLock, IsHeldByOneAndNamesIt) {
  char name[] = "/tmp/warren-lock-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  std::filesystem::path file = std::filesystem::path(name) / "virtwarrend.pid";
  {
    InstanceLock lock(file);
    std::string error;
    try {
      InstanceLock second(file);
    } catch (const vmm::Error& refused) {
      error = refused.what();
    }
    EXPECT_NE(
        error.find("another virtwarrend (process " + std::to_string(::getpid()) + ") holds " + file.native()),
        std::string::npos)
        << error;
  }
  InstanceLock again(file);
  std::filesystem::remove_all(name);
}

TEST(WorkerSettings, UnknownUsersAreErrors) {
  Configuration configuration;
  configuration.worker_user = "nobody-of-that-name";
  EXPECT_THROW(find_worker_identity(configuration), ConfigurationError);
  configuration.worker_user = "nobody";
  EXPECT_NE(find_worker_identity(configuration).user, 0U);
  configuration.worker_program = "/x/warren-vmm";
  EXPECT_EQ(find_worker_program(configuration), "/x/warren-vmm");
}

// What systemd hands over, in a child of its own: the protocol is about descriptor 3 and a process's
// environment.
int outcome_of_inheritance(const char* process, const char* count, int descriptor) {
  ::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    if (descriptor >= 0) ::dup2(descriptor, 3);
    // NOLINTBEGIN(concurrency-mt-unsafe): the child has one thread
    ::setenv("LISTEN_PID", process == nullptr ? std::to_string(::getpid()).c_str() : process, 1);
    ::setenv("LISTEN_FDS", count, 1);
    InheritedSockets inherited = take_inherited_sockets();
    if (std::getenv("LISTEN_FDS") != nullptr) ::_exit(90);
    // NOLINTEND(concurrency-mt-unsafe)
    const bool close_on_exec = inherited.sockets.empty() || (::fcntl(3, F_GETFD) & FD_CLOEXEC) != 0;
    if (!close_on_exec) ::_exit(91);
    ::_exit(static_cast<int>(10 * inherited.sockets.size() + inherited.ignored));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(ServiceManager, TakesListeningUnixSocketsAndNothingElse) {
  char name[] = "/tmp/warren-inherit-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const std::string path = std::string(name) + "/sock";
  vmm::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  // sockaddr_un is passed as sockaddr, as the socket API has it
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(outcome_of_inheritance(nullptr, "1", socket.get()), 1);  // does not listen yet
  ASSERT_EQ(::listen(socket.get(), 1), 0);
  EXPECT_EQ(outcome_of_inheritance(nullptr, "1", socket.get()), 10);
  EXPECT_EQ(outcome_of_inheritance("1", "1", socket.get()), 0);  // another process's
  EXPECT_EQ(outcome_of_inheritance("x", "1", socket.get()), 0);
  for (const char* count : {"-1", "65", "1x", "", "99999999999"})
    EXPECT_EQ(outcome_of_inheritance(nullptr, count, socket.get()), 0) << count;
  vmm::FileDescriptor file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(outcome_of_inheritance(nullptr, "1", file.get()), 1);
  std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace warren::daemon
