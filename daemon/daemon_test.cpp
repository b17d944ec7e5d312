#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>

#include "daemon/config/configuration_file.h"
#include "daemon/instance_lock.h"
#include "daemon/options.h"
#include "daemon/worker_settings.h"
#include "vmm-core/os/error.h"

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

}  // namespace
}  // namespace warren::daemon
