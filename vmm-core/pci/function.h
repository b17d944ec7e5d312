// One PCI function with a type 0 header: configuration space, BARs, capabilities, MSI-X and the interrupt
// pin.
//
// A device derives from it, declares in its constructor what it has, and gets register accesses through the
// handlers it declared. Configuration accesses come from vCPU threads and hold the function's lock, also
// while they call BarListener and capability handlers; so a device must not call configuration methods with a
// lock held that those take. interrupt and bus-master methods take no lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm-core/bus/address_space.h"
#include "vmm-core/bus/interrupt.h"
#include "vmm-core/bus/io_handler.h"
#include "vmm-core/pci/bar.h"
#include "vmm-core/pci/configuration_space.h"
#include "vmm-core/pci/msix.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::pci {

struct Identity {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint8_t revision = 0;
  std::uint32_t class_code = 0;  // base class, sub-class, programming interface: 0x010802 is NVMe
  std::uint16_t subsystem_vendor = 0;
  std::uint16_t subsystem = 0;
  bool bridge = false;  // a type 1 header: two BARs, bus numbers and windows instead of the rest
};

// What the PCI Express capability says a function is (PCIe 5.0 §7.5.3.2, device/port type).
enum class ExpressType : std::uint8_t { endpoint = 0, root_port = 4 };

// What a function gets from the machine: where its BARs answer and the wire of its interrupt pin. `express`
// says that it sits behind a root port, and so has the PCI Express capability of an endpoint.
struct Place {
  AddressSpace& memory;
  AddressSpace& ports;
  std::unique_ptr<InterruptLine> interrupt_pin;  // INTA#, or none
  bool express = false;
  std::unique_ptr<ExternalLine> external_pin = {};  // the same wire for who drives it from outside, or none
};

struct FunctionState {
  std::uint32_t version = 1;
  ConfigurationSpace::Bytes configuration{};
  std::array<std::uint64_t, kBars> bar_addresses{};
  bool interrupt_asserted = false;
  std::optional<MsixState> msix;
};

class Function : public Inspectable {
 public:
  // `name` is the device's alias, for inspect() and messages.
  Function(std::string name, const Identity& identity, Place place);
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  virtual ~Function();

  const std::string& name() const noexcept { return name_; }

  // From the guest: 1 to 4 bytes inside one aligned doubleword below kExtendedSize. Any vCPU thread. A
  // function some of whose registers are elsewhere overrides both, and calls these for what is here.
  virtual void config_read(std::uint16_t offset, std::span<std::byte> data) noexcept;
  virtual void config_write(std::uint16_t offset, std::span<const std::byte> data) noexcept;

  // To power-on state, BARs without an address. The device's own part comes first: override, then call this.
  // Not while vCPUs run.
  virtual void reset();

  // The function's own part of a device's state. restore() throws Error when it does not fit.
  FunctionState save_function() const;
  void restore_function(const FunctionState& state);

  void inspect(InspectNode& node) const override;

  // For whoever places BARs before the guest runs.
  std::vector<BarDescription> bars() const;
  void place_bar(unsigned index, std::uint64_t address);
  void enable_decoding();
  // Tries BARs again that something else was in the way of.
  void retry_refused_bars();
  bool has_refused_bars() const noexcept { return refused_.load(std::memory_order_relaxed); }

  // From the machine, before the guest runs: there are more functions in this slot; the line that software
  // finds in the interrupt line register.
  void set_multifunction();
  void set_interrupt_line_register(std::uint8_t line);

 protected:
  // --- Declarations, in the constructor of the device -----------------------------------------------------

  void add_bar(const BarDescription& description);

  // A capability of 2 + body.size() bytes; returns its offset. Bits of `writable` (as long as body, or empty:
  // none) may be changed by the guest.
  std::uint8_t add_capability(std::uint8_t id, std::span<const std::byte> body,
                              std::span<const std::byte> writable = {});
  // The same, but accesses to the body go to `handler`, with offsets from the capability's first byte (so
  // from 2). Reads get the stored bytes in `data` first; writes come after the stored bytes have changed.
  std::uint8_t add_capability(std::uint8_t id, std::span<const std::byte> body,
                              std::span<const std::byte> writable, IoHandler& handler);

