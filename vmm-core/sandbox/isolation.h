// Takes everything from the worker process that it does not need: name spaces, files, network, capabilities.
//
// Called once by the worker's main thread, before there is another thread and after every descriptor it needs
// is open; nothing is given back. What a guest that took the worker over could still do is then decided by
// the descriptors the worker holds and by the system call filters (filter.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <sys/types.h>

namespace warren::vmm {

struct IsolationOptions {
  // The unprivileged identity to become when the process was started as root. Without them a root process
  // throws: staying root is never what anybody wants. Ignored when not root.
  std::optional<uid_t> user;
  std::optional<gid_t> group;
  // An empty network name space that somebody prepared once for all workers (setns costs 20 µs here, making a
  // fresh one 350 µs and more). -1: make one. Needs root; the caller keeps the descriptor and should close
  // it.
  int network_namespace = -1;
};

// What was reached. As root everything is, or enter_isolation throws. Unprivileged, the kernel may forbid
// user name spaces; then the name spaces are false and Landlock is what keeps files and sockets away.
struct Isolation {
  bool namespaces = false;         // mount (with an empty, read-only root), network, IPC, UTS
  std::uint32_t landlock_abi = 0;  // 0: the kernel has none
};

// In order: name spaces, empty root, identity, no capabilities in any set, no_new_privs, Landlock without a
// single right, not dumpable. Throws Error naming the step; the process must then end, since half is done.
Isolation enter_isolation(const IsolationOptions& options);

// Closes every descriptor of the process except those listed (in any order). Throws Error.
void close_descriptors_except(std::span<const int> keep);

}  // namespace warren::vmm
