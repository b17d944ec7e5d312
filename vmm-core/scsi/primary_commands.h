// What devices of every kind answer alike: who they are, and why a command was not done (SPC-4 §6, §7.8).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "vmm-core/scsi/answer.h"
#include "vmm-core/scsi/sense.h"

namespace warren::vmm::scsi {

inline constexpr std::size_t kVendorBytes = 8, kProductBytes = 16, kMaximumSerial = 36;
inline constexpr std::size_t kSenseBytes = 18;

enum class DeviceType : std::uint8_t { disk = 0x00, optical = 0x05, well_known = 0x1e, unknown = 0x1f };

struct Identification {
  std::string vendor = "WARREN";                    // at most kVendorBytes
  std::string product;                              // at most kProductBytes
  std::string serial;                               // page 80h; at most kMaximumSerial
  std::string name;                                 // page 83h: what tells it from others; or empty
  std::optional<std::uint64_t> wwn = std::nullopt;  // page 83h: NAA, 64 bits
};

// Standard INQUIRY data of 36 bytes (§6.6.2). `queues`: takes several commands at a time.
void add_inquiry(AnswerWriter& answer, DeviceType type, bool removable, bool queues,
                 const Identification& identification) noexcept;
// The vital product data pages 00h, 80h and 83h (§7.8); `others` are the device's own, ascending. False when
// `page` is none of the three, or has nothing to say.
bool add_vital_page(AnswerWriter& answer, DeviceType type, std::uint8_t page,
                    const Identification& identification, std::span<const std::uint8_t> others) noexcept;

// Sense data in fixed format (§4.5.3).
std::array<std::byte, kSenseBytes> sense_data(const Sense& sense) noexcept;
// Puts it into `place`, which has room for it, as REQUEST SENSE (§6.39) asks for `allocation_length` bytes.
Answer give_sense(std::span<std::byte> place, const Sense& sense, std::size_t allocation_length) noexcept;

}  // namespace warren::vmm::scsi
