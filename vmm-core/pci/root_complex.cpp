#include "vmm-core/pci/root_complex.h"

#include <algorithm>

#include "vmm-core/os/error.h"

namespace warren::vmm::pci {
namespace {

constexpr std::uint32_t kConfigEnable = std::uint32_t{1} << 31;

// Calls `access(offset in data, length)` for the parts of an access that lie in one doubleword each.
template <typename Access>
void for_each_doubleword(std::uint64_t offset, std::size_t size, Access access) noexcept {
  for (std::size_t done = 0; done < size;) {
    const std::size_t part = std::min<std::size_t>(size - done, 4 - (offset + done) % 4);
    access(done, part);
    done += part;
  }
}

Address ecam_address(std::uint64_t offset) noexcept {
  return {.bus = static_cast<std::uint8_t>(offset >> 20),
          .slot = static_cast<std::uint8_t>((offset >> 15) & 0x1f),
          .function = static_cast<std::uint8_t>((offset >> 12) & 7)};
}

}  // namespace

void RootComplex::attach(std::uint8_t slot, std::uint8_t function, Function& device) {
  if (slot >= kSlots || function >= kFunctions || functions_[slot][function] != nullptr) {
    throw Error(std::errc::address_in_use, device.name() + ": PCI slot " + std::to_string(slot) +
                                               " function " + std::to_string(function) +
                                               " does not exist or is taken");
  }
  functions_[slot][function] = &device;
  all_.push_back(&device);
  // Software looks at other functions only when function 0 says that there are any (PCI 3.0 §6.2.1).
  const bool several = std::ranges::count(functions_[slot], nullptr) < kFunctions - 1;
  if (several && functions_[slot][0] != nullptr) functions_[slot][0]->set_multifunction();
}

void RootComplex::attach_port(std::uint8_t slot, std::uint8_t function, RootPort& port) {
  attach(slot, function, port);
  port_list_.push_back(&port);
}

Function* RootComplex::find(const Address& address) noexcept {
  if (address.bus == 0) return functions_[address.slot][address.function];
  if (address.slot != 0) return nullptr;  // a link has one device (PCIe 5.0 §7.3.1)
  for (RootPort* port : port_list_) {
    if (port->secondary_bus() == address.bus) return port->find(address.function);
  }
  return nullptr;
}

void RootComplex::config_read(const Address& address, std::uint16_t offset,
                              std::span<std::byte> data) noexcept {
  if (Function* function = find(address)) {
    function->config_read(offset, data);
  } else {
    std::ranges::fill(data, std::byte{0xff});
  }
}

void RootComplex::config_write(const Address& address, std::uint16_t offset,
                               std::span<const std::byte> data) noexcept {
  Function* function = find(address);
  if (function == nullptr) return;
  function->config_write(offset, data);
  if (offset < kBar0 + 4 * kBars) retry_refused_bars();
}

// What was just written may have made room for BARs that something was in the way of.
void RootComplex::retry_refused_bars() noexcept {
  for (const auto& slot : functions_) {
    for (Function* function : slot) {
      if (function != nullptr && function->has_refused_bars()) function->retry_refused_bars();
    }
  }
  for (RootPort* port : port_list_) {
    for (std::uint8_t i = 0; i < kFunctions; ++i) {
      Function* function = port->find(i);
      if (function != nullptr && function->has_refused_bars()) function->retry_refused_bars();
    }
  }
}

void RootComplex::Ports::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::uint32_t address = address_.load(std::memory_order_relaxed);
  if (offset == 0 && data.size() == 4) {
    for (std::size_t i = 0; i < 4; ++i) data[i] = static_cast<std::byte>(address >> (8 * i));
    return;
  }
  std::ranges::fill(data, std::byte{0xff});
  if (offset < 4) {
    if (other_ != nullptr) other_->read(offset, data);
    return;
  }
  if ((address & kConfigEnable) == 0) return;
  const Address target{.bus = static_cast<std::uint8_t>(address >> 16),
                       .slot = static_cast<std::uint8_t>((address >> 11) & 0x1f),
                       .function = static_cast<std::uint8_t>((address >> 8) & 7)};
  const std::uint64_t data_offset = offset - 4;
  if (data_offset + data.size() > 4) return;
  root_.config_read(target, static_cast<std::uint16_t>((address & 0xfc) + data_offset), data);
}

void RootComplex::Ports::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  if (offset == 0 && data.size() == 4) {
    std::uint32_t address = 0;
    for (std::size_t i = 0; i < 4; ++i) address |= std::to_integer<std::uint32_t>(data[i]) << (8 * i);
    set_address(address);
    return;
  }
  if (offset < 4) {
    if (other_ != nullptr) other_->write(offset, data);
    return;
  }
  const std::uint32_t address = address_.load(std::memory_order_relaxed);
  if ((address & kConfigEnable) == 0) return;
  const Address target{.bus = static_cast<std::uint8_t>(address >> 16),
                       .slot = static_cast<std::uint8_t>((address >> 11) & 0x1f),
                       .function = static_cast<std::uint8_t>((address >> 8) & 7)};
  const std::uint64_t data_offset = offset - 4;
  if (data_offset + data.size() > 4) return;
  root_.config_write(target, static_cast<std::uint16_t>((address & 0xfc) + data_offset), data);
}

void RootComplex::Ecam::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  for_each_doubleword(offset, data.size(), [&](std::size_t done, std::size_t part) {
    const std::uint64_t at = offset + done;
    root_.config_read(ecam_address(at), static_cast<std::uint16_t>(at & 0xfff), data.subspan(done, part));
  });
}

void RootComplex::Ecam::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  for_each_doubleword(offset, data.size(), [&](std::size_t done, std::size_t part) {
    const std::uint64_t at = offset + done;
    root_.config_write(ecam_address(at), static_cast<std::uint16_t>(at & 0xfff), data.subspan(done, part));
  });
}

void RootComplex::inspect(InspectNode& node) const {
  node.add("config_address", config_address());
  const auto place = [](std::size_t slot, std::size_t function) {
    return std::to_string(slot) + "." + std::to_string(function);
  };
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    for (std::size_t function = 0; function < kFunctions; ++function) {
      if (const Function* device = functions_[slot][function])
        node.add(place(slot, function), device->name());
    }
  }
}

}  // namespace warren::vmm::pci
