#include "vmm-core/pci/root_port.h"

#include <utility>

#include "vmm-core/os/error.h"
#include "vmm-core/pci/address.h"

namespace warren::vmm::pci {
namespace {

constexpr Identity kIdentity = {
    // Red Hat's generic root port, which every guest has a driver or no need of one for.
    .vendor = 0x1b36,
    .device = 0x000c,
    .class_code = 0x060400,
    .bridge = true,
};

}  // namespace

RootPort::RootPort(std::string name, Place place, std::uint8_t port_number)
    : Function(std::move(name), kIdentity, std::move(place)) {
  initialize_header();
  add_express_capability(ExpressType::root_port, port_number);
}

RootPort::RootPort(std::string name, Place place, std::uint8_t port_number, std::function<void()> release)
    : Function(std::move(name), kIdentity, std::move(place)),
      slot_number_(port_number),
      slot_(std::make_unique<HotPlugSlot>(
          port_number,
          HotPlugSlot::Actions{[this](bool level) { set_interrupt(level); }, std::move(release)})) {
  initialize_header();
  add_express_capability(ExpressType::root_port, port_number, slot_.get());
  use_interrupt_pin();
}

void RootPort::initialize_header() {
  auto& space = configuration();
  space.set_writable8(kPrimaryBus, 0xff);
  space.set_writable8(kSecondaryBus, 0xff);
  space.set_writable8(kSubordinateBus, 0xff);
  // I/O windows of 4 KiB steps with 32-bit addresses, memory of 1 MiB steps (PCI-to-PCI Bridge 1.2 §3.2.5).
  space.set8(kIoBase, 0x01);
  space.set8(kIoLimit, 0x01);
  space.set_writable8(kIoBase, 0xf0);
  space.set_writable8(kIoLimit, 0xf0);
  space.set_writable32(0x30, 0xffff'ffff);  // upper halves of the I/O window
  space.set_writable32(kMemoryBase, 0xfff0'fff0);
  space.set32(kPrefetchableBase, 0x0001'0001);  // 64-bit
  space.set_writable32(kPrefetchableBase, 0xfff0'fff0);
  space.set_writable32(kPrefetchableBaseUpper, 0xffff'ffff);
  space.set_writable32(kPrefetchableLimitUpper, 0xffff'ffff);
  space.set_writable16(kBridgeControl, 0x0003);  // parity and SERR enable
  space.set_defaults();
  set_windows({}, {}, {});
  space.set_defaults();
}

std::uint8_t RootPort::secondary_bus() noexcept {
  std::byte bus{};
  config_read(kSecondaryBus, std::span(&bus, 1));
  return std::to_integer<std::uint8_t>(bus);
}

template <typename T>
void RootPort::set_register(std::uint16_t offset, T value) {
  config_write(offset, std::as_bytes(std::span(&value, 1)));
}

void RootPort::set_buses(std::uint8_t secondary, std::uint8_t subordinate) {
  set_register<std::uint8_t>(kPrimaryBus, 0);
  set_register(kSecondaryBus, secondary);
  set_register(kSubordinateBus, subordinate);
}

// PCI-to-PCI Bridge 1.2 §3.2.5.6 to §3.2.5.10: a window is off when its base is above its limit.
void RootPort::set_windows(const Window& io, const Window& memory, const Window& prefetchable) {
  const auto upper16 = [](std::uint64_t address) {
    return static_cast<std::uint16_t>((address >> 16) & 0xfff0);
  };
  const bool has_io = io.first <= io.last;
  set_register(kIoBase, static_cast<std::uint8_t>(has_io ? io.first >> 8 : 0xf0));
  set_register(kIoLimit, static_cast<std::uint8_t>(has_io ? io.last >> 8 : 0));
  const bool has_memory = memory.first <= memory.last;
  set_register(kMemoryBase, has_memory ? upper16(memory.first) : std::uint16_t{0xfff0});
  set_register(kMemoryLimit, has_memory ? upper16(memory.last) : std::uint16_t{0});
  const bool has_prefetchable = prefetchable.first <= prefetchable.last;
  set_register(kPrefetchableBase, has_prefetchable ? upper16(prefetchable.first) : std::uint16_t{0xfff0});
  set_register(kPrefetchableLimit, has_prefetchable ? upper16(prefetchable.last) : std::uint16_t{0});
  set_register(kPrefetchableBaseUpper,
               static_cast<std::uint32_t>(has_prefetchable ? prefetchable.first >> 32 : 0));
  set_register(kPrefetchableLimitUpper,
               static_cast<std::uint32_t>(has_prefetchable ? prefetchable.last >> 32 : 0));
}

void RootPort::attach(std::uint8_t function, Function& device) {
  if (function >= kFunctions || devices_[function] != nullptr) {
    throw Error(std::errc::address_in_use, device.name() + ": function " + std::to_string(function) +
                                               " behind " + name() + " does not exist or is taken");
  }
  devices_[function] = &device;
  if (slot_) slot_->set_present(true);
  if (function != 0 && devices_[0] != nullptr) devices_[0]->set_multifunction();
}

void RootPort::plug(Function& device) {
  attach(0, device);
}

void RootPort::unplug() {
  slot_->set_present(false);
  devices_ = {};
}

void RootPort::reset() {
  if (slot_) slot_->reset();
  Function::reset();
}

}  // namespace warren::vmm::pci
