// An ATA disk (ACS-2) with 48-bit addresses, native command queuing and, where discards are offered, TRIM.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "vmm-core/devices/ata.h"

namespace warren::vmm::ata {

class Disk final : public Device {
 public:
  struct State {
    std::uint32_t version = 1;
    bool write_cache = true;
    std::uint8_t ultra_dma = 6;      // of the mode chosen, one more; 0: none
    std::uint8_t multiword_dma = 0;  // likewise
    std::uint8_t multiple = 0;       // sectors of READ MULTIPLE; 0: off
  };

  // `disk` outlives it.
  explicit Disk(const block::Disk& disk) noexcept : disk_(disk) {}

  std::uint32_t signature() const noexcept override { return 0x0000'0101; }
  std::uint8_t reset_status() const noexcept override { return kIdle; }
  bool takes_packets() const noexcept override { return false; }
  Action execute(const CommandFrame& frame, std::span<const std::byte, kPacket> packet) noexcept override;
  Outcome end(bool failed) noexcept override;
  void reset() noexcept override { state_ = {}; }

  // The queued command of that tag was the one that failed (ACS-2 §A.14, log 10h).
  void note_queued_error(unsigned tag, const Outcome& outcome) noexcept;

  State save() const noexcept { return state_; }
  // Throws Error for what cannot be.
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

 private:
  Action transfer(block::Operation operation, std::uint64_t sector, std::uint32_t sectors,
                  bool durable) const noexcept;
  Action short_transfer(block::Operation operation, const CommandFrame& frame) const noexcept;
  Action long_transfer(block::Operation operation, const CommandFrame& frame, bool durable) const noexcept;
  Action queued_transfer(block::Operation operation, const CommandFrame& frame) const noexcept;
  Action verify(const CommandFrame& frame, bool is_long) const noexcept;
  Action flush() const noexcept;
  Action trim(const CommandFrame& frame) const noexcept;
  Action identify() noexcept;
  Action set_features(const CommandFrame& frame) noexcept;
  Action set_multiple(const CommandFrame& frame) noexcept;
  Action smart(const CommandFrame& frame) noexcept;
  Action read_log(const CommandFrame& frame) noexcept;

  const block::Disk& disk_;
  State state_;
  std::array<std::byte, kSector> answer_{};
  std::array<std::byte, kSector> queued_error_{};  // log 10h
};

}  // namespace warren::vmm::ata
