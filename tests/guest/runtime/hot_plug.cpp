#include "tests/guest/runtime/hot_plug.h"

#include <optional>

#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/runtime/print.h"
#include "tests/guest/virtio/block_driver.h"
#include "tests/guest/virtio/memory_driver.h"

namespace guest {
namespace {

// In the PCI Express capability (PCIe 5.0 §7.5.3.9 to §7.5.3.11).
constexpr std::uint16_t kSlotCapabilities = 0x14, kSlotControl = 0x18, kSlotStatus = 0x1a;
constexpr std::uint16_t kHotPlugCapable = 1 << 6;
constexpr std::uint16_t kButton = 1 << 0, kPresenceChanged = 1 << 3, kPresent = 1 << 6;
constexpr std::uint16_t kListen = kButton | kPresenceChanged | 1 << 5;
constexpr std::uint16_t kPowerOn = kListen | 3 << 6 | 1 << 8;
constexpr std::uint16_t kPowerOff = kListen | 3 << 6 | 3 << 8 | 1 << 10;
constexpr std::uint32_t kFirstPciGsi = 16, kPciGsis = 8;
constexpr std::uint16_t kInterruptDisable = 1 << 10;

struct Slot {
  PciFunction* port = nullptr;
  std::uint16_t capability = 0;
  volatile std::uint16_t events = 0;    // taken by the interrupt, not yet served
  std::optional<PciFunction> function;  // where a virtio memory device is behind it
  std::optional<MemoryDriver> memory;

  std::uint16_t read(std::uint16_t offset) const {
    return port->read16(static_cast<std::uint16_t>(capability + offset));
  }
  void write(std::uint16_t offset, std::uint16_t value) {
    port->write16(static_cast<std::uint16_t>(capability + offset), value);
  }
  std::uint8_t bus() const { return port->read8(0x19); }
};

constexpr unsigned kMaximumSlots = 32;
Slot slots[kMaximumSlots];
unsigned slot_count;

void take_events() {
  for (unsigned i = 0; i < slot_count; ++i) {
    const std::uint16_t events = slots[i].read(kSlotStatus) & (kButton | kPresenceChanged);
    if (events == 0) continue;
    slots[i].write(kSlotStatus, events);
    slots[i].events = static_cast<std::uint16_t>(slots[i].events | events);
  }
}

// BARs go where the port's window is.
void place(PciFunction& device, std::uint64_t window) {
  for_each_bar(device, [&](unsigned index, const PciBar& bar) {
    if (bar.io) return;
    window = (window + bar.size - 1) & ~(bar.size - 1);
    device.set_bar(index, window);
    window += bar.size;
  });
}

void bring_up(Slot& slot) {
  slot.write(kSlotControl, kPowerOn);
  PciFunction device({slot.bus(), 0, 0});
  print("PLUGGED ", slot.bus(), " ", Hex{device.vendor()}, ":", Hex{device.device()}, "\n");
  place(device, std::uint64_t{slot.port->read16(0x20)} << 16);
  device.write16(4, static_cast<std::uint16_t>(device.read16(4) | kInterruptDisable));
  constexpr std::uint16_t kModernBlock = 0x1042, kModernMemory = 0x1058;
  if (device.device() == kModernMemory) {
    slot.function.emplace(device);
    slot.memory.emplace(VirtioDevice(&*slot.function), 3);
    return;
  }
  if (device.device() != kModernBlock) return;
  BlockDriver disk(device);
  auto* words = allocate_array<std::uint64_t>(64, 512);
  if (disk.ready() && disk.read(1, words, 512).status == block::kOk) print("FIRST ", words[0], "\n");
}

void serve(Slot& slot) {
  const std::uint16_t events = slot.events;
  slot.events = 0;
  // Whoever puts a device in presses the button, too.
  if ((events & kPresenceChanged) != 0 && (slot.read(kSlotStatus) & kPresent) != 0) {
    bring_up(slot);
  } else if ((events & kButton) != 0) {
    slot.memory.reset();
    slot.write(kSlotControl, kPowerOff);
    print("LET GO ", slot.bus(), "\n");
  } else if ((events & kPresenceChanged) != 0) {
    print("EMPTY ", slot.bus(), "\n");
  }
}

}  // namespace

void serve_hot_plug_slots() {
  const std::uint8_t vector = allocate_vector(take_events);
  for (auto& function : pci_functions()) {
    if (!function.is_bridge() || slot_count == kMaximumSlots) continue;
    const std::uint8_t capability = function.find_capability(0x10);
    if (capability == 0) continue;
    Slot& slot = slots[slot_count];
    slot.port = &function;
    slot.capability = capability;
    if ((slot.read(kSlotCapabilities) & kHotPlugCapable) == 0) continue;
    ++slot_count;
    const std::uint16_t status = slot.read(kSlotStatus);
    slot.write(kSlotStatus, 0xffff);
    // A device that came before anybody listened waits for its power.
    const bool came = (status & kPresenceChanged) != 0;
    if (came) slot.events = kPresenceChanged;
    slot.write(kSlotControl, (status & kPresent) != 0 && !came ? kPowerOn : kPowerOff);
  }
  for (std::uint32_t gsi = kFirstPciGsi; gsi < kFirstPciGsi + kPciGsis; ++gsi)
    redirect(gsi, vector, true, false);
  print("SLOTS ", slot_count, "\nREADY\n");
  for (;;) {
    wait_milliseconds(20);
    for (unsigned i = 0; i < slot_count; ++i) {
      if (slots[i].events != 0) serve(slots[i]);
      auto& memory = slots[i].memory;
      if (memory && memory->ready() && memory->follow())
        print("MEMORY ", memory->plugged() >> 20, " OF ", memory->requested() >> 20, "\n");
    }
  }
}

}  // namespace guest
