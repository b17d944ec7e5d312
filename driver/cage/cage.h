// Programs that are not ours, kept where they can do nothing but their work.
//
// A caged program sees the programs and libraries of the host, read-only, and what it is given by name, and
// nothing else: no other file, process or network, no privilege but to open what it was given, no system call
// that its work does not need (`warren-cage`, which is its first process, sees to that). It lives as long as
// somebody has its lifeline open: then it is asked to end, and killed when it does not.
//
// Blocks until the program is ready: pool threads only.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::cage {

// A file or block device of the host that is in the cage, at `place`.
struct CagedFile {
  std::filesystem::path source;
  std::string place;  // directly below the root: "/image"
  bool writable = false;
};

// How long a program has to end when it is asked to, before it is killed.
inline constexpr std::chrono::seconds kTimeToEnd{5};

inline constexpr int kListener = 3;                     // the descriptor it finds its listening socket at
inline constexpr const char* kSecretPlace = "/secret";  // and the file it finds what it is not to tell in

struct CageLaunch {
  std::filesystem::path cage_program;  // warren-cage
  // The program, which is below /usr, and its arguments. It forks when it is ready, and its first process
  // ends with status 0 then; else with another, after it has said why on standard error.
  std::vector<std::string> words;
  std::vector<CagedFile> files;
  const vmm::FileDescriptor* listener = nullptr;
  const vmm::FileDescriptor* secret = nullptr;  // a file to be read from its start, of 4 KiB at most; or null
  // Open until the program has ended, and so are its locks; what is bound first is the same file. Or null.
  const vmm::FileDescriptor* held = nullptr;
  // Who it becomes when the daemon is root; else it stays who the daemon is.
  uid_t user = 65534;
  gid_t group = 65534;
  // Told the process before it does anything: where its limits are set.
  std::function<void(pid_t)> place = [](pid_t) {};
  std::chrono::milliseconds patience{20'000};
};

// Returns the lifeline. Throws Error with what the program said.
vmm::FileDescriptor launch_in_cage(const CageLaunch& launch);

}  // namespace warren::driver::cage
