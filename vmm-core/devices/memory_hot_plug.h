// The register block by which a guest learns of memory modules that come and go (ACPI 6.5 §5.6.6
// notifications, §6.3 device insertion and removal, §9.11 memory devices). The layout is our own; the DSDT is
// made from the numbers here.
//
// 64 bytes for each slot, and behind the last one's the next event. Registers are little-endian dwords and
// take aligned writes of four bytes only:
//   +0  status, read: what _STA answers, 0xf or 0
//   +4  eject, write 1: _EJ0
//   +8  write: the source event of _OST (its first argument)
//   +12 write: the status code of _OST (its second); completes it
//   +16 first address, +24 last address, +32 length: read, each of two dwords, the lower one first
//   +40 NUMA node, read
// The event is the slot's number in bits 0 to 15 and the value to notify its device with in bits 16 to 31, or
// 0. Writing what was read takes it off.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "vmm-core/bus/io_handler.h"
#include "vmm-core/devices/acpi_hot_plug.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

class MemoryHotPlug final : public IoHandler, public Inspectable {
 public:
  static constexpr std::uint64_t kSlotSize = 64;
  static constexpr std::uint32_t kStatus = 0, kEject = 4, kSourceEvent = 8, kStatusCode = 12, kFirst = 16,
                                 kLast = 24, kLength = 32, kNode = 40;
  static constexpr std::uint32_t kMaximumSlots = 128;
  static constexpr std::uint64_t kEvent = kSlotSize * kMaximumSlots;
  static constexpr std::uint64_t kSize = kEvent + 0x1000;

  struct Module {
    std::uint64_t address = 0;
    std::uint64_t size = 0;  // bytes, not 0
    std::uint32_t node = 0;
  };
  struct Slot {
    std::optional<Module> module;
    AcpiRequest request;
  };
  struct State {
    std::uint32_t version = 1;
    std::vector<Slot> slots;
  };

  // Called without a lock held, on a vCPU thread but for `notify`, which may be called by whoever asked; must
  // not come back and must not wait for a vCPU.
  struct Actions {
    std::function<void()> notify;                     // there is an event: the guest is to look
    std::function<void(std::uint32_t slot)> ejected;  // the guest has let go of what is there
    std::function<void(std::uint32_t slot)> refused;  // the guest keeps it; once for each request
  };

  MemoryHotPlug(std::uint32_t slots, Actions actions);

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  // Any thread.
  bool is_present(std::uint32_t slot) const noexcept;
  // It is there from now on, and the guest is told unless it has not begun to run. False for a slot that is
  // taken or does not exist.
  bool insert(std::uint32_t slot, const Module& module, bool tell) noexcept;
  // Asks the guest to let go of it, once more if it was asked before. False when nothing is there.
  bool request_removal(std::uint32_t slot) noexcept;

  // Nothing is to be told; what is there stays.
  void reset() noexcept;
  // restore() takes what is there from the machine: only slots that have a module are taken.
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

 private:
  std::uint32_t read_register(std::uint64_t offset) const noexcept;
  void take_off(std::uint32_t event) noexcept;

  const Actions actions_;
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::uint64_t malformed_ = 0;  // writes that do nothing
};

}  // namespace warren::vmm
