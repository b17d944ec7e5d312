// New files in a directory.
#include <algorithm>
#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/storage/backend/copying.h"
#include "driver/storage/backend/directory_backend.h"
#include "driver/storage/backend/qemu_image.h"
#include "driver/storage/backend/volume_facts.h"
#include "driver/store/declared_format.h"

namespace warren::driver::storage::backend {

namespace {

constexpr std::uint32_t kDefaultVolumeMode = 0600;

// Zeroes where the file system has no other way to reserve space.
void fill(int file, std::uint64_t begin, std::uint64_t end, Reporter& reporter) {
  static constexpr std::size_t kStep = 1u << 20;
  const std::string zeroes(kStep, '\0');
  for (std::uint64_t at = begin; at < end; at += kStep) {
    write_fully(file, zeroes.data(), static_cast<std::size_t>(std::min<std::uint64_t>(kStep, end - at)), at);
    reporter.progress(at - begin);
  }
}

// True if the space is there; false where the file system cannot reserve it. In steps, to show the progress.
bool reserve(int file, std::uint64_t bytes, const std::string& path, Reporter& reporter) {
  constexpr std::uint64_t kStep = std::uint64_t{8} << 30;
  for (std::uint64_t at = 0; at < bytes; at += kStep) {
    const std::uint64_t length = std::min(kStep, bytes - at);
    while (::fallocate(file, 0, static_cast<off_t>(at), static_cast<off_t>(length)) != 0) {
      if (errno == EINTR) continue;
      if (errno == ENOSYS || errno == EOPNOTSUPP) return false;
      throw host_error(errno, fmt::format("cannot allocate {} bytes in file '{}'", bytes, path));
    }
    reporter.progress(at + length);
  }
  return true;
}

}  // namespace

void DirectoryBackend::create_raw(PendingFile& file, const VolumeDefinition& wanted, int source,
                                  Reporter& reporter) {
  if ((request_.flags & VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA) != 0) {
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED,
                        "metadata preallocation is not supported for raw volumes");
  }
  if (wanted.backing)
    throw storage_error(VIR_ERR_NO_SUPPORT, "backing storage not supported for raw volumes");
  if (!wanted.target.encryption.empty())
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED, "storage pool does not support encrypted volumes");
  const std::string path = pool_.target_path + "/" + wanted.name;
  if (::ftruncate(file.get(), static_cast<off_t>(wanted.capacity)) != 0)
    throw host_error(errno, fmt::format("cannot extend file '{}'", path));
  const std::uint64_t source_bytes = source < 0 ? 0 : data_bytes(source);
  const bool sparse = source >= 0 && wanted.allocation < source_bytes;
  const std::uint64_t reserved = sparse ? 0 : std::min(wanted.allocation, wanted.capacity);
  const bool is_reserved = reserved == 0 || reserve(file.get(), reserved, path, reporter);
  if (source >= 0) {
    copy_data({.source = source,
               .target = file.get(),
               .bytes = source_bytes,
               .must_share = (request_.flags & VIR_STORAGE_VOL_CREATE_REFLINK) != 0,
               .may_share = sparse,
               .sparse = sparse || is_reserved},
              reporter);
    // A shared copy has the length of what it was copied from.
    if (::ftruncate(file.get(), static_cast<off_t>(std::max(wanted.capacity, source_bytes))) != 0)
      throw host_error(errno, fmt::format("cannot extend file '{}'", path));
  }
  if (!is_reserved && reserved > source_bytes) fill(file.get(), source_bytes, reserved, reporter);
}

void DirectoryBackend::finish(PendingFile& file, const Directory& directory, const VolumeDefinition& wanted,
                              Reporter& reporter) {
  const Permissions& permissions = wanted.target.permissions;
  if ((permissions.owner || permissions.group) &&
      ::fchown(file.get(), permissions.owner.value_or(static_cast<uid_t>(-1)),
               permissions.group.value_or(static_cast<gid_t>(-1))) != 0)
    throw host_error(errno, fmt::format("cannot chown '{}'", directory.path_of(wanted.name)));
  if (::fchmod(file.get(), permissions.mode.value_or(kDefaultVolumeMode)) != 0)
    throw host_error(errno, fmt::format("cannot set mode of '{}'", directory.path_of(wanted.name)));
  if (!store::mark_declared_format(file.get(), wanted.target.format))
    reporter.format(directory.path_of(wanted.name), wanted.target.format);
  file.publish(wanted.name);
}

void DirectoryBackend::create(const VolumeDefinition& wanted, Reporter& reporter) {
  const Directory directory(pool_.target_path);
  check_entry_name(wanted.name);
  if (wanted.target.format == "dir") {
    create_subdirectory(directory, wanted);
    return;
  }
  if ((request_.flags & VIR_STORAGE_VOL_CREATE_REFLINK) != 0)
    throw storage_error(VIR_ERR_INVALID_ARG, "there is nothing to share data with");
  struct stat status{};
  if (::fstatat(directory.get(), wanted.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
    throw storage_error(VIR_ERR_OPERATION_INVALID, fmt::format("volume target path '{}' already exists",
                                                               directory.path_of(wanted.name)));
  PendingFile file(directory, !wanted.target.no_cow);
  if (wanted.target.format == "raw") {
    create_raw(file, wanted, -1, reporter);
  } else {
    create_image(file.path(), wanted, request_.flags, reporter);
  }
  finish(file, directory, wanted, reporter);
}

void DirectoryBackend::clone(const VolumeDefinition& wanted, Reporter& reporter) {
  const Directory directory(pool_.target_path);
  check_entry_name(wanted.name);
  if (wanted.target.format == "dir") return create_subdirectory(directory, wanted);
  struct stat status{};
  if (::fstatat(directory.get(), wanted.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
    throw storage_error(VIR_ERR_OPERATION_INVALID, fmt::format("volume target path '{}' already exists",
                                                               directory.path_of(wanted.name)));
  Request of_original{.pool = *request_.original_pool, .formats = request_.formats};
  const std::unique_ptr<Backend> from = make_backend(of_original);
  const vmm::FileDescriptor source = from->open_data(*request_.original, O_RDONLY);
  const std::string source_format = image_format_of(*request_.original_pool, *request_.original);
  PendingFile file(directory, !wanted.target.no_cow);
  if (source_format == "raw" && wanted.target.format == "raw") {
    create_raw(file, wanted, source.get(), reporter);
  } else {
    if ((request_.flags & VIR_STORAGE_VOL_CREATE_REFLINK) != 0)
      throw storage_error(VIR_ERR_INVALID_ARG, "only raw volumes share their data with a clone");
    convert_image(
        {.source = request_.original->target.path, .source_format = source_format, .target = file.path()},
        wanted, request_.flags, reporter);
    if (wanted.capacity > request_.original->capacity)
      resize_image(file.path(), wanted.target.format, wanted.capacity, false);
  }
  finish(file, directory, wanted, reporter);
}

}  // namespace warren::driver::storage::backend
