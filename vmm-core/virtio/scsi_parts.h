// What the SCSI host device is made of: commands, the queues they come from, the units they go to, task
// management and events. Implementation header of scsi*.cpp. All of it is the device's thread's.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm-core/block/disk_stream.h"
#include "vmm-core/scsi/target.h"
#include "vmm-core/virtio/scsi.h"
#include "vmm-core/virtio/scsi_messages.h"

namespace warren::vmm::virtio {

// How a driver names a unit (§5.6.6.1): a target, and one level of LUN in peripheral or flat form.
struct ScsiPlace {
  std::uint8_t target = 0;
  std::uint16_t lun = 0;
  bool is_well_known = false;  // the REPORT LUNS well known logical unit
  ScsiUnitAddress address() const noexcept { return {target, lun}; }
};
// None for what names no target.
std::optional<ScsiPlace> place_of(const ScsiLun& lun) noexcept;
ScsiLun lun_of(ScsiUnitAddress address) noexcept;

// A command, from its chain's first look to its response. What is done to the medium may take several
// requests to the host, one after another: a part of the list to be discarded, a part of what is filled.
struct Scsi::Command : block::DiskRequest {
  // Not initialized: most of it is never touched.
  struct Room {
    static constexpr std::size_t kRanges = 258;
    std::array<iovec, kRanges> ranges;  // of the response, of a block to fill with, of the data
    std::array<scsi::Extent, scsi::DiskDrive::kMaximumExtents> extents;
  };

  RequestQueue* queue = nullptr;
  Room* room = nullptr;

  Ticket ticket;
  Unit* unit = nullptr;  // that it is begun on; or null
  std::uint64_t id = 0;
  std::uint32_t response_bytes = 0;  // header and sense
  std::size_t response_ranges = 0, block_ranges = 0, data_ranges = 0;
  std::uint64_t buffer_bytes = 0;  // what the driver has for data
  scsi::Answer::Kind kind = scsi::Answer::Kind::done;
  std::uint64_t next_offset = 0, left = 0;  // of the medium, in bytes
  std::size_t next_extent = 0, extents = 0;
  bool is_durable = false, unmaps = false;
  bool parked = false;                       // its next request is begun when the machine goes on
  ScsiResponse given_up = ScsiResponse::ok;  // else how it ends, whatever became of it

  bool has_more() const noexcept { return left != 0 || next_extent != extents; }
};

class Scsi::RequestQueue {
 public:
  RequestQueue(Scsi& device, std::uint16_t index);

  Served serve() noexcept;
  std::uint16_t index() const noexcept { return index_; }
  std::span<Command> commands() noexcept { return commands_; }
  // Whether anything was returned since the last question.
  bool take_returned() noexcept { return std::exchange(returned_, false); }
  // Chains wait for a command to be free.
  bool is_starved() const noexcept { return starved_; }
  bool is_serving() const noexcept { return serving_; }

  // Each ends the command. `transferred` bytes of the data were read or written.
  void succeed(Command& command, std::uint64_t transferred) noexcept;
  void fail(Command& command, const scsi::Sense& sense) noexcept;
  void respond(Command& command, ScsiResponse response, ScsiStatus status = ScsiStatus::good) noexcept;
  // The chain goes back as if nobody had looked at it.
  void drop(Command& command) noexcept;

 private:
  // What comes with a command, and where its data goes.
  struct Data {
    Reader out;
    std::uint64_t out_bytes;
    std::span<const iovec> writable;
    std::uint64_t in_bytes;
  };
  using Cdb = std::span<const std::byte>;

  void take(Chain& chain) noexcept;
  void execute(Command& command, const ScsiLun& lun, Cdb cdb, const Data& data) noexcept;
  void execute_on(Unit& unit, Command& command, Cdb cdb, const Data& data) noexcept;
  void carry_out(Command& command, const scsi::Answer& answer, const Data& data) noexcept;
  void give(Command& command, std::span<const std::byte> bytes, const Data& data) noexcept;
  void begin(Command& command, const scsi::Answer& answer, const Data& data) noexcept;
  bool gather(Unit& unit, Command& command, const scsi::Answer& answer, const Data& data) noexcept;
  void send(Command& command, const ScsiResponseHeader& header, const scsi::Sense* sense,
            std::uint64_t in_bytes) noexcept;

