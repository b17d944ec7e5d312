#include "vmm-core/block/raw_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include <sys/stat.h>
#include <unistd.h>

namespace warren::vmm::block {
namespace {

constexpr std::size_t kBounceSize = std::size_t{256} << 10;

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
  if (!is_aligned(*image_, request)) return bounce(Operation::read, offset, to);
  RequestProgress progress(request);
  while (progress.left() != 0) {
    const int count = static_cast<int>(std::min<std::size_t>(request.ranges.size(), 1024));  // IOV_MAX
    const ssize_t done =
        ::preadv(image_->descriptor(), request.ranges.data(), count, static_cast<off_t>(progress.offset()));
    if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
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
  if (!is_aligned(*image_, request)) return bounce(Operation::write, offset, from);
  return perform(*image_, request);
}

// O_DIRECT with what is not aligned for it: whole blocks through memory of ours, and those at the ends are
// read first when they are written. Nobody else writes to these blocks meanwhile (HostFile's contract holds
// for blocks here, which is why transfers that share none go past this).
int RawFile::bounce(Operation operation, std::uint64_t offset, std::span<iovec> ranges) noexcept {
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  const std::uint64_t mask = image_->options().alignment - 1;
  const std::unique_ptr<std::byte, Free> buffer(
      static_cast<std::byte*>(std::aligned_alloc(image_->options().alignment, kBounceSize)));
  if (!buffer) return ENOMEM;
  std::uint64_t left = length_of(ranges);
  Scatter scatter(ranges);
  while (left != 0) {
    const std::uint64_t head = offset & mask;
    const std::uint64_t piece = std::min<std::uint64_t>(left, kBounceSize - head);
    const std::size_t whole = static_cast<std::size_t>((head + piece + mask) & ~mask);
    iovec range{buffer.get(), whole};
    if (operation == Operation::read || head != 0 || whole != piece) {
      if (const int error = read(offset - head, {&range, 1})) return error;
      range = {buffer.get(), whole};
    }
    if (operation == Operation::read) {
      scatter.copy_from({buffer.get() + head, static_cast<std::size_t>(piece)});
    } else {
      scatter.copy_to({buffer.get() + head, static_cast<std::size_t>(piece)});
      Request request = make_request(Operation::write, offset - head, whole, {&range, 1});
      if (const int error = perform(*image_, request)) return error;
    }
    offset += piece;
    left -= piece;
  }
  return 0;
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
  } while (error == EINTR);
  return error;
}

Extent RawLayer::find(std::uint64_t offset, std::uint64_t length) const noexcept {
  if (offset >= size_) return {Extent::Kind::zeros, length, nullptr, 0};
  return {Extent::Kind::data, std::min(length, size_ - offset), file_.get(), offset};
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
