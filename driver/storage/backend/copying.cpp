#include "driver/storage/backend/copying.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/storage/backend/backend.h"

namespace warren::driver::storage::backend {

namespace {

constexpr std::size_t kStep = std::size_t{1} << 20;
// Zeroes are looked for in pieces of this size: small enough to find holes, large enough for extents.
constexpr std::size_t kZeroPiece = 64u << 10;

std::uint64_t used_bytes(int file) {
  struct stat status{};
  return ::fstat(file, &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * 512 : 0;
}

// By reading and writing; what is zero is left out where that is right.
void copy_range(const CopyOrder& order, std::uint64_t begin, std::uint64_t end, Reporter& reporter) {
  std::vector<char> buffer(kStep);
  while (begin < end) {
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(kStep, end - begin));
    const ssize_t got = ::pread(order.source, buffer.data(), wanted, static_cast<off_t>(begin));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw host_error(errno, "cannot read the volume that is copied");
    if (got == 0) return;  // it has become shorter
    for (std::size_t at = 0; at < static_cast<std::size_t>(got); at += kZeroPiece) {
      const std::size_t length = std::min(kZeroPiece, static_cast<std::size_t>(got) - at);
      if (order.sparse && is_zero(buffer.data() + at, length)) continue;
      write_fully(order.target, buffer.data() + at, length, begin + at);
    }
    begin += static_cast<std::uint64_t>(got);
    reporter.progress(used_bytes(order.target));
  }
}

// In the kernel, without the data coming here. False where these two files cannot do that.
bool copy_in_kernel(const CopyOrder& order, std::uint64_t begin, std::uint64_t end, Reporter& reporter) {
  auto from = static_cast<off_t>(begin), to = static_cast<off_t>(begin);
  while (static_cast<std::uint64_t>(from) < end) {
    const auto length = std::min<std::uint64_t>(16 * kStep, end - static_cast<std::uint64_t>(from));
    const ssize_t copied = ::copy_file_range(order.source, &from, order.target, &to, length, 0);
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0 && (errno == ENOSPC || errno == EIO || errno == EDQUOT))
      throw host_error(errno, "cannot copy the volume");
    if (copied <= 0) return false;
    reporter.progress(used_bytes(order.target));
  }
  return true;
}

}  // namespace

bool is_zero(const void* bytes, std::size_t length) noexcept {
  const auto* first = static_cast<const unsigned char*>(bytes);
  return length == 0 || (first[0] == 0 && std::memcmp(first, first + 1, length - 1) == 0);
}

void write_fully(int file, const void* bytes, std::size_t length, std::uint64_t offset) {
  const auto* data = static_cast<const char*>(bytes);
  while (length > 0) {
    const ssize_t put = ::pwrite(file, data, length, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw host_error(errno, "cannot write to the volume");
    if (put == 0) throw host_error(ENOSPC, "cannot write to the volume");
    data += put;
    length -= static_cast<std::size_t>(put);
    offset += static_cast<std::uint64_t>(put);
  }
}

void copy_data(const CopyOrder& order, Reporter& reporter) {
  if (order.must_share || order.may_share) {
    if (::ioctl(order.target, FICLONE, order.source) == 0) return;
    if (order.must_share) throw host_error(errno, "reflink copy failed: cannot share the volume's data");
  }
  bool in_kernel = order.sparse;
  std::uint64_t at = 0;
  while (at < order.bytes) {
    std::uint64_t end = order.bytes;
    const off_t data = ::lseek(order.source, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return;  // a hole up to the end
    if (data >= 0) {
      const off_t hole = ::lseek(order.source, data, SEEK_HOLE);
      // What need not be written is skipped; else a hole is copied as what it reads as.
      if (order.sparse) at = static_cast<std::uint64_t>(data);
      if (order.sparse && hole > data) end = std::min<std::uint64_t>(end, static_cast<std::uint64_t>(hole));
    }
    if (at >= end) return;
    if (!in_kernel || !copy_in_kernel(order, at, end, reporter)) {
      in_kernel = false;
      copy_range(order, at, end, reporter);
    }
    at = end;
  }
}

}  // namespace warren::driver::storage::backend
