#include "vmm-core/block/raw_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm-core/block/bounce.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block {
namespace {

std::uint64_t length_of(std::span<const iovec> ranges) noexcept {
  std::uint64_t length = 0;
  for (const iovec& range : ranges) length += range.iov_len;
  return length;
}

Request make_request(Operation operation, std::uint64_t offset, std::uint64_t length,
                     std::span<iovec> ranges) noexcept {
  Request request;
  request.operation = operation;
  request.offset = offset;
  request.length = length;
  request.ranges = ranges;
  return request;
}

// What fits an off_t; the kernel refuses the rest in words that say nothing.
bool in_range(std::uint64_t offset, std::uint64_t length) noexcept {
  std::uint64_t end = 0;
  return !__builtin_add_overflow(offset, length, &end) &&
         end <= static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
}

}  // namespace

RawFile::RawFile(std::unique_ptr<RawImage> image) : image_(std::move(image)) {}

std::uint64_t RawFile::size() const noexcept {
  if (image_->is_block_device()) return image_->size();
  struct stat status{};
  return ::fstat(image_->descriptor(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

int RawFile::read(std::uint64_t offset, std::span<iovec> to) noexcept {
  const std::uint64_t length = length_of(to);
  if (!in_range(offset, length)) return EINVAL;
  Request request = make_request(Operation::read, offset, length, to);
  if (!is_aligned(*image_, request)) return bounce(*image_, request, BeyondEnd::zeros);
  RequestProgress progress(request);
  while (progress.left() != 0) {
    const int count = static_cast<int>(std::min<std::size_t>(request.ranges.size(), 1024));  // IOV_MAX
    const ssize_t done =
        ::preadv(image_->descriptor(), request.ranges.data(), count, static_cast<off_t>(progress.offset()));
    if (done < 0 && is_passing(errno)) continue;
    if (done < 0) return errno;
    if (done == 0) break;
    progress.advance(static_cast<std::uint64_t>(done));
  }
  for (const iovec& range : request.ranges) std::memset(range.iov_base, 0, range.iov_len);
  return 0;
}

int RawFile::write(std::uint64_t offset, std::span<iovec> from) noexcept {
  const std::uint64_t length = length_of(from);
  if (!in_range(offset, length)) return EFBIG;
  Request request = make_request(Operation::write, offset, length, from);
  return perform(*image_, request);
}

int RawFile::zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) noexcept {
  if (!in_range(offset, length)) return EFBIG;
  // Zeroing keeps the size of a file; what is beyond the end is zeros already.
  const std::uint64_t end = size();
  if (grows()) {
    if (offset >= end) return 0;
    length = std::min(length, end - offset);
  }
  if (length == 0) return 0;
  Request request = make_request(Operation::write_zeroes, offset, length, {});
  request.may_unmap = may_unmap;
  return perform(*image_, request);
}

int RawFile::discard(std::uint64_t offset, std::uint64_t length) noexcept {
  if (length == 0 || !in_range(offset, length)) return 0;
  Request request = make_request(Operation::discard, offset, length, {});
  return perform(*image_, request);
}

int RawFile::sync() noexcept {
  Request request = make_request(Operation::flush, 0, 0, {});
  return perform(*image_, request);
}

int RawFile::resize(std::uint64_t bytes) noexcept {
  if (!grows()) return bytes <= size() ? 0 : ENOSPC;
  if (!in_range(bytes, 0)) return EFBIG;
  int error = 0;
  do {
    error = ::ftruncate(image_->descriptor(), static_cast<off_t>(bytes)) == 0 ? 0 : errno;
  } while (is_passing(error));
  return error;
}

std::unique_ptr<HostFile> RawFile::again() const {
  FileDescriptor descriptor(::fcntl(image_->descriptor(), F_DUPFD_CLOEXEC, 0));
  if (!descriptor) throw_errno(image_->name());
  RawImageOptions options = image_->options();
  options.owns_locks = true;  // this one's too, whoever had them last
  auto image = std::make_unique<RawImage>(std::move(descriptor), image_->name(), options);
  image_->hand_over_locks();
  return std::make_unique<RawFile>(std::move(image));
}

void RawLayer::resize(std::uint64_t bytes) {
  if (RawImage* raw = file_->raw()) {
    raw->resize(bytes);
  } else if (const int error = file_->resize(bytes)) {
    throw Error::from_errno(error, "resize");
  }
  size_.store(bytes, std::memory_order_release);
}

// Holes of the file are zeros; where the host does not know them, all is data.
int RawLayer::allocation(std::uint64_t offset, std::uint64_t length, Allocation& to) noexcept {
  to = {Allocation::Kind::data, length};
  const RawImage* raw = file_->raw();
  if (raw == nullptr || raw->is_block_device()) return 0;
  const auto at = static_cast<off_t>(offset);
  const off_t data = ::lseek(raw->descriptor(), at, SEEK_DATA);
  if (data < 0) {
    // None from here to the end.
    if (errno == ENXIO) to.kind = Allocation::Kind::zeros;
    return 0;
  }
  const off_t next = data > at ? data : ::lseek(raw->descriptor(), at, SEEK_HOLE);
  if (data > at) to.kind = Allocation::Kind::zeros;
  if (next > at) to.length = std::min(length, static_cast<std::uint64_t>(next - at));
  return 0;
}

Extent RawLayer::find(std::uint64_t offset, std::uint64_t length) const noexcept {
  const std::uint64_t end = size();
  if (offset >= end) return {Extent::Kind::zeros, length, nullptr, 0};
  return {Extent::Kind::data, std::min(length, end - offset), file_.get(), offset};
}

int RawLayer::read(std::uint64_t offset, std::uint64_t length, Scatter& to) noexcept {
  while (length != 0) {
    std::uint64_t taken = 0;
    const std::span<iovec> piece = to.take(length, taken);
    if (const int error = file_->read(offset, piece)) return error;
    offset += taken;
    length -= taken;
  }
  return 0;
}

}  // namespace warren::vmm::block
