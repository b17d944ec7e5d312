#include "vmm-core/block/qcow2/decompressor.h"

#include <cerrno>
#include <new>

#include <zlib.h>
#include <zstd.h>

namespace warren::vmm::block::qcow2 {

class Decompressor::Zlib {
 public:
  // A raw deflate stream; writers use a window of 2^12, and any other can be read too.
  bool open() noexcept { return ready_ = ::inflateInit2(&stream_, -MAX_WBITS) == Z_OK; }
  ~Zlib() {
    if (ready_) ::inflateEnd(&stream_);
  }
  z_stream& stream() noexcept { return stream_; }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

class Decompressor::Zstd {
 public:
  // A frame says how large a window it wants: more than a few clusters is nothing a writer of clusters needs.
  bool open() noexcept {
    context_ = ::ZSTD_createDCtx();
    constexpr int kWindowBits = 22;
    return context_ != nullptr &&
           ::ZSTD_isError(::ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kWindowBits)) == 0;
  }
  ~Zstd() { ::ZSTD_freeDCtx(context_); }
  ZSTD_DCtx* context() noexcept { return context_; }

 private:
  ZSTD_DCtx* context_ = nullptr;
};

Decompressor::Decompressor(Compression compression) : compression_(compression) {}
Decompressor::~Decompressor() = default;

int Decompressor::unpack(std::span<const std::byte> from, std::span<std::byte> to) noexcept {
  return compression_ == Compression::zlib ? unpack_zlib(from, to) : unpack_zstd(from, to);
}

int Decompressor::unpack_zlib(std::span<const std::byte> from, std::span<std::byte> to) noexcept {
  if (!zlib_) {
    zlib_.reset(new (std::nothrow) Zlib);
    if (!zlib_ || !zlib_->open()) return zlib_.reset(), ENOMEM;
  }
  z_stream& stream = zlib_->stream();
  if (::inflateReset2(&stream, -MAX_WBITS) != Z_OK) return EIO;
  // zlib's bytes are unsigned chars, and its input is not const for old callers' sake.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = reinterpret_cast<Bytef*>(to.data());
  stream.avail_out = static_cast<uInt>(to.size());
  const int result = ::inflate(&stream, Z_FINISH);
  // "decompression stops when it has produced a cluster of data"
  return stream.avail_out == 0 && (result == Z_STREAM_END || result == Z_BUF_ERROR || result == Z_OK) ? 0
                                                                                                      : EIO;
}

int Decompressor::unpack_zstd(std::span<const std::byte> from, std::span<std::byte> to) noexcept {
  if (!zstd_) {
    zstd_.reset(new (std::nothrow) Zstd);
    if (!zstd_ || !zstd_->open()) return zstd_.reset(), ENOMEM;
  }
  ::ZSTD_DCtx_reset(zstd_->context(), ZSTD_reset_session_only);
  ZSTD_inBuffer input{from.data(), from.size(), 0};
  ZSTD_outBuffer output{to.data(), to.size(), 0};
  while (output.pos < output.size) {
    const std::size_t in_before = input.pos, out_before = output.pos;
    const std::size_t result = ::ZSTD_decompressStream(zstd_->context(), &output, &input);
    if (::ZSTD_isError(result) != 0) return EIO;
    if (input.pos == in_before && output.pos == out_before) return EIO;  // cut off
    if (result == 0 && output.pos < output.size) return EIO;             // the frame was shorter
  }
  return 0;
}

}  // namespace warren::vmm::block::qcow2
