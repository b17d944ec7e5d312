// What image formats are kept in: a file or device of the host, byte by byte, by calls that wait.
//
// Metadata and whatever the asynchronous path cannot do goes this way; the same format code then runs on a
// descriptor (raw_file.h), and in tests on memory that records, loses and tears what was written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/uio.h>

namespace warren::vmm::block {

class RawImage;

class HostFile {
 public:
  virtual ~HostFile() = default;
  // Each does all of it and returns 0, or an errno; interrupted and short calls are gone on with. The ranges
  // are consumed. One thread at a time for one range of bytes; any number for different ones.
  virtual int read(std::uint64_t offset, std::span<iovec> to) noexcept = 0;  // zeros beyond the end
  virtual int write(std::uint64_t offset, std::span<iovec> from) noexcept = 0;
  // The range reads as zeros then. `may_unmap`: its space may be given back.
  virtual int zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) noexcept = 0;
  // Gives space back; what the range reads as then is undefined. Not an error where there is no such thing.
  virtual int discard(std::uint64_t offset, std::uint64_t length) noexcept = 0;
  // What was written before is on stable storage then. A failure is final: what was lost is not known.
  virtual int sync() noexcept = 0;
  virtual int resize(std::uint64_t bytes) noexcept = 0;
  virtual std::uint64_t size() const noexcept = 0;  // bytes
  // Whether it grows when it is written beyond its end, and bytes there are zeros until then.
  virtual bool grows() const noexcept = 0;
  // The same file once more, for somebody else's use; they share nothing but the bytes. The file's
  // locks are the other's then. Throws Error.
  virtual std::unique_ptr<HostFile> again() const = 0;
  // For asynchronous transfers; none in tests.
  virtual RawImage* raw() const noexcept { return nullptr; }

  int read_bytes(std::uint64_t offset, std::span<std::byte> to) noexcept {
    iovec range{to.data(), to.size()};
    return read(offset, {&range, 1});
  }
  int write_bytes(std::uint64_t offset, std::span<const std::byte> from) noexcept {
    iovec range{const_cast<std::byte*>(from.data()), from.size()};  // iovec serves both directions
    return write(offset, {&range, 1});
  }
};

}  // namespace warren::vmm::block
