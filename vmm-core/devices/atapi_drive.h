// An ATAPI CD/DVD-ROM drive (ACS-2 §4.3, SFF-8020i): an optical drive behind PACKET commands.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include "vmm-core/devices/ata.h"
#include "vmm-core/scsi/optical_drive.h"

namespace warren::vmm::ata {

class PacketDrive final : public Device {
 public:
  struct State {
    std::uint32_t version = 1;
    std::uint8_t ultra_dma = 6;  // as Disk::State
    std::uint8_t multiword_dma = 0;
    scsi::OpticalDriveState drive;
  };

  // `disk` outlives it; what it has at first lies in the tray. `tray_moved` as OpticalDrive's.
  PacketDrive(const block::Disk& disk, std::function<void(bool open)> tray_moved);

  std::uint32_t signature() const noexcept override { return 0xeb14'0101; }
  std::uint8_t reset_status() const noexcept override { return 0; }
  bool takes_packets() const noexcept override { return true; }
  Action execute(const CommandFrame& frame, std::span<const std::byte, kPacket> packet) noexcept override;
  Outcome end(bool failed) noexcept override;
  void reset() noexcept override;

  scsi::OpticalDrive& drive() noexcept { return drive_; }

  State save() const noexcept;
  // Throws Error for what cannot be.
  void restore(const State& state);
  void inspect(InspectNode& node) const override { drive_.inspect(node); }

 private:
  Action identify() noexcept;
  Action packet_command(std::span<const std::byte, kPacket> packet) noexcept;

  const block::Disk& disk_;
  scsi::OpticalDrive drive_;
  std::uint8_t ultra_dma_ = 6, multiword_dma_ = 0;
  std::array<std::byte, kSector> answer_{};
};

}  // namespace warren::vmm::ata
