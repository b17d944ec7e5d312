#include "driver/store/file_operations.h"

#include <cerrno>
#include <fstream>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace warren::driver::store {

namespace {

// The result of a system call, with a negative errno for failure.
template <typename Result>
Result checked(Result result) {
  return result < 0 ? static_cast<Result>(-errno) : result;
}

class SystemFileOperations final : public FileOperations {
 public:
  int create(int directory, const std::string& name) override {
    return checked(
        ::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  }
  int open_read(int directory, const std::string& name) override {
    // Non-blocking, so that a FIFO in the directory cannot hang the daemon.
    return checked(::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  }
  int open_update(int directory, const std::string& name) override {
    return checked(::openat(directory, name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  }
  int open_directory(int directory, const std::string& name) override {
    return checked(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  int make_directory(int directory, const std::string& name) override {
    return checked(::mkdirat(directory, name.c_str(), 0700));
  }
  int close(int fd) override { return checked(::close(fd)); }
  std::ptrdiff_t write(int fd, const char* data, std::size_t size) override {
    return checked(::write(fd, data, size));
  }
  std::ptrdiff_t read(int fd, char* data, std::size_t size) override {
    return checked(::read(fd, data, size));
  }
  std::ptrdiff_t write_at(int fd, const char* data, std::size_t size, std::size_t offset) override {
    return checked(::pwrite(fd, data, size, static_cast<off_t>(offset)));
  }
  int sync(int fd) override { return checked(::fsync(fd)); }
  int sync_data(int fd) override { return checked(::fdatasync(fd)); }
  int sync_all(int directory) override { return checked(::syncfs(directory)); }
  int rename(int directory, const std::string& from, const std::string& to) override {
    return checked(::renameat(directory, from.c_str(), directory, to.c_str()));
  }
  int rename_new(int directory, const std::string& from, const std::string& to) override {
    const int result = checked(::renameat2(directory, from.c_str(), directory, to.c_str(), RENAME_NOREPLACE));
    if (result != -EINVAL) return result;
    // The file system cannot; nobody else writes here.
    if (::faccessat(directory, to.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) return -EEXIST;
    return rename(directory, from, to);
  }
  int unlink(int directory, const std::string& name) override {
    return checked(::unlinkat(directory, name.c_str(), 0));
  }
  int symlink(const std::string& target, int directory, const std::string& name) override {
    return checked(::symlinkat(target.c_str(), directory, name.c_str()));
  }
  int list(int directory, std::vector<std::string>& names) override {
    const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd), ::closedir);
    if (!stream) {
      const int error = errno;
      ::close(fd);
      return -error;
    }
    errno = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): readdir is safe on a stream that one thread has (POSIX.1-2024)
    while (const dirent* entry = ::readdir(stream.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    return -errno;
  }
  int kind(int directory, const std::string& name) override {
    struct stat status{};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return -errno;
    if (S_ISREG(status.st_mode)) return 1;
    return S_ISLNK(status.st_mode) ? 2 : 0;
  }
  std::string boot_identity() override {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string text;
    std::getline(file, text);
    // Where it is not known, every start is the machine's first.
    if (text.empty()) text = fmt::format("process {}", ::getpid());
    return text.substr(0, 64);
  }
};

}  // namespace

FileOperations& system_file_operations() {
  static SystemFileOperations operations;
  return operations;
}

}  // namespace warren::driver::store
