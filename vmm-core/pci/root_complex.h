// The root complex: which function answers a configuration access, by ports (mechanism 1) and by memory
// (ECAM), and where BARs lie when the guest starts without firmware.
//
// Functions belong to the machine and outlive the root complex's use by vCPUs. The set of functions changes
// only while no vCPU runs; accesses come from any vCPU thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "vmm-core/bus/io_handler.h"
#include "vmm-core/pci/address.h"
#include "vmm-core/pci/function.h"
#include "vmm-core/pci/root_port.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::pci {

// What of the address spaces BARs may be placed in.
struct PlacementWindows {
  Window io;
  Window memory32;
  Window memory64;
};

class RootComplex final : public Inspectable {
 public:
  // Puts a function on the root bus. Throws Error when the place is taken.
  void attach(std::uint8_t slot, std::uint8_t function, Function& device);
  // The same for a root port; its device then goes to port.attach().
  void attach_port(std::uint8_t slot, std::uint8_t function, RootPort& port);

  // Gives root ports their buses, every BAR an address, and lets everything decode, as firmware would. Small
  // 64-bit BARs go below 4 GiB too, where any guest reaches them. Throws Error when a window is too small.
  void place_bars(const PlacementWindows& windows);

  // From the guest: 1 to 4 bytes inside one doubleword. A place without a function reads as all ones.
  void config_read(const Address& address, std::uint16_t offset, std::span<std::byte> data) noexcept;
  void config_write(const Address& address, std::uint16_t offset, std::span<const std::byte> data) noexcept;

  // Configuration mechanism 1 (PCI 3.0 §3.2.2.3.2): kConfigPorts ports from 0xcf8. `other` answers what is
  // not the doubleword address register: the reset control register at 0xcf9; may be null.
  IoHandler& ports() noexcept { return ports_; }
  void set_byte_handler(IoHandler* other) noexcept { ports_.set_byte_handler(other); }
  static constexpr std::uint64_t kConfigPorts = 8;

  // The enhanced mechanism (PCIe 5.0 §7.2.2): 1 MiB a bus.
  IoHandler& ecam() noexcept { return ecam_; }

  // Register of mechanism 1, to be saved and restored.
  std::uint32_t config_address() const noexcept { return ports_.address(); }
  void set_config_address(std::uint32_t address) noexcept { ports_.set_address(address); }
  void reset() noexcept { ports_.set_address(0); }

  void inspect(InspectNode& node) const override;

 private:
  class Ports final : public IoHandler {
   public:
    explicit Ports(RootComplex& root) : root_(root) {}
    void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
    void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
    void set_byte_handler(IoHandler* other) noexcept { other_ = other; }
    std::uint32_t address() const noexcept { return address_.load(std::memory_order_relaxed); }
    void set_address(std::uint32_t address) noexcept {
      address_.store(address & 0x80ff'fffc, std::memory_order_relaxed);
    }

   private:
    RootComplex& root_;
    IoHandler* other_ = nullptr;
    std::atomic<std::uint32_t> address_{0};
  };
  class Ecam final : public IoHandler {
   public:
    explicit Ecam(RootComplex& root) : root_(root) {}
    void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
    void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

   private:
    RootComplex& root_;
  };

  Function* find(const Address& address) noexcept;
  void retry_refused_bars() noexcept;

  std::array<std::array<Function*, kFunctions>, kSlots> functions_{};
  std::vector<RootPort*> port_list_;
  std::vector<Function*> all_;  // the devices, behind ports or not, and the ports
  Ports ports_{*this};
  Ecam ecam_{*this};
};

}  // namespace warren::vmm::pci
