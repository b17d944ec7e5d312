// Making a new image.
#pragma once

#include <cstdint>
#include <string>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/qcow2/format.h"

namespace warren::vmm::block::qcow2 {

enum class Preallocation : std::uint8_t { off, metadata, falloc, full };

struct CreateOptions {
  std::uint64_t size = 0;  // bytes of the disk, a multiple of 512
  std::uint32_t version = 3;
  unsigned cluster_bits = 16;
  unsigned refcount_order = 4;
  bool lazy_refcounts = false;
  bool extended_l2 = false;
  Compression compression = Compression::zlib;
  std::string backing_file, backing_format;  // the format is required with a file
  std::string data_file;                     // not empty: the data goes to a file of its own
  bool raw_data_file = false;
  Preallocation preallocation = Preallocation::off;
};

// Throws Error naming the option that cannot be, with nothing written; or for what the host refused.
void check_options(const CreateOptions& options);
// Writes an image to an empty file (or over whatever a device holds), synced. Preallocation needs it
// open: File::preallocate() gives clusters their places, and the rest is the host file's.
void create(HostFile& file, const CreateOptions& options, const std::string& name);

}  // namespace warren::vmm::block::qcow2
