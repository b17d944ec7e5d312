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
#include <string>

#include "vmm-core/scsi/sense.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::scsi {

inline constexpr std::uint64_t kOpticalBlock = 2048;  // bytes
inline constexpr std::size_t kMaximumCommand = 16;    // bytes

struct OpticalDriveState {
  std::uint32_t version = 1;
  bool tray_open = false;
  bool locked = false;
  bool reset_attention = false;
  bool medium_attention = false;
  std::uint8_t media_event = 0;
  Sense sense;
};

class OpticalDrive final : public Inspectable {
 public:
  struct Answer {
    enum class Kind {
      done,    // there is nothing to transfer
      failed,  // `sense` says why
      data,    // `data` goes to the guest
      read,    // `length` bytes of the medium from `offset` on go to the guest
    };
    Kind kind = Kind::done;
    Sense sense;
    std::span<const std::byte> data;  // good until the next call
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };

  enum class Opening { opened, locked };

  // `interface_standard` is that of the Core feature (MMC-5 §5.3.2): 2 for ATAPI, 7 for SATA, 1 for SCSI.
  // `tray_moved` is told whoever moves it, on the thread that does; or none.
  OpticalDrive(std::uint32_t interface_standard, std::string serial,
               std::function<void(bool open)> tray_moved);

  // A command of up to 16 bytes; what is missing of it is zeros.
  Answer execute(std::span<const std::byte> command) noexcept;
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
  void reset() noexcept;
  OpticalDriveState save() const noexcept;
  // Throws Error for what cannot be. The medium is not part of it.
  void restore(const OpticalDriveState& state);
  void inspect(InspectNode& node) const override;

 private:
  using Command = std::span<const std::byte, kMaximumCommand>;
  static constexpr std::size_t kMaximumAnswer = 512;

  // Puts an answer together, big-endian as SCSI has it; what does not fit is left out.
  class Writer {
   public:
    explicit Writer(std::span<std::byte> bytes) noexcept : bytes_(bytes) {}
    void add8(std::uint32_t value) noexcept {
      if (size_ < bytes_.size()) bytes_[size_++] = static_cast<std::byte>(value);
    }
    void add16(std::uint32_t value) noexcept {
      add8(value >> 8);
      add8(value);
    }
    void add32(std::uint32_t value) noexcept {
      add16(value >> 16);
      add16(value);
    }
    void add_text(std::string_view text, std::size_t width) noexcept {
      for (std::size_t i = 0; i < width; ++i)
        add8(static_cast<unsigned char>(i < text.size() ? text[i] : ' '));
    }
    void zeros(std::size_t count) noexcept {
      while (count-- != 0) add8(0);
    }
    void set8(std::size_t at, std::uint32_t value) noexcept { bytes_[at] = static_cast<std::byte>(value); }
    void set16(std::size_t at, std::uint32_t value) noexcept {
      set8(at, value >> 8);
      set8(at + 1, value);
    }
    std::size_t size() const noexcept { return size_; }

   private:
    std::span<std::byte> bytes_;
    std::size_t size_ = 0;
  };

  Writer begin_answer() noexcept;
  Answer failed(const Sense& sense) noexcept;
  Answer give(const Writer& answer, std::uint64_t allocation_length) const noexcept;
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

  const std::uint32_t interface_standard_;
  const std::string serial_;
  const std::function<void(bool open)> tray_moved_;
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
