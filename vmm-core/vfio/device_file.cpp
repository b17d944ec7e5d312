#include "vmm-core/vfio/device_file.h"

#include <cerrno>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace warren::vmm::vfio {

int KernelDeviceFile::request(unsigned long number, void* argument) noexcept {
  for (;;) {
    const int result = ::ioctl(file_.get(), number, argument);
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}

bool KernelDeviceFile::read(std::uint64_t position, std::span<std::byte> data) noexcept {
  const ssize_t done = ::pread(file_.get(), data.data(), data.size(), static_cast<off_t>(position));
  return done == static_cast<ssize_t>(data.size());
}

bool KernelDeviceFile::write(std::uint64_t position, std::span<const std::byte> data) noexcept {
  const ssize_t done = ::pwrite(file_.get(), data.data(), data.size(), static_cast<off_t>(position));
  return done == static_cast<ssize_t>(data.size());
}

// The device's own memory: what the guest is given of it is this mapping.
std::byte* KernelDeviceFile::map(std::uint64_t position, std::uint64_t size) noexcept {
  void* mapped =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), static_cast<off_t>(position));
  return mapped == MAP_FAILED ? nullptr : static_cast<std::byte*>(mapped);
}

void KernelDeviceFile::unmap(std::byte* address, std::uint64_t size) noexcept {
  ::munmap(address, size);
}

}  // namespace warren::vmm::vfio
