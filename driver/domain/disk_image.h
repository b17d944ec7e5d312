// Opening what a domain's disks and boot files are made of, with errors that say what to do about them.
//
// Blocks (a file server may hang): pool threads only. The format is never probed: a disk is raw, whatever its
// first bytes say (T32).
#pragma once

#include <cstdint>
#include <string>

#include "driver/config/disk.h"
#include "driver/domain/descriptor_groups.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct DiskImage {
  vmm::FileDescriptor file;
  bool direct = false;  // opened with O_DIRECT
  std::uint32_t direct_alignment = 512;
};

// The lock that keeps an image from being written by two domains is on the open file itself, which the worker
// gets: it lasts as long as the worker, whatever becomes of the daemon. Throws Error: VIR_ERR_SYSTEM_ERROR
// naming the path component that failed, VIR_ERR_RESOURCE_BUSY when another domain has the image.
DiskImage open_disk_image(const config::Disk& disk);
// The same of a disk that is lent to the domain: a descriptor that is open already, of `groups`.
DiskImage open_disk_image(const config::Disk& disk, const DescriptorGroupMap& groups);

// A kernel or initrd, read-only. `element` is for the error, e.g. "/domain/os/kernel".
vmm::FileDescriptor open_boot_file(const std::string& path, const std::string& element);

// Takes a failed open apart: which component of the path is missing, no directory, or closed to us.
std::string explain_path_failure(const std::string& path, int error_number);

struct ImageSize {
  std::uint64_t capacity = 0;    // bytes the guest sees
  std::uint64_t allocation = 0;  // bytes used on the host
  std::uint64_t physical = 0;    // bytes of the file
};
// Of an image that need not be in use. Throws Error.
ImageSize measure_image(const std::string& path);

}  // namespace warren::driver::domain
