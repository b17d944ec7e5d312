#include "vmm-core/devices/ata_disk.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "vmm-core/os/error.h"

namespace warren::vmm::ata {
namespace {

using block::Operation;

// ACS-2 §7.
constexpr std::uint8_t kDataSetManagement = 0x06, kReadSectors = 0x20, kReadSectorsExt = 0x24,
                       kReadDmaExt = 0x25, kReadMultipleExt = 0x29, kReadLogExt = 0x2f, kWriteSectors = 0x30,
                       kWriteSectorsExt = 0x34, kWriteDmaExt = 0x35, kWriteMultipleExt = 0x39,
                       kWriteDmaFuaExt = 0x3d, kReadVerify = 0x40, kReadVerifyExt = 0x42,
                       kReadLogDmaExt = 0x47, kSmart = 0xb0, kReadMultiple = 0xc4, kWriteMultiple = 0xc5,
                       kSetMultiple = 0xc6, kReadDma = 0xc8, kWriteDma = 0xca, kStandbyImmediate = 0xe0,
                       kIdleImmediate = 0xe1, kStandby = 0xe2, kIdleMode = 0xe3, kCheckPower = 0xe5,
                       kSleep = 0xe6, kFlushCache = 0xe7, kFlushCacheExt = 0xea;
constexpr std::uint16_t kTrim = 1;
constexpr std::uint8_t kMaximumMultiple = 16;
constexpr std::uint32_t kMaximumTrimSectors = 1;
constexpr std::uint64_t kMaximumAddress28 = 0x0fff'ffff;

}  // namespace

Action Disk::transfer(Operation operation, std::uint64_t sector, std::uint32_t sectors,
                      bool durable) const noexcept {
  Action action;
  std::uint64_t offset = 0;
  const std::uint64_t length = sectors * kSector;
  if (operation == Operation::write && disk_.is_read_only()) return abort_command();
  if (__builtin_mul_overflow(sector, kSector, &offset) || !disk_.contains(offset, length)) {
    action.status = kReady | kError;
    action.error = kIdNotFound | kAborted;
    return action;
  }
  action.kind = Action::Kind::request;
  action.operation = operation;
  action.offset = offset;
  action.length = length;
  using Flush = block::DiskOptions::Flush;
  const Flush policy = disk_.options().flush;
  action.durable = operation == Operation::write && policy != Flush::ignore &&
                   (durable || !state_.write_cache || policy == Flush::always);
  return action;
}

// A count of 0 is the most there can be.
Action Disk::short_transfer(Operation operation, const CommandFrame& frame) const noexcept {
  return transfer(operation, frame.address28(), frame.count_low != 0 ? frame.count_low : 0x100, false);
}

Action Disk::long_transfer(Operation operation, const CommandFrame& frame, bool durable) const noexcept {
  return transfer(operation, frame.address48(), frame.count() != 0 ? frame.count() : 0x1'0000, durable);
}

// ACS-2 §7.27: the count is where features are otherwise, and the tag where the count is.
Action Disk::queued_transfer(Operation operation, const CommandFrame& frame) const noexcept {
  constexpr std::uint8_t kForceUnitAccess = 1 << 7;
  return transfer(operation, frame.address48(), frame.features() != 0 ? frame.features() : 0x1'0000,
                  (frame.device & kForceUnitAccess) != 0);
}

Action Disk::verify(const CommandFrame& frame, bool is_long) const noexcept {
  Action action =
      is_long ? long_transfer(Operation::read, frame, false) : short_transfer(Operation::read, frame);
  if (action.kind == Action::Kind::request) return {};
  return action;
}

Action Disk::flush() const noexcept {
  if (disk_.options().flush == block::DiskOptions::Flush::ignore || disk_.is_read_only()) return {};
  Action action;
  action.kind = Action::Kind::request;
  action.operation = Operation::flush;
  return action;
}

Action Disk::trim(const CommandFrame& frame) const noexcept {
  if (!disk_.options().discard || disk_.is_read_only() || frame.features() != kTrim) return abort_command();
  if (frame.count() == 0 || frame.count() > kMaximumTrimSectors) return abort_command();
  Action action;
  action.kind = Action::Kind::trim;
  action.operation = Operation::discard;
  action.sectors = frame.count();
  return action;
}

Action Disk::execute(const CommandFrame& frame, std::span<const std::byte, kPacket>) noexcept {
  switch (frame.command) {
    case kReadFpdma:
      return queued_transfer(Operation::read, frame);
    case kWriteFpdma:
      return queued_transfer(Operation::write, frame);
    case kReadDmaExt:
      return long_transfer(Operation::read, frame, false);
    case kReadSectorsExt:
    case kReadMultipleExt: {
      Action action = long_transfer(Operation::read, frame, false);
      action.programmed = true;
      return action;
    }
    case kWriteDmaExt:
    case kWriteSectorsExt:
    case kWriteMultipleExt:
      return long_transfer(Operation::write, frame, false);
    case kWriteDmaFuaExt:
      return long_transfer(Operation::write, frame, true);
    case kReadDma:
    case kReadDma + 1:  // without retries
      return short_transfer(Operation::read, frame);
    case kReadSectors:
    case kReadSectors + 1:
    case kReadMultiple: {
      Action action = short_transfer(Operation::read, frame);
      action.programmed = true;
      return action;
    }
    case kWriteDma:
    case kWriteDma + 1:
    case kWriteSectors:
    case kWriteSectors + 1:
    case kWriteMultiple:
      return short_transfer(Operation::write, frame);
    case kReadVerify:
    case kReadVerify + 1:
      return verify(frame, false);
    case kReadVerifyExt:
      return verify(frame, true);
    case kFlushCache:
    case kFlushCacheExt:
      return flush();
    case kDataSetManagement:
      return trim(frame);
    case kIdentifyDevice:
      return identify();
    case kSetFeatures:
      return set_features(frame);
    case kSetMultiple:
      return set_multiple(frame);
    case kSmart:
      return smart(frame);
    case kReadLogExt:
    case kReadLogDmaExt:
      return read_log(frame);
    case kStandbyImmediate:
    case kIdleImmediate:
    case kStandby:
    case kIdleMode:
    case kSleep:
      return {};
    case kCheckPower: {
      Action action;
      action.count = 0xff;  // active or idle
      return action;
    }
    case kExecuteDiagnostic: {
      Action action;
      action.kind = Action::Kind::reset;
      return action;
    }
    default:
      return abort_command();
  }
}

Outcome Disk::end(bool failed) noexcept {
  if (!failed) return {};
  return {.status = kReady | kError, .error = kUncorrectable};
}

Action Disk::identify() noexcept {
  const block::DiskOptions& options = disk_.options();
  const std::uint64_t sectors = disk_.size() / kSector;
  const std::uint32_t sectors28 = static_cast<std::uint32_t>(std::min(sectors, kMaximumAddress28));
  IdentifyData identify;
  identify.set(0, 0x0040);
  identify.set(1, static_cast<std::uint32_t>(std::min<std::uint64_t>(sectors / (16 * 63), 16383)));
  identify.set(3, 16);
  identify.set(6, 63);
  identify.set_text(10, 10, options.serial.empty() ? disk_.name() : options.serial);
  identify.set_text(23, 4, "1.0");
  identify.set_text(27, 20, "WARREN HARDDISK");
  identify.set(47, 0x8000 | kMaximumMultiple);
  identify.set(49, 1 << 11 | 1 << 10 | 1 << 9 | 1 << 8);  // IORDY, LBA, DMA
  identify.set(50, 1 << 14);
  set_common_words(identify, state_.ultra_dma, state_.multiword_dma);
  if (state_.multiple != 0) identify.set(59, 1U << 8 | state_.multiple);
  identify.set(60, sectors28 & 0xffff);
  identify.set(61, sectors28 >> 16);
  identify.set(75, 31);                                 // queue depth, less one
  identify.set(76, 1 << 8 | 1 << 3 | 1 << 2 | 1 << 1);  // queued commands, at all three speeds
  constexpr std::uint32_t kCommands83 = 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10;  // FLUSH, 48-bit addresses
  constexpr std::uint32_t kCommands84 = 1 << 14 | 1 << 6 | 1 << 5;              // FUA, logs
  identify.set(82, 1 << 6 | 1 << 5 | 1);  // look-ahead, write cache, SMART
  identify.set(83, kCommands83);
  identify.set(84, kCommands84);
  const bool caches = state_.write_cache && options.flush != block::DiskOptions::Flush::always;
  identify.set(85, 1U << 6 | (caches ? 1U << 5 : 0) | 1U);
  identify.set(86, kCommands83 & ~(1U << 14));
  identify.set(87, kCommands84);
  for (std::size_t i = 0; i < 4; ++i)
    identify.set(100 + i, static_cast<std::uint32_t>(sectors >> 16 * i & 0xffff));
  identify.set(106, 1U << 14 | (options.physical_block_size > kSector
                                    ? 1U << 13 | static_cast<std::uint32_t>(
                                                     std::countr_zero(options.physical_block_size / kSector))
                                    : 0));
  if (options.discard && !disk_.is_read_only()) {
    identify.set(105, kMaximumTrimSectors);
    identify.set(169, 1);
  }
  set_world_wide_name(identify, options.wwn);
  identify.set(217, options.rotation_rate);  // as the guest is to see it
  identify.set(222, 1 << 12 | 0x1f);         // Serial ATA, to 2.6
  identify.finish();
  std::ranges::copy(identify.bytes(), answer_.begin());
  return give(answer_);
}

// ACS-2 §7.48.
Action Disk::set_features(const CommandFrame& frame) noexcept {
  constexpr std::uint8_t kCacheOn = 0x02, kTransferMode = 0x03, kCacheOff = 0x82, kLookAheadOff = 0x55,
                         kKeepSettings = 0x66, kLookAheadOn = 0xaa, kRevertSettings = 0xcc;
  switch (frame.features_low) {
    case kCacheOn:
      state_.write_cache = true;
      return {};
    case kCacheOff:
      state_.write_cache = false;
      return flush();
    case kTransferMode:
      if (!set_transfer_mode(frame.count_low, state_.ultra_dma, state_.multiword_dma)) return abort_command();
      return {};
    case kLookAheadOff:
    case kLookAheadOn:
    case kKeepSettings:
    case kRevertSettings:
      return {};
    default:
      return abort_command();
  }
}

Action Disk::set_multiple(const CommandFrame& frame) noexcept {
  if (frame.count_low > kMaximumMultiple || (frame.count_low != 0 && !std::has_single_bit(frame.count_low)))
    return abort_command();
  state_.multiple = frame.count_low;
  return {};
}

// ACS-2 §7.54, as much as says that all is well: what the host knows of its disks is not the guest's.
Action Disk::smart(const CommandFrame& frame) noexcept {
  constexpr std::uint8_t kReadData = 0xd0, kReadThresholds = 0xd1, kAttributeAutosave = 0xd2, kEnable = 0xd8,
                         kDisable = 0xd9, kReturnStatus = 0xda;
  if (frame.address_low[1] != 0x4f || frame.address_low[2] != 0xc2) return abort_command();
  switch (frame.features_low) {
    case kReadData:
    case kReadThresholds: {
      answer_.fill(std::byte{0});
      answer_[0] = std::byte{1};  // revision
      std::uint8_t sum = 1;
      if (frame.features_low == kReadData) {
        answer_[368] = std::byte{3};  // says 4f c2 still when all is well, and saves by itself
        sum += 3;
      }
      answer_[511] = static_cast<std::byte>(-sum);
      return give(answer_);
    }
    case kAttributeAutosave:
    case kEnable:
    case kDisable:
    case kReturnStatus:  // the address that it came with: no threshold exceeded
      return {};
    default:
      return abort_command();
  }
}

// ACS-2 §7.24 and annex A: the directory, and which queued command failed.
Action Disk::read_log(const CommandFrame& frame) noexcept {
  constexpr std::uint8_t kDirectory = 0x00, kQueuedError = 0x10;
  const std::uint8_t log = frame.address_low[0];
  const auto page = static_cast<unsigned>(frame.address_low[1] | frame.address_high[1] << 8);
  if (frame.count() != 1 || page != 0) return abort_command();
  Action action;
  action.kind = Action::Kind::give;
  if (log == kDirectory) {
    answer_.fill(std::byte{0});
    answer_[0] = std::byte{1};                 // version
    answer_[2 * kQueuedError] = std::byte{1};  // pages of it
    action.data = answer_;
  } else if (log == kQueuedError) {
    answer_ = queued_error_;
    queued_error_.fill(std::byte{0});
    action.data = answer_;
  } else {
    return abort_command();
  }
  return action;
}

void Disk::note_queued_error(unsigned tag, const Outcome& outcome) noexcept {
  queued_error_.fill(std::byte{0});
  queued_error_[0] = static_cast<std::byte>(tag);
  queued_error_[2] = std::byte{outcome.status};
  queued_error_[3] = std::byte{outcome.error};
  std::uint8_t sum = 0;
  for (const std::byte byte : queued_error_)
    sum = static_cast<std::uint8_t>(sum + std::to_integer<unsigned>(byte));
  queued_error_[511] = static_cast<std::byte>(-sum);
}

void Disk::restore(const State& state) {
  if (state.version != 1 || state.ultra_dma > 6 || state.multiword_dma > 3 ||
      state.multiple > kMaximumMultiple)
    throw Error(std::errc::invalid_argument, disk_.name() + ": saved state of an ATA disk");
  state_ = state;
}

void Disk::inspect(InspectNode& node) const {
  node.add("write_cache", state_.write_cache);
}

}  // namespace warren::vmm::ata
