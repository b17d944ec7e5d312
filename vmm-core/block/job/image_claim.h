// An image that a chain reads is the job's alone while it is written (os/image_lock.h), and the chain's to
// read again afterwards.
#pragma once

#include <string>

#include "vmm-core/block/chain.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::block::job {

class ImageClaim {
 public:
  // Both are the same image, the one opened for reading and the other, which outlives this unless it is kept,
  // for writing. Throws Error when somebody else reads it too.
  ImageClaim(const HostFile& reader, const HostFile& writer, const std::string& name);
  ImageClaim(const ImageClaim&) = delete;
  ImageClaim& operator=(const ImageClaim&) = delete;
  ~ImageClaim();  // gives it back

  // The writer has it for good.
  void keep() noexcept { reader_ = FileDescriptor(); }

 private:
  FileDescriptor reader_, writer_;  // more of the same open files; none in tests, whose files are memory
  RawImage* written_ = nullptr;
};

}  // namespace warren::vmm::block::job
