// Memory of the host that has failed, as the kernel tells it: SIGBUS with BUS_MCEERR_AO for what nobody is
// using, BUS_MCEERR_AR for what a thread is about to use (sigaction(2); Linux Documentation/mm/hwpoison.rst).
//
// The handler is one for the process. It passes each error on through a pipe, and returns from those that
// need nothing now. A thread that needs the memory itself waits there for good, so that whoever reads the
// pipe can say why the process ends; one that lets the kernel's KVM use it sets a trap and goes on.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>

#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm {

struct MemoryError {
  std::uintptr_t address = 0;    // of this process
  bool action_required = false;  // a thread waits for good
};

// While it is set, an error that this thread meets is kept for take(), and what it is doing is interrupted.
// On its thread's stack; one at a time.
class MemoryErrorTrap {
 public:
  MemoryErrorTrap() noexcept;
  MemoryErrorTrap(const MemoryErrorTrap&) = delete;
  MemoryErrorTrap& operator=(const MemoryErrorTrap&) = delete;
  ~MemoryErrorTrap();

  // The address of an error that it has caught.
  std::optional<std::uintptr_t> take() noexcept;
};

// Installs the handler and asks for early notice of what nobody uses, on the calling thread. Returns the end
// of the pipe that read_memory_error() takes. Once in a process, before other threads. Throws Error.
FileDescriptor follow_memory_errors();

// The next error; none when there is none. Throws Error when the pipe is broken.
std::optional<MemoryError> read_memory_error(const FileDescriptor& pipe);

// What the handler does with a signal; for tests.
void handle_memory_error(const siginfo_t& information) noexcept;

}  // namespace warren::vmm
