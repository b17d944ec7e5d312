#include "vmm-core/devices/atapi_drive.h"

#include <algorithm>
#include <utility>

#include "vmm-core/os/error.h"

namespace warren::vmm::ata {
namespace {

constexpr std::size_t kPacketBytes = 12;          // what the drive says it takes (SFF-8020i)
constexpr std::uint8_t kIllegalRequest = 5;       // sense key
constexpr std::uint8_t kPacketOver = 1 << 1 | 1;  // interrupt reason: to the host, and no data (ACS-2 §6.4)

// ACS-2 §6.3: the sense key is the upper half of the error register.
Outcome outcome_of(const scsi::Sense& sense) noexcept {
  return {.status = kReady | kError,
          .error = static_cast<std::uint8_t>(sense.key << 4 | (sense.key == kIllegalRequest ? kAborted : 0))};
}

scsi::OpticalDriveOptions options_of(const block::Disk& disk, std::function<void(bool open)> tray_moved) {
  scsi::OpticalDriveOptions options;
  options.interface_standard = scsi::OpticalDriveOptions::kSerialAta;
  options.identification.serial = disk.options().serial;
  options.tray_moved = std::move(tray_moved);
  return options;
}

}  // namespace

PacketDrive::PacketDrive(const block::Disk& disk, std::function<void(bool open)> tray_moved)
    : disk_(disk), drive_(options_of(disk, std::move(tray_moved))) {
  if (disk.has_image()) drive_.set_medium(disk.size());
}

Action PacketDrive::execute(const CommandFrame& frame, std::span<const std::byte, kPacket> packet) noexcept {
  Action action;
  switch (frame.command) {
    case kPacketCommand:
      return packet_command(packet);
    case kIdentifyPacketDevice:
      return identify();
    case kDeviceReset:
    case kExecuteDiagnostic:
      action.kind = Action::Kind::reset;
      return action;
    case kIdentifyDevice:
      // ACS-2 §7.16: aborted, with the signature that tells a packet device.
      action = abort_command();
      action.kind = Action::Kind::reset;
      return action;
    case kSetFeatures:
      if (frame.features_low == 0x03 && set_transfer_mode(frame.count_low, ultra_dma_, multiword_dma_))
        return {};
      return abort_command();
    case 0xe0:  // standby and idle, at once
    case 0xe1:
      return {};
    default:
      return abort_command();
  }
}

Action PacketDrive::packet_command(std::span<const std::byte, kPacket> packet) noexcept {
  const auto answer = drive_.execute(packet.first(kPacketBytes));
  using Kind = scsi::Answer::Kind;
  Action action;
  action.status = kReady;
  action.count = kPacketOver;
  switch (answer.kind) {
    case Kind::done:
      break;
    case Kind::failed: {
      const Outcome outcome = outcome_of(answer.sense);
      action.status = outcome.status;
      action.error = outcome.error;
      break;
    }
    case Kind::data:
      action.kind = Action::Kind::packet;
      action.data = answer.data;
      break;
    case Kind::read:
      if (!disk_.contains(answer.offset, answer.length)) {
        // The image was cut under the medium.
        drive_.fail(scsi::kUnrecoveredRead);
        const Outcome outcome = outcome_of(scsi::kUnrecoveredRead);
        action.status = outcome.status;
        action.error = outcome.error;
        break;
      }
      action.kind = Action::Kind::request;
      action.operation = block::Operation::read;
      action.offset = answer.offset;
      action.length = answer.length;
      break;
    default:
      break;  // of disks: nothing writes to this drive
  }
  return action;
}

Outcome PacketDrive::end(bool failed) noexcept {
  if (!failed) return {.status = kReady, .error = 0};
  drive_.fail(scsi::kUnrecoveredRead);
  return outcome_of(scsi::kUnrecoveredRead);
}

void PacketDrive::reset() noexcept {
  drive_.reset();
  ultra_dma_ = 6;
  multiword_dma_ = 0;
}

Action PacketDrive::identify() noexcept {
  IdentifyData identify;
  identify.set(0, 2 << 14 | 5 << 8 | 1 << 7 | 2 << 5);  // a CD-ROM, removable, packets of 12 bytes
  identify.set_text(10, 10, disk_.options().serial.empty() ? disk_.name() : disk_.options().serial);
  identify.set_text(23, 4, "1.0");
  identify.set_text(27, 20, "WARREN DVD-ROM");
  identify.set(49, 1 << 11 | 1 << 9 | 1 << 8);
  set_common_words(identify, ultra_dma_, multiword_dma_);
  identify.set(71, 30);
  identify.set(72, 30);
  identify.set(76, 1 << 3 | 1 << 2 | 1 << 1);
  constexpr std::uint32_t kCommands82 = 1 << 9 | 1 << 4;  // DEVICE RESET, PACKET
  identify.set(82, kCommands82);
  identify.set(83, 1 << 14);
  identify.set(84, 1 << 14);
  identify.set(85, kCommands82);
  identify.set(87, 1 << 14);
  set_world_wide_name(identify, disk_.options().wwn);
  identify.set(222, 1 << 12 | 0x1f);
  identify.finish();
  std::ranges::copy(identify.bytes(), answer_.begin());
  return give(answer_);
}

PacketDrive::State PacketDrive::save() const noexcept {
  return {.ultra_dma = ultra_dma_, .multiword_dma = multiword_dma_, .drive = drive_.save()};
}

void PacketDrive::restore(const State& state) {
  if (state.version != 1 || state.ultra_dma > 6 || state.multiword_dma > 3)
    throw Error(std::errc::invalid_argument, disk_.name() + ": saved state of an ATAPI drive");
  drive_.restore(state.drive);
  ultra_dma_ = state.ultra_dma;
  multiword_dma_ = state.multiword_dma;
}

}  // namespace warren::vmm::ata
