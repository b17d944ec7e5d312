#include "vmm-core/bus/kvm_interrupts.h"

#include <utility>
#include <vector>

#include <poll.h>
#include <sys/eventfd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

// GSIs 0 to 15 to both PICs, all 24 to the I/O APIC, where the PIT's GSI 0 is pin 2 as on every PC (MP
// specification 1.4 §3.6.2.1); what KVM sets up by itself has it at pin 0 (api.rst §4.24).
void add_controller_routes(std::vector<kvm_irq_routing_entry>& entries) {
  const auto add = [&](std::uint32_t gsi, std::uint32_t chip, std::uint32_t pin) {
    kvm_irq_routing_entry entry{};
    entry.gsi = gsi;
    entry.type = KVM_IRQ_ROUTING_IRQCHIP;
    entry.u.irqchip.irqchip = chip;
    entry.u.irqchip.pin = pin;
    entries.push_back(entry);
  };
  for (std::uint32_t gsi = 0; gsi < KvmInterruptLines::kGsis; ++gsi) {
    if (gsi < 8) add(gsi, KVM_IRQCHIP_PIC_MASTER, gsi);
    if (gsi >= 8 && gsi < 16) add(gsi, KVM_IRQCHIP_PIC_SLAVE, gsi - 8);
    if (gsi != 2) add(gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi);
  }
}

constexpr std::uint32_t kFirstMessageGsi = KvmInterruptLines::kGsis;
constexpr std::uint32_t kLastMessageGsi = 4095;  // KVM_MAX_IRQ_ROUTES - 1

}  // namespace

class KvmInterruptLines::Wire final : public InterruptLine {
 public:
  Wire(KvmInterruptLines& lines, std::uint32_t gsi) : lines_(lines), gsi_(gsi) {}
  ~Wire() override { set(false); }

  void set(bool asserted) noexcept override {
    if (asserted_.exchange(asserted) != asserted) lines_.change(gsi_, asserted);
  }

 private:
  KvmInterruptLines& lines_;
  const std::uint32_t gsi_;
  std::atomic<bool> asserted_{false};
};

std::unique_ptr<InterruptLine> KvmInterruptLines::make_line(std::uint32_t gsi) {
  if (gsi >= kGsis) {
    throw Error(std::errc::invalid_argument, "interrupt line " + std::to_string(gsi) + " does not exist");
  }
  return std::make_unique<Wire>(*this, gsi);
}

class KvmInterruptLines::ExternalWire final : public ExternalLine {
 public:
  ExternalWire(kvm::VirtualMachine& vm, std::uint32_t gsi) : vm_(vm), gsi_(gsi) {}
  ~ExternalWire() override { disconnect(); }

  bool connect(int trigger, int resample) noexcept override {
    disconnect();
    if (!vm_.add_resampling_irqfd(trigger, gsi_, resample)) return false;
    trigger_ = trigger;
    return true;
  }
  void disconnect() noexcept override {
    if (trigger_ >= 0) vm_.remove_irqfd(std::exchange(trigger_, -1), gsi_);
  }

 private:
  kvm::VirtualMachine& vm_;
  const std::uint32_t gsi_;
  int trigger_ = -1;
};

std::unique_ptr<ExternalLine> KvmInterruptLines::make_external_line(std::uint32_t gsi) {
  if (gsi >= kGsis) {
    throw Error(std::errc::invalid_argument, "interrupt line " + std::to_string(gsi) + " does not exist");
  }
  return std::make_unique<ExternalWire>(vm_, gsi);
}

void KvmInterruptLines::change(std::uint32_t gsi, bool asserted) noexcept {
  Gsi& line = gsis_[gsi];
  const std::lock_guard lock(line.mutex);
  const std::uint32_t before = line.asserted_wires;
  line.asserted_wires = asserted ? before + 1 : before - 1;
  if ((before != 0) == (line.asserted_wires != 0)) return;
  ++line.changes;
  vm_.set_line(gsi, line.asserted_wires != 0);
}

void KvmInterruptLines::refresh() noexcept {
  for (std::uint32_t gsi = 0; gsi < kGsis; ++gsi) {
    const std::lock_guard lock(gsis_[gsi].mutex);
    if (gsis_[gsi].changes != 0) vm_.set_line(gsi, gsis_[gsi].asserted_wires != 0);
  }
}

void KvmInterruptLines::inspect(InspectNode& node) const {
  for (std::uint32_t gsi = 0; gsi < kGsis; ++gsi) {
    const std::lock_guard lock(gsis_[gsi].mutex);
    if (gsis_[gsi].changes == 0) continue;
    InspectNode& child = node.child("gsi" + std::to_string(gsi));
    child.add("asserted_wires", gsis_[gsi].asserted_wires);
    child.add("changes", gsis_[gsi].changes);
  }
}

