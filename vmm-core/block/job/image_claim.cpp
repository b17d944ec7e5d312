#include "vmm-core/block/job/image_claim.h"

#include <cerrno>

#include <fcntl.h>

#include "vmm-core/block/raw_image.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/image_lock.h"

namespace warren::vmm::block::job {
namespace {

FileDescriptor more_of(const HostFile& file, const std::string& name) {
  if (file.raw() == nullptr) return {};
  FileDescriptor more(::fcntl(file.raw()->descriptor(), F_DUPFD_CLOEXEC, 0));
  if (!more) throw_errno(name);
  return more;
}

}  // namespace

ImageClaim::ImageClaim(const HostFile& reader, const HostFile& writer, const std::string& name)
    : reader_(more_of(reader, name)), writer_(more_of(writer, name)), written_(writer.raw()) {
  if (!reader_ || !writer_) return;
  const int error = take_over(reader_.get(), writer_.get());
  if (error == EAGAIN)
    throw Error(std::errc::device_or_resource_busy,
                name + ": is in use by others too, and cannot be written");
  if (error != 0) throw Error::from_errno(error, name + ": lock");
}

ImageClaim::~ImageClaim() {
  if (!reader_ || !writer_) return;
  if (give_back(writer_.get(), reader_.get()) == 0) return;
  // Better the writer's locks than none, for as long as this process is there.
  written_->hand_over_locks();
  writer_.release();
}

}  // namespace warren::vmm::block::job
