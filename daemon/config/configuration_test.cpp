#include "daemon/config/configuration.h"

#include <string>

#include <gtest/gtest.h>

#include "daemon/config/configuration_file.h"

namespace warren::daemon {
namespace {

std::string error_of(std::string_view text) {
  try {
    read_configuration("warren.conf", text);
  } catch (const ConfigurationError& error) {
    return error.what();
  }
  return "none";
}

TEST(Configuration, TakesTheDialectOfLibvirtsFiles) {
  Configuration read = read_configuration("warren.conf",
                                          "# a comment\n\n"
                                          "compat_qemu = true   # and one here\n"
                                          "max_clients=17\n"
                                          "\tlog_file = '/tmp/a \"b\".log'\n"
                                          "keepalive_interval = 0");
  EXPECT_TRUE(read.compat_qemu);
  EXPECT_EQ(read.max_clients, 17U);
  EXPECT_EQ(read.log_file, "/tmp/a \"b\".log");
  EXPECT_EQ(read.keepalive_interval.count(), 0);
  EXPECT_EQ(read.max_client_requests, 5U);
}

TEST(Configuration, ListsMaySpanLines) {
  ConfigurationEntries entries = parse_configuration("f", "a = [ \"x\",\n  'y', # why\n]\nb = []\nc = -5\n");
  EXPECT_EQ(std::get<std::vector<std::string>>(entries.at("a").value), (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(std::get<std::vector<std::string>>(entries.at("b").value).empty());
  EXPECT_EQ(std::get<std::int64_t>(entries.at("c").value), -5);
  EXPECT_EQ(entries.at("c").line, 5U);
}

TEST(Configuration, ErrorsNameFileAndLine) {
  EXPECT_EQ(error_of("\nmax_client = 1\n"), "warren.conf:2: unknown key 'max_client'");
  EXPECT_EQ(error_of("max_clients = \"many\""), "warren.conf:1: 'max_clients' must be an integer");
  EXPECT_EQ(error_of("max_clients = 0"), "warren.conf:1: 'max_clients' must be from 1 to 1000000");
  EXPECT_EQ(error_of("log_file = 1"), "warren.conf:1: 'log_file' must be a quoted string");
  EXPECT_EQ(error_of("log_file = \"a\nb\""), "warren.conf:1: string without its closing quote");
  EXPECT_EQ(error_of("log_level = 1\nlog_level = 2"), "warren.conf:2: 'log_level' is set twice");
  EXPECT_EQ(error_of("log_level 1"), "warren.conf:1: expected '=' after 'log_level'");
  EXPECT_EQ(error_of("log_level = 1 2"), "warren.conf:1: unexpected text after the value of 'log_level'");
  EXPECT_EQ(error_of("log_level = yes"), "warren.conf:1: expected an integer, a quoted string or a list");
  EXPECT_EQ(error_of("log_level = 99999999999999999999"), "warren.conf:1: not an integer, or out of range");
  EXPECT_EQ(error_of("log_level ="), "warren.conf:1: expected a value");
  EXPECT_EQ(error_of("= 1"), "warren.conf:1: expected a key");
}

TEST(Directories, RootMovesEverything) {
  Directories found = system_directories("/srv/w");
  EXPECT_EQ(found.sockets, "/srv/w/run/libvirt");
  EXPECT_EQ(found.configuration, "/srv/w/etc/warren");
  EXPECT_EQ(system_directories("/").log, "/var/log/warren");
}

TEST(Directories, SessionFollowsTheXdgVariables) {
  Directories found = session_directories("/home/u", [](const char* name) -> std::string {
    if (std::string_view(name) == "XDG_RUNTIME_DIR") return "/run/user/7";
    if (std::string_view(name) == "XDG_DATA_HOME") return "relative";
    return "";
  });
  EXPECT_EQ(found.sockets, "/run/user/7/libvirt");
  EXPECT_EQ(found.configuration, "/home/u/.config/warren");
  EXPECT_EQ(found.state, "/home/u/.local/share/warren");
}

}  // namespace
}  // namespace warren::daemon
