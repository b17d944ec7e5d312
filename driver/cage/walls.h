// What a cage is made of: name spaces, a root of its own, an identity without privileges, limits.
//
// For a process that has one thread and is about to become the first of a cage. Everything throws vmm::Error
// naming the step; what was done is not taken back: the process is to end.
#pragma once

#include <span>
#include <string>

#include <sys/types.h>

namespace warren::driver::cage {

struct Binding {
  std::string source, place;
  bool writable = false;
};

// Mount, network, IPC and UTS name spaces for the caller, and one of processes for what it forks next.
// Without privilege first one of users, in which the caller stays who it is.
void enter_name_spaces();

// An empty, read-only root with programs and libraries of /usr, what is linked to it, /dev/null and the
// bindings. `held` is the file that the first of them is to be, and `secret` one that is copied; -1: there is
// none.
void make_root(std::span<const Binding> bindings, int held, int secret, uid_t user, gid_t group);

// Nobody in particular; of the capabilities, the one to open what was bound whoever owns it is left if the
// caller was root, also to what it executes. Nothing more is ever had again.
void drop_privileges(uid_t user, gid_t group);

}  // namespace warren::driver::cage
