// The command line of warren-vmm.
#pragma once

#include <optional>
#include <string>

namespace warren::vmm::worker {

struct Options {
  enum class Mode { serve, run, version, help };
  Mode mode = Mode::help;

  // serve: descriptors that the daemon made and passed on by number.
  int control = -1;  // the listening control socket
  int kvm = -1;      // /dev/kvm; opened by path when absent (run)
  int network = -1;  // an empty network namespace to enter; a new one is made when absent

  // Who to become when started as root.
  unsigned user = 65534;
  unsigned group = 65534;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  bool sandbox = false;  // their runtimes make calls that no rule allows
#else
  bool sandbox = true;
#endif

  // run:
  std::string file;
  bool inspect_at_end = false;  // prints the inspection tree on stderr when the machine stops
};

// Throws Error that says what is wrong with the command line.
Options parse_options(int argc, const char* const* argv);

const char* usage() noexcept;

}  // namespace warren::vmm::worker
