#include "vmm-core/scsi/disk_drive.h"

#include <algorithm>
#include <utility>

#include "vmm-core/os/error.h"
#include "vmm-core/scsi/command.h"

namespace warren::vmm::scsi {
namespace {

constexpr std::uint8_t kForceUnitAccess = 1 << 3;                           // byte 1 (SBC-3 §5.11)
constexpr std::uint8_t kProtection = 7 << 5;                                // likewise
constexpr std::uint8_t kAnchor = 1 << 4, kUnmapFlag = 1 << 3, kNoData = 1;  // of WRITE SAME (§5.43)
constexpr std::uint8_t kObsoleteFill = 1 << 2 | 1 << 1;                     // PBDATA and LBDATA
constexpr std::size_t kUnmapHeader = 8, kUnmapDescriptor = 16;

bool is_zero(std::span<const std::byte> bytes) noexcept {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

std::array<std::byte, kMaximumCommand> whole_command(std::span<const std::byte> command) noexcept {
  std::array<std::byte, kMaximumCommand> whole{};
  std::ranges::copy(command.first(std::min(command.size(), whole.size())), whole.begin());
  return whole;
}

}  // namespace

DiskDrive::DiskDrive(DiskDriveOptions options, std::uint64_t bytes)
    : options_(std::move(options)), bytes_(bytes), write_cache_(options_.cache != WriteCache::off) {}

std::size_t DiskDrive::parameter_bytes(std::span<const std::byte> command) const noexcept {
  const auto whole = whole_command(command);
  std::size_t wanted = 0;
  switch (field8(whole, 0)) {
    case kModeSelect6:
      wanted = field8(whole, 4);
      break;
    case kModeSelect10:
    case kUnmap:
      wanted = field16(whole, 7);
      break;
    case kWriteSame10:
      wanted = options_.logical_block;
      break;
    case kWriteSame16:
      wanted = (field8(whole, 1) & kNoData) != 0 ? 0 : options_.logical_block;
      break;
    default:
      break;
  }
  return std::min(wanted, kMaximumParameters);
}

Answer DiskDrive::execute(std::span<const std::byte> command, Parameters parameters) noexcept {
  const auto whole = whole_command(command);
  if (const auto attention = take_attention(field8(whole, 0))) return failed(*attention);
  return dispatch(whole, parameters);
}

Answer DiskDrive::dispatch(Command command, Parameters parameters) noexcept {
  const auto range10 = [&] { return Range{field32(command, 2), field16(command, 7)}; };
  const auto range12 = [&] { return Range{field32(command, 2), field32(command, 6)}; };
  const auto range16 = [&] { return Range{field64(command, 2), field32(command, 10)}; };
  // SBC-3 §5.10: 21 bits of address, and 0 blocks are 256.
  const auto range6 = [&] {
    const std::uint8_t count = field8(command, 4);
    return Range{field32(command, 0) & 0x1f'ffff, count == 0 ? 256U : count};
  };
  switch (field8(command, 0)) {
    case kTestUnitReady:
      return blocks() == 0 ? failed(kNotReady) : Answer{};
    case kRead6:
      return read(command, range6(), false);
    case kWrite6:
      return write(command, range6(), false, false);
    case kRead10:
      return read(command, range10(), true);
    case kRead12:
      return read(command, range12(), true);
    case kRead16:
      return read(command, range16(), true);
    case kWrite10:
      return write(command, range10(), true, false);
    case kWrite12:
      return write(command, range12(), true, false);
    case kWrite16:
      return write(command, range16(), true, false);
    case kWriteAndVerify10:
      return write(command, range10(), true, true);
    case kWriteAndVerify12:
      return write(command, range12(), true, true);
    case kWriteAndVerify16:
      return write(command, range16(), true, true);
    case kVerify10:
      return verify(command, range10());
    case kVerify12:
      return verify(command, range12());
    case kVerify16:
      return verify(command, range16());
    case kSynchronizeCache10:
      return synchronize(range10());
    case kSynchronizeCache16:
      return synchronize(range16());
    case kWriteSame10:
      return write_same(command, parameters, range10(), false);
    case kWriteSame16:
      return write_same(command, parameters, range16(), (field8(command, 1) & kNoData) != 0);
    case kUnmap:
      return unmap(command, parameters);
    case kModeSelect6:
      return mode_select(command, parameters, false);
    case kModeSelect10:
      return mode_select(command, parameters, true);
    case kRequestSense:
      return request_sense(command);
    case kInquiry:
      return inquiry(command);
    case kModeSense6:
      return mode_sense(command, false);
    case kModeSense10:
      return mode_sense(command, true);
    case kReadCapacity10:
      return read_capacity10();
    case kServiceActionIn16:
      return read_capacity16(command);
    case kMaintenanceIn:
      return report_supported_opcodes(command);
    case kStartStopUnit:
      // SBC-3 §5.25: there is nothing to spin up or down, and nothing to eject.
      return (field8(command, 4) & 2) != 0 ? failed(kInvalidField) : Answer{};
    case kSendDiagnostic:
      // SPC-4 §6.42: the default self-test, and no other.
      return (field8(command, 1) & 4) != 0 && field16(command, 3) == 0 ? Answer{} : failed(kInvalidField);
    default:
      return failed(kInvalidCommand);
  }
}

// What has happened is told before anything else is done, but to those that are answered in any case (SPC-4
// §5.14, SAM-5 §5.14).
std::optional<Sense> DiskDrive::take_attention(std::uint8_t operation) noexcept {
  if (operation == kInquiry || operation == kRequestSense) return std::nullopt;
  if (std::exchange(reset_attention_, false)) return kReset;
  if (std::exchange(capacity_attention_, false)) return kCapacityChanged;
  return std::nullopt;
}

bool DiskDrive::has(const Range& range) const noexcept {
  const std::uint64_t there_are = blocks();
  return range.block <= there_are && range.count <= there_are - range.block;
}

// Of blocks that the medium has: the product is not larger than it.
Answer DiskDrive::part(Answer::Kind kind, const Range& range) const noexcept {
  return {.kind = kind,
          .offset = range.block * options_.logical_block,
          .length = range.count * options_.logical_block};
}

Answer DiskDrive::read(Command command, const Range& range, bool has_flags) const noexcept {
  if (has_flags && (field8(command, 1) & kProtection) != 0) return failed(kInvalidField);
  if (!has(range)) return failed(kAddressOutOfRange);
  if (range.count == 0) return {};
  return part(Answer::Kind::read, range);
}

Answer DiskDrive::write(Command command, const Range& range, bool has_flags, bool verifies) const noexcept {
  constexpr std::uint8_t kCompares = 3 << 1;  // of WRITE AND VERIFY
  const std::uint8_t flags = has_flags ? field8(command, 1) : 0;
  if ((flags & kProtection) != 0 || (verifies && (flags & kCompares) != 0)) return failed(kInvalidField);
  if (options_.read_only) return failed(kWriteProtected);
  if (!has(range)) return failed(kAddressOutOfRange);
  if (range.count == 0) return {};
  Answer answer = part(Answer::Kind::write, range);
  const bool is_cached = write_cache_ && !verifies && (flags & kForceUnitAccess) == 0;
  answer.durable = !is_cached && options_.cache != WriteCache::ignored;
  return answer;
}

// SBC-3 §5.29: whether the medium can be read, which the host sees to; nothing is compared.
Answer DiskDrive::verify(Command command, const Range& range) const noexcept {
  constexpr std::uint8_t kCompares = 3 << 1;
  if ((field8(command, 1) & (kProtection | kCompares)) != 0) return failed(kInvalidField);
  return has(range) ? Answer{} : failed(kAddressOutOfRange);
}

// SBC-3 §5.26. All of the cache is written, whatever part of it was meant.
Answer DiskDrive::synchronize(const Range& range) const noexcept {
  if (!has(range)) return failed(kAddressOutOfRange);
  if (options_.cache == WriteCache::ignored || options_.read_only) return {};
  return {.kind = Answer::Kind::flush};
}

Answer DiskDrive::write_same(Command command, Parameters parameters, const Range& range,
                             bool without_data) const noexcept {
  const std::uint8_t flags = field8(command, 1);
  const bool unmaps = (flags & kUnmapFlag) != 0;
  if ((flags & (kProtection | kAnchor | kObsoleteFill)) != 0 || (unmaps && !options_.unmaps))
    return failed(kInvalidField);
  // §6.5.3: no blocks are not all of the rest (WSNZ).
  if (range.count == 0 || range.count > maximum_unmap_blocks()) return failed(kInvalidField);
  if (options_.read_only) return failed(kWriteProtected);
  if (!has(range)) return failed(kAddressOutOfRange);
  if (!without_data && parameters.size() != options_.logical_block) return failed(kInvalidField);
  // Where the block is not zeros, unmapping would not leave what was asked for: it is written then.
  const bool zeros = without_data || is_zero(parameters);
  Answer answer = part(zeros ? Answer::Kind::zero : Answer::Kind::fill, range);
  answer.may_unmap = zeros && unmaps;
  answer.durable = !write_cache_ && options_.cache != WriteCache::ignored;
  return answer;
}

// SBC-3 §5.28.
Answer DiskDrive::unmap(Command command, Parameters parameters) noexcept {
  if (!options_.unmaps) return failed(kInvalidCommand);
  if ((field8(command, 1) & 1) != 0) return failed(kInvalidField);  // ANCHOR
  const std::size_t size = field16(command, 7);
  if (size == 0) return {};
  if (size < kUnmapHeader || size != parameters.size()) return failed(kParameterLength);
  if (options_.read_only) return failed(kWriteProtected);
  const std::size_t described = field16(parameters, 2);
  if (described > size - kUnmapHeader) return failed(kParameterLength);
  if (described % kUnmapDescriptor != 0 || described / kUnmapDescriptor > kMaximumExtents)
    return failed(kInvalidParameter);
  std::size_t used = 0;
  std::uint64_t total = 0;
  for (std::size_t at = kUnmapHeader; at < kUnmapHeader + described; at += kUnmapDescriptor) {
    const Range range = {field64(parameters, at), field32(parameters, at + 8)};
    if (!has(range)) return failed(kAddressOutOfRange);
    if (range.count == 0) continue;
    total += range.count;  // of at most kMaximumExtents
    extents_[used++] = {range.block * options_.logical_block, range.count * options_.logical_block};
  }
  if (total > maximum_unmap_blocks()) return failed(kInvalidParameter);
  if (used == 0) return {};
  return {.kind = Answer::Kind::discard, .extents = std::span(extents_).first(used)};
}

// SPC-4 §6.9: pages as MODE SENSE gives them; only the write cache may be another.
Answer DiskDrive::mode_select(Command command, Parameters parameters, bool long_form) noexcept {
  constexpr std::uint8_t kSave = 1;
  if ((field8(command, 1) & kSave) != 0) return failed(kInvalidField);
  const std::size_t wanted = long_form ? field16(command, 7) : field8(command, 4);
  if (wanted == 0) return {};
  const std::size_t header = long_form ? 8 : 4;
  if (wanted != parameters.size() || wanted < header) return failed(kParameterLength);
  const std::size_t described = long_form ? field16(parameters, 6) : field8(parameters, 3);
  if (described > wanted - header) return failed(kParameterLength);
  if (described != 0 && described != 8) return failed(kInvalidParameter);
  const bool may_change = options_.cache == WriteCache::switchable;
  bool write_cache = write_cache_;
  for (std::size_t at = header + described; at < wanted;) {
    const ModePage now =
        mode_page(field8(parameters, at) & 0x3f, write_cache_, may_change, PageControl::current);
    if (now.size == 0) return failed(kInvalidParameter);
    if (wanted - at < now.size) return failed(kParameterLength);
    const ModePage free =
        mode_page(field8(parameters, at) & 0x3f, write_cache_, may_change, PageControl::changeable);
    for (std::size_t i = 1; i < now.size; ++i) {
      const std::byte keeps = i == 1 ? std::byte{0xff} : ~free.bytes[i];
      if (((parameters[at + i] ^ now.bytes[i]) & keeps) != std::byte{0}) return failed(kInvalidParameter);
    }
    if ((field8(parameters, at) & 0x3f) == kCachingPage)
      write_cache = (parameters[at + 2] & kWriteCacheEnable) != std::byte{0};
    at += now.size;
  }
  const bool turns_off = write_cache_ && !write_cache;
  write_cache_ = write_cache;
  // What was written before is durable when the cache is off.
  if (turns_off && !options_.read_only) return {.kind = Answer::Kind::flush};
  return {};
}

void DiskDrive::reset() noexcept {
  write_cache_ = options_.cache != WriteCache::off;
  reset_attention_ = true;
  capacity_attention_ = false;
}

void DiskDrive::set_size(std::uint64_t bytes) noexcept {
  bytes_ = bytes;
  capacity_attention_ = true;
}

DiskDriveState DiskDrive::save() const noexcept {
  return {.write_cache = write_cache_,
          .reset_attention = reset_attention_,
          .capacity_attention = capacity_attention_};
}

void DiskDrive::restore(const DiskDriveState& state) {
  const bool fits = options_.cache == WriteCache::switchable || state.write_cache == write_cache_;
  if (state.version != 1 || !fits) throw Error(std::errc::invalid_argument, "saved state of a SCSI disk");
  write_cache_ = state.write_cache;
  reset_attention_ = state.reset_attention;
  capacity_attention_ = state.capacity_attention;
}

void DiskDrive::inspect(InspectNode& node) const {
  node.add("blocks", blocks());
  node.add("write_cache", write_cache_);
  node.add("unmaps", options_.unmaps);
}

}  // namespace warren::vmm::scsi
