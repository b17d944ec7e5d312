// Opening what a disk is to be copied to.
//
// Blocks (a file server may hang): pool threads only.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "driver/config/disk.h"
#include "driver/domain/disk_image.h"

namespace warren::driver::domain {

struct CopyRequest {
  config::DiskSourceType source_type = config::DiskSourceType::file;
  std::string path;                          // or the name of an export
  std::optional<config::NbdServer> server;   // of type network: what it exports is there already
  std::optional<config::DiskFormat> format;  // none: the disk's, or of an image that is there what that says
  bool reuse = false;                        // VIR_DOMAIN_BLOCK_COPY_REUSE_EXT
  bool shallow = false;                      // VIR_DOMAIN_BLOCK_COPY_SHALLOW, of a disk that is backed
};

// A file that goes again with whoever made it, unless it is kept.
class CreatedFile {
 public:
  CreatedFile() = default;
  explicit CreatedFile(std::string path) : path_(std::move(path)) {}
  CreatedFile(CreatedFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  CreatedFile& operator=(CreatedFile&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~CreatedFile();
  // Empty: none was made.
  std::string keep() noexcept { return std::exchange(path_, {}); }

 private:
  std::string path_;
};

struct CopyTarget {
  DiskImage image;
  config::BackingImage description;
  bool is_new = false;  // an image is still to be made of it
  CreatedFile created;  // where there was no file of that name
};

// Throws Error as qemu:///system does for a target that is there, or not, as the flags do not say; nothing is
// left of it then.
CopyTarget open_copy_target(const config::Disk& disk, const CopyRequest& request);

}  // namespace warren::driver::domain