class KvmMessageRouter::Route final : public MsiRoute {
 public:
  explicit Route(KvmMessageRouter& router) : router_(router) {}
  ~Route() override {
    if (event_) router_.remove_routed(*this);
  }

  bool set_message(const MsiMessage& message) noexcept override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(message_, message) == message || !event_) return true;
    return router_.change_routed(gsi_, message);
  }

  void signal() noexcept override {
    MsiMessage message;
    {
      const std::lock_guard lock(mutex_);
      message = message_;
    }
    if (!router_.vm_.signal_message(message.address, message.data))
      router_.refused_.fetch_add(1, std::memory_order_relaxed);
  }

  int event_descriptor() const noexcept override {
    const std::lock_guard lock(mutex_);
    // The first who asks makes it; that changes nothing about what the route is.
    if (!event_) (void)router_.add_routed(const_cast<Route&>(*this));
    return event_.get();
  }

  void hold(bool held) noexcept override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(held_, held) == held || !event_) return;
    router_.connect_routed(*this, !held);
  }

  bool is_waiting() const noexcept override {
    const std::lock_guard lock(mutex_);
    if (!event_ || !held_) return false;
    pollfd look{event_.get(), POLLIN, 0};
    return ::poll(&look, 1, 0) == 1;
  }

 private:
  friend class KvmMessageRouter;

  KvmMessageRouter& router_;
  mutable std::mutex mutex_;
  MsiMessage message_;
  FileDescriptor event_;  // with gsi_, while somebody else may signal
  std::uint32_t gsi_ = 0;
  bool held_ = false;  // the descriptor is no irqfd meanwhile
};

KvmMessageRouter::KvmMessageRouter(kvm::VirtualMachine& vm) : vm_(vm) {
  apply();
}

std::unique_ptr<MsiRoute> KvmMessageRouter::allocate() {
  return std::make_unique<Route>(*this);
}

void KvmMessageRouter::apply() {
  std::vector<kvm_irq_routing_entry> entries;
  entries.reserve(routed_.size() + 2 * std::size_t{kFirstMessageGsi});
  add_controller_routes(entries);
  for (const auto& [gsi, message] : routed_) {
    kvm_irq_routing_entry entry{};
    entry.gsi = gsi;
    entry.type = KVM_IRQ_ROUTING_MSI;
    entry.u.msi.address_lo = static_cast<std::uint32_t>(message.address);
    entry.u.msi.address_hi = static_cast<std::uint32_t>(message.address >> 32);
    entry.u.msi.data = message.data;
    entries.push_back(entry);
  }
  vm_.set_routes(entries);
}

bool KvmMessageRouter::add_routed(Route& route) noexcept {
  const std::lock_guard lock(mutex_);
  std::uint32_t gsi = kFirstMessageGsi;
  while (routed_.contains(gsi)) ++gsi;
  if (gsi > kLastMessageGsi) return false;
  try {
    FileDescriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) return false;
    routed_[gsi] = route.message_;
    apply();
    if (!route.held_) vm_.add_irqfd(event.get(), gsi);
    route.event_ = std::move(event);
    route.gsi_ = gsi;
    return true;
  } catch (const std::exception&) {
    routed_.erase(gsi);
    return false;
  }
}

// KVM looks at what has been signalled meanwhile when the irqfd comes back (api.rst §4.75).
void KvmMessageRouter::connect_routed(const Route& route, bool connected) noexcept {
  const std::lock_guard lock(mutex_);
  if (!connected) return vm_.remove_irqfd(route.event_.get(), route.gsi_);
  try {
    vm_.add_irqfd(route.event_.get(), route.gsi_);
  } catch (const std::exception&) {
    refused_.fetch_add(1, std::memory_order_relaxed);
  }
}

bool KvmMessageRouter::change_routed(std::uint32_t gsi, const MsiMessage& message) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    routed_[gsi] = message;
    apply();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void KvmMessageRouter::remove_routed(Route& route) noexcept {
  const std::lock_guard lock(mutex_);
  vm_.remove_irqfd(route.event_.get(), route.gsi_);
  routed_.erase(route.gsi_);  // KVM keeps the stale route until the next change; nothing signals it
}

void KvmMessageRouter::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("irqfds", std::uint64_t{routed_.size()});
  node.add("refused", refused_.load(std::memory_order_relaxed));
}

}  // namespace warren::vmm
