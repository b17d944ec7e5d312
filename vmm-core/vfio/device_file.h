// An assigned device as the host's kernel hands it out: VFIO's device descriptor, call by call (linux/vfio.h,
// Documentation/driver-api/vfio.rst). The narrowest seam: whatever is behind it, what it says is not trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::vfio {

// Any thread.
class DeviceFile {
 public:
  virtual ~DeviceFile() = default;
  // An ioctl; its result, or minus the errno.
  virtual int request(unsigned long number, void* argument) noexcept = 0;
  // All of `data` at `position` of the file, or false.
  virtual bool read(std::uint64_t position, std::span<std::byte> data) noexcept = 0;
  virtual bool write(std::uint64_t position, std::span<const std::byte> data) noexcept = 0;
  // Whole pages, shared with the device; null when it cannot be.
  virtual std::byte* map(std::uint64_t position, std::uint64_t size) noexcept = 0;
  virtual void unmap(std::byte* address, std::uint64_t size) noexcept = 0;
};

class KernelDeviceFile final : public DeviceFile {
 public:
  explicit KernelDeviceFile(FileDescriptor file) : file_(std::move(file)) {}

  int request(unsigned long number, void* argument) noexcept override;
  bool read(std::uint64_t position, std::span<std::byte> data) noexcept override;
  bool write(std::uint64_t position, std::span<const std::byte> data) noexcept override;
  std::byte* map(std::uint64_t position, std::uint64_t size) noexcept override;
  void unmap(std::byte* address, std::uint64_t size) noexcept override;

 private:
  const FileDescriptor file_;
};

}  // namespace warren::vmm::vfio
