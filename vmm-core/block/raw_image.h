// A raw disk image or block device on a descriptor.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "vmm-core/block/image.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::block {

struct RawImageOptions {
  bool read_only = false;
  // The descriptor was opened with O_DIRECT: buffers, offsets and lengths must be multiples of `alignment`.
  // What a guest sends misaligned goes by bounce.h, slowly.
  bool direct = false;
  std::uint32_t alignment = 512;
  // Only resize() makes it longer. Else a format does that, by writing beyond the end.
  bool fixed_length = false;
  bool sync = true;          // else a flush does nothing, and no write is followed by one
  bool use_io_uring = true;  // else, or where the host has none, a pool of threads
  bool owns_locks = true;    // those of its descriptor's open file go with the image
};

class RawImage final : public Image {
 public:
  // Throws Error when the descriptor is neither a regular file nor a block device. `name` is for messages.
  RawImage(FileDescriptor descriptor, std::string name, const RawImageOptions& options);
  ~RawImage() override;

  // Bytes that can be addressed: whole 512-byte sectors; a partial one at the end of a file is out of reach.
  std::uint64_t size() const noexcept override { return size_.load(std::memory_order_acquire); }
  // A file is cut or extended by a hole; of a block device the size that it has now is all there is.
  void resize(std::uint64_t bytes) override;
  bool read_only() const noexcept override { return options_.read_only; }
  const RawImageOptions& options() const noexcept { return options_; }
  int descriptor() const noexcept { return descriptor_.get(); }
  bool is_block_device() const noexcept { return is_block_device_; }
  const std::string& name() const noexcept { return name_; }

  // What a guest is to be told of a sync that ended with `error`, 0 or an errno. A page that the host's cache
  // could not write is clean to the kernel, and gone: after one failure every sync of this image fails, but
  // with O_DIRECT, where there was nothing in between. Any thread.
  int settle_sync(int error) const noexcept;

  // The locks are another image's on the same open file from here on.
  void hand_over_locks() noexcept { options_.owns_locks = false; }

  // Held while a part of a block is written by bounce.h, and while the length changes. Any thread.
  std::mutex& misaligned_writes() const noexcept { return misaligned_writes_; }

  std::unique_ptr<BlockQueue> make_queue(unsigned depth) const override;

 private:
  std::uint64_t present_size() const;

  FileDescriptor descriptor_;
  std::string name_;
  RawImageOptions options_;
  std::atomic<std::uint64_t> size_{0};
  bool is_block_device_ = false;
  mutable std::atomic<int> lost_{0};  // the errno of the sync that failed
  mutable std::mutex misaligned_writes_;
};

// The two engines. make_uring_queue gives nothing when the host has no io_uring, or forbids it.
std::unique_ptr<BlockQueue> make_uring_queue(const RawImage& image, unsigned depth);
std::unique_ptr<BlockQueue> make_thread_queue(const RawImage& image, unsigned depth);

// Does one request to its end on the calling thread. 0 or an errno.
int perform(const RawImage& image, Request& request) noexcept;
// Whether a call that failed so is to be made again.
inline bool is_passing(int error) noexcept {
  return error == EINTR || error == EAGAIN;
}
// Whether every part of a transfer is aligned as O_DIRECT wants it.
bool is_aligned(const RawImage& image, const Request& request) noexcept;

}  // namespace warren::vmm::block
