// For tests: an Open vSwitch of one's own in a network name space of one's own, which ends with it. Needs
// root.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "driver/contract/error.h"
#include "driver/tool/tool.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::openvswitch {

class PrivateSwitch {
 public:
  // The thread is in the new name space until the end.
  PrivateSwitch() : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    char pattern[] = "/tmp/warren-switch-XXXXXX";
    if (::mkdtemp(pattern) == nullptr) throw system_error(errno, "make a directory for a switch");
    directory_ = pattern;
    if (::unshare(CLONE_NEWNET) != 0) throw system_error(errno, "unshare the network: this needs root");
    const std::string file = directory_ / "conf.db";
    require_tool(
        {.name = "ovsdb-tool", .arguments = {"create", file, "/usr/share/openvswitch/vswitch.ovsschema"}});
    begin("ovsdb-server", {"--remote=p" + database(), file});
    while (!std::filesystem::exists(directory_ / "db.sock")) ::usleep(2000);
    tell({"--no-wait", "init"});
    begin("ovs-vswitchd", {database()});
    tell({"add-br", kBridge, "--", "set", "Bridge", kBridge, "datapath_type=netdev"});
  }
  ~PrivateSwitch() {
    for (const pid_t child : children_) end(child);
    std::error_code none;
    std::filesystem::remove_all(directory_, none);
    ::setns(before_.get(), CLONE_NEWNET);
  }
  PrivateSwitch(const PrivateSwitch&) = delete;
  PrivateSwitch& operator=(const PrivateSwitch&) = delete;

  static constexpr const char* kBridge = "ovsbr0";
  std::string database() const { return "unix:" + (directory_ / "db.sock").string(); }

  // ovs-vsctl(8), whose answer has no quotes and no line's end.
  std::string tell(std::vector<std::string> words) const {
    words.insert(words.begin(), {"--db=" + database(), "--timeout=20"});
    std::string text = require_tool({.name = "ovs-vsctl", .arguments = std::move(words)});
    std::erase_if(text, [](char c) { return c == '"' || c == '\n'; });
    return text;
  }
  std::string get(const std::string& table, const std::string& row, const std::string& column) const {
    return tell({"--if-exists", "get", table, row, column});
  }
  void stop_switching() {
    end(children_.back());
    children_.pop_back();
  }

 private:
  void begin(const std::string& program, std::vector<std::string> words) {
    const std::string path = find_tool(program);
    if (path.empty()) throw internal_error(program + " is not installed");
    words.insert(words.begin(), {program, "--no-chdir", "-vconsole:off",
                                 fmt::format("--unixctl={}", (directory_ / (program + ".ctl")).string())});
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    // What it makes besides is put there, too.
    std::string place = "OVS_RUNDIR=" + directory_.string(), logs = "OVS_LOGDIR=" + directory_.string();
    char* environment[] = {place.data(), logs.data(), nullptr};
    pid_t child = -1;
    if (const int failed =
            ::posix_spawn(&child, path.c_str(), nullptr, nullptr, arguments.data(), environment);
        failed != 0)
      throw system_error(failed, "start " + path);
    children_.push_back(child);
  }
  static void end(pid_t child) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }

  vmm::FileDescriptor before_;
  std::filesystem::path directory_;
  std::vector<pid_t> children_;
};

}  // namespace warren::driver::openvswitch