  // Registers of the device's own in configuration space, of 4-byte alignment and behind what capabilities
  // use: accesses go to `handler`, with offsets from the first of them.
  void add_registers(std::uint16_t offset, std::uint8_t size, IoHandler& handler);

  // The MSI-X capability. The table begins at `table_offset` of BAR `bar`, the pending bits at
  // `pending_offset`; the device's BAR handler passes accesses on to msix().table() and
  // msix().pending_bits().
  void add_msix(MsiRouter& router, std::uint16_t vectors, unsigned bar, std::uint32_t table_offset,
                std::uint32_t pending_offset);
  // MSI-X with a BAR of its own: 32-bit memory BAR `bar` with table and pending bits.
  void add_msix_with_bar(MsiRouter& router, std::uint16_t vectors, unsigned bar);

  // The MSI capability: one message, at a 64-bit address (PCI 3.0 §6.8.1).
  void add_msi(MsiRouter& router);

  // The PCI Express capability, version 2, with a link of one lane (PCIe 5.0 §7.5.3). Endpoints behind a root
  // port have it already.
  // Accesses go to `handler` too, when there is one.
  std::uint8_t add_express_capability(ExpressType type, std::uint8_t port_number,
                                      IoHandler* handler = nullptr);

  // Says that INTA# is used. Without it the interrupt pin register reads 0.
  void use_interrupt_pin();

  // What reset() returns to is what the constructor left; call it at the end when stored bytes were changed
  // by hand.
  ConfigurationSpace& configuration() noexcept { return configuration_; }

  // --- While it runs
  // ----------------------------------------------------------------------------------------

  bool has_msix() const noexcept { return msix_ != nullptr; }
  Msix& msix() noexcept { return *msix_; }
  const Msix& msix() const noexcept { return *msix_; }

  // Interrupts by the message of MSI, once; false, and nothing happens, while the guest has not enabled it.
  // Any thread.
  bool signal_msi() noexcept;

  // Drives INTA#, as far as the guest allows interrupts by pin. Any thread.
  void set_interrupt(bool asserted) noexcept;

  // Whether the guest lets the device reach memory. Devices do no DMA while it is off.
  bool is_bus_master() const noexcept { return bus_master_.load(std::memory_order_acquire); }

  // Where a BAR answers now. Not from within BarListener or capability handlers.
  std::optional<GuestAddress> bar_address(unsigned index) const;

 private:
  struct CapabilityHandler {
    std::uint8_t offset = 0;
    std::uint8_t size = 0;
    std::uint8_t header = 2;  // bytes at the front that are not the handler's
    IoHandler* handler = nullptr;
  };
  class MsixBar;

  const CapabilityHandler* capability_handler(std::uint16_t offset) const noexcept;
  void command_changed() noexcept;
  void update_decoding() noexcept;
  void set_pin_disabled(bool disabled) noexcept;
  void drive_pin() noexcept;
  bool is_bar_register(std::uint16_t offset) const noexcept;
  void write_bar_register(std::uint16_t offset, std::span<const std::byte> data) noexcept;
  void update_msi() noexcept;
  void write_capability(const CapabilityHandler* handler, std::uint16_t offset,
                        std::span<const std::byte> data) noexcept;

  const std::string name_;
  mutable std::mutex mutex_;
  ConfigurationSpace configuration_;
  BarSet bars_;
  std::vector<CapabilityHandler> capability_handlers_;
  std::unique_ptr<Msix> msix_;
  std::unique_ptr<MsixBar> msix_bar_;
  std::uint8_t msix_capability_ = 0;
  std::unique_ptr<MsiRoute> msi_route_;
  std::uint8_t msi_capability_ = 0;
  std::atomic<bool> msi_enabled_{false};
  const bool express_;
  const std::uint16_t bars_end_;  // offset behind the last BAR register

  std::unique_ptr<InterruptLine> pin_;
  mutable std::mutex pin_mutex_;  // innermost: orders changes of the wire
  bool interrupt_asserted_ = false;
  bool interrupt_disabled_ = false;
  std::atomic<bool> bus_master_{false};
  std::atomic<bool> refused_{false};
};

}  // namespace warren::vmm::pci
