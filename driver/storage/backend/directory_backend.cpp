#include "driver/storage/backend/directory_backend.h"

#include <cerrno>
#include <filesystem>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "driver/storage/backend/qemu_image.h"
#include "driver/storage/backend/volume_facts.h"
#include "driver/store/image_header.h"

namespace warren::driver::storage::backend {

namespace {

constexpr std::uint32_t kDefaultPoolMode = 0711;

bool can_be_shown(std::string_view name) {
  for (const char c : name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  return store::is_utf8(name);
}

std::uint64_t times(std::uint64_t count, std::uint64_t size) {
  std::uint64_t bytes = 0;
  return __builtin_mul_overflow(count, size, &bytes) ? UINT64_MAX : bytes;
}

}  // namespace

bool DirectoryBackend::is_there() {
  struct stat status{};
  return ::stat(pool_.target_path.c_str(), &status) == 0;
}

void DirectoryBackend::make_directory() {
  const std::filesystem::path path(pool_.target_path);
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  if (failed)
    throw host_error(failed.value(), fmt::format("cannot create path '{}'", path.parent_path().native()));
  const bool is_new = ::mkdir(path.c_str(), 0700) == 0;
  if (!is_new && errno != EEXIST)
    throw host_error(errno, fmt::format("failed to create directory '{}'", path.native()));
  const Directory directory(pool_.target_path);
  const Permissions& wanted = pool_.permissions;
  if ((wanted.owner || wanted.group) &&
      ::fchown(directory.get(), wanted.owner.value_or(static_cast<uid_t>(-1)),
               wanted.group.value_or(static_cast<gid_t>(-1))) != 0)
    throw host_error(errno, fmt::format("cannot chown '{}'", path.native()));
  if ((wanted.mode || is_new) && ::fchmod(directory.get(), wanted.mode.value_or(kDefaultPoolMode)) != 0)
    throw host_error(errno, fmt::format("cannot set mode of '{}'", path.native()));
  if (pool_.cow) set_no_cow(directory.get(), !*pool_.cow);
}

void DirectoryBackend::build() {
  make_directory();
}

void DirectoryBackend::remove() {
  if (::rmdir(pool_.target_path.c_str()) != 0)
    throw host_error(errno, fmt::format("failed to remove pool '{}'", pool_.target_path));
}

void DirectoryBackend::refresh(Reporter& reporter) {
  const Directory directory(pool_.target_path);
  // Of its own, as reading a directory moves its descriptor's place.
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(
      ::fdopendir(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), &::closedir);
  if (!entries) throw host_error(errno, fmt::format("cannot open directory '{}'", pool_.target_path));
  while (true) {
    errno = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of its own
    const dirent* entry = ::readdir(entries.get());
    if (entry == nullptr) {
      if (errno != 0) throw host_error(errno, fmt::format("cannot read directory '{}'", pool_.target_path));
      break;
    }
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name == "." || name == "..") continue;
    if (PendingFile::is_pending_name(name)) {
      PendingFile::remove_left_over(directory, name);
      continue;
    }
    if (!can_be_shown(name)) continue;
    const vmm::FileDescriptor file = directory.open_listed(name);
    if (!file) continue;
    VolumeDefinition volume{.name = name, .key = directory.path_of(name)};
    read_image_facts(file.get(), volume.key, request_.formats, volume);
    reporter.volume(volume);
  }
  report_pool(directory, reporter);
}

void DirectoryBackend::report_pool(const Directory& directory, Reporter& reporter) {
  struct statvfs space{};
  struct stat status{};
  if (::fstatvfs(directory.get(), &space) != 0 || ::fstat(directory.get(), &status) != 0)
    throw host_error(errno, fmt::format("cannot statvfs path '{}'", pool_.target_path));
  pool_.capacity = times(space.f_blocks, space.f_frsize);
  pool_.available = times(space.f_bfree, space.f_frsize);
  pool_.allocation = pool_.capacity - std::min(pool_.available, pool_.capacity);
  pool_.permissions.mode = status.st_mode & 0777;
  pool_.permissions.owner = status.st_uid;
  pool_.permissions.group = status.st_gid;
  reporter.pool(pool_);
}

void DirectoryBackend::create_subdirectory(const Directory& directory, const VolumeDefinition& wanted) {
  if ((request_.flags & ~unsigned{VIR_STORAGE_VOL_CREATE_VALIDATE}) != 0)
    throw storage_error(VIR_ERR_INVALID_ARG, "a directory has nothing to preallocate or share");
  if (wanted.backing || request_.original)
    throw storage_error(VIR_ERR_NO_SUPPORT, "a directory volume is made empty, and has no backing store");
  const Permissions& permissions = wanted.target.permissions;
  if (::mkdirat(directory.get(), wanted.name.c_str(), 0700) != 0) {
    if (errno == EEXIST)
      throw storage_error(VIR_ERR_OPERATION_INVALID, fmt::format("volume target path '{}' already exists",
                                                                 directory.path_of(wanted.name)));
    throw host_error(errno, fmt::format("failed to create directory '{}'", directory.path_of(wanted.name)));
  }
  const vmm::FileDescriptor made = directory.open(wanted.name, O_RDONLY | O_DIRECTORY);
  if ((permissions.owner || permissions.group) &&
      ::fchown(made.get(), permissions.owner.value_or(static_cast<uid_t>(-1)),
               permissions.group.value_or(static_cast<gid_t>(-1))) != 0)
    throw host_error(errno, fmt::format("cannot chown '{}'", directory.path_of(wanted.name)));
  if (permissions.mode && ::fchmod(made.get(), *permissions.mode) != 0)
    throw host_error(errno, fmt::format("cannot set mode of '{}'", directory.path_of(wanted.name)));
}

void DirectoryBackend::remove_volume(const VolumeDefinition& volume) {
  check_entry_name(volume.name);
  const Directory directory(pool_.target_path);
  struct stat status{};
  if (::fstatat(directory.get(), volume.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return;
    throw host_error(errno, fmt::format("cannot unlink file '{}'", volume.target.path));
  }
  const bool is_directory = S_ISDIR(status.st_mode);
  if (::unlinkat(directory.get(), volume.name.c_str(), is_directory ? AT_REMOVEDIR : 0) != 0 &&
      errno != ENOENT) {
    throw host_error(
        errno, fmt::format("{} '{}'", is_directory ? "failed to remove directory" : "cannot unlink file",
                           volume.target.path));
  }
}

void DirectoryBackend::resize(const VolumeDefinition& volume, std::uint64_t capacity) {
  const bool preallocate = (request_.flags & VIR_STORAGE_VOL_RESIZE_ALLOCATE) != 0;
  const bool shrink = (request_.flags & VIR_STORAGE_VOL_RESIZE_SHRINK) != 0;
  const Directory directory(pool_.target_path);
  const vmm::FileDescriptor file = directory.open(volume.name, O_RDWR);
  if (volume.target.format != "raw") {
    if (preallocate) {
      throw storage_error(VIR_ERR_OPERATION_UNSUPPORTED, "preallocate is only supported for raw type volume");
    }
    resize_image(directory.path_of(volume.name), volume.target.format, capacity,
                 shrink && capacity < volume.capacity);
    return;
  }
  if (::ftruncate(file.get(), static_cast<off_t>(capacity)) != 0)
    throw host_error(errno, fmt::format("Failed to truncate file '{}'", volume.target.path));
  if (preallocate && capacity > volume.capacity &&
      ::posix_fallocate(file.get(), static_cast<off_t>(volume.capacity),
                        static_cast<off_t>(capacity - volume.capacity)) != 0)
    throw host_error(ENOSPC, fmt::format("Failed to pre-allocate space for file '{}'", volume.target.path));
  if (::fsync(file.get()) != 0) throw host_error(errno, fmt::format("cannot sync '{}'", volume.target.path));
}

VolumeDefinition DirectoryBackend::inspect(const VolumeDefinition& volume) {
  const Directory directory(pool_.target_path);
  check_entry_name(volume.name);
  const vmm::FileDescriptor file = directory.open_listed(volume.name);
  if (!file) {
    throw storage_error(VIR_ERR_NO_STORAGE_VOL, fmt::format("no storage vol with matching path '{}'",
                                                            directory.path_of(volume.name)));
  }
  VolumeDefinition found{.name = volume.name, .key = directory.path_of(volume.name)};
  read_image_facts(file.get(), found.key, request_.formats, found);
  return found;
}

vmm::FileDescriptor DirectoryBackend::open_data(const VolumeDefinition& volume, int access) {
  const Directory directory(pool_.target_path);
  vmm::FileDescriptor file = directory.open(volume.name, access);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0 || S_ISDIR(status.st_mode)) {
    throw storage_error(VIR_ERR_OPERATION_INVALID, fmt::format("volume '{}' is a directory", volume.name));
  }
  return file;
}

}  // namespace warren::driver::storage::backend
