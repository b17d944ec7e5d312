// A SCSI host device with a small host: a disk, and a CD/DVD drive at another target.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm-core/virtio/fake_devices.h"
#include "vmm-core/virtio/scsi.h"
#include "vmm-core/virtio/scsi_messages.h"

namespace warren::vmm::virtio {

class ScsiHost : public FakeHost {
 public:
  static constexpr std::uint64_t kDiskBytes = 1 << 20, kMediumBytes = 64 * 2048;
  static constexpr std::size_t kControl = 0, kEvents = 1, kRequests = 2;
  static constexpr ScsiUnitAddress kDisk{0, 0}, kDrive{3, 300};
  // Where a request lies, several of them side by side.
  static constexpr std::uint64_t kPlace = 0x8000, kResponse = 0x400, kData = 0x1000;
  using Cdb = std::vector<std::uint8_t>;

  explicit ScsiHost(bool use_io_uring = true)
      : use_io_uring_(use_io_uring),
        disk_file_(make_file(kDiskBytes)),
        medium_file_(make_file(kMediumBytes)) {}

  std::unique_ptr<Device> make_device() override { return make_device({.queues = 2, .packed = true}); }
  std::unique_ptr<Device> make_device(const ScsiOptions& options) {
    std::vector<Scsi::UnitConfiguration> units;
    units.push_back(disk_unit(kDisk));
    units.push_back(optical_unit(kDrive));
    auto device = std::make_unique<Scsi>("scsi", options, std::move(units), thread_);
    device_ = device.get();
    return device;
  }
  virtual std::unique_ptr<block::Image> make_image(const FileDescriptor& file, bool read_only = false) {
    block::RawImageOptions options;
    options.read_only = read_only;
    options.use_io_uring = use_io_uring_;
    return std::make_unique<block::RawImage>(file.duplicate(), "disk", options);
  }
  Scsi::UnitConfiguration disk_unit(ScsiUnitAddress address) {
    block::DiskOptions disk = disk_options_;
    disk.discard = true;
    disk.discard = true;
    scsi::DiskDriveOptions drive;
    drive.unmaps = true;
    drive.identification.serial = "serial";
    Scsi::UnitConfiguration unit;
    unit.address = address;
    unit.disk = std::make_unique<block::Disk>("disk", make_image(disk_file_), disk, counters_, 1);
    unit.drive = std::make_unique<scsi::DiskDrive>(drive, unit.disk->size());
    last_disk_ = unit.disk.get();
    return unit;
  }
  Scsi::UnitConfiguration optical_unit(ScsiUnitAddress address) {
    block::DiskOptions disk;
    disk.logical_block_size = disk.physical_block_size = scsi::kOpticalBlock;
    Scsi::UnitConfiguration unit;
    unit.address = address;
    unit.disk =
        std::make_unique<block::Disk>("cdrom", make_image(medium_file_, true), disk, drive_counters_, 1);
    unit.optical_drive = std::make_unique<scsi::OpticalDrive>(scsi::OpticalDriveOptions{});
    return unit;
  }

