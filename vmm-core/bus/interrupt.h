// How devices interrupt the guest: a wire to the interrupt controllers, or a message.
//
// Devices get these at construction and know nothing of KVM. Both may be used from any thread and never
// block.
#pragma once

#include <cstdint>
#include <memory>

namespace warren::vmm {

// A level-triggered wire (an ISA IRQ, a PCI INTx pin, the ACPI SCI). Wires that share a GSI are OR-ed by
// whoever hands them out.
class InterruptLine {
 public:
  virtual ~InterruptLine() = default;
  virtual void set(bool asserted) noexcept = 0;
};

// A level-triggered wire that somebody outside this process drives by eventfds (VFIO). It is asserted besides
// what other wires of the same GSI say.
class ExternalLine {
 public:
  virtual ~ExternalLine() = default;
  // A signal of `trigger` asserts it. When the guest has served the interrupt it is deasserted and `resample`
  // is signalled: whoever drives it looks again. False when the host refuses. Both outlive the connection.
  virtual bool connect(int trigger, int resample) noexcept = 0;
  virtual void disconnect() noexcept = 0;
};

// What a message-signalled interrupt writes and where (PCI 3.0 §6.8.1).
struct MsiMessage {
  std::uint64_t address = 0;
  std::uint32_t data = 0;
  friend bool operator==(const MsiMessage&, const MsiMessage&) = default;
};

// One message-signalled interrupt with its own irqfd. Owned by the MSI-X table entry it serves.
class MsiRoute {
 public:
  virtual ~MsiRoute() = default;
  // Directs later signals to `message`. False when the host cannot route it: signals are then lost, and
  // counted.
  virtual bool set_message(const MsiMessage& message) noexcept = 0;
  // Interrupts the guest once.
  virtual void signal() noexcept = 0;
  // The irqfd behind signal(), for vhost and VFIO; -1 when there is none (tests).
  virtual int event_descriptor() const noexcept = 0;
  // While it is held, signals of the event descriptor wait in it; they are delivered, as one, when it is let
  // go. signal() is not held.
  virtual void hold(bool held) noexcept = 0;
  // Whether one waits.
  virtual bool is_waiting() const noexcept = 0;
};

class MsiRouter {
 public:
  virtual ~MsiRouter() = default;
  // Throws Error when the host has no more routes.
  virtual std::unique_ptr<MsiRoute> allocate() = 0;
};

}  // namespace warren::vmm
