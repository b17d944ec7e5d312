// What a SCSI target answers for all of its logical units: which there are, and what comes to one that is
// not there (SAM-5 §4.6.4, SPC-4 §6.33).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm-core/scsi/answer.h"
#include "vmm-core/scsi/primary_commands.h"

namespace warren::vmm::scsi {

inline constexpr std::uint16_t kMaximumLun = 16383;  // flat space addressing (SAM-5 §4.7.7.3)
inline constexpr std::size_t kMaximumReportedUnits = 256;

// Used by one thread at a time; an answer's data is good until the next call.
class TargetCommands {
 public:
  // `luns` are the units there are, ascending; those beyond kMaximumReportedUnits are left out.
  Answer report_luns(std::span<const std::byte> command, std::span<const std::uint16_t> luns) noexcept;
  // A command for a unit that is not there, of a target that is. Not REPORT LUNS.
  Answer absent_unit(std::span<const std::byte> command) noexcept;
  // A command for the REPORT LUNS well known logical unit (SPC-4 §8.2).
  Answer well_known_unit(std::span<const std::byte> command, std::span<const std::uint16_t> luns) noexcept;

 private:
  Answer inquiry(std::span<const std::byte> command, bool is_there) noexcept;
  Answer sense(std::span<const std::byte> command, bool is_there) noexcept;

  const Identification identification_ = {.product = "TARGET", .serial = {}, .name = {}};
  std::array<std::byte, 8 + 8 * kMaximumReportedUnits> answer_{};
};

}  // namespace warren::vmm::scsi
