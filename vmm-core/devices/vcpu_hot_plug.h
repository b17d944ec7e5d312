// The register block by which a guest learns of vCPUs that come and go (ACPI 6.5 §5.6.6 notifications, §6.3
// device insertion and removal). The layout is our own; the DSDT is made from the numbers here.
//
// One slot of 16 bytes for each vCPU, so that no two methods of the guest need a register at the same time.
// Registers are little-endian dwords and take aligned writes of four bytes only:
//   +0  status, read: what _STA answers, 0xf or 0
//   +4  eject, write 1: _EJ0
//   +8  write: the source event of _OST (its first argument)
//   +12 write: the status code of _OST (its second); completes it
// vCPU 0 never goes. Its slot holds, at +0, the next event: the vCPU's number in bits 0 to 15 and the value
// to notify its device with in bits 16 to 31, or 0. Writing what was read takes it off.
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

class VcpuHotPlug final : public IoHandler, public Inspectable {
 public:
  static constexpr std::uint64_t kSize = 0x1000;
  static constexpr std::uint64_t kSlotSize = 16;
  static constexpr std::uint32_t kStatus = 0, kEject = 4, kSourceEvent = 8, kStatusCode = 12;
  static constexpr std::uint32_t kMaximumVcpus = kSize / kSlotSize;

  struct Slot {
    bool hot_pluggable = false;
    bool present = false;
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
    std::function<void(std::uint32_t vcpu)> ejected;  // the guest has let go of it
    std::function<void(std::uint32_t vcpu)> refused;  // the guest keeps it; once for each request
  };

  // `hot_pluggable` and `absent` are numbers of vCPUs below `vcpus`, which is at most kMaximumVcpus; 0 is in
  // neither.
  VcpuHotPlug(std::uint32_t vcpus, std::span<const std::uint32_t> hot_pluggable,
              std::span<const std::uint32_t> absent, Actions actions);

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  // Any thread. All are false for a vCPU that is no hot pluggable one.
  bool is_hot_pluggable(std::uint32_t vcpu) const noexcept;
  bool is_present(std::uint32_t vcpu) const noexcept;  // true for every vCPU that cannot go
  // It is there from now on, and the guest is told. False when it is already.
  bool insert(std::uint32_t vcpu) noexcept;
  // Asks the guest to let go of it, once more if it was asked before. False when it is not there.
  bool request_removal(std::uint32_t vcpu) noexcept;

  // Nothing is to be told; what is there stays.
  void reset() noexcept;
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

 private:
  std::uint32_t read_register(std::uint64_t index) const noexcept;
  void take_off(std::uint32_t event) noexcept;

  const Actions actions_;
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::uint64_t malformed_ = 0;  // writes that do nothing
};

}  // namespace warren::vmm
