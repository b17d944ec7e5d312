// The register block by which a guest that does not drive PCI Express slots itself learns of devices that
// come and go behind root ports, and lets go of them (ACPI 6.5 §5.6.6 notifications, §6.3 device insertion
// and removal; PCI Firmware 3.3 §4.5: _OSC says who drives the slots). The layout is our own; the tables are
// made from the numbers here.
//
// 16 bytes for each root port, numbered by the bus behind it as the machine names it, and behind them two
// registers of them all. Registers are little-endian dwords and take aligned writes of four bytes only:
//   +0  status, read: 0xf when a device is there, or 0
//   +4  eject, write 1: _EJ0
//   +8  write: the source event of _OST (its first argument)
//   +12 write: the status code of _OST (its second); completes it
// kEvent: the port's number in bits 0 to 15 and the value to notify its slot with in bits 16 to 31, or 0.
// Writing what was read takes it off. kControl: bit 0, read and written: the guest drives the slots itself,
// as it does once _OSC has given it native hot plug; nothing is notified then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "vmm-core/bus/io_handler.h"
#include "vmm-core/devices/acpi_hot_plug.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

class PciHotPlug final : public IoHandler, public Inspectable {
 public:
  static constexpr std::uint64_t kPortSize = 16;
  static constexpr std::uint32_t kStatus = 0, kEject = 4, kSourceEvent = 8, kStatusCode = 12;
  static constexpr std::uint32_t kPorts = 256;
  static constexpr std::uint64_t kEvent = kPortSize * kPorts, kControl = kEvent + 4;
  static constexpr std::uint64_t kSize = kEvent + 0x1000;
  static constexpr std::uint32_t kNative = 1;

  struct Port {
    bool takes_devices = false;
    bool present = false;
    AcpiRequest request;
  };
  struct State {
    std::uint32_t version = 1;
    bool native = false;
    std::vector<Port> ports;
  };

  // Called without a lock held, on a vCPU thread but for `notify`, which may be called by whoever asked; must
  // not come back and must not wait for a vCPU.
  struct Actions {
    std::function<void()> notify;                   // there is an event: the guest is to look
    std::function<void(std::uint8_t bus)> ejected;  // the guest has let go of what is there, asked or not
    std::function<void(std::uint8_t bus)> refused;  // the guest keeps it; once for each request
  };

  // `buses`: those behind ports whose device comes and goes.
  PciHotPlug(std::span<const std::uint8_t> buses, Actions actions);

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  // Any thread.
  bool is_native() const noexcept;
  bool is_present(std::uint8_t bus) const noexcept;
  // A device is there from now on; `tell` the guest, unless it has not begun to run or its own driver knows.
  // Nothing happens at a port that is no such port, or has one.
  void insert(std::uint8_t bus, bool tell) noexcept;
  // Asks the guest to let go of it, once more if it was asked before. False when nothing is there.
  bool request_removal(std::uint8_t bus) noexcept;
  // It is gone, by another way than an ejection.
  void remove(std::uint8_t bus) noexcept;

  // Nothing is to be told, and nobody drives the slots but ACPI; what is there stays.
  void reset() noexcept;
  // restore() takes what is there from the machine: only ports that have a device take a request.
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

 private:
  std::uint32_t read_register(std::uint64_t offset) const noexcept;
  void write_common(std::uint64_t offset, std::uint32_t value) noexcept;

  const Actions actions_;
  mutable std::mutex mutex_;
  std::vector<Port> ports_;  // by bus
  bool native_ = false;
  std::uint64_t malformed_ = 0;  // writes that do nothing
};

}  // namespace warren::vmm
