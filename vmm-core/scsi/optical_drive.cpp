#include "vmm-core/scsi/optical_drive.h"

#include <algorithm>
#include <utility>

#include "vmm-core/os/error.h"
#include "vmm-core/scsi/command.h"

namespace warren::vmm::scsi {

OpticalDrive::OpticalDrive(OpticalDriveOptions options) : options_(std::move(options)) {}

OpticalDrive::Answer OpticalDrive::execute(std::span<const std::byte> command,
                                           std::span<const std::byte>) noexcept {
  std::array<std::byte, kMaximumCommand> whole{};
  std::ranges::copy(command.first(std::min(command.size(), whole.size())), whole.begin());
  const auto operation = std::to_integer<std::uint8_t>(whole[0]);
  if (operation == kRequestSense) return request_sense(whole);
  sense_ = kNoSense;
  if (const auto attention = take_attention(operation)) return failed(*attention);
  return dispatch(whole);
}

OpticalDrive::Answer OpticalDrive::dispatch(Command command) noexcept {
  switch (field8(command, 0)) {
    case kTestUnitReady:
    case kSeek10:
      if (const auto sense = not_ready()) return failed(*sense);
      return {};
    case kSetCdSpeed:
      return {};
    case kInquiry:
      return inquiry(command);
    case kModeSense6:
      return mode_sense(command, false);
    case kModeSense10:
      return mode_sense(command, true);
    case kStartStopUnit:
      return start_stop(command);
    case kPreventAllowRemoval:
      return prevent_removal(command);
    case kReadCapacity10:
      return read_capacity10();
    case kServiceActionIn16:
      return read_capacity16(command);
    case kRead10:
      return read(field32(command, 2), field16(command, 7));
    case kRead12:
      return read(field32(command, 2), field32(command, 6));
    case kRead16:
      return read(field64(command, 2), field32(command, 10));
    case kReadToc:
      return read_toc(command);
    case kGetConfiguration:
      return get_configuration(command);
    case kGetEventStatus:
      return get_event_status(command);
    case kReadDiscInformation:
      return read_disc_information(command);
    case kMechanismStatus:
      return mechanism_status(command);
    default:
      return failed(kInvalidCommand);
  }
}

// What has happened since the last command is told before anything else is done, but to those that are
// answered in any case (SPC-3 §4.5.1, MMC-5 §4.1.6).
std::optional<Sense> OpticalDrive::take_attention(std::uint8_t operation) noexcept {
  if (operation == kInquiry || operation == kGetConfiguration || operation == kGetEventStatus)
    return std::nullopt;
  if (std::exchange(reset_attention_, false)) return kReset;
  if (is_readable() && std::exchange(medium_attention_, false)) return kMediumMayHaveChanged;
  return std::nullopt;
}

std::optional<Sense> OpticalDrive::not_ready() const noexcept {
  if (tray_open_) return kNoMediumTrayOpen;
  if (!bytes_) return kNoMediumTrayClosed;
  if (blocks() == 0) return kUnknownFormat;
  return std::nullopt;
}

OpticalDrive::Answer OpticalDrive::failed(const Sense& sense) noexcept {
  if (options_.interface_standard != OpticalDriveOptions::kScsi) sense_ = sense;
  return {.kind = Answer::Kind::failed, .sense = sense};
}

OpticalDrive::Writer OpticalDrive::begin_answer() noexcept {
  answer_.fill(std::byte{0});
  return Writer(answer_);
}

OpticalDrive::Answer OpticalDrive::read(std::uint64_t block, std::uint64_t count) noexcept {
  if (const auto sense = not_ready()) return failed(*sense);
  const std::uint64_t there_are = blocks();
  if (block > there_are || count > there_are - block || (count != 0 && block == there_are))
    return failed(kAddressOutOfRange);
  if (count == 0) return {};
  // Both are below the number of blocks, which times the block is the size of the medium.
  return {.kind = Answer::Kind::read, .offset = block * kOpticalBlock, .length = count * kOpticalBlock};
}

// SPC-3 §6.27: fixed format. What waits to be told is told here, too.
OpticalDrive::Answer OpticalDrive::request_sense(Command command) noexcept {
  Sense sense = std::exchange(sense_, kNoSense);
  if (sense == kNoSense) sense = take_attention(kRequestSense).value_or(kNoSense);
  return give_sense(answer_, sense, field8(command, 4));
}

// MMC-5 §6.42.
OpticalDrive::Answer OpticalDrive::start_stop(Command command) noexcept {
  constexpr std::uint8_t kStart = 1 << 0, kLoadEject = 1 << 1;
  const std::uint8_t how = field8(command, 4);
  if ((how >> 4) != 0 || (how & kLoadEject) == 0) return {};  // power conditions; spinning up and down
  if ((how & kStart) != 0) {
    close_tray();
    return {};
  }
  if (locked_) return failed(kRemovalPrevented);
  move_tray(true);
  return {};
}

OpticalDrive::Answer OpticalDrive::prevent_removal(Command command) noexcept {
  constexpr std::uint8_t kPrevent = 1 << 0, kPersistent = 1 << 1;
  const std::uint8_t how = field8(command, 4);
  if ((how & kPersistent) != 0) return failed(kInvalidField);
  locked_ = (how & kPrevent) != 0;
  return {};
}

void OpticalDrive::move_tray(bool open) noexcept {
  if (tray_open_ == open) return;
  tray_open_ = open;
  if (open) {
    locked_ = false;
    if (bytes_) media_event_ = kMediaRemoval;
  } else if (bytes_) {
    media_event_ = kNewMedia;
    medium_attention_ = true;
  }
  if (options_.tray_moved) options_.tray_moved(open);
}

OpticalDrive::Opening OpticalDrive::open_tray(bool force) noexcept {
  if (tray_open_) return Opening::opened;
  if (locked_ && !force) {
    media_event_ = kEjectRequest;
    return Opening::locked;
  }
  move_tray(true);
  return Opening::opened;
}

void OpticalDrive::close_tray() noexcept {
  move_tray(false);
}

void OpticalDrive::set_medium(std::optional<std::uint64_t> bytes) noexcept {
  const bool had = bytes_.has_value();
  bytes_ = bytes;
  if (tray_open_) return;  // closing it tells
  if (bytes_) {
    medium_attention_ = true;
    media_event_ = kNewMedia;
  } else if (had) {
    media_event_ = kMediaRemoval;
  }
}

void OpticalDrive::reset() noexcept {
  locked_ = false;
  reset_attention_ = true;
  medium_attention_ = false;
  media_event_ = kNoMediaEvent;
  sense_ = kNoSense;
}

OpticalDriveState OpticalDrive::save() const noexcept {
  return {.tray_open = tray_open_,
          .locked = locked_,
          .reset_attention = reset_attention_,
          .medium_attention = medium_attention_,
          .media_event = media_event_,
          .sense = sense_};
}

void OpticalDrive::restore(const OpticalDriveState& state) {
  if (state.version != 1 || state.media_event > kMediaRemoval || state.sense.key > 0xf) {
    throw Error(std::errc::invalid_argument, "saved state of an optical drive");
  }
  tray_open_ = state.tray_open;
  locked_ = state.locked;
  reset_attention_ = state.reset_attention;
  medium_attention_ = state.medium_attention;
  media_event_ = state.media_event;
  sense_ = state.sense;
}

void OpticalDrive::inspect(InspectNode& node) const {
  node.add("medium", bytes_.has_value());
  node.add("tray_open", tray_open_);
  node.add("locked", locked_);
  node.add("sense_key", std::uint32_t{sense_.key});
}

}  // namespace warren::vmm::scsi
