#include "vmm-core/block/raw_image.h"

#include <algorithm>
#include <cerrno>
#include <limits>

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm-core/block/bounce.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/image_lock.h"

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kSectorSize = 512;
constexpr std::size_t kMaximumIovecs = 1024;  // IOV_MAX

int transfer(const RawImage& image, Request& request) noexcept {
  RequestProgress progress(request);
  while (progress.left() != 0) {
    const int count = static_cast<int>(std::min(request.ranges.size(), kMaximumIovecs));
    const auto offset = static_cast<off_t>(progress.offset());
    const ssize_t done = request.operation == Operation::read
                             ? ::preadv(image.descriptor(), request.ranges.data(), count, offset)
                             : ::pwritev(image.descriptor(), request.ranges.data(), count, offset);
    if (done < 0 && is_passing(errno)) continue;
    if (done < 0) return errno;
    if (done == 0) return EIO;  // the file has become shorter
    progress.advance(static_cast<std::uint64_t>(done));
  }
  return 0;
}

// All of it can be zeroed as it is.
int zero_range(const RawImage& image, const Request& request) noexcept {
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  constexpr int kZero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
  const bool discards = request.operation == Operation::discard;
  int mode = discards || request.may_unmap ? kPunch : kZero;
  while (::fallocate(image.descriptor(), mode, static_cast<off_t>(request.offset),
                     static_cast<off_t>(request.length)) != 0) {
    if (is_passing(errno)) continue;
    if (errno != EOPNOTSUPP) return errno;
    if (discards) return 0;  // a hint
    // A guest that asked to keep the space gets it written, never a hole.
    if (mode == kZero) return bounce_zeros(image, request.offset, request.length);
    mode = kZero;
  }
  return 0;
}

// Of blocks that are only partly meant a discard leaves all, and zeroing the rest.
int zero(const RawImage& image, const Request& request) noexcept {
  const std::uint64_t mask = image.options().direct ? image.options().alignment - 1 : 0;
  const std::uint64_t end = request.offset + request.length;
  const std::uint64_t whole_begin = (request.offset + mask) & ~mask, whole_end = end & ~mask;
  const bool discards = request.operation == Operation::discard;
  if (whole_begin >= whole_end) return discards ? 0 : bounce_zeros(image, request.offset, request.length);
  Request whole = request;
  whole.offset = whole_begin;
  whole.length = whole_end - whole_begin;
  if (const int error = zero_range(image, whole)) return error;
  if (discards) return 0;
  if (const int error = bounce_zeros(image, request.offset, whole_begin - request.offset)) return error;
  return bounce_zeros(image, whole_end, end - whole_end);
}

}  // namespace

RawImage::RawImage(FileDescriptor descriptor, std::string name, const RawImageOptions& options)
    : descriptor_(std::move(descriptor)), name_(std::move(name)), options_(options) {
  struct stat status{};
  if (::fstat(descriptor_.get(), &status) != 0) throw_errno(name_);
  is_block_device_ = S_ISBLK(status.st_mode);
  if (!S_ISREG(status.st_mode) && !is_block_device_)
    throw Error(std::errc::invalid_argument, name_ + ": neither a regular file nor a block device");
  size_.store(present_size() / kSectorSize * kSectorSize);
}

std::uint64_t RawImage::present_size() const {
  struct stat status{};
  if (::fstat(descriptor_.get(), &status) != 0) throw_errno(name_);
  if (!is_block_device_) return static_cast<std::uint64_t>(status.st_size);
  std::uint64_t bytes = 0;
  if (::ioctl(descriptor_.get(), BLKGETSIZE64, &bytes) != 0) throw_errno(name_);
  return bytes;
}

RawImage::~RawImage() {
  if (options_.owns_locks) unlock_image(descriptor_.get());
}

void RawImage::resize(std::uint64_t bytes) {
  if (bytes == 0 || bytes % kSectorSize != 0 || bytes > std::numeric_limits<off_t>::max())
    throw Error(std::errc::invalid_argument, name_ + ": the new size is no multiple of 512 bytes, or 0");
  if (options_.read_only) throw Error(std::errc::read_only_file_system, name_ + ": read-only");
  if (is_block_device_) {
    const std::uint64_t present = present_size();
    if (bytes != present) {
      throw Error(std::errc::invalid_argument, name_ + ": the size of a block device is its own, " +
                                                   std::to_string(present) + " bytes now");
    }
  } else {
    // Nothing new begins beyond an end that is to be cut off, nor before an extension is there.
    const std::lock_guard lock(misaligned_writes_);
    const std::uint64_t before = size_.load();
    if (bytes < before) size_.store(bytes, std::memory_order_release);
    if (::ftruncate(descriptor_.get(), static_cast<off_t>(bytes)) != 0) {
      const int error = errno;
      size_.store(before, std::memory_order_release);
      errno = error;
      throw_errno(name_ + ": resize");
    }
  }
  size_.store(bytes, std::memory_order_release);
}

int RawImage::settle_sync(int error) const noexcept {
  if (options_.direct) return error;
  if (error != 0) lost_.store(error, std::memory_order_relaxed);
  return lost_.load(std::memory_order_relaxed);
}

std::unique_ptr<BlockQueue> RawImage::make_queue(unsigned depth) const {
  if (options_.use_io_uring) {
    if (auto queue = make_uring_queue(*this, depth)) return queue;
  }
  return make_thread_queue(*this, depth);
}

bool is_aligned(const RawImage& image, const Request& request) noexcept {
  if (!image.options().direct) return true;
  const std::uint64_t mask = image.options().alignment - 1;
  if (((request.offset | request.length) & mask) != 0) return false;
  return std::ranges::all_of(request.ranges, [mask](const iovec& range) {
    // O_DIRECT looks at the address itself.
    return ((reinterpret_cast<std::uintptr_t>(range.iov_base) | range.iov_len) & mask) == 0;
  });
}

namespace {

int sync(const RawImage& image) noexcept {
  if (!image.options().sync) return 0;
  int error = 0;
  do {
    error = ::fdatasync(image.descriptor()) == 0 ? 0 : errno;
  } while (is_passing(error));
  return image.settle_sync(error);
}

}  // namespace

int perform(const RawImage& image, Request& request) noexcept {
  RequestProgress(request).begin();
  int error = 0;
  switch (request.operation) {
    case Operation::read:
    case Operation::write:
      error =
          is_aligned(image, request) ? transfer(image, request) : bounce(image, request, BeyondEnd::error);
      break;
    case Operation::flush:
      return sync(image);
    case Operation::discard:
    case Operation::write_zeroes:
      error = zero(image, request);
      break;
  }
  if (error == 0 && request.durable && request.operation != Operation::read) {
    error = sync(image);
  }
  return error;
}

}  // namespace warren::vmm::block
