// The system calls that are left to a caged program.
#pragma once

namespace warren::driver::cage {

// Binds the calling thread and what it starts; needs no_new_privs. A call that is not allowed fails with
// ENOSYS, as on a kernel that does not have it. Throws vmm::Error.
void install_filter();

}  // namespace warren::driver::cage
