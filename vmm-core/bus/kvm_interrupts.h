// Interrupt wires and messages over KVM's in-kernel controllers (api.rst §4.25, §4.52, §4.70, §4.75).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "vmm-core/bus/interrupt.h"
#include "vmm-core/kvm/virtual_machine.h"
#include "vmm-core/os/kvm_interface.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

// Hands out wires to the GSIs of PICs and I/O APIC. A GSI is asserted while any of its wires is. Outlives the
// wires.
class KvmInterruptLines final : public Inspectable {
 public:
  static constexpr std::uint32_t kGsis = 24;

  explicit KvmInterruptLines(kvm::VirtualMachine& vm) : vm_(vm) {}
  KvmInterruptLines(const KvmInterruptLines&) = delete;
  KvmInterruptLines& operator=(const KvmInterruptLines&) = delete;

  // Throws Error when there is no such GSI.
  std::unique_ptr<InterruptLine> make_line(std::uint32_t gsi);
  // Likewise, for who drives the GSI from outside. KVM itself joins it with the wires (api.rst §4.75,
  // KVM_IRQFD_FLAG_RESAMPLE).
  std::unique_ptr<ExternalLine> make_external_line(std::uint32_t gsi);
  // After the controllers were reset: tells them again what is asserted.
  void refresh() noexcept;
  void inspect(InspectNode& node) const override;

 private:
  class Wire;
  class ExternalWire;
  struct Gsi {
    mutable std::mutex mutex;
    std::uint32_t asserted_wires = 0;
    std::uint64_t changes = 0;
  };

  void change(std::uint32_t gsi, bool asserted) noexcept;

  kvm::VirtualMachine& vm_;
  std::array<Gsi, kGsis> gsis_;
};

// Hands out message interrupts. Outlives its routes.
//
// DEVNOTE: signal() is one KVM_SIGNAL_MSI, the same work in the kernel as writing an irqfd, so that a message
// needs no descriptor and no entry in KVM's routing table, and a guest that programs vectors costs nothing.
// The irqfd, and the route behind it, are made when somebody outside this process is to signal
// (event_descriptor()).
class KvmMessageRouter final : public MsiRouter, public Inspectable {
 public:
  // Also routes the lines of the controllers, which must be there. Throws Error.
  explicit KvmMessageRouter(kvm::VirtualMachine& vm);
  KvmMessageRouter(const KvmMessageRouter&) = delete;
  KvmMessageRouter& operator=(const KvmMessageRouter&) = delete;

  std::unique_ptr<MsiRoute> allocate() override;
  void inspect(InspectNode& node) const override;

 private:
  class Route;

  // Gives a message a GSI with an irqfd on it. False when the host refuses.
  bool add_routed(Route& route) noexcept;
  void connect_routed(const Route& route, bool connected) noexcept;
  bool change_routed(std::uint32_t gsi, const MsiMessage& message) noexcept;
  void remove_routed(Route& route) noexcept;
  void apply();

  kvm::VirtualMachine& vm_;
  mutable std::mutex mutex_;
  std::map<std::uint32_t, MsiMessage> routed_;  // by GSI, those with an irqfd
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace warren::vmm
