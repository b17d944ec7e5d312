#include "daemon/log/log.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace warren::daemon {
namespace {

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/warren-log-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(LogTest, WritesLinesAtOrAboveItsLevel) {
  Log log(LogLevel::warning, directory_ / "log");
  log.info("not this");
  log.warning("this");
  std::string text = read_all(directory_ / "log");
  EXPECT_EQ(text.find("not this"), std::string::npos);
  EXPECT_NE(text.find("Z warning: this\n"), std::string::npos);
}

TEST_F(LogTest, NobodyForgesALine) {
  Log log(LogLevel::debug, directory_ / "log");
  log.error("domain 'a\n2026 error: b'");
  EXPECT_NE(read_all(directory_ / "log").find("'a\\x0a2026 error: b'\n"), std::string::npos);
}

TEST_F(LogTest, FileIsPrivateAndReopensAfterItWasMoved) {  // T20
  Log log(LogLevel::debug, directory_ / "log");
  struct stat status{};
  ASSERT_EQ(::stat((directory_ / "log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  std::filesystem::rename(directory_ / "log", directory_ / "log.1");
  log.reopen();
  log.info("later");
  EXPECT_NE(read_all(directory_ / "log").find("later"), std::string::npos);
}

TEST(LogSite, ABurstThenOneEachSecondWithTheCountOfTheOthers) {  // T8
  LogSite site;
  LogSite::Clock::time_point now{std::chrono::hours(1)};
  for (unsigned int i = 0; i < LogSite::kBurst; ++i) EXPECT_EQ(site.admit(now), 0U);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(site.admit(now), std::nullopt);
  EXPECT_EQ(site.admit(now + std::chrono::seconds(1)), 7U);
  EXPECT_EQ(site.admit(now + std::chrono::seconds(1)), std::nullopt);
}

}  // namespace
}  // namespace warren::daemon
