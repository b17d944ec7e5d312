#include "vmm-core/worker/options.h"

#include <charconv>
#include <cstring>
#include <limits>
#include <string_view>

#include "vmm-core/os/error.h"

namespace warren::vmm::worker {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Error(std::errc::invalid_argument, why + " (see warren-vmm --help)");
}

int number(std::string_view option, const char* text, int most = std::numeric_limits<int>::max()) {
  int value = -1;
  if (text == nullptr) refuse(std::string(option) + " needs a number");
  const auto [end, failed] = std::from_chars(text, text + std::strlen(text), value);
  if (failed != std::errc{} || *end != '\0' || value < 0 || value > most) {
    refuse(std::string(option) + ": '" + text + "' is not a number that fits");
  }
  return value;
}

// True when `option` took the value that follows it.
bool takes_number(Options& options, std::string_view option, const char* value) {
  if (option == "--control") {
    options.control = number(option, value);
  } else if (option == "--kvm") {
    options.kvm = number(option, value);
  } else if (option == "--network") {
    options.network = number(option, value);
  } else if (option == "--user") {
    options.user = static_cast<unsigned>(number(option, value));
  } else if (option == "--group") {
    options.group = static_cast<unsigned>(number(option, value));
  } else {
    return false;
  }
  return true;
}

void take_flag(Options& options, std::string_view option) {
  if (option == "--no-sandbox") {
    options.sandbox = false;
  } else if (option == "--inspect-at-end") {
    options.inspect_at_end = true;
  } else {
    refuse("unknown option '" + std::string(option) + "'");
  }
}

}  // namespace

Options parse_options(int argc, const char* const* argv) {
  Options options;
  if (argc < 2) return options;
  const std::string_view mode = argv[1];
  if (mode == "--help") return options;
  if (mode == "--version") {
    options.mode = Options::Mode::version;
    return options;
  }
  int next = 2;
  if (mode == "serve") {
    options.mode = Options::Mode::serve;
  } else if (mode == "run") {
    options.mode = Options::Mode::run;
    options.sandbox = false;
    if (argc < 3) refuse("run needs a file");
    options.file = argv[next++];
  } else {
    refuse("unknown command '" + std::string(mode) + "'");
  }
  while (next < argc) {
    const std::string_view option = argv[next++];
    if (takes_number(options, option, next < argc ? argv[next] : nullptr)) {
      ++next;
    } else {
      take_flag(options, option);
    }
  }
  if (options.mode == Options::Mode::serve && options.control < 0) refuse("serve needs --control");
  return options;
}

const char* usage() noexcept {
  return R"(warren-vmm runs one virtual machine.

  warren-vmm serve --control FD [--kvm FD] [--network FD] [--user UID] [--group GID] [--no-sandbox]
      what virtwarrend starts: FD are open descriptors. The machine is configured and driven over the listening
      socket --control. --network is an empty network namespace to enter.

  warren-vmm run FILE [--inspect-at-end]
      builds the machine that FILE describes, without a daemon and without a sandbox, and attaches the character
      device of kind "terminal" to standard input and output. Ends when the guest does: 0 after a shutdown, 1 when
      the machine could not be built, 2 after a guest crash, 3 after a reset that the machine is not to follow.
      Ctrl-A X ends it, Ctrl-A I prints the inspection tree. FILE is JSON:
        {"machine": {"name": "test", "memory_bytes": 268435456, "cpu": {"vcpus": 2, "sockets": 2},
                     "boot": {"kernel": "kernel", "command_line": "console=ttyS0"},
                     "serials": [{"id": "serial0", "port": 0, "character": {"kind": "terminal"}}],
                     "disks": [{"id": "disk0", "address": {"slot": 2}, "descriptor": "disk0"}]},
         "descriptors": [{"name": "kernel", "kind": "file", "path": "vmlinuz"},
                         {"name": "disk0", "kind": "file", "path": "disk.img", "write": true}]}
      Kinds of descriptors: file (path, write, direct), output (path), tap (path is the interface), pty.
      All members of "machine" are in vmm-core/control/machine_specification.h.

  warren-vmm --version | --help
)";
}

}  // namespace warren::vmm::worker
