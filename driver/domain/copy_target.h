// Opening what a disk is to be copied to.
//
// Blocks (a file server may hang): pool threads only.
#pragma once

#include <optional>
#include <string>

#include "driver/config/disk.h"
#include "driver/domain/disk_image.h"

namespace warren::driver::domain {

struct CopyRequest {
  config::DiskSourceType source_type = config::DiskSourceType::file;
  std::string path;
  std::optional<config::DiskFormat> format;  // none: the disk's, or of an image that is there what that says
  bool reuse = false;                        // VIR_DOMAIN_BLOCK_COPY_REUSE_EXT
  bool shallow = false;                      // VIR_DOMAIN_BLOCK_COPY_SHALLOW, of a disk that is backed
};

struct CopyTarget {
  DiskImage image;
  config::BackingImage description;
  bool is_new = false;   // an image is still to be made of it
  bool created = false;  // there was no file of that name
};

// Throws Error as qemu:///system does for a target that is there, or not, as the flags do not say; nothing is
// left of it then.
CopyTarget open_copy_target(const config::Disk& disk, const CopyRequest& request);

}  // namespace warren::driver::domain
