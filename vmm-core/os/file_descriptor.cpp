#include "vmm-core/os/file_descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {

void FileDescriptor::reset(int fd) noexcept {
  // close() frees the number even when it reports EINTR or EIO, so it is never repeated.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

FileDescriptor FileDescriptor::duplicate() const {
  int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw_errno("duplicate a descriptor");
  return FileDescriptor(copy);
}

}  // namespace warren::vmm
