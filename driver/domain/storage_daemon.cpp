#include "driver/domain/storage_daemon.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver/cage/cage.h"
#include "driver/contract/error.h"
#include "driver/domain/character_file.h"
#include "driver/domain/disk_image.h"
#include "driver/store/image_header.h"

namespace warren::driver::domain {

namespace {

using vmm::FileDescriptor;

constexpr const char* kProgram = "qemu-storage-daemon";  // as it calls itself
constexpr const char* kImagePlace = "/image";

std::string_view on_off(bool value) {
  return value ? "on" : "off";
}

// The block driver of QEMU that has the format (its qemu-block-drivers manual), as the beginning of a JSON
// object. Of an encrypted image none is opened that it names: require_whole() has seen that it names none,
// and the passphrase is a file as well.
std::string_view block_driver_of(const config::CagedImage& image) {
  switch (image.format) {
    case config::CagedFormat::raw:
      return R"("driver":"luks","key-secret":"key")";
    case config::CagedFormat::qcow2:
      return R"("driver":"qcow2","encrypt":{"format":"luks","key-secret":"key"},"backing":null)";
    case config::CagedFormat::qcow:
      return R"("driver":"qcow")";
    case config::CagedFormat::qed:
      return R"("driver":"qed")";
    case config::CagedFormat::vdi:
      return R"("driver":"vdi")";
    case config::CagedFormat::vhdx:
      return R"("driver":"vhdx")";
    case config::CagedFormat::vmdk:
      return R"("driver":"vmdk")";
    case config::CagedFormat::vpc:
      return R"("driver":"vpc")";
  }
  return {};
}

std::string block_device_of(const config::Disk& disk) {
  using config::DiskCache;
  const DiskCache cache = disk.driver.cache.value_or(DiskCache::default_mode);
  // QEMU takes one without the other for a mistake.
  const bool may_unmap = disk.driver.discard == config::DiskDiscard::unmap;
  const auto zeroes = disk.driver.detect_zeroes.value_or(config::DiskDetectZeroes::off);
  return fmt::format(
      R"({{"node-name":"disk",{},"read-only":{},"cache":{{"direct":{},"no-flush":{}}},"discard":"{}",)"
      R"("detect-zeroes":"{}","file":{{"driver":"{}","filename":"{}"}}}})",
      block_driver_of(*disk.caged), disk.read_only,
      cache == DiskCache::none || cache == DiskCache::directsync, cache == DiskCache::unsafe,
      may_unmap ? "unmap" : "ignore",
      zeroes == config::DiskDetectZeroes::off                  ? "off"
      : zeroes == config::DiskDetectZeroes::unmap && may_unmap ? "unmap"
                                                               : "on",
      disk.source_type == config::DiskSourceType::block ? "host_device" : "file", kImagePlace);
}

std::string export_of(const config::Disk& disk) {
  using config::DiskCache;
  const DiskCache cache = disk.driver.cache.value_or(DiskCache::default_mode);
  return fmt::format(
      "type=vhost-user-blk,id=export,node-name=disk,writable={},writethrough={},num-queues={},addr.type=fd,"
      "addr.str={}",
      on_off(!disk.read_only), on_off(cache == DiskCache::writethrough || cache == DiskCache::directsync),
      disk.driver.queues.value_or(1), cage::kListener);
}

// Closed when the program has read it; it never is on a disk.
FileDescriptor file_of(const SecretValue& value) {
  constexpr std::size_t kMost = 4096;
  if (value.bytes().size() > kMost) throw operation_failed("the passphrase is longer than 4096 bytes");
  FileDescriptor file(::memfd_create("passphrase", MFD_CLOEXEC));
  if (!file) throw system_error(errno, "make a file for a passphrase");
  const auto bytes = value.bytes();
  if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    throw system_error(errno, "write a passphrase");
  return file;
}

// A socket that has a name for as long as it takes to connect to it.
struct Listener {
  explicit Listener(std::string the_path)
      : path(std::move(the_path)), socket(listen_character_socket(path)) {}
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { remove_character_socket(path); }

  std::string path;
  FileDescriptor socket;
};

// "qemu-storage-daemon: --blockdev …: Could not open '/image'": without what it was told, and as the host has
// it.
std::string reason_of(std::string said, const cage::CageLaunch& launch, const std::string& image) {
  for (std::size_t i = 1; i + 1 < launch.words.size(); ++i) {
    const std::string prefix = fmt::format("{}: {} {}: ", kProgram, launch.words[i], launch.words[i + 1]);
    if (said.starts_with(prefix)) said.erase(0, prefix.size());
  }
  if (const std::size_t place = said.find(kImagePlace); place != std::string::npos)
    said.replace(place, std::string_view(kImagePlace).size(), image);
  return said;
}

// What is read through it is not in the cage, and is not to be looked for there.
void require_whole(const FileDescriptor& file, const config::CagedImage& image) {
  std::array<std::byte, store::kHeaderBytes> start{};
  const ssize_t got = ::pread(file.get(), start.data(), start.size(), 0);
  if (got < 0) throw system_error(errno, "read its header");
  const store::ImageHeader header = store::read_header(config::caged_format_name(image.format),
                                                       std::span(start).first(static_cast<std::size_t>(got)));
  const std::string& other = header.is_backed ? header.backing_path : header.data_file;
  if (!header.is_backed && !header.has_data_file) return;
  throw operation_failed(fmt::format(
      "it is not whole: a part of it is in '{}' (qemu-img convert makes one file of them)", other));
}

ServedDisk serve(const config::Disk& disk, const FileDescriptor& image,
                 const StorageDaemonSettings& settings) {
  if (::access(settings.program.c_str(), X_OK) != 0) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("there is no {} (on Debian it is in the package qemu-system-common)",
                            settings.program.string()));
  }
  require_whole(image, *disk.caged);
  cage::CageLaunch launch{.cage_program = settings.cage_program,
                          .words = {settings.program.string(), "--daemonize"},
                          .files = {{disk.caged->path, kImagePlace, !disk.read_only}},
                          .user = settings.user,
                          .group = settings.group,
                          .place = settings.place};
  FileDescriptor secret;
  if (disk.caged->passphrase) {
    secret = file_of(*settings.passphrases.at(*disk.caged->passphrase));
    launch.secret = &secret;
    launch.words.insert(launch.words.end(),
                        {"--object", fmt::format("secret,id=key,file={}", cage::kSecretPlace)});
  }
  launch.words.insert(launch.words.end(), {"--blockdev", block_device_of(disk), "--export", export_of(disk)});
  launch.held = &image;
  // Its own: a start that was given up may be at work still.
  static std::atomic<unsigned> count = 0;
  const Listener listener((settings.directory / fmt::format("{}-{}.sock", disk.target, ++count)).string());
  launch.listener = &listener.socket;
  ServedDisk served;
  try {
    served.lifeline = cage::launch_in_cage(launch);
  } catch (const Error& error) {
    throw Error(error.code(), reason_of(error.detail(), launch, disk.caged->path));
  }
  served.connection = connect_character_socket(listener.path);
  return served;
}

}  // namespace

ServedDisk serve_caged_disk(const config::Disk& disk, const StorageDaemonSettings& settings) {
  const FileDescriptor image = reserve_caged_image(disk);
  try {
    return serve(disk, image, settings);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("disk {}: {} cannot serve '{}': {}", disk.target, kProgram,
                                          disk.caged->path, error.detail()));
  }
}

}  // namespace warren::driver::domain
