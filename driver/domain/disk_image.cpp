#include "driver/domain/disk_image.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <span>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/cage/cage.h"
#include "driver/contract/error.h"
#include "driver/domain/image_holder.h"
#include "driver/domain/nbd_socket.h"
#include "driver/store/declared_format.h"
#include "vmm-core/os/image_lock.h"

namespace warren::driver::domain {

namespace {

using vmm::FileDescriptor;

[[noreturn]] void fail_to_open(const std::string& what, const std::string& path, int error_number,
                               int flags = 0) {
  const bool is_direct = error_number == EINVAL && (flags & O_DIRECT) != 0;
  throw Error(
      VIR_ERR_SYSTEM_ERROR,
      fmt::format("{}: cannot open '{}': {}", what, path,
                  is_direct ? "its file system has no direct I/O, which the disk's cache mode asks for "
                              "(another one is cache='writeback')"
                            : explain_path_failure(path, error_number)))
      .with_numbers(error_number, -1);
}

// O_NONBLOCK so that a FIFO or a tape in the image's place does not block the open; it means nothing for
// files and block devices and is taken off again.
FileDescriptor open_file(const std::string& what, const std::string& path, int flags, struct stat& status) {
  FileDescriptor file(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) fail_to_open(what, path, errno, flags);
  if (::fstat(file.get(), &status) != 0) fail_to_open(what, path, errno, flags);
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("{}: '{}' is neither a regular file nor a block device", what, path));
  }
  if (::fcntl(file.get(), F_SETFL, flags & O_DIRECT) != 0) fail_to_open(what, path, errno, flags);
  return file;
}

// What O_DIRECT wants is found by reading, as there is no older interface for it (open(2), "O_DIRECT").
std::uint32_t direct_alignment(const FileDescriptor& file) {
  constexpr std::size_t kMost = 4096;
  std::unique_ptr<void, decltype(&std::free)> buffer(std::aligned_alloc(kMost, kMost), &std::free);
  for (std::uint32_t alignment : {512u, 1024u, 2048u}) {
    ssize_t got = ::pread(file.get(), buffer.get(), alignment, alignment);
    if (got >= 0 || errno != EINVAL) return alignment;
  }
  return kMost;
}

bool wants_direct(const config::Disk& disk) {
  auto cache = disk.driver.cache.value_or(config::DiskCache::default_mode);
  return cache == config::DiskCache::none || cache == config::DiskCache::directsync;
}

enum class Lock { by_use, to_take_over };

// The kernel takes down the rings of a worker that was killed, and lets go of their files, a moment later; a
// storage daemon puts its image in order first.
constexpr std::chrono::milliseconds kWorkersMoment{300};
constexpr std::chrono::milliseconds kStorageDaemonsMoment = cage::kTimeToEnd + std::chrono::seconds(3);

void lock_image(const config::Disk& disk, const std::string& path, const FileDescriptor& file,
                Lock lock = Lock::by_use, std::chrono::milliseconds moment = kWorkersMoment) {
  const vmm::ImageUse use{.writes = !disk.read_only, .shares = disk.shareable};
  const std::string what = fmt::format("disk {}", disk.target);
  const auto attempt = [&] {
    return lock == Lock::to_take_over ? vmm::reserve_for_writing(file.get())
                                      : vmm::lock_image(file.get(), use);
  };
  int failed = attempt();
  constexpr std::chrono::milliseconds kPause{10};
  for (auto waited = kPause; failed == EAGAIN && waited <= moment; waited += kPause) {
    std::this_thread::sleep_for(kPause);
    failed = attempt();
  }
  if (failed == EAGAIN) {
    const std::string holder = holder_of_image(file.get());
    throw Error(
        VIR_ERR_RESOURCE_BUSY,
        fmt::format("{}: '{}' is in use by {}; stop that one, or mark the disk <shareable/> in both if "
                    "their guests are made for it",
                    what, path, holder.empty() ? "another running domain or program" : holder));
  }
  if (failed != 0) fail_to_open(what, path, failed);
}

// A file or a block device, as the disk says.
FileDescriptor open_source(const config::Disk& disk, const std::string& path, int flags) {
  const std::string what = fmt::format("disk {}", disk.target);
  struct stat status{};
  FileDescriptor file = open_file(what, path, flags | (disk.read_only ? O_RDONLY : O_RDWR), status);
  if (disk.source_type == config::DiskSourceType::block && !S_ISBLK(status.st_mode)) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("{}: '{}' is not a block device; use <disk type='file'> for a file", what, path));
  }
  return file;
}

}  // namespace

std::string explain_path_failure(const std::string& path, int error_number) {
  std::string reason = std::generic_category().message(error_number);
  if (error_number != ENOENT && error_number != EACCES && error_number != ENOTDIR && error_number != ELOOP) {
    return reason;
  }
  // Walk the components until one fails by itself.
  for (std::size_t place = path.find('/', 1);; place = path.find('/', place + 1)) {
    std::string part = path.substr(0, place);
    bool last = place == std::string::npos;
    struct stat status{};
    if (::stat(part.c_str(), &status) != 0) {
      int error = errno;
      reason = std::generic_category().message(error);
      const char* advice =
          error == ENOENT   ? (last ? "create it or correct the path" : "no such directory: create it")
          : error == EACCES ? "give the daemon's user search permission on the directory above it"
                            : "correct the path";
      return fmt::format("'{}': {} ({})", part, reason, advice);
    }
    if (!last && !S_ISDIR(status.st_mode))
      return fmt::format("'{}' is not a directory (correct the path)", part);
    if (last) break;
  }
  return fmt::format(
      "'{}': {} (give the daemon's user permission to read and, unless the disk is <readonly/>, "
      "to write it)",
      path, reason);
}

