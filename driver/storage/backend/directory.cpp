#include "driver/storage/backend/directory.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver/storage/backend/backend.h"

namespace warren::driver::storage::backend {

namespace {

using vmm::FileDescriptor;

constexpr std::string_view kPendingPrefix = ".warren-part-";
// Beyond what any image has, and what qemu-img locks.
constexpr off_t kLockPlace = off_t{1} << 62;

bool lock_place(int file) {
  struct flock place{};
  place.l_type = F_WRLCK;
  place.l_whence = SEEK_SET;
  place.l_start = kLockPlace;
  place.l_len = 1;
  return ::fcntl(file, F_OFD_SETLK, &place) == 0;
}

std::string random_name() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number)
    throw host_error(errno, "cannot get random numbers");
  return fmt::format("{}{:016x}", kPendingPrefix, number);
}

}  // namespace

void check_entry_name(std::string_view name) {
  if (name.find('/') != std::string_view::npos) {
    throw storage_error(VIR_ERR_OPERATION_INVALID, fmt::format("volume name '{}' cannot contain '/'", name));
  }
  if (name.empty() || name == "." || name == ".." || name.find('\0') != std::string_view::npos)
    throw storage_error(VIR_ERR_OPERATION_INVALID, fmt::format("'{}' cannot be a volume's name", name));
  if (PendingFile::is_pending_name(name)) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("volume name '{}' is of those that volumes in the making have", name));
  }
}

Directory::Directory(std::string path) : path_(std::move(path)) {
  fd_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd_) throw host_error(errno, fmt::format("cannot open directory '{}'", path_));
}

FileDescriptor Directory::open(std::string_view name, int flags) const {
  check_entry_name(name);
  open_how how{};
  how.flags = static_cast<__u64>(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const std::string text(name);
  FileDescriptor file(static_cast<int>(::syscall(SYS_openat2, fd_.get(), text.c_str(), &how, sizeof how)));
  if (!file) {
    const int error = errno;
    if (error == ENOENT) {
      throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                          fmt::format("no storage vol with matching path '{}'", path_of(name)));
    }
    if (error == EXDEV || error == ELOOP) {
      throw storage_error(
          VIR_ERR_OPERATION_DENIED,
          fmt::format("'{}' is a link that leads out of the pool: work on what it leads to", path_of(name)));
    }
    throw host_error(error, fmt::format("cannot open volume '{}'", path_of(name)));
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0)
    throw host_error(errno, fmt::format("cannot stat file '{}'", path_of(name)));
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode) && !S_ISDIR(status.st_mode)) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("'{}' is neither a file nor a block device", path_of(name)));
  }
  ::fcntl(file.get(), F_SETFL, 0);
  return file;
}

FileDescriptor Directory::open_listed(const std::string& name) const {
  struct stat status{};
  if (::fstatat(fd_.get(), name.c_str(), &status, 0) != 0) return {};
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode) && !S_ISDIR(status.st_mode)) return {};
  // O_NONBLOCK: it may have become a pipe since.
  return FileDescriptor(::openat(fd_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
}

PendingFile::PendingFile(const Directory& directory, bool copy_on_write)
    : directory_(directory), name_(random_name()) {
  file_.reset(
      ::openat(directory.get(), name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file_) throw host_error(errno, fmt::format("cannot create a file in '{}'", directory.path()));
  lock_place(file_.get());
  // While the file is empty: later it means nothing (chattr(1), "C").
  if (!copy_on_write) set_no_cow(file_.get(), true);
}

PendingFile::~PendingFile() {
  if (!name_.empty()) ::unlinkat(directory_.get(), name_.c_str(), 0);
}

std::string PendingFile::path() const {
  return fmt::format("/proc/{}/fd/{}", ::getpid(), file_.get());
}

void PendingFile::publish(const std::string& name) {
  check_entry_name(name);
  if (::fsync(file_.get()) != 0)
    throw host_error(errno, fmt::format("cannot sync data to file '{}'", directory_.path_of(name)));
  if (::syscall(SYS_renameat2, directory_.get(), name_.c_str(), directory_.get(), name.c_str(),
                RENAME_NOREPLACE) != 0) {
    // Without renameat2's flags (NFS, EINVAL) a hard link refuses what is there as well.
    const bool is_plain = errno == EINVAL || errno == ENOSYS;
    if (is_plain && ::linkat(directory_.get(), name_.c_str(), directory_.get(), name.c_str(), 0) == 0) {
      ::unlinkat(directory_.get(), name_.c_str(), 0);
    } else if (errno == EEXIST) {
      throw storage_error(VIR_ERR_OPERATION_INVALID,
                          fmt::format("volume target path '{}' already exists", directory_.path_of(name)));
    } else {
      throw host_error(errno, fmt::format("cannot create file '{}'", directory_.path_of(name)));
    }
  }
  name_.clear();
  ::fsync(directory_.get());
}

bool PendingFile::is_pending_name(std::string_view name) {
  return name.starts_with(kPendingPrefix);
}

void PendingFile::remove_left_over(const Directory& directory, const std::string& name) {
  FileDescriptor file(
      ::openat(directory.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  // A lock that cannot be had, for whatever reason, is not ours to break.
  if (file && lock_place(file.get())) ::unlinkat(directory.get(), name.c_str(), 0);
}

void set_no_cow(int file, bool no_cow) {
  int flags = 0;
  if (::ioctl(file, FS_IOC_GETFLAGS, &flags) != 0) return;  // a file system without
  const int wanted = no_cow ? flags | FS_NOCOW_FL : flags & ~FS_NOCOW_FL;
  if (wanted != flags) ::ioctl(file, FS_IOC_SETFLAGS, &wanted);
}

}  // namespace warren::driver::storage::backend
