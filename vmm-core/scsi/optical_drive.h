// A CD/DVD-ROM drive with a tray (MMC-5, SPC-3): what its commands mean, and what happens to its medium.
//
// Used by one thread at a time. Whoever carries the commands reads the medium, and tells of its failures by
// fail(). Commands, their parameters and saved states are hostile; answers never exceed what was asked for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "vmm-core/scsi/logical_unit.h"
#include "vmm-core/scsi/primary_commands.h"
#include "vmm-core/scsi/sense.h"

namespace warren::vmm::scsi {

inline constexpr std::uint64_t kOpticalBlock = 2048;  // bytes

struct OpticalDriveOptions {
  static constexpr std::uint32_t kScsi = 1, kAtapi = 2, kSerialAta = 7;
  // That of the Core feature (MMC-5 §5.3.2). On SCSI the sense of a failure goes with the status and is not
  // kept for REQUEST SENSE (SAM-5 §5.13).
  std::uint32_t interface_standard = kScsi;
  Identification identification = {.product = "DVD-ROM", .serial = {}, .name = {}};
  // Told whoever moves the tray, on the thread that does; or none.
  std::function<void(bool open)> tray_moved = {};
};

struct OpticalDriveState {
  std::uint32_t version = 1;
  bool tray_open = false;
  bool locked = false;
  bool reset_attention = false;
  bool medium_attention = false;
  std::uint8_t media_event = 0;
  Sense sense;
};

class OpticalDrive final : public LogicalUnit {
 public:
  using Answer = scsi::Answer;
  enum class Opening { opened, locked };

  explicit OpticalDrive(OpticalDriveOptions options);

  // It takes none.
  std::size_t parameter_bytes(std::span<const std::byte>) const noexcept override { return 0; }
  Answer execute(std::span<const std::byte> command, std::span<const std::byte> = {}) noexcept override;
  // The transfer of the last answer failed.
  void fail(const Sense& sense) noexcept { sense_ = sense; }

  // From the host. The tray opens, with what lies in it; a locked one only by force, and otherwise the guest
  // is asked to open it.
  Opening open_tray(bool force) noexcept;
  void close_tray() noexcept;
  // What lies in the tray: bytes, or nothing. Through a closed tray it changes, too.
  void set_medium(std::optional<std::uint64_t> bytes) noexcept;

  bool is_tray_open() const noexcept { return tray_open_; }
  bool is_locked() const noexcept { return locked_; }

  // As a hard reset: the lock goes, the tray and what lies in it stay.
  void reset() noexcept override;
  OpticalDriveState save() const noexcept;
  // Throws Error for what cannot be. The medium is not part of it.
  void restore(const OpticalDriveState& state);
  void inspect(InspectNode& node) const override;

 private:
  using Command = std::span<const std::byte, kMaximumCommand>;
  static constexpr std::size_t kMaximumAnswer = 512;

  using Writer = AnswerWriter;

  Writer begin_answer() noexcept;
  Answer failed(const Sense& sense) noexcept;
  std::optional<Sense> not_ready() const noexcept;
  bool is_readable() const noexcept { return bytes_ && !tray_open_; }
  std::uint64_t blocks() const noexcept { return bytes_.value_or(0) / kOpticalBlock; }
  std::uint16_t profile() const noexcept;
  std::optional<Sense> take_attention(std::uint8_t operation) noexcept;
  void move_tray(bool open) noexcept;

  Answer dispatch(Command command) noexcept;
  Answer read(std::uint64_t block, std::uint64_t count) noexcept;
  Answer start_stop(Command command) noexcept;
  Answer prevent_removal(Command command) noexcept;
  Answer request_sense(Command command) noexcept;
  // optical_drive_pages.cpp: what the drive tells of itself and its medium.
  Answer inquiry(Command command) noexcept;
  Answer read_capacity10() noexcept;
  Answer read_capacity16(Command command) noexcept;
  Answer read_toc(Command command) noexcept;
  Answer get_configuration(Command command) noexcept;
  Answer get_event_status(Command command) noexcept;
  Answer read_disc_information(Command command) noexcept;
  Answer mechanism_status(Command command) noexcept;
  Answer mode_sense(Command command, bool long_form) noexcept;
  bool add_mode_pages(Writer& answer, std::uint8_t page, bool changeable) const noexcept;
  void add_features(Writer& answer, std::uint16_t first, unsigned which) const noexcept;

  const OpticalDriveOptions options_;
  std::optional<std::uint64_t> bytes_;  // of the medium in the tray
  bool tray_open_ = false;
  bool locked_ = false;
  bool reset_attention_ = true;
  bool medium_attention_ = false;
  std::uint8_t media_event_ = 0;  // MMC-5 §6.7.2.2, table 287
  Sense sense_;
  std::array<std::byte, kMaximumAnswer> answer_{};
};

}  // namespace warren::vmm::scsi
