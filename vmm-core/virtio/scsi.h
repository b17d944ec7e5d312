// The virtio SCSI host device (virtio 1.2 §5.6): disks and CD/DVD drives as logical units of its targets,
// which come and go while the driver is at work.
//
// One thread serves all queues and all units; what the control thread changes is changed there.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "vmm-core/block/disk.h"
#include "vmm-core/scsi/disk_drive.h"
#include "vmm-core/scsi/optical_drive.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

struct ScsiUnitAddress {
  std::uint8_t target = 0;
  std::uint16_t lun = 0;  // at most scsi::kMaximumLun
  auto operator<=>(const ScsiUnitAddress&) const = default;
};

struct ScsiOptions {
  std::uint16_t queues = 1;  // of requests, besides those of control and events
  std::uint16_t queue_size = 256;
  std::uint32_t commands_per_unit = 128;  // at once; 1 to 1024
  std::uint32_t maximum_sectors = 0xffff;
  bool packed = false;
};

struct ScsiState {
  struct Unit {
    ScsiUnitAddress address;
    std::variant<scsi::DiskDriveState, scsi::OpticalDriveState> state;
  };
  std::uint32_t version = 1;
  std::uint32_t sense_bytes = 96, command_bytes = 32;
  std::vector<Unit> units;
};

class Scsi final : public ServedDevice {
 public:
  static constexpr std::size_t kMaximumUnits = 256;

  struct UnitConfiguration {
    ScsiUnitAddress address;
    std::unique_ptr<block::Disk> disk;  // with one stream, of blocks as its drive has them
    // Exactly one of them; a disk drive is as large as its disk.
    std::unique_ptr<scsi::DiskDrive> drive;
    std::unique_ptr<scsi::OpticalDrive> optical_drive;
  };

  // `thread` and what the units' disks were given outlive it. Throws Error.
  Scsi(std::string name, const ScsiOptions& options, std::vector<UnitConfiguration> units,
       EventThread& thread);
  ~Scsi() override;

  DeviceType type() const noexcept override { return DeviceType::scsi; }
  std::uint64_t features() const noexcept override;
  void deactivate() noexcept override;
  bool offers_packed() const noexcept override { return options_.packed; }
  std::uint16_t queue_count() const noexcept override {
    return static_cast<std::uint16_t>(2 + options_.queues);
  }
  std::uint16_t queue_size() const noexcept override { return options_.queue_size; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  // The rest is the control thread's; each waits for what is in flight at that unit.

  // The driver is told. Throws Error: file_exists where there is one.
  void add_unit(UnitConfiguration unit);
  // What it had begun is done or given up. The driver is told, and not asked. Throws Error.
  void remove_unit(ScsiUnitAddress address);
  // Of a CD/DVD drive. Throws Error.
  scsi::OpticalDrive::Opening open_tray(ScsiUnitAddress address, bool force);
  void close_tray(ScsiUnitAddress address);
  // What lies in the tray from now on; none: nothing. Throws Error, and nothing has changed.
  void set_medium(ScsiUnitAddress address, std::unique_ptr<block::Image> image);

  // Only while paused or not activated. restore() throws Error for what cannot be.
  ScsiState save() const;
  void restore(const ScsiState& state);
  void inspect(InspectNode& node) const override;

 private:
  class Unit;
  class RequestQueue;
  class Events;
  class TaskManagement;
  struct Command;
  static constexpr std::uint16_t kControlQueue = 0, kEventQueue = 1, kFirstRequestQueue = 2;

  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;

  Unit* find(ScsiUnitAddress address) const noexcept;
  bool has_target(std::uint8_t target) const noexcept;
  std::size_t luns_of(std::uint8_t target, std::span<std::uint16_t> luns) const noexcept;
  Unit& require(ScsiUnitAddress address) const;
  scsi::OpticalDrive& optical_drive(ScsiUnitAddress address) const;
  void insert(std::unique_ptr<Unit> unit);
  void tell_units_changed(ScsiUnitAddress address, std::uint32_t reason) noexcept;
  // Hands what was begun to the host, and finishes what is done; whether anything was.
  bool push_units() noexcept;
  // Interrupts for, or serves on, the queues of which something was finished besides the one being served.
  void settle() noexcept;
  void count_malformed() noexcept { malformed_.fetch_add(1, std::memory_order_relaxed); }
  // `work` on the device's thread; what it throws is thrown here.
  void on_thread(const std::function<void()>& work) const;

  const ScsiOptions options_;
  EventThread& thread_;
  std::atomic<std::uint32_t> sense_bytes_, command_bytes_;
  std::atomic<std::uint64_t> malformed_{0};
  // The thread's.
  std::vector<std::unique_ptr<Unit>> units_;  // by address
  std::vector<std::unique_ptr<RequestQueue>> requests_;
  std::unique_ptr<Events> events_;
  std::unique_ptr<TaskManagement> functions_;
  bool driver_present_ = false;  // since the last reset
  bool streams_running_ = false;
  bool settling_ = false;
};

}  // namespace warren::vmm::virtio
