// Where the bytes of serial ports and consoles go on the host: pseudo terminals, files and logs.
//
// Blocks on the file system: pool threads only. Throws Error.
#pragma once

#include <string>

#include <sys/socket.h>

#include "driver/config/character_device.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct PseudoTerminal {
  vmm::FileDescriptor master;  // non-blocking
  std::string path;            // of the slave
};

// In raw mode, the slave 0600 and owned by the daemon's user.
PseudoTerminal open_pseudo_terminal();

// The slave of a running domain's pty, for one client of the console: non-blocking, never the daemon's
// controlling terminal. Does not block. `path` must be a pty's.
vmm::FileDescriptor open_slave(const std::string& path);

// An output file of a domain, 0600 when it is made: appended to, or emptied first. Symbolic links in its last
// component are refused, since directories of logs may be writable to others (T19).
vmm::FileDescriptor open_output_file(const std::string& path, bool append);

// Where the daemon makes the character device a socket; empty for what it makes none.
std::string own_socket(const config::CharacterBackend& backend);
// The host's end of a character device: a listening socket at `path`, 0600, in place of a socket that was
// there but of nothing else; or a connection to one.
vmm::FileDescriptor listen_character_socket(const std::string& path, int type = SOCK_STREAM);
vmm::FileDescriptor connect_character_socket(const std::string& path);
// When nobody listens there any more; nothing but a socket is removed.
void remove_character_socket(const std::string& path) noexcept;

}  // namespace warren::driver::domain
