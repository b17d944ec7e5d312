#include "driver/domain/copy_target.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/store/declared_format.h"

namespace warren::driver::domain {

namespace {

using config::DiskFormat;
using config::DiskSourceType;

void check_present(const config::Disk& disk, const CopyRequest& request, const struct stat& status) {
  const bool is_device = S_ISBLK(status.st_mode);
  if (!is_device && status.st_size != 0 && !request.reuse) {
    throw Error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("external destination file for disk {} already exists and is not a block device: {}",
                    disk.target, request.path));
  }
  if (request.source_type == DiskSourceType::block && !is_device) {
    throw Error(VIR_ERR_INVALID_ARG,
                fmt::format("blockdev flag requested for disk {}, but file '{}' is not a block device",
                            disk.target, request.path));
  }
}

// Returns whether there is one already.
bool look_at_target(const config::Disk& disk, const CopyRequest& request) {
  struct stat status{};
  if (::stat(request.path.c_str(), &status) == 0) {
    check_present(disk, request, status);
    return true;
  }
  if (errno != ENOENT) {
    const int failed = errno;
    throw Error(VIR_ERR_SYSTEM_ERROR, fmt::format("unable to stat for disk {}: {}", disk.target,
                                                  explain_path_failure(request.path, failed)));
  }
  if (request.reuse || request.source_type == DiskSourceType::block) {
    throw Error(VIR_ERR_SYSTEM_ERROR, fmt::format("missing destination file for disk {}: {}", disk.target,
                                                  explain_path_failure(request.path, ENOENT)));
  }
  return false;
}

// Nobody but the host has written it yet: its own word is taken where nobody gave another.
DiskFormat format_of_present(const std::string& path) {
  const vmm::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) throw system_error(errno, fmt::format("cannot open '{}'", path));
  std::array<std::byte, store::kHeaderBytes> buffer;
  const ssize_t got = ::pread(file.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) throw system_error(errno, fmt::format("cannot read header '{}'", path));
  const auto declared = store::declared_format(file.get());
  const std::string format =
      declared ? *declared
               : store::probe_header(std::span(buffer).first(static_cast<std::size_t>(got))).format;
  if (format == "raw") return DiskFormat::raw;
  if (format == "qcow2") return DiskFormat::qcow2;
  throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
              fmt::format("'{}' has format '{}', which Warren does not write", path, format));
}

void check_shallow(const config::Disk& disk, const CopyRequest& request, DiskFormat format) {
  if (!request.shallow || format != DiskFormat::raw) return;
  throw invalid_argument(
      fmt::format("disk '{}' has backing file, so raw shallow copy is not possible", disk.target));
}

// What is reused must be backed as the copy will be: by what the disk is backed by, or by nothing.
void check_backing(const config::Disk& disk, const CopyRequest& request, const CopyTarget& target) {
  if (target.is_new || target.description.format != DiskFormat::qcow2) return;
  const store::ImageHeader header = read_image_header(target.image.file, request.path);
  if (header.has_data_file) {
    throw operation_unsupported(
        fmt::format("destination '{}' of disk {} has its data in another file", request.path, disk.target));
  }
  if (header.backing_path.empty() && !request.shallow) return;
  const auto directory = std::filesystem::path(request.path).parent_path();
  std::error_code ignored;
  const bool is_same =
      !header.backing_path.empty() && request.shallow &&
      std::filesystem::equivalent(directory / header.backing_path, disk.backing.front().source, ignored);
  if (is_same) return;
  throw operation_unsupported(
      request.shallow
          ? fmt::format("destination '{}' of a shallow copy of disk {} is not backed by '{}' as the disk is",
                        request.path, disk.target, disk.backing.front().source)
          : fmt::format("destination '{}' of disk {} is backed by another image; a copy of all of it is not",
                        request.path, disk.target));
}

// As large as it is, and overwritten: who copies to a server makes room there first.
CopyTarget connect_copy_target(const config::Disk& disk, const CopyRequest& request) {
  check_shallow(disk, request, DiskFormat::raw);
  if (request.format.value_or(DiskFormat::raw) != DiskFormat::raw)
    throw operation_unsupported(fmt::format(
        "disk {}: the copy on an NBD server is a raw image; give its <driver> type='raw'", disk.target));
  config::Disk opened = disk;
  opened.source = request.path;
  opened.source_type = DiskSourceType::network;
  opened.server = request.server;
  CopyTarget target;
  target.image = open_disk_image(opened);
  target.description = {.source_type = DiskSourceType::network,
                        .format = DiskFormat::raw,
                        .source = request.path,
                        .server = request.server,
                        .source_index = {}};
  return target;
}

void create_file(const std::string& path) {
  const vmm::FileDescriptor made(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (made) return;
  const int failed = errno;
  throw Error(VIR_ERR_SYSTEM_ERROR,
              fmt::format("cannot create '{}': {}", path, explain_path_failure(path, failed)));
}

}  // namespace

CreatedFile::~CreatedFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

CopyTarget open_copy_target(const config::Disk& disk, const CopyRequest& request) {
  if (request.server) return connect_copy_target(disk, request);
  const bool is_there = look_at_target(disk, request);
  DiskFormat format = disk.driver.format.value_or(DiskFormat::raw);
  if (request.format) {
    format = *request.format;
  } else if (request.reuse) {
    format = format_of_present(request.path);
  }
  check_shallow(disk, request, format);
  CopyTarget target;
  target.description = {.source_type = request.source_type,
                        .format = format,
                        .source = request.path,
                        .server = {},
                        .source_index = {}};
  target.is_new = !request.reuse;
  if (!is_there) {
    create_file(request.path);
    target.created = CreatedFile(request.path);
  }
  config::Disk opened = disk;
  opened.source = request.path;
  opened.source_type = request.source_type;
  opened.server.reset();
  opened.descriptor_group.clear();
  opened.driver.format = format;
  opened.read_only = false;
  opened.shareable = false;
  target.image = open_disk_image(opened);
  check_backing(disk, request, target);
  return target;
}

}  // namespace warren::driver::domain
