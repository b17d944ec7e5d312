// ioctl(2) on KVM descriptors, with errors that name the request.
#pragma once

#include <cerrno>
#include <string>

#include <sys/ioctl.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::kvm {

// Repeats what a signal interrupted. -1 with errno set on failure.
template <typename Argument>
int try_ioctl(int descriptor, unsigned long request, Argument argument) noexcept {
  for (;;) {
    const int result = ::ioctl(descriptor, request, argument);
    if (result >= 0 || errno != EINTR) return result;
  }
}

template <typename Argument>
int checked_ioctl(int descriptor, unsigned long request, Argument argument, const char* name) {
  const int result = try_ioctl(descriptor, request, argument);
  if (result < 0) throw_errno(name);
  return result;
}

}  // namespace warren::vmm::kvm

// The request and its name.
#define WARREN_KVM_IOCTL(descriptor, request, argument) \
  ::warren::vmm::kvm::checked_ioctl(descriptor, request, argument, #request)
