#include "daemon/options.h"

#include <array>
#include <charconv>
#include <cstring>

#include <fmt/format.h>
#include <getopt.h>

namespace warren::daemon {
namespace {

enum : int { kRoot = 256, kSession, kPrintProcedures };

constexpr std::array kLongOptions{
    option{"root", required_argument, nullptr, kRoot},
    option{"config", required_argument, nullptr, 'f'},
    option{"timeout", required_argument, nullptr, 't'},
    option{"session", no_argument, nullptr, kSession},
    option{"verbose", no_argument, nullptr, 'v'},
    option{"version", no_argument, nullptr, 'V'},
    option{"help", no_argument, nullptr, 'h'},
    option{"print-procedures", no_argument, nullptr, kPrintProcedures},
    option{nullptr, 0, nullptr, 0},
};

std::chrono::seconds parse_timeout(const char* text) {
  int seconds = 0;
  const char* end = text + std::strlen(text);
  auto [stop, error] = std::from_chars(text, end, seconds);
  if (error != std::errc{} || stop != end || seconds <= 0) {
    throw UsageError(fmt::format("--timeout needs a number of seconds above 0, not '{}'", text));
  }
  return std::chrono::seconds(seconds);
}

std::filesystem::path parse_root(const char* text) {
  if (*text == '\0') throw UsageError("--root needs a directory");
  return std::filesystem::absolute(text).lexically_normal();
}

}  // namespace

Options parse_options(int argc, char** argv, bool is_root) {
  Options options;
  optind = 0;  // glibc: begin anew
  opterr = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
  for (int c = 0; (c = ::getopt_long(argc, argv, ":f:t:vVh", kLongOptions.data(), nullptr)) != -1;) {
    switch (c) {
      case kRoot:
        options.root = parse_root(optarg);
        break;
      case 'f':
        options.configuration = optarg;
        break;
      case 't':
        options.timeout = parse_timeout(optarg);
        break;
      case kSession:
        options.session = true;
        break;
      case 'v':
        options.verbose = true;
        break;
      case 'V':
        options.action = Options::Action::version;
        break;
      case 'h':
        options.action = Options::Action::help;
        break;
      case kPrintProcedures:
        options.action = Options::Action::print_procedures;
        break;
      case ':':
        throw UsageError(fmt::format("option '{}' needs a value", argv[optind - 1]));
      default:
        throw UsageError(fmt::format("unknown option '{}'", argv[optind - 1]));
    }
  }
  if (optind < argc) throw UsageError(fmt::format("unexpected argument '{}'", argv[optind]));
  if (options.root && options.session) throw UsageError("--root is for the system daemon, not for --session");
  if (!is_root && !options.root) options.session = true;
  return options;
}

std::string help_text() {
  return "usage: virtwarrend [options]\n"
         "  --root DIR            keep configuration, state and sockets under DIR "
         "(DIR/run/libvirt/virtwarrend-sock)\n"
         "  -f, --config FILE     read FILE instead of warren.conf in the configuration directory\n"
         "  -t, --timeout SECONDS end after SECONDS without clients and running domains\n"
         "  --session             serve this user (warren:///session); the default for all but root\n"
         "  -v, --verbose         log more\n"
         "  --print-procedures    list the remote procedures and whether they are served\n"
         "  -V, --version         print the version\n"
         "  -h, --help            print this text\n";
}

}  // namespace warren::daemon
