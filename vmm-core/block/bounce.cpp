#include "vmm-core/block/bounce.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include <sys/stat.h>
#include <unistd.h>

#include "vmm-core/memory/guest_bytes.h"

namespace warren::vmm::block {
namespace {

constexpr std::size_t kBounceSize = std::size_t{256} << 10;

// The blocks that the next piece of a request is in.
struct Blocks {
  std::uint64_t offset = 0;  // of the first, in the file
  std::size_t head = 0;      // bytes before the piece
  std::size_t piece = 0;
  std::size_t whole = 0;

  Blocks(const RequestProgress& progress, std::uint32_t alignment) noexcept {
    const std::uint64_t mask = alignment - 1;
    head = static_cast<std::size_t>(progress.offset() & mask);
    offset = progress.offset() - head;
    piece = static_cast<std::size_t>(std::min<std::uint64_t>(progress.left(), kBounceSize - head));
    whole = static_cast<std::size_t>((head + piece + mask) & ~mask);
  }
  bool is_aligned() const noexcept { return head == 0 && whole == piece; }
};

// Moves `size` bytes between the front of the request's ranges and `buffer`.
void copy_ranges(const Request& request, std::byte* buffer, std::size_t size, bool to_guest) noexcept {
  for (std::size_t i = 0; size != 0 && i < request.ranges.size(); ++i) {
    const std::size_t piece = std::min(size, request.ranges[i].iov_len);
    if (to_guest) {
      copy_guest_bytes(request.ranges[i].iov_base, buffer, piece);
    } else {
      copy_guest_bytes(buffer, request.ranges[i].iov_base, piece);
    }
    buffer += piece;
    size -= piece;
  }
}

// Until all of it has come, or the file ends. Bytes, or -errno.
ssize_t read_blocks(const RawImage& image, const Blocks& blocks, std::byte* buffer) noexcept {
  std::size_t got = 0;
  while (got < blocks.whole) {
    const ssize_t done = ::pread(image.descriptor(), buffer + got, blocks.whole - got,
                                 static_cast<off_t>(blocks.offset + got));
    if (done < 0 && is_passing(errno)) continue;
    if (done < 0) return -errno;
    if (done == 0) break;
    got += static_cast<std::size_t>(done);
    // The rest of a block that ends the file cannot be asked for.
    if (got % image.options().alignment != 0) break;
  }
  return static_cast<ssize_t>(got);
}

int read_piece(const RawImage& image, Request& request, const Blocks& blocks, std::byte* buffer,
               BeyondEnd beyond) noexcept {
  const ssize_t result = read_blocks(image, blocks, buffer);
  if (result < 0) return static_cast<int>(-result);
  const auto got = static_cast<std::size_t>(result);
  std::size_t piece = blocks.piece;
  if (got < blocks.head + blocks.piece) {
    if (beyond == BeyondEnd::error) {
      if (got <= blocks.head) return EIO;
      piece = got - blocks.head;
    } else {
      std::memset(buffer + got, 0, blocks.whole - got);
    }
  }
  copy_ranges(request, buffer + blocks.head, piece, true);
  RequestProgress(request).advance(piece);
  return 0;
}

// The length of the file when these blocks go beyond it and it is to stay so; else 0. Whoever else writes the
// image does not make it longer, and resize() waits.
off_t length_to_keep(const RawImage& image, const Blocks& blocks) noexcept {
  const std::uint64_t whole_end = blocks.offset + blocks.whole;
  if (!image.options().fixed_length || image.is_block_device() || whole_end <= image.size()) return 0;
  struct stat status{};
  if (::fstat(image.descriptor(), &status) != 0) return 0;
  const auto end = static_cast<off_t>(whole_end);
  const auto piece_end = static_cast<off_t>(blocks.offset + blocks.head + blocks.piece);
  return status.st_size < end && piece_end <= status.st_size ? status.st_size : 0;
}

int write_piece(const RawImage& image, Request& request, const Blocks& blocks, std::byte* buffer) noexcept {
  if (!blocks.is_aligned()) {
    const ssize_t got = read_blocks(image, blocks, buffer);
    if (got < 0) return static_cast<int>(-got);
    std::memset(buffer + got, 0, blocks.whole - static_cast<std::size_t>(got));
  }
  copy_ranges(request, buffer + blocks.head, blocks.piece, false);
  const off_t length = length_to_keep(image, blocks);
  ssize_t done = 0;
  do {
    done = ::pwrite(image.descriptor(), buffer, blocks.whole, static_cast<off_t>(blocks.offset));
  } while (done < 0 && is_passing(errno));
  if (done < 0) return errno;
  // One that cannot be cut off has some zeros more than the disk.
  [[maybe_unused]] const int kept = length == 0 ? 0 : ::ftruncate(image.descriptor(), length);
  if (done == 0) return EIO;
  const auto written = static_cast<std::size_t>(done);
  if (written > blocks.head) RequestProgress(request).advance(std::min(written - blocks.head, blocks.piece));
  return 0;
}

}  // namespace

int bounce(const RawImage& image, Request& request, BeyondEnd beyond) noexcept {
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  const std::unique_ptr<std::byte, Free> buffer(
      static_cast<std::byte*>(std::aligned_alloc(image.options().alignment, kBounceSize)));
  if (!buffer) return ENOMEM;
  std::unique_lock lock(image.misaligned_writes(), std::defer_lock);
  if (request.operation == Operation::write) lock.lock();
  const RequestProgress progress(request);
  while (progress.left() != 0) {
    const Blocks blocks(progress, image.options().alignment);
    const int error = request.operation == Operation::read
                          ? read_piece(image, request, blocks, buffer.get(), beyond)
                          : write_piece(image, request, blocks, buffer.get());
    if (error != 0) return error;
  }
  return 0;
}

int bounce_zeros(const RawImage& image, std::uint64_t offset, std::uint64_t length) noexcept {
  constexpr std::size_t kPiece = std::size_t{64} << 10;
  alignas(4096) static constexpr std::array<std::byte, kPiece> kZeros{};
  while (length != 0) {
    const std::uint64_t piece = std::min<std::uint64_t>(length, kPiece - offset % kPiece);
    // An iovec serves both directions; this one is only read from.
    iovec range{const_cast<std::byte*>(kZeros.data()), static_cast<std::size_t>(piece)};
    Request write;
    write.operation = Operation::write;
    write.offset = offset;
    write.length = piece;
    write.ranges = {&range, 1};
    const int error = perform(image, write);
    if (error != 0) return error;
    offset += piece;
    length -= piece;
  }
  return 0;
}

}  // namespace warren::vmm::block