  struct Result {
    ScsiResponseHeader header;
    std::array<std::uint8_t, 18> sense{};
    std::uint32_t used = 0;
    bool is_good() const { return header.response == 0 && header.status == 0; }
    bool has_sense(const scsi::Sense& wanted) const {
      return header.response == 0 && header.status == 2 && sense[2] == wanted.key &&
             sense[12] == wanted.code && sense[13] == wanted.qualifier;
    }
  };
  static constexpr ScsiLun lun_of(ScsiUnitAddress address) {
    return {1, address.target, static_cast<std::uint8_t>(0x40 | address.lun >> 8),
            static_cast<std::uint8_t>(address.lun & 0xff)};
  }
  static std::uint64_t place(std::size_t slot) { return FakeGuest::kBuffers + kPlace * slot; }
  static std::uint64_t data(std::size_t slot = 0) { return place(slot) + kData; }
  // Makes a command available at `slot`, with `out` bytes of data to the device or room for `in` bytes.
  static void offer(FakeGuest& guest, const ScsiLun& lun, const Cdb& cdb, std::uint32_t out, std::uint32_t in,
                    std::size_t slot = 0, std::size_t queue = kRequests,
                    std::optional<std::uint64_t> table = std::nullopt) {
    ScsiRequestHeader header;
    header.lun = lun;
    header.id = 0x1000 + slot;
    std::array<std::uint8_t, 32> bytes{};
    std::copy(cdb.begin(), cdb.end(), bytes.begin());
    static_cast<void>(guest.memory().write_object({place(slot)}, header));
    static_cast<void>(guest.memory().write_object({place(slot) + sizeof(header)}, bytes));
    static_cast<void>(
        guest.memory().write_object({place(slot) + kResponse}, std::array<std::uint8_t, 108>{0xee}));
    std::vector<FakeBuffer> chain = {{place(slot), sizeof(header) + 32, false}};
    if (out != 0) chain.push_back({data(slot), out, false});
    chain.push_back({place(slot) + kResponse, 12 + 96, true});
    if (in != 0) chain.push_back({data(slot), in, true});
    guest.queue(queue).offer(chain, table);
  }
  static Result result(FakeGuest& guest, std::size_t slot = 0, std::uint32_t used = 0) {
    Result result;
    result.used = used;
    const std::uint64_t at = place(slot) + kResponse;
    result.header = guest.memory().read_object<ScsiResponseHeader>({at}).value_or(ScsiResponseHeader{});
    result.sense = guest.memory().read_object<decltype(result.sense)>({at + 12}).value_or(result.sense);
    return result;
  }
  static std::optional<Result> run(FakeGuest& guest, ScsiUnitAddress address, const Cdb& cdb,
                                   std::uint32_t out = 0, std::uint32_t in = 0,
                                   std::size_t queue = kRequests) {
    offer(guest, lun_of(address), cdb, out, in, 0, queue);
    guest.kick(queue);
    const auto used = guest.wait_used(queue);
    if (!used) return std::nullopt;
    return result(guest, 0, used->length);
  }
  // Takes what the units have to tell of themselves first.
  static void settle(FakeGuest& guest) {
    for (const ScsiUnitAddress address : {kDisk, kDrive})
      for (int i = 0; i < 3; ++i) static_cast<void>(run(guest, address, {0}));
  }

  bool works(FakeGuest& guest) override {
    const std::uint64_t value = ++value_;
    settle(guest);
    static_cast<void>(guest.memory().write_object({data() + 8}, value));
    const auto wrote = run(guest, kDisk, {0x2a, 0, 0, 0, 0, 3, 0, 0, 1}, 512, 0);
    if (!wrote || !wrote->is_good() || wrote->used != 108 || wrote->header.residual != 0) return false;
    static_cast<void>(guest.memory().write_object({data() + 8}, ~value));
    const auto read = run(guest, kDisk, {0x28, 0, 0, 0, 0, 3, 0, 0, 1}, 0, 512, kRequests + 1);
    return read && read->is_good() && read->used == 108 + 512 &&
           guest.memory().read_object<std::uint64_t>({data() + 8}) == value;
  }
  std::size_t offer(FakeGuest& guest) override {
    // Each into a place of its own: a few are under way at a time.
    offer(guest, lun_of(kDisk), {0x28, 0, 0, 0, 0, 0, 0, 0, 8}, 0, 4096, offered_++ % 8);
    return kRequests;
  }
  std::vector<std::size_t> served_queues() const override { return {kControl, kRequests, kRequests + 1}; }

  Scsi& device() noexcept { return *device_; }
  block::Disk& disk() noexcept { return *last_disk_; }
  BlockCounters& counters() noexcept { return counters_; }
  int disk_file() const noexcept { return disk_file_.get(); }
  const FileDescriptor& medium_file() const noexcept { return medium_file_; }
  block::DiskOptions& disk_options() noexcept { return disk_options_; }

  static FileDescriptor make_file(std::uint64_t bytes) {
    FileDescriptor file(::memfd_create("disk", MFD_CLOEXEC));
    if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) throw_errno("memfd");
    return file;
  }

 private:
  const bool use_io_uring_;
  FileDescriptor disk_file_, medium_file_;
  BlockCounters counters_{}, drive_counters_{};
  block::DiskOptions disk_options_;
  Scsi* device_ = nullptr;
  block::Disk* last_disk_ = nullptr;
  std::uint64_t value_ = 0;
  std::size_t offered_ = 0;
};

}  // namespace warren::vmm::virtio
