// Why a SCSI command was not done: sense key, code and qualifier (SPC-3 §4.5, MMC-5 annex F).
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
inline constexpr Sense kNoMediumTrayClosed{2, 0x3a, 1};
inline constexpr Sense kNoMediumTrayOpen{2, 0x3a, 2};
inline constexpr Sense kUnknownFormat{2, 0x30, 1};  // a medium too short for a single block
inline constexpr Sense kUnrecoveredRead{3, 0x11, 0};
inline constexpr Sense kInvalidCommand{5, 0x20, 0};
inline constexpr Sense kAddressOutOfRange{5, 0x21, 0};
inline constexpr Sense kInvalidField{5, 0x24, 0};
inline constexpr Sense kSavingNotSupported{5, 0x39, 0};
inline constexpr Sense kRemovalPrevented{5, 0x53, 2};
inline constexpr Sense kMediumMayHaveChanged{6, 0x28, 0};
inline constexpr Sense kReset{6, 0x29, 0};

}  // namespace warren::vmm::scsi
