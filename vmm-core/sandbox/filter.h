// System call filters (seccomp), one per kind of thread.
//
// A filter binds the calling thread and the threads it starts later, and filters add up: a call must pass all
// of them. So the control kind allows whatever the other kinds allow: the control thread installs its filter,
// starts vCPU and I/O threads, and each of those narrows itself further by its own kind, first thing. Needs
// no_new_privs (enter_isolation sets it) or CAP_SYS_ADMIN. About 30 µs a thread; no filter library is
// involved.
#pragma once

#include <cstdint>
#include <span>

namespace warren::vmm {

enum class ThreadKind : std::uint8_t {
  vcpu,     // runs KVM_RUN and device registers
  io,       // serves virtqueues and works on images: io_uring, preadv/pwritev, tap, eventfds; may start
            // threads of its own kind
  control,  // control socket, machine set-up and tear-down; starts threads
};

enum class FilterMode : std::uint8_t {
  enforce,  // a call that no rule allows kills the process (SIGSYS)
  report,   // the same, but says on standard error which kind, call and argument it was, and exits with 159
  log,      // let it through; the kernel's audit log tells (for finding rules)
};

// Binds the calling thread for good. Throws Error.
void install_filter(ThreadKind kind, FilterMode mode = FilterMode::enforce);

// --- The policy as data, for tests and documentation ---

// Allows one system call, always or when one 32-bit argument, masked, has a value. Several rules of one call
// are alternatives.
struct FilterRule {
  std::uint32_t system_call;
  std::int8_t argument = -1;  // -1: always
  std::uint32_t mask = 0xffff'ffff;
  std::uint32_t value = 0;
};

// The rules of the kind alone (for control: without those of the other kinds).
std::span<const FilterRule> filter_rules(ThreadKind kind) noexcept;
const char* name_of(ThreadKind kind) noexcept;

}  // namespace warren::vmm
