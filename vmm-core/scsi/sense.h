// Why a SCSI command was not done: sense key, code and qualifier (SPC-4 §4.5, MMC-5 annex F).
#pragma once

#include <cstdint>

namespace warren::vmm::scsi {

struct Sense {
  std::uint8_t key = 0;
  std::uint8_t code = 0;
  std::uint8_t qualifier = 0;
  friend bool operator==(const Sense&, const Sense&) = default;
};

inline constexpr Sense kNoSense{};
inline constexpr Sense kNotReady{2, 0x04, 0};  // a disk without a single block
inline constexpr Sense kNoMediumTrayClosed{2, 0x3a, 1};
inline constexpr Sense kNoMediumTrayOpen{2, 0x3a, 2};
inline constexpr Sense kUnknownFormat{2, 0x30, 1};  // a medium too short for a single block
inline constexpr Sense kUnrecoveredRead{3, 0x11, 0};
inline constexpr Sense kWriteError{3, 0x0c, 0};
inline constexpr Sense kParameterLength{5, 0x1a, 0};
inline constexpr Sense kInvalidCommand{5, 0x20, 0};
inline constexpr Sense kAddressOutOfRange{5, 0x21, 0};
inline constexpr Sense kInvalidField{5, 0x24, 0};
inline constexpr Sense kNoSuchUnit{5, 0x25, 0};
inline constexpr Sense kInvalidParameter{5, 0x26, 0};
inline constexpr Sense kSavingNotSupported{5, 0x39, 0};
inline constexpr Sense kRemovalPrevented{5, 0x53, 2};
inline constexpr Sense kMediumMayHaveChanged{6, 0x28, 0};
inline constexpr Sense kReset{6, 0x29, 0};
inline constexpr Sense kCapacityChanged{6, 0x2a, 9};
inline constexpr Sense kUnitsChanged{6, 0x3f, 0x0e};
inline constexpr Sense kWriteProtected{7, 0x27, 0};

}  // namespace warren::vmm::scsi
