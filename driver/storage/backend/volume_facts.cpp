#include "driver/storage/backend/volume_facts.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "driver/storage/backend/backend.h"
#include "driver/storage/image_formats.h"
#include "driver/store/declared_format.h"
#include "driver/store/image_header.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::storage::backend {

namespace {

struct statx status_of(int file) {
  struct statx status{};
  if (::statx(file, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &status) != 0)
    throw host_error(errno, "cannot stat a volume");
  return status;
}

Timestamp to_time(const statx_timestamp& time) {
  return {.seconds = time.tv_sec, .nanoseconds = time.tv_nsec};
}

void read_status(int file, const struct statx& status, Image& image) {
  image.permissions = {.mode = static_cast<std::uint32_t>(status.stx_mode & 0777),
                       .owner = status.stx_uid,
                       .group = status.stx_gid};
  char label[1024];
  const ssize_t length = ::fgetxattr(file, "security.selinux", label, sizeof label);
  if (length > 0) {
    image.permissions.label.assign(label, static_cast<std::size_t>(length));
    while (image.permissions.label.ends_with('\0')) image.permissions.label.pop_back();
  }
  Timestamps& times = image.timestamps.emplace();
  times.access = to_time(status.stx_atime);
  times.modification = to_time(status.stx_mtime);
  times.change = to_time(status.stx_ctime);
  if ((status.stx_mask & STATX_BTIME) != 0) times.birth = to_time(status.stx_btime);
}

void read_sizes(int file, const struct statx& status, VolumeDefinition& volume) {
  if (S_ISREG(status.stx_mode)) {
    volume.physical = status.stx_size;
    volume.capacity = status.stx_size;
    volume.allocation = status.stx_blocks * 512;  // of 512 bytes, statx(2)
  } else if (S_ISBLK(status.stx_mode)) {
    volume.physical = volume.capacity = volume.allocation = data_bytes(file);
  } else {
    volume.physical = volume.capacity = volume.allocation = 0;
  }
}

// As the kernel would resolve it, beside the image; a protocol's address stays as it is.
std::string resolve_backing(const std::string& image, const std::string& backing) {
  if (backing.starts_with('/')) return backing;
  const std::size_t colon = backing.find(':');
  if (colon != std::string::npos && backing.find('/') > colon) return backing;
  return image.substr(0, image.rfind('/') + 1) + backing;
}

bool is_format(std::string_view name) {
  return is_one_of(name, kImageFormats) && name != "none";
}

std::optional<std::string> recorded_format(int file, const std::string& path,
                                           std::span<const NamedValue> records) {
  if (auto marked = store::declared_format(file); marked && is_format(*marked)) return marked;
  for (const NamedValue& record : records)
    if (record.name == path && is_format(record.value)) return record.value;
  return std::nullopt;
}

Image describe_backing(const std::string& path, const std::string& format,
                       std::span<const NamedValue> records) {
  Image image{.path = path, .format = is_format(format) ? format : ""};
  struct stat status{};
  if (path.starts_with('/') && ::stat(path.c_str(), &status) == 0 &&
      (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode))) {
    vmm::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (file) {
      read_status(file.get(), status_of(file.get()), image);
      if (image.format.empty()) image.format = recorded_format(file.get(), path, records).value_or("");
    }
  }
  // Never found out from its content: a guest may have written it.
  if (image.format.empty()) image.format = "raw";
  return image;
}

}  // namespace

std::uint64_t data_bytes(int file) {
  struct stat status{};
  if (::fstat(file, &status) != 0) throw host_error(errno, "cannot stat a volume");
  if (S_ISREG(status.st_mode)) return static_cast<std::uint64_t>(status.st_size);
  std::uint64_t bytes = 0;
  if (S_ISBLK(status.st_mode) && ::ioctl(file, BLKGETSIZE64, &bytes) != 0)
    throw host_error(errno, "cannot read the size of a block device");
  return bytes;
}

void read_device_facts(int file, VolumeDefinition& volume) {
  const struct statx status = status_of(file);
  read_sizes(file, status, volume);
  read_status(file, status, volume.target);
}

void read_image_facts(int file, const std::string& path, std::span<const NamedValue> records,
                      VolumeDefinition& volume) {
  const struct statx status = status_of(file);
  read_sizes(file, status, volume);
  read_status(file, status, volume.target);
  volume.target.path = path;
  if (S_ISDIR(status.stx_mode)) {
    volume.type = VIR_STORAGE_VOL_DIR;
    volume.target.format = "dir";
    return;
  }
  std::array<std::byte, store::kHeaderBytes> buffer;
  const ssize_t got = ::pread(file, buffer.data(), buffer.size(), 0);
  const std::span<const std::byte> start =
      std::span(buffer).first(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  const auto declared = recorded_format(file, path, records);
  store::ImageHeader header = declared ? store::read_header(*declared, start) : store::probe_header(start);
  if (header.capacity > 0) volume.capacity = header.capacity;
  volume.target.format = std::move(header.format);
  volume.target.encryption = std::move(header.encryption);
  volume.target.compatibility = std::move(header.compatibility);
  volume.target.cluster_bytes = header.cluster_bytes;
  volume.target.features = std::move(header.features);
  volume.backing.reset();
  if (!header.backing_path.empty()) {
    volume.backing =
        describe_backing(resolve_backing(path, header.backing_path), header.backing_format, records);
  }
}

}  // namespace warren::driver::storage::backend
