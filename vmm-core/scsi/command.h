// Operation codes, and the big-endian fields of a command (SPC-4 §4.2, SBC-3 §5, MMC-5 §6). Implementation
// header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace warren::vmm::scsi {

inline constexpr std::uint8_t kTestUnitReady = 0x00, kRequestSense = 0x03, kRead6 = 0x08, kWrite6 = 0x0a,
                              kInquiry = 0x12, kModeSelect6 = 0x15, kModeSense6 = 0x1a, kStartStopUnit = 0x1b,
                              kSendDiagnostic = 0x1d, kPreventAllowRemoval = 0x1e, kReadCapacity10 = 0x25,
                              kRead10 = 0x28, kWrite10 = 0x2a, kSeek10 = 0x2b, kWriteAndVerify10 = 0x2e,
                              kVerify10 = 0x2f, kSynchronizeCache10 = 0x35, kWriteSame10 = 0x41,
                              kUnmap = 0x42, kReadToc = 0x43, kGetConfiguration = 0x46,
                              kGetEventStatus = 0x4a, kReadDiscInformation = 0x51, kModeSelect10 = 0x55,
                              kModeSense10 = 0x5a, kRead16 = 0x88, kWrite16 = 0x8a, kWriteAndVerify16 = 0x8e,
                              kVerify16 = 0x8f, kSynchronizeCache16 = 0x91, kWriteSame16 = 0x93,
                              kServiceActionIn16 = 0x9e, kReportLuns = 0xa0, kMaintenanceIn = 0xa3,
                              kRead12 = 0xa8, kWrite12 = 0xaa, kWriteAndVerify12 = 0xae, kVerify12 = 0xaf,
                              kSetCdSpeed = 0xbb, kMechanismStatus = 0xbd;
inline constexpr std::uint8_t kReadCapacity16 = 0x10;          // service action of kServiceActionIn16
inline constexpr std::uint8_t kReportSupportedOpcodes = 0x0c;  // service action of kMaintenanceIn

// Of the media class of GET EVENT STATUS NOTIFICATION.
inline constexpr std::uint8_t kNoMediaEvent = 0, kEjectRequest = 1, kNewMedia = 2, kMediaRemoval = 3;

// `at` + the field's size is within a command of 16 bytes, always.
inline std::uint8_t field8(std::span<const std::byte> command, std::size_t at) noexcept {
  return std::to_integer<std::uint8_t>(command[at]);
}
inline std::uint16_t field16(std::span<const std::byte> command, std::size_t at) noexcept {
  return static_cast<std::uint16_t>(field8(command, at) << 8 | field8(command, at + 1));
}
inline std::uint32_t field32(std::span<const std::byte> command, std::size_t at) noexcept {
  return std::uint32_t{field16(command, at)} << 16 | field16(command, at + 2);
}
inline std::uint64_t field64(std::span<const std::byte> command, std::size_t at) noexcept {
  return std::uint64_t{field32(command, at)} << 32 | field32(command, at + 4);
}

}  // namespace warren::vmm::scsi
