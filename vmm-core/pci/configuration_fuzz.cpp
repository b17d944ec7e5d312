// Configuration space under random accesses (class T5): through ports and ECAM, to functions, a root port and
// what is behind it, with memory accesses wherever BARs then are. Nothing may crash, and ids never change.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>

#include "vmm-core/pci/chipset.h"
#include "vmm-core/pci/fake_interrupts.h"
#include "vmm-core/pci/root_complex.h"

namespace warren::vmm::pci {
namespace {

class Device final : public Function, public IoHandler {
 public:
  Device(AddressSpace& memory, AddressSpace& ports, MsiRouter& messages, bool& line, bool express)
      : Function("device", {.vendor = 0x1af4, .device = 0x1042, .class_code = 0x010802},
                 {memory, ports, std::make_unique<FakeLine>(line), express}) {
    add_bar({.index = 0, .kind = BarKind::io, .size = 64, .handler = this});
    add_msix_with_bar(messages, 4, 1);
    add_bar({.index = 2, .kind = BarKind::memory64, .size = 0x1000, .handler = this});
    use_interrupt_pin();
    const std::array<std::byte, 14> body{};
    add_capability(kCapabilityVendor, body, body, *this);
  }
  using Function::msix;
  using Function::set_interrupt;
  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
    if (offset >= 0x1000 || data.empty()) std::abort();
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
    if (offset >= 0x1000 || data.empty()) std::abort();
  }
};

struct Step {
  std::uint8_t action, size;
  std::uint16_t where;
  std::uint32_t value;
};

struct Machine {
  Machine() {
    root.attach(0, 0, bridge);
    root.attach(1, 0, device);
    root.attach_port(2, 0, port);
    port.attach(0, behind);
    root.place_bars({.io = {0xc000, 0xffff},
                     .memory32 = {0xc000'0000, 0xfebf'ffff},
                     .memory64 = {0x8'0000'0000, 0xf'ffff'ffff}});
  }
  void step(const Step& step);

  AddressSpace memory{"mmio", std::numeric_limits<std::uint64_t>::max()};
  AddressSpace ports{"ports", 0xffff};
  FakeMessages messages;
  bool line = false;
  HostBridge bridge{{memory, ports, nullptr}, 0xb000'0000};
  Device device{memory, ports, messages, line, false};
  Device behind{memory, ports, messages, line, true};
  RootPort port{"port", {memory, ports, nullptr}, 1};
  RootComplex root;
};

void Machine::step(const Step& step) {
  std::array<std::byte, 8> data{};
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(step.value >> (8 * (i % 4)));
  const std::span<std::byte> bytes(data.data(), step.size % 8 + 1U);
  // Mostly the few functions that are there.
  const std::uint64_t ecam = (std::uint64_t{step.action} >> 6 & 1) << 20 |
                             (std::uint64_t{step.action} >> 4 & 3) << 15 | (step.where & 0xfff);
  switch (step.action % 8) {
    case 0:
      return root.ecam().read(ecam, bytes);
    case 1:
    case 2:
      return root.ecam().write(ecam, bytes);
    case 3:
      return root.ports().write(0, bytes);
    case 4:
      return step.where % 2 != 0 ? root.ports().write(step.where % 8, bytes)
                                 : root.ports().read(step.where % 8, bytes);
    case 5:
      return step.where % 2 != 0 ? memory.write(step.value, bytes) : memory.read(step.value, bytes);
    case 6:
      return ports.write(step.where, bytes);
    default:
      device.msix().signal(step.where % 8);
      behind.set_interrupt(step.value % 2 != 0);
      messages.signalled.clear();
      if (step.value % 64 == 0) device.restore_function(device.save_function());
      if (step.value % 64 == 1) behind.reset();
  }
}

}  // namespace
}  // namespace warren::vmm::pci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  warren::vmm::pci::Machine machine;
  for (std::size_t at = 0; at + sizeof(warren::vmm::pci::Step) <= size;
       at += sizeof(warren::vmm::pci::Step)) {
    warren::vmm::pci::Step step;
    __builtin_memcpy(&step, input + at, sizeof step);
    machine.step(step);
  }
  std::uint32_t id = 0;
  machine.root.config_read({0, 1, 0}, 0, std::as_writable_bytes(std::span(&id, 1)));
  if (id != 0x10421af4) std::abort();
  return 0;
}
