// Operation codes, and the big-endian fields of a command (SPC-3 §4.3, MMC-5 §6). Implementation header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace warren::vmm::scsi {

inline constexpr std::uint8_t kTestUnitReady = 0x00, kRequestSense = 0x03, kInquiry = 0x12,
                              kModeSense6 = 0x1a, kStartStopUnit = 0x1b, kPreventAllowRemoval = 0x1e,
                              kReadCapacity10 = 0x25, kRead10 = 0x28, kSeek10 = 0x2b, kReadToc = 0x43,
                              kGetConfiguration = 0x46, kGetEventStatus = 0x4a, kReadDiscInformation = 0x51,
                              kModeSense10 = 0x5a, kRead16 = 0x88, kServiceActionIn16 = 0x9e, kRead12 = 0xa8,
                              kSetCdSpeed = 0xbb, kMechanismStatus = 0xbd;
inline constexpr std::uint8_t kReadCapacity16 = 0x10;  // service action of kServiceActionIn16

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
