#include "daemon/config/configuration.h"

#include <utility>

#include <fmt/format.h>

#include "daemon/config/configuration_file.h"

namespace warren::daemon {
namespace {

// Takes the entries one by one, each with the type and range that its member has.
class Reader {
 public:
  Reader(std::string_view file, ConfigurationEntries entries) : file_(file), entries_(std::move(entries)) {}

  void integer(std::string_view key, unsigned int& target, std::int64_t lowest, std::int64_t highest) {
    std::int64_t value = target;
    if (!take(key, value, "an integer")) return;
    if (value < lowest || value > highest) {
      throw ConfigurationError(file_, line_, fmt::format("'{}' must be from {} to {}", key, lowest, highest));
    }
    target = static_cast<unsigned int>(value);
  }
  void boolean(std::string_view key, bool& target) {
    unsigned int value = target ? 1 : 0;
    integer(key, value, 0, 1);
    target = value == 1;
  }
  void text(std::string_view key, std::string& target) { take(key, target, "a quoted string"); }

  // Everything has been asked for: what is left is nobody's.
  void finish() const {
    if (entries_.empty()) return;
    const auto& [key, value] = *entries_.begin();
    throw ConfigurationError(file_, value.line, fmt::format("unknown key '{}'", key));
  }

 private:
  template <class T>
  bool take(std::string_view key, T& target, std::string_view expected) {
    auto found = entries_.find(key);
    if (found == entries_.end()) return false;
    line_ = found->second.line;
    T* value = std::get_if<T>(&found->second.value);
    if (value == nullptr)
      throw ConfigurationError(file_, line_, fmt::format("'{}' must be {}", key, expected));
    target = std::move(*value);
    entries_.erase(found);
    return true;
  }

  std::string_view file_;
  ConfigurationEntries entries_;
  unsigned int line_ = 0;
};

std::filesystem::path or_below(const std::string& value, const std::filesystem::path& otherwise) {
  // The specification: a relative path is invalid and ignored.
  return value.starts_with('/') ? std::filesystem::path(value) : otherwise;
}

}  // namespace

Configuration read_configuration(std::string_view file, std::string_view text) {
  constexpr std::int64_t kMostClients = 1'000'000;
  constexpr std::int64_t kDay = 86400;
  Configuration read;
  Reader reader(file, parse_configuration(file, text));
  reader.boolean("compat_qemu", read.compat_qemu);
  reader.integer("max_clients", read.max_clients, 1, kMostClients);
  reader.integer("max_anonymous_clients", read.max_anonymous_clients, 1, kMostClients);
  reader.integer("max_client_requests", read.max_client_requests, 1, 1000);
  auto interval = static_cast<unsigned int>(read.keepalive_interval.count());
  reader.integer("keepalive_interval", interval, 0, kDay);
  read.keepalive_interval = std::chrono::seconds(interval);
  reader.integer("keepalive_count", read.keepalive_count, 1, 1000);
  reader.integer("log_level", read.log_level, 1, 4);
  reader.text("log_file", read.log_file);
  reader.text("worker_program", read.worker_program);
  reader.text("worker_user", read.worker_user);
  reader.text("worker_group", read.worker_group);
  reader.boolean("worker_sandbox", read.worker_sandbox);
  reader.boolean("publish_host_names", read.publish_host_names);
  reader.text("openvswitch_database", read.openvswitch_database);
  auto patience = static_cast<unsigned int>(read.job_timeout.count());
  reader.integer("job_timeout", patience, 0, kDay);
  read.job_timeout = std::chrono::seconds(patience);
  reader.finish();
  return read;
}

Directories system_directories(const std::filesystem::path& root) {
  return {.configuration = root / "etc/warren",
          .runtime = root / "run/warren",
          .sockets = root / "run/libvirt",
          .state = root / "var/lib/warren",
          .log = root / "var/log/warren",
          .host_names = root / "var/lib/libvirt/dnsmasq"};
}

Directories session_directories(const std::filesystem::path& home,
                                std::string (*environment)(const char* name)) {
  std::filesystem::path cache = or_below(environment("XDG_CACHE_HOME"), home / ".cache");
  std::filesystem::path runtime = or_below(environment("XDG_RUNTIME_DIR"), cache);
  return {.configuration = or_below(environment("XDG_CONFIG_HOME"), home / ".config") / "warren",
          .runtime = runtime / "warren",
          .sockets = runtime / "libvirt",
          .state = or_below(environment("XDG_DATA_HOME"), home / ".local/share") / "warren",
          .log = cache / "warren/log"};
}

}  // namespace warren::daemon
