// What the daemon's configuration file sets, and the directories the daemon works in.
//
// Plain values, read once at start-up. Throws ConfigurationError for an unknown key or a bad value.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace warren::daemon {

struct Configuration {
  bool compat_qemu = false;  // also serve virtqemud-sock and libvirt-sock
  unsigned int max_clients = 5000;
  unsigned int max_anonymous_clients = 20;
  unsigned int max_client_requests = 5;
  std::chrono::seconds keepalive_interval{5};  // 0: none
  unsigned int keepalive_count = 5;
  unsigned int log_level = 3;  // 1 debug … 4 errors
  std::string log_file;        // empty: standard error
  std::string worker_program;  // empty: warren-vmm beside the daemon, or in libexec
  std::string worker_user = "nobody";
  std::string worker_group;  // empty: that of worker_user
  bool worker_sandbox = true;
  bool publish_host_names = true;       // guests' names, for libvirt's modules of the name service switch
  std::string openvswitch_database;     // for ovs-vsctl's --db; empty: its socket below the root's /run
  std::chrono::seconds job_timeout{2};  // what waits behind a job for longer is refused
};

// `file` is for messages.
Configuration read_configuration(std::string_view file, std::string_view text);

// Where the daemon keeps its things.
struct Directories {
  std::filesystem::path configuration;  // /etc/warren
  std::filesystem::path runtime;        // /run/warren
  std::filesystem::path sockets;        // /run/libvirt, where clients look
  std::filesystem::path state;          // /var/lib/warren
  std::filesystem::path log;            // /var/log/warren
  std::filesystem::path host_names;     // /var/lib/libvirt/dnsmasq; a user's daemon has none
};

// The system daemon's, below `root` ("/" for the host's own).
Directories system_directories(const std::filesystem::path& root);
// A user's, by the XDG base directory specification: `environment` looks a variable up and gives an empty
// string for one that is not set. `home` is used where a variable is missing. XDG_RUNTIME_DIR has no such
// stand-in that is safe, and falls back to the cache directory as libvirt's library does.
Directories session_directories(const std::filesystem::path& home,
                                std::string (*environment)(const char* name));

}  // namespace warren::daemon
