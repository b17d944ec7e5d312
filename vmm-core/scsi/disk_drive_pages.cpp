// What a SCSI disk tells of itself.
#include <algorithm>
#include <bit>
#include <limits>

#include "vmm-core/scsi/command.h"
#include "vmm-core/scsi/disk_drive.h"

namespace warren::vmm::scsi {
namespace {

constexpr std::uint8_t kLimitsPage = 0xb0, kCharacteristicsPage = 0xb1, kProvisioningPage = 0xb2;
constexpr std::uint8_t kNoServiceAction = 0xff;

// A command that is there, and which of its bits are looked at (SPC-4 §6.35.3).
struct SupportedCommand {
  std::uint8_t operation;
  std::uint8_t service_action;  // or kNoServiceAction
  std::uint8_t size;            // bytes
  bool unmaps;                  // only where space is given back
  std::array<std::uint8_t, kMaximumCommand> used;
};

constexpr std::uint8_t kAll = 0xff, kFua = 0x18;  // DPO and FUA
constexpr SupportedCommand kSupported[] = {
    {kTestUnitReady, kNoServiceAction, 6, false, {0x00}},
    {kRequestSense, kNoServiceAction, 6, false, {0x03, 0, 0, 0, kAll}},
    {kRead6, kNoServiceAction, 6, false, {0x08, 0x1f, kAll, kAll, kAll}},
    {kWrite6, kNoServiceAction, 6, false, {0x0a, 0x1f, kAll, kAll, kAll}},
    {kInquiry, kNoServiceAction, 6, false, {0x12, 0x01, kAll, kAll, kAll}},
    {kModeSelect6, kNoServiceAction, 6, false, {0x15, 0x11, 0, 0, kAll}},
    {kModeSense6, kNoServiceAction, 6, false, {0x1a, 0x08, kAll, kAll, kAll}},
    {kStartStopUnit, kNoServiceAction, 6, false, {0x1b, 0x01, 0, 0x0f, 0xf7}},
    {kSendDiagnostic, kNoServiceAction, 6, false, {0x1d, 0x04, 0, kAll, kAll}},
    {kReadCapacity10, kNoServiceAction, 10, false, {0x25}},
    {kRead10, kNoServiceAction, 10, false, {0x28, kFua, kAll, kAll, kAll, kAll, 0, kAll, kAll}},
    {kWrite10, kNoServiceAction, 10, false, {0x2a, kFua, kAll, kAll, kAll, kAll, 0, kAll, kAll}},
    {kWriteAndVerify10, kNoServiceAction, 10, false, {0x2e, 0x10, kAll, kAll, kAll, kAll, 0, kAll, kAll}},
    {kVerify10, kNoServiceAction, 10, false, {0x2f, 0x10, kAll, kAll, kAll, kAll, 0, kAll, kAll}},
    {kSynchronizeCache10, kNoServiceAction, 10, false, {0x35, 0x02, kAll, kAll, kAll, kAll, 0, kAll, kAll}},
    {kWriteSame10, kNoServiceAction, 10, false, {0x41, 0x08, kAll, kAll, kAll, kAll, 0, kAll, kAll}},
    {kUnmap, kNoServiceAction, 10, true, {0x42, 0, 0, 0, 0, 0, 0, kAll, kAll}},
    {kModeSelect10, kNoServiceAction, 10, false, {0x55, 0x11, 0, 0, 0, 0, 0, kAll, kAll}},
    {kModeSense10, kNoServiceAction, 10, false, {0x5a, 0x08, kAll, kAll, 0, 0, 0, kAll, kAll}},
    {kRead16,
     kNoServiceAction,
     16,
     false,
     {0x88, kFua, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
    {kWrite16,
     kNoServiceAction,
     16,
     false,
     {0x8a, kFua, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
    {kWriteAndVerify16,
     kNoServiceAction,
     16,
     false,
     {0x8e, 0x10, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
    {kVerify16,
     kNoServiceAction,
     16,
     false,
     {0x8f, 0x10, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
    {kSynchronizeCache16,
     kNoServiceAction,
     16,
     false,
     {0x91, 0x02, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
    {kWriteSame16,
     kNoServiceAction,
     16,
     false,
     {0x93, 0x09, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
    {kServiceActionIn16,
     kReadCapacity16,
     16,
     false,
     {0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, kAll, kAll, kAll, kAll}},
    {kReportLuns, kNoServiceAction, 12, false, {0xa0, 0, kAll, 0, 0, 0, kAll, kAll, kAll, kAll}},
    {kMaintenanceIn,
     kReportSupportedOpcodes,
     12,
     false,
     {0xa3, 0x0c, 0x87, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
    {kRead12, kNoServiceAction, 12, false, {0xa8, kFua, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
    {kWrite12, kNoServiceAction, 12, false, {0xaa, kFua, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
    {kWriteAndVerify12,
     kNoServiceAction,
     12,
     false,
     {0xae, 0x10, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
    {kVerify12, kNoServiceAction, 12, false, {0xaf, 0x10, kAll, kAll, kAll, kAll, kAll, kAll, kAll, kAll}},
};

void add_timeouts(AnswerWriter& answer) noexcept {
  answer.add16(10);  // bytes that follow; none is known
  answer.zeros(10);
}

}  // namespace

ModePage mode_page(std::uint8_t code, bool write_cache, bool may_change_cache, PageControl control) noexcept {
  ModePage page;
  const auto begin = [&](std::size_t size) {
    page.size = size;
    page.bytes[0] = static_cast<std::byte>(code);
    page.bytes[1] = static_cast<std::byte>(size - 2);
  };
  switch (code) {
    case kErrorRecoveryPage:
      begin(12);
      break;
    case kCachingPage:
      begin(20);
      if (control == PageControl::changeable ? may_change_cache : write_cache)
        page.bytes[2] = kWriteCacheEnable;
      break;
    case kControlPage:
      begin(12);
      // Commands may be put in another order (SPC-4 §7.5.8).
      if (control != PageControl::changeable) page.bytes[3] = std::byte{1 << 4};
      break;
    default:
      break;
  }
  return page;
}

AnswerWriter DiskDrive::begin_answer() noexcept {
  answer_.fill(std::byte{0});
  return AnswerWriter(answer_);
}

// SPC-4 §6.39. What failed went with its status; what waits to be told is told here.
Answer DiskDrive::request_sense(Command command) noexcept {
  return give_sense(answer_, take_attention(kTestUnitReady).value_or(kNoSense), field8(command, 4));
}

Answer DiskDrive::inquiry(Command command) noexcept {
  constexpr std::array<std::uint8_t, 3> kOwnPages = {kLimitsPage, kCharacteristicsPage, kProvisioningPage};
  const bool vital = (field8(command, 1) & 1) != 0;
  const std::uint8_t page = field8(command, 2);
  const auto own = std::span(kOwnPages).first(options_.unmaps ? 3 : 2);
  AnswerWriter answer = begin_answer();
  if (!vital) {
    if (page != 0) return failed(kInvalidField);
    add_inquiry(answer, DeviceType::disk, false, true, options_.identification);
  } else if (std::ranges::find(own, page) != own.end()) {
    answer.add8(static_cast<std::uint8_t>(DeviceType::disk));
    answer.add8(page);
    answer.add16(0);
    if (page == kLimitsPage) add_block_limits(answer);
    if (page == kCharacteristicsPage) add_characteristics(answer);
    if (page == kProvisioningPage) add_provisioning(answer);
    answer.set16(2, static_cast<std::uint32_t>(answer.size() - 4));
  } else if (!add_vital_page(answer, DeviceType::disk, page, options_.identification, own)) {
    return failed(kInvalidField);
  }
  return answer.give(field16(command, 3));
}

// SBC-3 §6.5.3.
void DiskDrive::add_block_limits(AnswerWriter& answer) const noexcept {
  constexpr std::uint32_t kNoZeroBlocks = 1;         // WSNZ
  constexpr std::uint32_t kUnmapGranularity = 4096;  // bytes; what file systems give back
  const std::uint32_t logical = options_.logical_block;
  const auto most = static_cast<std::uint32_t>(maximum_unmap_blocks());
  answer.add8(kNoZeroBlocks);
  answer.add8(0);
  answer.add16(options_.physical_block / logical);
  answer.add32(0);  // the longest transfer is the transport's to say
  answer.add32(0);
  answer.add32(0);
  answer.add32(options_.unmaps ? most : 0);
  answer.add32(options_.unmaps ? kMaximumExtents : 0);
  answer.add32(options_.unmaps ? std::max(options_.physical_block, kUnmapGranularity) / logical : 0);
  answer.add32(0);
  answer.add64(most);  // of WRITE SAME
  answer.zeros(20);
}

void DiskDrive::add_characteristics(AnswerWriter& answer) const noexcept {
  answer.add16(options_.rotation_rate);
  answer.zeros(58);
}

// SBC-3 §6.5.4: UNMAP and WRITE SAME give space back. What is unmapped need not read as zeros (LBPRZ is 0):
// a block device of the host may keep what it was.
void DiskDrive::add_provisioning(AnswerWriter& answer) const noexcept {
  constexpr std::uint32_t kUnmaps = 1 << 7, kWriteSames16 = 1 << 6, kWriteSames10 = 1 << 5;
  constexpr std::uint32_t kThin = 2;
  answer.add8(0);
  answer.add8(kUnmaps | kWriteSames16 | kWriteSames10);
  answer.add8(kThin);
  answer.add8(0);
}

Answer DiskDrive::read_capacity10() noexcept {
  if (blocks() == 0) return failed(kNotReady);
  AnswerWriter answer = begin_answer();
  answer.add32(static_cast<std::uint32_t>(
      std::min<std::uint64_t>(blocks() - 1, std::numeric_limits<std::uint32_t>::max())));
  answer.add32(options_.logical_block);
  return answer.give(8);
}

Answer DiskDrive::read_capacity16(Command command) noexcept {
  constexpr std::uint32_t kProvisioned = 1 << 15;  // LBPME
  if ((field8(command, 1) & 0x1f) != kReadCapacity16) return failed(kInvalidField);
  if (blocks() == 0) return failed(kNotReady);
  AnswerWriter answer = begin_answer();
  answer.add64(blocks() - 1);
  answer.add32(options_.logical_block);
  answer.add8(0);
  answer.add8(static_cast<std::uint32_t>(std::countr_zero(options_.physical_block) -
                                         std::countr_zero(options_.logical_block)));
  answer.add16(options_.unmaps ? kProvisioned : 0);
  answer.zeros(16);
  return answer.give(field32(command, 10));
}

// SPC-4 §6.11.
Answer DiskDrive::mode_sense(Command command, bool long_form) noexcept {
  constexpr std::uint8_t kNoDescriptor = 1 << 3, kEveryPage = 0x3f, kEverySubpage = 0xff;
  constexpr std::uint32_t kProtected = 1 << 7, kTakesFua = 1 << 4;
  const auto control = static_cast<PageControl>(field8(command, 2) >> 6);
  const std::uint8_t wanted = field8(command, 2) & 0x3f, subpage = field8(command, 3);
  if (control == PageControl::saved) return failed(kSavingNotSupported);
  if (subpage != 0 && subpage != kEverySubpage) return failed(kInvalidField);
  const bool describes = (field8(command, 1) & kNoDescriptor) == 0 && blocks() != 0;
  AnswerWriter answer = begin_answer();
  answer.zeros(long_form ? 8 : 4);
  if (describes) {
    answer.add32(static_cast<std::uint32_t>(std::min<std::uint64_t>(
        blocks(), long_form ? std::numeric_limits<std::uint32_t>::max() : 0xff'ffff)));
    answer.add32(options_.logical_block);
  }
  bool found = false;
  for (const std::uint8_t code : {kErrorRecoveryPage, kCachingPage, kControlPage}) {
    if (wanted != code && wanted != kEveryPage) continue;
    const bool preset = options_.cache != WriteCache::off;
    const ModePage page = mode_page(code, control == PageControl::preset ? preset : write_cache_,
                                    options_.cache == WriteCache::switchable, control);
    for (std::size_t i = 0; i < page.size; ++i) answer.add8(std::to_integer<std::uint32_t>(page.bytes[i]));
    found = true;
  }
  if (!found) return failed(kInvalidField);
  const std::uint32_t device = kTakesFua | (options_.read_only ? kProtected : 0);
  if (long_form) {
    answer.set16(0, static_cast<std::uint32_t>(answer.size() - 2));
    answer.set8(3, device);
    answer.set16(6, describes ? 8 : 0);
  } else {
    answer.set8(0, static_cast<std::uint32_t>(answer.size() - 1));
    answer.set8(2, device);
    answer.set8(3, describes ? 8 : 0);
  }
  return answer.give(long_form ? field16(command, 7) : field8(command, 4));
}

// SPC-4 §6.35.
Answer DiskDrive::report_supported_opcodes(Command command) noexcept {
  constexpr std::uint32_t kWithTimeouts = 0x80, kHasServiceAction = 1, kHasTimeouts = 2;
  constexpr std::uint32_t kIsThere = 3, kIsNot = 1;
  if ((field8(command, 1) & 0x1f) != kReportSupportedOpcodes) return failed(kInvalidField);
  const bool timeouts = (field8(command, 2) & kWithTimeouts) != 0;
  const unsigned option = field8(command, 2) & 7;
  const std::uint8_t operation = field8(command, 3);
  const std::uint16_t action = field16(command, 4);
  if (option > 3) return failed(kInvalidField);
  AnswerWriter answer = begin_answer();
  answer.add32(0);
  const SupportedCommand* one = nullptr;
  bool has_actions = false;
  for (const SupportedCommand& each : kSupported) {
    if (each.unmaps && !options_.unmaps) continue;
    if (option == 0) {
      answer.add8(each.operation);
      answer.add8(0);
      answer.add16(each.service_action == kNoServiceAction ? 0 : each.service_action);
      answer.add8(0);
      answer.add8((each.service_action == kNoServiceAction ? 0 : kHasServiceAction) |
                  (timeouts ? kHasTimeouts : 0));
      answer.add16(each.size);
      if (timeouts) add_timeouts(answer);
    } else if (each.operation == operation) {
      has_actions = each.service_action != kNoServiceAction;
      if (!has_actions || each.service_action == action) one = &each;
    }
  }
  if (option == 0) {
    answer.set32(0, static_cast<std::uint32_t>(answer.size() - 4));
    return answer.give(field32(command, 6));
  }
  // Asked with or without a service action where there is none, or one.
  if ((option == 1 && has_actions) || (option == 2 && one != nullptr && !has_actions))
    return failed(kInvalidField);
  if (one != nullptr) {
    answer.set8(1, kIsThere | (timeouts ? 0x80 : 0));
    answer.set16(2, one->size);
    for (std::size_t i = 0; i < one->size; ++i) answer.add8(one->used[i]);
    if (timeouts) add_timeouts(answer);
  } else {
    answer.set8(1, kIsNot);
  }
  return answer.give(field32(command, 6));
}

}  // namespace warren::vmm::scsi
