// Opening what a domain's disks and boot files are made of, with errors that say what to do about them.
//
// Blocks (a file or NBD server may hang): pool threads only. The format is never probed: a disk is what its
// definition says, whatever its first bytes are (T32).
#pragma once

#include <cstdint>
#include <string>

#include "driver/config/disk.h"
#include "driver/domain/descriptor_groups.h"
#include "driver/store/image_header.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct DiskImage {
  vmm::FileDescriptor file;  // of type network a socket that is connected to the server
  bool direct = false;       // opened with O_DIRECT
  std::uint32_t direct_alignment = 512;
  // A guest may write it, and the mark of its declared format could not be kept on it (declared_format.h).
  bool lacks_mark = false;
};

// The lock that keeps an image from being written by two domains is on the open file itself, which the worker
// gets: it lasts as long as the worker, whatever becomes of the daemon. Who writes has the image alone; who
// reads shares it with readers; who writes a <shareable/> disk shares it with all that are <shareable/>, and
// with nobody else. Throws Error: VIR_ERR_SYSTEM_ERROR
// naming the path component that failed, VIR_ERR_RESOURCE_BUSY when another domain or program has the image,
// naming it if it can be told.
DiskImage open_disk_image(const config::Disk& disk);
// An image that this host's worker reads already, again and for writing: the worker is to take it over
// (vmm-core/os/image_lock.h). Throws as the first.
DiskImage reopen_disk_image(const config::Disk& disk);
// The image of a caged disk, locked against all but the program that is to serve it, which locks it as QEMU
// does. To be kept as long as that program has the image: of QEMU's formats not all keep others away. Throws
// as the first.
vmm::FileDescriptor reserve_caged_image(const config::Disk& disk);
// The same of a disk that is lent to the domain: a descriptor that is open already, of `groups`.
DiskImage open_disk_image(const config::Disk& disk, const DescriptorGroupMap& groups);

// A kernel or initrd, read-only. `element` is for the error, e.g. "/domain/os/kernel".
vmm::FileDescriptor open_boot_file(const std::string& path, const std::string& element);

// The header of an image that is declared to be qcow2, to find the other files it is made of; never to find
// out whether it is one (T32). The descriptor may have been opened with O_DIRECT. Throws Error
// (VIR_ERR_OPERATION_INVALID naming `path`) for one that cannot be relied on; whatever else is wrong with the
// image is its reader's to say.
store::ImageHeader read_image_header(const vmm::FileDescriptor& file, const std::string& path);

// Takes a failed open apart: which component of the path is missing, no directory, or closed to us.
std::string explain_path_failure(const std::string& path, int error_number);

struct ImageSize {
  std::uint64_t capacity = 0;    // bytes the guest sees
  std::uint64_t allocation = 0;  // bytes used on the host
  std::uint64_t physical = 0;    // bytes of the file
};
// Of an image that need not be in use. Throws Error.
ImageSize measure_image(const std::string& path, config::DiskFormat format);

}  // namespace warren::driver::domain