  Scsi& device_;
  const std::uint16_t index_;
  std::unique_ptr<Command::Room[]> rooms_;
  std::vector<Command> commands_;
  std::vector<Command*> free_;
  bool returned_ = false;
  bool starved_ = false;
  bool serving_ = false;
  scsi::TargetCommands target_;
  std::array<std::byte, scsi::kMaximumParameters> parameters_{};
};

class Scsi::Unit final : private block::DiskClient {
 public:
  // On the device's thread; throws Error.
  Unit(Scsi& device, UnitConfiguration configuration);

  ScsiUnitAddress address() const noexcept { return configuration_.address; }
  block::Disk& disk() noexcept { return *configuration_.disk; }
  scsi::LogicalUnit& logical() noexcept {
    if (configuration_.drive) return *configuration_.drive;
    return *configuration_.optical_drive;
  }
  scsi::DiskDrive* drive() noexcept { return configuration_.drive.get(); }
  scsi::OpticalDrive* optical_drive() noexcept { return configuration_.optical_drive.get(); }
  // The driver, which does not hear of events, is told that there are other units now.
  void note_units_changed() noexcept { units_changed_ = true; }
  bool take_units_changed() noexcept { return std::exchange(units_changed_, false); }

  void start();  // throws Error
  void stop() noexcept;
  // Nothing that was begun is left when it returns: what waits ends with `response`, or is dropped.
  void give_up(std::optional<ScsiResponse> response) noexcept;
  void set_medium(std::unique_ptr<block::Image> image);  // throws Error

  bool is_full() const noexcept { return in_flight_ >= device_.options_.commands_per_unit; }
  // Of a command that carry_out() has prepared.
  void begin(Command& command) noexcept;
  // It ends with `response` as soon as the host lets go of it; at once when the host does not have it.
  void abort(Command& command, ScsiResponse response) noexcept;
  bool push() noexcept;

 private:
  void finished(block::DiskRequest& request, bool failed) noexcept override;
  void abandoned(block::DiskRequest& request) noexcept override;
  void went_on() noexcept override;
  void begin_next(Command& command) noexcept;
  void prepare_fill(Command& command) noexcept;
  void end(Command& command, bool failed) noexcept;
  template <typename Each>
  void for_each_parked(Each each) noexcept;

  Scsi& device_;
  UnitConfiguration configuration_;
  block::DiskStream stream_;
  unsigned in_flight_ = 0;
  bool running_ = false;
  bool leaving_ = false;
  bool touched_ = false;
  bool units_changed_ = false;
  std::optional<ScsiResponse> abandon_as_;
};

// What the driver is to know of units that come, go and change (§5.6.6.3).
class Scsi::Events {
 public:
  explicit Events(Scsi& device) noexcept : device_(device) {}
  void tell(std::uint32_t event, ScsiUnitAddress address, std::uint32_t reason) noexcept;
  Served serve() noexcept;
  void clear() noexcept;

 private:
  Scsi& device_;
  std::array<ScsiEvent, 32> waiting_{};
  std::size_t count_ = 0;
  bool missed_ = false;
};

// The control queue (§5.6.6.2). A function is answered when the commands that it ends have ended.
class Scsi::TaskManagement {
 public:
  explicit TaskManagement(Scsi& device) noexcept : device_(device) {}
  Served serve() noexcept;
  // Commands have ended.
  void look_again() noexcept;
  void clear() noexcept;

 private:
  struct Scope {
    std::uint8_t target = 0;
    std::optional<std::uint16_t> lun;
    std::optional<std::uint64_t> id;
    bool resets = false;
  };
  struct Pending {
    Ticket ticket;
    std::byte* response = nullptr;
    Scope scope;
  };

  void take(Chain& chain) noexcept;
  ScsiResponse manage(const ScsiFunctionRequest& request, Pending& pending, bool& waits) noexcept;
  ScsiResponse notify(const ScsiNotificationRequest& request) noexcept;
  template <typename Each>
  void for_each_command(const Scope& scope, Each each) noexcept;
  bool has_aborted(const Scope& scope) noexcept;
  void finish(const Scope& scope) noexcept;

  Scsi& device_;
  std::array<Pending, 16> pending_{};
  bool any_pending_ = false;
};

}  // namespace warren::vmm::virtio