namespace {

DiskImage open_and_lock(const config::Disk& disk, Lock lock) {
  // Locks are its server's, if it has any.
  if (disk.server) return {.file = connect_to_nbd(*disk.server, fmt::format("disk {}", disk.target))};
  DiskImage image;
  image.direct = wants_direct(disk);
  image.file = open_source(disk, disk.source, image.direct ? O_DIRECT : 0);
  lock_image(disk, disk.source, image.file, lock);
  // What the guest writes from here on says nothing about its format (T32). Where the mark cannot be kept the
  // storage driver is told.
  const config::DiskFormat format = disk.driver.format.value_or(config::DiskFormat::raw);
  image.lacks_mark =
      !disk.read_only && !store::mark_declared_format(image.file.get(), config::disk_format_name(format));
  if (image.direct) image.direct_alignment = direct_alignment(image.file);
  return image;
}

}  // namespace

DiskImage open_disk_image(const config::Disk& disk) {
  return open_and_lock(disk, Lock::by_use);
}

DiskImage reopen_disk_image(const config::Disk& disk) {
  return open_and_lock(disk, Lock::to_take_over);
}

FileDescriptor reserve_caged_image(const config::Disk& disk) {
  const std::string& path = disk.caged.value().path;
  FileDescriptor file = open_source(disk, path, 0);
  lock_image(disk, path, file, Lock::by_use, kStorageDaemonsMoment);
  // A reader shares QEMU's bytes with readers as it is.
  if (!disk.read_only) {
    if (const int failed = vmm::stand_aside(file.get()))
      fail_to_open(fmt::format("disk {}", disk.target), path, failed);
  }
  return file;
}

DiskImage open_disk_image(const config::Disk& disk, const DescriptorGroupMap& groups) {
  const auto group = groups.find(disk.descriptor_group);
  if (disk.descriptor_group.empty() || group == groups.end()) return open_disk_image(disk);
  const std::string what = fmt::format("disk {}", disk.target);
  DiskImage image{.file = descriptor_for(disk, group->second)};
  struct stat status{};
  if (::fstat(image.file.get(), &status) != 0) fail_to_open(what, disk.source, errno);
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    throw Error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("{}: file descriptor group '{}' is neither of a regular file nor of a block device", what,
                    disk.descriptor_group));
  }
  // As its owner opened it, whatever the disk's cache mode: what it is to others is theirs to say.
  image.direct = (::fcntl(image.file.get(), F_GETFL) & O_DIRECT) != 0;
  lock_image(disk, disk.source, image.file);
  if (image.direct) image.direct_alignment = direct_alignment(image.file);
  return image;
}

vmm::FileDescriptor open_boot_file(const std::string& path, const std::string& element) {
  struct stat status{};
  return open_file(element, path, O_RDONLY, status);
}

store::ImageHeader read_image_header(const FileDescriptor& file, const std::string& path) {
  constexpr std::size_t kAlignment = 4096;  // of O_DIRECT at the most
  constexpr std::size_t kRead = (store::kHeaderBytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(kAlignment, kRead), &std::free);
  ssize_t got = 0;
  do {
    got = ::pread(file.get(), memory.get(), kRead, 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    throw Error(VIR_ERR_SYSTEM_ERROR,
                fmt::format("cannot read header '{}': {}", path, std::generic_category().message(errno)));
  }
  const std::span start(static_cast<const std::byte*>(memory.get()), static_cast<std::size_t>(got));
  store::ImageHeader header = store::read_header("qcow2", start);
  if (!header.defect.empty()) {
    throw Error(VIR_ERR_OPERATION_INVALID,
                fmt::format("image '{}' is not in qcow2 format: {}", path, header.defect));
  }
  return header;
}

namespace {

// The disk in an image is as large as its header says.
void set_capacity(ImageSize& size, const std::string& path, config::DiskFormat format) {
  if (format != config::DiskFormat::qcow2) return;
  struct stat status{};
  size.capacity = read_image_header(open_file("image", path, O_RDONLY, status), path).capacity;
}

}  // namespace

ImageSize measure_image(const std::string& path, config::DiskFormat format) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) fail_to_open("image", path, errno);
  ImageSize size;
  if (S_ISBLK(status.st_mode)) {
    FileDescriptor file = open_file("image", path, O_RDONLY, status);
    std::uint64_t bytes = 0;
    if (::ioctl(file.get(), BLKGETSIZE64, &bytes) != 0) fail_to_open("image", path, errno);
    size = {bytes, bytes, bytes};
    set_capacity(size, path, format);
    return size;
  }
  size.capacity = static_cast<std::uint64_t>(status.st_size);
  size.physical = size.capacity;
  size.allocation =
      static_cast<std::uint64_t>(status.st_blocks) * 512;  // st_blocks counts 512 bytes, stat(2)
  set_capacity(size, path, format);
  return size;
}

}  // namespace warren::driver::domain
