#include "vmm-core/scsi/target.h"

#include <algorithm>

#include "vmm-core/scsi/command.h"

namespace warren::vmm::scsi {
namespace {

constexpr std::uint8_t kNotThere = 0x7f;  // peripheral qualifier 011b, type 1Fh (SPC-4 §6.6.2)

}  // namespace

Answer TargetCommands::report_luns(std::span<const std::byte> command,
                                   std::span<const std::uint16_t> luns) noexcept {
  constexpr std::uint8_t kUsual = 0, kWellKnown = 1, kBoth = 2;
  constexpr std::uint32_t kFlat = 0x4000, kReportLunsUnit = 0xc101;
  const std::uint8_t select = field8(command, 2);
  const std::uint32_t room = field32(command, 6);
  if (select > kBoth || room < 16) return failed(kInvalidField);
  answer_.fill(std::byte{0});
  AnswerWriter answer(answer_);
  answer.zeros(8);
  const auto add = [&answer](std::uint32_t first_level) {
    answer.add16(first_level);
    answer.zeros(6);
  };
  if (select != kUsual) add(kReportLunsUnit);
  if (select != kWellKnown) {
    const std::size_t most = kMaximumReportedUnits - (select == kBoth ? 1 : 0);
    for (const std::uint16_t lun : luns.first(std::min(luns.size(), most)))
      add(lun < 256 ? lun : kFlat | lun);
  }
  answer.set32(0, static_cast<std::uint32_t>(answer.size() - 8));
  return answer.give(room);
}

Answer TargetCommands::inquiry(std::span<const std::byte> command, bool is_there) noexcept {
  const bool vital = (field8(command, 1) & 1) != 0;
  answer_.fill(std::byte{0});
  AnswerWriter answer(answer_);
  if (vital) {
    if (!add_vital_page(answer, DeviceType::well_known, field8(command, 2), identification_, {}))
      return failed(kInvalidField);
  } else {
    if (field8(command, 2) != 0) return failed(kInvalidField);
    add_inquiry(answer, DeviceType::well_known, false, true, identification_);
  }
  if (!is_there) answer.set8(0, kNotThere);
  return answer.give(field16(command, 3));
}

Answer TargetCommands::sense(std::span<const std::byte> command, bool is_there) noexcept {
  return give_sense(answer_, is_there ? kNoSense : kNoSuchUnit, field8(command, 4));
}

Answer TargetCommands::absent_unit(std::span<const std::byte> command) noexcept {
  switch (field8(command, 0)) {
    case kInquiry:
      return inquiry(command, false);
    case kRequestSense:
      return sense(command, false);
    default:
      return failed(kNoSuchUnit);
  }
}

Answer TargetCommands::well_known_unit(std::span<const std::byte> command,
                                       std::span<const std::uint16_t> luns) noexcept {
  switch (field8(command, 0)) {
    case kReportLuns:
      return report_luns(command, luns);
    case kInquiry:
      return inquiry(command, true);
    case kRequestSense:
      return sense(command, true);
    case kTestUnitReady:
      return {};
    default:
      return failed(kInvalidCommand);
  }
}

}  // namespace warren::vmm::scsi
