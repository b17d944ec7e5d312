// Outputs and filters in libvirt's words, and a log that follows them.

#include "daemon/log/log_settings.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <unistd.h>

#include "daemon/log/log.h"
#include "vmm-core/os/error.h"

namespace warren::daemon {
namespace {

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(LogSettings, OutputsAreWrittenAsTheyWereRead) {
  constexpr const char* kText = "3:stderr 1:file:/var/log/x.log 2:syslog:virtwarrend 4:journald";
  const auto outputs = parse_log_outputs(kText);
  ASSERT_EQ(outputs.size(), 4U);
  EXPECT_EQ(outputs[1].target, LogTarget::file);
  EXPECT_EQ(outputs[1].name, "/var/log/x.log");
  EXPECT_EQ(outputs[3].level, LogLevel::error);
  EXPECT_EQ(to_string(outputs), kText);
  EXPECT_TRUE(parse_log_outputs(" \n").empty());
}

TEST(LogSettings, FiltersAreWrittenAsTheyWereRead) {
  const auto filters = parse_log_filters("1:driver.domain  4:rpc");
  ASSERT_EQ(filters.size(), 2U);
  EXPECT_EQ(to_string(filters), "1:driver.domain 4:rpc");
}

TEST(LogSettings, WhatIsRefused) {
  for (const char* text : {"stderr", "0:stderr", "5:stderr", "3:", "3stderr", "3:stderr:x", "3:file",
                           "3:file:", "3:file:relative", "3:syslog", "3:paper", "33:stderr", "-1:stderr"})
    EXPECT_THROW(parse_log_outputs(text), LogSettingsError) << text;
  for (const char* text : {"rpc", "1:", "9:rpc", "1:+rpc"})
    EXPECT_THROW(parse_log_filters(text), LogSettingsError) << text;
  std::string many;
  for (int i = 0; i < 65; ++i) many += "1:stderr ";
  EXPECT_THROW(parse_log_outputs(many), LogSettingsError);
}

class LogOutputs : public testing::Test {
 protected:
  LogOutputs() {
    char name[] = "/tmp/warren-log-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~LogOutputs() override { std::filesystem::remove_all(directory_); }
  std::string path(const char* name) const { return (directory_ / name).native(); }

  std::filesystem::path directory_;
};

TEST_F(LogOutputs, EachHasItsLevelAndTheOriginalComesBack) {
  Log log(LogLevel::info, path("original"));
  log.set_outputs(parse_log_outputs("4:file:" + path("errors") + " 1:file:" + path("all")));
  log.info("one");
  log.error("two");
  EXPECT_EQ(read_all(path("errors")).find("one"), std::string::npos);
  EXPECT_NE(read_all(path("errors")).find("two"), std::string::npos);
  EXPECT_NE(read_all(path("all")).find("one"), std::string::npos);
  log.set_outputs({});
  log.info("three");
  EXPECT_NE(read_all(path("original")).find("three"), std::string::npos);
  EXPECT_EQ(read_all(path("original")).find("one"), std::string::npos);
  EXPECT_EQ(to_string(log.outputs()), "2:file:" + path("original"));
}

TEST_F(LogOutputs, OneThatCannotBeOpenedChangesNothing) {
  Log log(LogLevel::info, path("original"));
  EXPECT_THROW(log.set_outputs(parse_log_outputs("1:stderr 1:file:/nonexistent/x")), vmm::Error);
  log.info("still here");
  EXPECT_NE(read_all(path("original")).find("still here"), std::string::npos);
}

TEST_F(LogOutputs, FiltersDecideBySource) {
  Log log(LogLevel::warning, path("original"));
  log.set_outputs(parse_log_outputs("1:file:" + path("all")));
  log.set_filters(parse_log_filters("1:driver 4:rpc"));
  log.write(LogLevel::debug, "from the driver", "driver.domain");
  log.write(LogLevel::warning, "from rpc", "rpc");
  log.write(LogLevel::warning, "from the daemon");
  log.write(LogLevel::info, "quiet");
  const std::string text = read_all(path("all"));
  EXPECT_NE(text.find("from the driver"), std::string::npos);
  EXPECT_EQ(text.find("from rpc"), std::string::npos);
  EXPECT_NE(text.find("from the daemon"), std::string::npos);
  EXPECT_EQ(text.find("quiet"), std::string::npos);
  EXPECT_EQ(to_string(log.filters()), "1:driver 4:rpc");
}

}  // namespace
}  // namespace warren::daemon
