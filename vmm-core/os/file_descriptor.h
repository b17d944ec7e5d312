// An owned file descriptor: closed exactly once, moved but never copied.
//
// Every descriptor is close-on-exec; those that a child is to inherit are passed on by number at the spawn.
#pragma once

#include <utility>

namespace warren::vmm {

class FileDescriptor {
 public:
  FileDescriptor() noexcept = default;
  // Takes ownership of `fd`; -1 means none.
  explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() { reset(); }

  int get() const noexcept { return fd_; }
  bool valid() const noexcept { return fd_ >= 0; }
  explicit operator bool() const noexcept { return valid(); }

  // Gives ownership to the caller.
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;

  // Another descriptor of the same open file description, close-on-exec. Throws Error.
  FileDescriptor duplicate() const;

 private:
  int fd_ = -1;
};

}  // namespace warren::vmm
