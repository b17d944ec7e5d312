// The `key = value` files that libvirt's administrators know: integers, quoted strings and lists of them.
//
//   # comment          max_clients = 5000          log_file = "/var/log/warren/daemon.log"
//   compat_qemu = true                             names = [ "a", 'b' ]
//
// `true` and `false` are 1 and 0. Strings have no escapes; a string in single quotes may hold double ones and
// the other way round. A key may appear once. No thread is involved; errors name file and line.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace warren::daemon {

class ConfigurationError : public std::runtime_error {
 public:
  ConfigurationError(std::string_view file, unsigned int line, std::string_view what);
};

struct ConfigurationValue {
  std::variant<std::int64_t, std::string, std::vector<std::string>> value;
  unsigned int line = 0;
};

using ConfigurationEntries = std::map<std::string, ConfigurationValue, std::less<>>;

// `file` is for messages. Throws ConfigurationError.
ConfigurationEntries parse_configuration(std::string_view file, std::string_view text);

}  // namespace warren::daemon
