// What an optical drive tells of itself and its medium.
#include <algorithm>
#include <limits>

#include "vmm-core/scsi/command.h"
#include "vmm-core/scsi/optical_drive.h"

namespace warren::vmm::scsi {
namespace {

constexpr std::uint16_t kCdRom = 0x0008, kDvdRom = 0x0010;  // profiles (MMC-5 §5.3.1)
constexpr std::uint64_t kLargestCd = 80 * 60 * 75;          // blocks: 80 minutes of 75 a second
constexpr std::uint8_t kDataTrack = 0x14;                   // ADR 1, control 4: data, uninterrupted
constexpr std::uint8_t kLeadOut = 0xaa;
constexpr std::uint32_t kSpeed = 7056;  // KB/s, of a drive of 40 times the speed of a CD

// Minute, second and frame of a block: two seconds of lead-in come first (MMC-5 §4.2.3.7).
std::uint32_t time_of(std::uint64_t block) noexcept {
  const std::uint64_t frames = block + 150;
  const std::uint64_t minutes = std::min<std::uint64_t>(frames / (75 * 60), 255);
  return static_cast<std::uint32_t>(minutes << 16 | frames / 75 % 60 << 8 | frames % 75);
}

}  // namespace

std::uint16_t OpticalDrive::profile() const noexcept {
  if (!is_readable()) return 0;
  return blocks() > kLargestCd ? kDvdRom : kCdRom;
}

OpticalDrive::Answer OpticalDrive::inquiry(Command command) noexcept {
  const bool vital = (field8(command, 1) & 1) != 0;
  const std::uint8_t page = field8(command, 2);
  const bool queues = options_.interface_standard == OpticalDriveOptions::kScsi;
  Writer answer = begin_answer();
  if (vital) {
    if (!add_vital_page(answer, DeviceType::optical, page, options_.identification, {}))
      return failed(kInvalidField);
  } else {
    if (page != 0) return failed(kInvalidField);
    add_inquiry(answer, DeviceType::optical, true, queues, options_.identification);
  }
  return answer.give(field16(command, 3));
}

OpticalDrive::Answer OpticalDrive::read_capacity10() noexcept {
  if (const auto sense = not_ready()) return failed(*sense);
  Writer answer = begin_answer();
  answer.add32(static_cast<std::uint32_t>(
      std::min<std::uint64_t>(blocks() - 1, std::numeric_limits<std::uint32_t>::max())));
  answer.add32(kOpticalBlock);
  return answer.give(8);
}

OpticalDrive::Answer OpticalDrive::read_capacity16(Command command) noexcept {
  if ((field8(command, 1) & 0x1f) != kReadCapacity16) return failed(kInvalidField);
  if (const auto sense = not_ready()) return failed(*sense);
  const std::uint64_t last = blocks() - 1;
  Writer answer = begin_answer();
  answer.add32(static_cast<std::uint32_t>(last >> 32));
  answer.add32(static_cast<std::uint32_t>(last));
  answer.add32(kOpticalBlock);
  answer.zeros(20);
  return answer.give(field32(command, 10));
}

// MMC-5 §6.26: one session of one data track.
OpticalDrive::Answer OpticalDrive::read_toc(Command command) noexcept {
  constexpr std::uint8_t kTracks = 0, kSessions = 1;
  if (const auto sense = not_ready()) return failed(*sense);
  const bool in_time = (field8(command, 1) & 2) != 0;
  const std::uint8_t first = field8(command, 6);
  // Where drives of before MMC had the format.
  const std::uint8_t old_format = static_cast<std::uint8_t>(field8(command, 9) >> 6);
  const std::uint8_t format = (field8(command, 2) & 0xf) != 0 ? field8(command, 2) & 0xf : old_format;
  const auto place = [&](std::uint64_t block) {
    return in_time ? time_of(block)
                   : static_cast<std::uint32_t>(
                         std::min<std::uint64_t>(block, std::numeric_limits<std::uint32_t>::max()));
  };
  Writer answer = begin_answer();
  answer.add16(0);
  answer.add8(1);
  answer.add8(1);
  const auto add_track = [&](std::uint8_t number, std::uint64_t block) {
    answer.add8(0);
    answer.add8(kDataTrack);
    answer.add8(number);
    answer.add8(0);
    answer.add32(place(block));
  };
  if (format == kTracks) {
    if (first > 1 && first != kLeadOut) return failed(kInvalidField);
    if (first <= 1) add_track(1, 0);
    add_track(kLeadOut, blocks());
  } else if (format == kSessions) {
    add_track(1, 0);
  } else {
    return failed(kInvalidField);
  }
  answer.set16(0, static_cast<std::uint32_t>(answer.size() - 2));
  return answer.give(field16(command, 7));
}

// MMC-5 §5.3: `which` is 0 for all, 1 for those that are current, 2 for the first alone.
void OpticalDrive::add_features(Writer& answer, std::uint16_t first, unsigned which) const noexcept {
  constexpr std::uint8_t kCurrent = 1, kPersistent = 2;
  const std::uint16_t current = profile();
  const auto begin = [&](std::uint16_t code, std::uint8_t flags, std::uint8_t length) {
    const bool wanted = which == 2 ? code == first : code >= first && (which == 0 || (flags & kCurrent) != 0);
    if (!wanted) return false;
    answer.add16(code);
    answer.add8(flags);
    answer.add8(length);
    return true;
  };
  const auto current_if = [](bool is_so) { return is_so ? kCurrent : std::uint8_t{0}; };
  if (begin(0, kPersistent | kCurrent, 8)) {  // profile list
    for (const std::uint16_t each : {kDvdRom, kCdRom}) {
      answer.add16(each);
      answer.add8(each == current);
      answer.add8(0);
    }
  }
  if (begin(1, 2 << 2 | kPersistent | kCurrent, 8)) {  // core, version 2
    answer.add32(options_.interface_standard);
    answer.add8(1);  // INQ2
    answer.zeros(3);
  }
  if (begin(3, 2 << 2 | kPersistent | kCurrent,
            4)) {  // removable medium: a tray that locks, ejects and loads
    answer.add8(1 << 5 | 1 << 4 | 1 << 3 | 1);
    answer.zeros(3);
  }
  if (begin(0x10, current_if(current != 0), 8)) {  // random readable
    answer.add32(kOpticalBlock);
    answer.add16(1);
    answer.zeros(2);
  }
  if (begin(0x1e, static_cast<std::uint8_t>(2 << 2 | current_if(current == kCdRom)), 4)) answer.zeros(4);
  if (begin(0x1f, current_if(current == kDvdRom), 0)) return;
}

OpticalDrive::Answer OpticalDrive::get_configuration(Command command) noexcept {
  const unsigned which = field8(command, 1) & 3;
  if (which == 3) return failed(kInvalidField);
  Writer answer = begin_answer();
  answer.add32(0);
  answer.add16(0);
  answer.add16(profile());
  add_features(answer, field16(command, 2), which);
  answer.set16(2, static_cast<std::uint32_t>(answer.size() - 4));
  return answer.give(field16(command, 7));
}

// MMC-5 §6.7, polled only: an interrupt is none of this drive's.
OpticalDrive::Answer OpticalDrive::get_event_status(Command command) noexcept {
  constexpr std::uint8_t kMediaClass = 4, kNoEvents = 0x80;
  if ((field8(command, 1) & 1) == 0) return failed(kInvalidField);
  const bool asks_media = (field8(command, 4) & 1 << kMediaClass) != 0;
  Writer answer = begin_answer();
  answer.add16(asks_media ? 6 : 2);
  answer.add8(asks_media ? kMediaClass : kNoEvents);
  answer.add8(1 << kMediaClass);
  if (asks_media) {
    answer.add8(media_event_);
    answer.add8(static_cast<std::uint32_t>((tray_open_ ? 1 : 0) | (is_readable() ? 2 : 0)));
    answer.add16(0);
  }
  const std::uint16_t room = field16(command, 7);
  // It is told once, to who has room for it.
  if (asks_media && room >= answer.size()) media_event_ = kNoMediaEvent;
  return answer.give(room);
}

// MMC-5 §6.22: a finished disc of one session.
OpticalDrive::Answer OpticalDrive::read_disc_information(Command command) noexcept {
  constexpr std::uint8_t kComplete = 0x0e, kUnrestricted = 0x20;
  if ((field8(command, 1) & 7) != 0) return failed(kInvalidField);
  if (const auto sense = not_ready()) return failed(*sense);
  Writer answer = begin_answer();
  answer.add16(32);
  answer.add8(kComplete);
  for (int i = 0; i < 4; ++i) answer.add8(1);  // tracks and sessions
  answer.add8(kUnrestricted);
  answer.zeros(26);
  return answer.give(field16(command, 7));
}

OpticalDrive::Answer OpticalDrive::mechanism_status(Command command) noexcept {
  constexpr std::uint8_t kDoorOpen = 1 << 4;
  Writer answer = begin_answer();
  answer.add8(0);
  answer.add8(tray_open_ ? kDoorOpen : 0);
  answer.zeros(6);
  return answer.give(field16(command, 8));
}

bool OpticalDrive::add_mode_pages(Writer& answer, std::uint8_t page, bool changeable) const noexcept {
  constexpr std::uint8_t kAll = 0x3f, kErrorRecovery = 0x01, kCapabilities = 0x2a;
  bool found = false;
  const auto begin = [&](std::uint8_t code, std::uint8_t length) {
    if (page != code && page != kAll) return false;
    found = true;
    answer.add8(code);
    answer.add8(length);
    if (changeable) answer.zeros(length);
    return !changeable;
  };
  if (begin(kErrorRecovery, 10)) answer.zeros(10);
  if (begin(kCapabilities, 20)) {
    answer.add8(1 << 3 | 1 << 1 | 1 << 0);  // reads DVD-ROM, CD-RW, CD-R
    answer.add8(0);
    answer.add8(1 << 6 | 1 << 5 | 1 << 4);  // several sessions, mode 2 in both forms
    answer.add8(0);
    answer.add8(static_cast<std::uint32_t>(1 << 5 | 1 << 3 | (locked_ ? 1 << 1 : 0) | 1));  // tray, as above
    answer.add8(0);
    answer.add16(kSpeed);
    answer.add16(0);
    answer.add16(512);  // KiB of buffer
    answer.add16(kSpeed);
    answer.zeros(6);
  }
  return found;
}

OpticalDrive::Answer OpticalDrive::mode_sense(Command command, bool long_form) noexcept {
  constexpr unsigned kChangeable = 1, kSaved = 3;
  const unsigned control = field8(command, 2) >> 6;
  const std::uint8_t page = field8(command, 2) & 0x3f;
  if (control == kSaved) return failed(kSavingNotSupported);
  Writer answer = begin_answer();
  answer.zeros(long_form ? 8 : 4);
  if (!add_mode_pages(answer, page, control == kChangeable)) return failed(kInvalidField);
  if (long_form) {
    answer.set16(0, static_cast<std::uint32_t>(answer.size() - 2));
  } else {
    answer.set8(0, static_cast<std::uint32_t>(answer.size() - 1));
  }
  return answer.give(long_form ? field16(command, 7) : field8(command, 4));
}

}  // namespace warren::vmm::scsi
