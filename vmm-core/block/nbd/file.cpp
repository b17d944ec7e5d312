#include "vmm-core/block/nbd/file.h"

#include <cerrno>
#include <cstring>

#include "vmm-core/block/nbd/queue.h"

namespace warren::vmm::block::nbd {

bool File::contains(std::uint64_t offset, std::uint64_t length) const noexcept {
  return offset <= size() && length <= size() - offset;
}

int File::perform(Operation operation, std::uint64_t offset, std::uint64_t length, std::span<iovec> ranges,
                  bool may_unmap) noexcept {
  if (!contains(offset, length)) return operation == Operation::read ? EINVAL : ENOSPC;
  Request request;
  request.operation = operation;
  request.offset = offset;
  request.length = length;
  request.ranges = ranges;
  request.may_unmap = may_unmap;
  return connection_->perform(request);
}

namespace {

std::uint64_t length_of(std::span<const iovec> ranges) noexcept {
  std::uint64_t length = 0;
  for (const iovec& range : ranges) length += range.iov_len;
  return length;
}

}  // namespace

int File::read(std::uint64_t offset, std::span<iovec> to) noexcept {
  return perform(Operation::read, offset, length_of(to), to);
}

int File::write(std::uint64_t offset, std::span<iovec> from) noexcept {
  return perform(Operation::write, offset, length_of(from), from);
}

int File::zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) noexcept {
  return perform(Operation::write_zeroes, offset, length, {}, may_unmap);
}

int File::discard(std::uint64_t offset, std::uint64_t length) noexcept {
  return contains(offset, length) ? perform(Operation::discard, offset, length, {}) : 0;
}

int File::sync() noexcept {
  return perform(Operation::flush, 0, 0, {});
}

int File::resize(std::uint64_t bytes) noexcept {
  return bytes == size() ? 0 : ENOTSUP;
}

std::unique_ptr<BlockQueue> File::make_queue(unsigned depth) const {
  return nbd::make_queue(connection_, depth);
}

}  // namespace warren::vmm::block::nbd
