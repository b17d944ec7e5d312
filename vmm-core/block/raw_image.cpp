#include "vmm-core/block/raw_image.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kSectorSize = 512;
constexpr std::size_t kBounceSize = std::size_t{256} << 10;
constexpr std::size_t kMaximumIovecs = 1024;  // IOV_MAX

int transfer(const RawImage& image, Request& request) noexcept {
  RequestProgress progress(request);
  while (progress.left() != 0) {
    const int count = static_cast<int>(std::min(request.ranges.size(), kMaximumIovecs));
    const auto offset = static_cast<off_t>(progress.offset());
    const ssize_t done = request.operation == Operation::read
                             ? ::preadv(image.descriptor(), request.ranges.data(), count, offset)
                             : ::pwritev(image.descriptor(), request.ranges.data(), count, offset);
    if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (done < 0) return errno;
    if (done == 0) return EIO;  // the file has become shorter
    progress.advance(static_cast<std::uint64_t>(done));
  }
  return 0;
}

// Moves `size` bytes between the front of the request's ranges and `buffer`.
void copy_ranges(Request& request, std::byte* buffer, std::size_t size, bool to_guest) noexcept {
  for (std::size_t i = 0; size != 0 && i < request.ranges.size(); ++i) {
    const std::size_t piece = std::min(size, request.ranges[i].iov_len);
    if (to_guest) {
      std::memcpy(request.ranges[i].iov_base, buffer, piece);
    } else {
      std::memcpy(buffer, request.ranges[i].iov_base, piece);
    }
    buffer += piece;
    size -= piece;
  }
}

int transfer_by_bounce(const RawImage& image, Request& request) noexcept {
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  const std::unique_ptr<std::byte, Free> buffer(
      static_cast<std::byte*>(std::aligned_alloc(image.options().alignment, kBounceSize)));
  if (!buffer) return ENOMEM;
  RequestProgress progress(request);
  while (progress.left() != 0) {
    const std::size_t piece = static_cast<std::size_t>(std::min<std::uint64_t>(progress.left(), kBounceSize));
    // Sectors smaller than the alignment cannot be written without reading what is around them; the guest was
    // told our block size and does not ask for it.
    if (piece % image.options().alignment != 0 || progress.offset() % image.options().alignment != 0)
      return EINVAL;
    const bool reads = request.operation == Operation::read;
    if (!reads) copy_ranges(request, buffer.get(), piece, false);
    const auto offset = static_cast<off_t>(progress.offset());
    const ssize_t done = reads ? ::pread(image.descriptor(), buffer.get(), piece, offset)
                               : ::pwrite(image.descriptor(), buffer.get(), piece, offset);
    if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (done < 0) return errno;
    if (done == 0) return EIO;
    if (reads) copy_ranges(request, buffer.get(), static_cast<std::size_t>(done), true);
    progress.advance(static_cast<std::uint64_t>(done));
  }
  return 0;
}

// What a file system or device that cannot zero a range by itself is given instead.
int write_zeros(const RawImage& image, std::uint64_t offset, std::uint64_t length) noexcept {
  constexpr std::size_t kPiece = std::size_t{64} << 10;
  alignas(4096) static constexpr std::array<std::byte, kPiece> kZeros{};
  while (length != 0) {
    const std::size_t piece = static_cast<std::size_t>(std::min<std::uint64_t>(length, kPiece));
    const ssize_t done = ::pwrite(image.descriptor(), kZeros.data(), piece, static_cast<off_t>(offset));
    if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (done < 0) return errno;
    if (done == 0) return EIO;
    offset += static_cast<std::uint64_t>(done);
    length -= static_cast<std::uint64_t>(done);
  }
  return 0;
}

int zero_range(const RawImage& image, const Request& request) noexcept {
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const bool discards = request.operation == Operation::discard;
  int mode = discards || request.may_unmap ? kPunch : FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
  while (::fallocate(image.descriptor(), mode, static_cast<off_t>(request.offset),
                     static_cast<off_t>(request.length)) != 0) {
    if (errno == EINTR) continue;
    if (errno != EOPNOTSUPP) return errno;
    // A discard is a hint. A guest that asked to keep the space gets it written, never a hole.
    return discards ? 0 : write_zeros(image, request.offset, request.length);
  }
  return 0;
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
  int error = 0;
  do {
    error = ::fdatasync(image.descriptor()) == 0 ? 0 : errno;
  } while (error == EINTR);
  return image.settle_sync(error);
}

}  // namespace

int perform(const RawImage& image, Request& request) noexcept {
  RequestProgress(request).begin();
  int error = 0;
  switch (request.operation) {
    case Operation::read:
    case Operation::write:
      error = is_aligned(image, request) ? transfer(image, request) : transfer_by_bounce(image, request);
      break;
    case Operation::flush:
      return sync(image);
    case Operation::discard:
    case Operation::write_zeroes:
      error = zero_range(image, request);
      break;
  }
  if (error == 0 && request.durable && request.operation != Operation::read) {
    error = sync(image);
  }
  return error;
}

}  // namespace warren::vmm::block
