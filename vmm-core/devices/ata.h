// What an ATA device is to the host controller before it (ACS-2, ATA8-AST, Serial ATA 3.0 §10): a frame with
// a command goes in, and what is to be transferred and told comes out. No registers and no guest memory here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm-core/block/disk.h"
#include "vmm-core/block/disk_stream.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::ata {

inline constexpr std::uint64_t kSector = 512;
inline constexpr std::size_t kPacket = 16;  // bytes of an ATAPI command, as they lie in a command table

// Status and error registers (ACS-2 §6, §A).
inline constexpr std::uint8_t kError = 1 << 0, kDataRequest = 1 << 3, kSeekComplete = 1 << 4, kFault = 1 << 5,
                              kReady = 1 << 6, kBusy = 1 << 7;
inline constexpr std::uint8_t kAborted = 1 << 2, kIdNotFound = 1 << 4, kUncorrectable = 1 << 6;
inline constexpr std::uint8_t kIdle = kReady | kSeekComplete;

// What both kinds of device know (ACS-2 §7).
inline constexpr std::uint8_t kDeviceReset = 0x08, kExecuteDiagnostic = 0x90, kPacketCommand = 0xa0,
                              kIdentifyPacketDevice = 0xa1, kReadFpdma = 0x60, kWriteFpdma = 0x61,
                              kIdentifyDevice = 0xec, kSetFeatures = 0xef;

// A register frame from host to device (Serial ATA 3.0 §10.3.4), as it lies in a command table.
struct CommandFrame {
  std::uint8_t type = 0;   // kCommandFrameType
  std::uint8_t flags = 0;  // kIsCommand: else the control register is what matters
  std::uint8_t command = 0;
  std::uint8_t features_low = 0;
  std::array<std::uint8_t, 3> address_low{};
  std::uint8_t device = 0;
  std::array<std::uint8_t, 3> address_high{};
  std::uint8_t features_high = 0;
  std::uint8_t count_low = 0;
  std::uint8_t count_high = 0;
  std::uint8_t isochronous = 0;
  std::uint8_t control = 0;
  std::array<std::uint8_t, 4> auxiliary{};

  std::uint32_t address28() const noexcept {
    return static_cast<std::uint32_t>(address_low[0] | address_low[1] << 8 | address_low[2] << 16 |
                                      (device & 0xf) << 24);
  }
  std::uint64_t address48() const noexcept {
    return std::uint64_t{address_low[0]} | std::uint64_t{address_low[1]} << 8 |
           std::uint64_t{address_low[2]} << 16 | std::uint64_t{address_high[0]} << 24 |
           std::uint64_t{address_high[1]} << 32 | std::uint64_t{address_high[2]} << 40;
  }
  std::uint16_t count() const noexcept { return static_cast<std::uint16_t>(count_low | count_high << 8); }
  std::uint16_t features() const noexcept {
    return static_cast<std::uint16_t>(features_low | features_high << 8);
  }
};
static_assert(sizeof(CommandFrame) == 20);
inline constexpr std::uint8_t kCommandFrameType = 0x27, kIsCommand = 1 << 7;

// What becomes of a command.
struct Action {
  enum class Kind : std::uint8_t {
    finish,   // with `status` and `error`
    give,     // `data` to the guest, as programmed I/O; then finish
    packet,   // `data` to the guest, as the answer to a packet; then finish
    request,  // the disk: `request` says what; its data is the guest's memory. end() turns the outcome to
              // status
    trim,     // as request, but the ranges to discard come from the guest first: `sectors` of them
    reset,    // finish, and the device's signature is told; unless there is an error, it was reset
  };
  Kind kind = Kind::finish;
  std::uint8_t status = kIdle;
  std::uint8_t error = 0;
  std::span<const std::byte> data;  // good until the next command
  block::Operation operation = block::Operation::read;
  bool durable = false;
  bool programmed = false;   // data to the guest, as programmed I/O, whatever the kind
  std::uint8_t count = 0;    // what the count register shows after it
  std::uint64_t offset = 0;  // bytes; within the disk
  std::uint64_t length = 0;  // bytes
  std::uint32_t sectors = 0;
};

inline Action give(std::span<const std::byte> data) noexcept {
  return {.kind = Action::Kind::give, .data = data};
}

struct Outcome {
  std::uint8_t status = kIdle;
  std::uint8_t error = 0;
};

// Used by one thread.
class Device : public Inspectable {
 public:
  virtual ~Device() = default;
  // What the task file shows after a reset: LBA and count, from bit 31 on down (AHCI 1.3.1 §3.3.9).
  virtual std::uint32_t signature() const noexcept = 0;
  // Whether status says ready after a reset; a packet device waits for its first command.
  virtual std::uint8_t reset_status() const noexcept = 0;
  virtual bool takes_packets() const noexcept = 0;
  // `packet` is what lies at the packet's place in the table, whatever the command.
  virtual Action execute(const CommandFrame& frame, std::span<const std::byte, kPacket> packet) noexcept = 0;
  // The transfer of the last action of kind request is over.
  virtual Outcome end(bool failed) noexcept = 0;
  virtual void reset() noexcept = 0;
};

// IDENTIFY data: 256 little-endian words, strings with their bytes swapped, and a checksum (ACS-2 §7.16).
class IdentifyData {
 public:
  void set(std::size_t word, std::uint32_t value) noexcept {
    words_[word] = static_cast<std::uint16_t>(value);
  }
  void add(std::size_t word, std::uint16_t bits) noexcept { words_[word] |= bits; }
  void set_text(std::size_t word, std::size_t words, std::string_view text) noexcept;
  void finish() noexcept;
  std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span(words_)); }

 private:
  std::array<std::uint16_t, 256> words_{};
};

// Words that disks and packet devices have in common: DMA, transfer modes, Serial ATA.
void set_common_words(IdentifyData& identify, std::uint8_t ultra_dma, std::uint8_t multiword_dma) noexcept;
// A name that is the device's alone, if it has one: words 84, 87 and 108 to 111 (ACS-2 §7.16). After
// those words were set otherwise.
void set_world_wide_name(IdentifyData& identify, std::optional<std::uint64_t> name) noexcept;
// The transfer mode that SET FEATURES chose (ACS-2 §7.48.4), in the two numbers above; false for what is
// none.
bool set_transfer_mode(std::uint8_t mode, std::uint8_t& ultra_dma, std::uint8_t& multiword_dma) noexcept;

constexpr Action abort_command() noexcept {
  Action action;
  action.status = kReady | kError;
  action.error = kAborted;
  return action;
}

}  // namespace warren::vmm::ata
