// A disk (SBC-3, SPC-4): what its commands mean. What is done to the medium is done by whoever carries them.
//
// Used by one thread at a time. Commands, their parameters and saved states are hostile: what an answer says
// of the medium lies within it, and answers never exceed what was asked for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm-core/scsi/logical_unit.h"
#include "vmm-core/scsi/primary_commands.h"
#include "vmm-core/scsi/sense.h"

namespace warren::vmm::scsi {

// What the guest is told of a write cache, and may do about it.
enum class WriteCache : std::uint8_t {
  switchable,  // it is on, and the guest may turn it off
  off,         // every write is durable when it is done
  ignored,     // it is on, and stays so; flushes do nothing
};

struct DiskDriveOptions {
  Identification identification = {.product = "HARDDISK", .serial = {}, .name = {}};
  std::uint32_t logical_block = 512;   // bytes; a power of two, 512 to kMaximumParameters
  std::uint32_t physical_block = 512;  // likewise, and not below the logical one
  std::uint16_t rotation_rate = 0;     // a minute; 1: nothing turns; 0: not said (SBC-3 §6.5.3)
  bool read_only = false;
  bool unmaps = false;  // space that is not needed any more is given back
  WriteCache cache = WriteCache::switchable;
};

struct DiskDriveState {
  std::uint32_t version = 1;
  bool write_cache = true;
  bool reset_attention = false;
  bool capacity_attention = false;
};

class DiskDrive final : public LogicalUnit {
 public:
  // How much one command may discard or fill (SBC-3 §6.5.3).
  static constexpr std::uint64_t kMaximumUnmapBytes = std::uint64_t{2} << 30;
  static constexpr std::size_t kMaximumExtents = 32;

  DiskDrive(DiskDriveOptions options, std::uint64_t bytes);

  std::size_t parameter_bytes(std::span<const std::byte> command) const noexcept override;
  Answer execute(std::span<const std::byte> command, std::span<const std::byte> parameters) noexcept override;
  void reset() noexcept override;

  // Of the medium, from now on; the guest learns that its capacity has changed.
  void set_size(std::uint64_t bytes) noexcept;

  DiskDriveState save() const noexcept;
  // Throws Error for what cannot be.
  void restore(const DiskDriveState& state);
  void inspect(InspectNode& node) const override;

 private:
  using Command = std::span<const std::byte, kMaximumCommand>;
  using Parameters = std::span<const std::byte>;
  static constexpr std::size_t kMaximumAnswer = 1024;

  // The blocks that a command names.
  struct Range {
    std::uint64_t block = 0, count = 0;
  };

  Answer dispatch(Command command, Parameters parameters) noexcept;
  std::optional<Sense> take_attention(std::uint8_t operation) noexcept;
  std::uint64_t blocks() const noexcept { return bytes_ / options_.logical_block; }
  std::uint64_t maximum_unmap_blocks() const noexcept { return kMaximumUnmapBytes / options_.logical_block; }
  bool has(const Range& range) const noexcept;
  Answer part(Answer::Kind kind, const Range& range) const noexcept;

  Answer read(Command command, const Range& range, bool has_flags) const noexcept;
  Answer write(Command command, const Range& range, bool has_flags, bool verifies) const noexcept;
  Answer verify(Command command, const Range& range) const noexcept;
  Answer synchronize(const Range& range) const noexcept;
  Answer write_same(Command command, Parameters parameters, const Range& range,
                    bool without_data) const noexcept;
  Answer unmap(Command command, Parameters parameters) noexcept;
  Answer mode_select(Command command, Parameters parameters, bool long_form) noexcept;
  // disk_drive_pages.cpp: what the disk tells of itself.
  Answer request_sense(Command command) noexcept;
  Answer inquiry(Command command) noexcept;
  void add_block_limits(AnswerWriter& answer) const noexcept;
  void add_characteristics(AnswerWriter& answer) const noexcept;
  void add_provisioning(AnswerWriter& answer) const noexcept;
  Answer read_capacity10() noexcept;
  Answer read_capacity16(Command command) noexcept;
  Answer mode_sense(Command command, bool long_form) noexcept;
  Answer report_supported_opcodes(Command command) noexcept;
  AnswerWriter begin_answer() noexcept;

  const DiskDriveOptions options_;
  std::uint64_t bytes_;
  bool write_cache_;
  bool reset_attention_ = true;
  bool capacity_attention_ = false;
  std::array<Extent, kMaximumExtents> extents_{};
  std::array<std::byte, kMaximumAnswer> answer_{};
};

// The mode pages of a disk (SPC-4 §7.5, SBC-3 §6.4). Implementation detail of disk_drive*.cpp.
struct ModePage {
  std::array<std::byte, 20> bytes{};
  std::size_t size = 0;  // 0: there is no such page
};
enum class PageControl : std::uint8_t { current = 0, changeable = 1, preset = 2, saved = 3 };
inline constexpr std::uint8_t kErrorRecoveryPage = 0x01, kCachingPage = 0x08, kControlPage = 0x0a;
inline constexpr std::byte kWriteCacheEnable{1 << 2};  // byte 2 of the caching page
ModePage mode_page(std::uint8_t code, bool write_cache, bool may_change_cache, PageControl control) noexcept;

}  // namespace warren::vmm::scsi
