// What takes SCSI commands (SAM-5 §4.6.19): a disk or a CD/DVD drive.
//
// Used by one thread at a time. Whoever carries the commands has the medium, and does what the answer says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm-core/scsi/answer.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::scsi {

inline constexpr std::size_t kMaximumCommand = 16;       // bytes
inline constexpr std::size_t kMaximumParameters = 4096;  // bytes; the largest logical block is one, too

class LogicalUnit : public Inspectable {
 public:
  virtual ~LogicalUnit() = default;
  // Of the data that comes with the command, how many bytes execute() wants to see: at most
  // kMaximumParameters, and the first ones.
  virtual std::size_t parameter_bytes(std::span<const std::byte> command) const noexcept = 0;
  // A command of up to 16 bytes; what is missing of it is zeros. `parameters` are as many as were asked for.
  virtual Answer execute(std::span<const std::byte> command,
                         std::span<const std::byte> parameters) noexcept = 0;
  // As a hard reset.
  virtual void reset() noexcept = 0;
};

}  // namespace warren::vmm::scsi
