// The daemon's command line.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>

namespace warren::daemon {

struct Options {
  enum class Action { serve, help, version, print_procedures };

  Action action = Action::serve;
  std::optional<std::filesystem::path> root;           // --root
  std::optional<std::filesystem::path> configuration;  // --config
  std::optional<std::chrono::seconds> timeout;         // --timeout
  bool session = false;                                // --session, and whoever is not root without --root
  bool verbose = false;                                // --verbose
};

class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws UsageError. Not reentrant (getopt).
Options parse_options(int argc, char** argv, bool is_root);
std::string help_text();

}  // namespace warren::daemon
