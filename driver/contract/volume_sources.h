// What domains need of the pools: where a volume is that a disk names, and somebody who remembers the formats
// of images that cannot carry their mark. Implemented by the storage driver. Loop's thread.
#pragma once

#include <string>

namespace warren::driver {

// A volume as the disk of a domain: <source pool= volume=/>. What is in it says nothing about its format:
// that is the disk's to declare, as for every other image (T32).
struct VolumeSource {
  std::string path;
  bool is_block = false;
};

class VolumeSources {
 public:
  // Of an active pool. Throws Error: VIR_ERR_NO_STORAGE_POOL, VIR_ERR_CONFIG_UNSUPPORTED for a pool that is
  // not active and for a volume that is no image of this host, VIR_ERR_NO_STORAGE_VOL,
  // VIR_ERR_OPERATION_INVALID for one that is still being made.
  virtual VolumeSource volume_source(const std::string& pool, const std::string& volume) const = 0;
  // An image that a guest may write, on a file system that cannot keep the mark on it
  // (driver/store/declared_format.h).
  virtual void declare_format(const std::string& path, const std::string& format) = 0;

 protected:
  ~VolumeSources() = default;
};

}  // namespace warren::driver
