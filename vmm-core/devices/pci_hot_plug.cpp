#include "vmm-core/devices/pci_hot_plug.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "vmm-core/os/error.h"

namespace warren::vmm {

PciHotPlug::PciHotPlug(std::span<const std::uint8_t> buses, Actions actions)
    : actions_(std::move(actions)), ports_(kPorts) {
  for (const std::uint8_t bus : buses) ports_[bus].takes_devices = true;
}

bool PciHotPlug::is_native() const noexcept {
  const std::lock_guard lock(mutex_);
  return native_;
}

bool PciHotPlug::is_present(std::uint8_t bus) const noexcept {
  const std::lock_guard lock(mutex_);
  return ports_[bus].present;
}

std::uint32_t PciHotPlug::read_register(std::uint64_t offset) const noexcept {
  if (offset == kEvent) return next_acpi_event(std::span(std::as_const(ports_)));
  if (offset == kControl) return native_ ? kNative : 0;
  const std::uint64_t number = offset / kPortSize;
  if (number >= kPorts || offset % kPortSize != kStatus) return 0;
  return ports_[number].present ? kAcpiStatusPresent : 0;
}

void PciHotPlug::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& byte : data) {
    const std::uint32_t value = offset < kSize ? read_register(offset / 4 * 4) : 0;
    byte = static_cast<std::byte>(value >> (8 * (offset % 4)));
    ++offset;
  }
}

// With the lock held.
void PciHotPlug::write_common(std::uint64_t offset, std::uint32_t value) noexcept {
  if (offset == kControl) {
    native_ = (value & kNative) != 0;
  } else if (offset != kEvent || !take_acpi_event(std::span(ports_), value)) {
    ++malformed_;
  }
}

void PciHotPlug::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  std::optional<std::uint8_t> ejected, refused;
  {
    const std::lock_guard lock(mutex_);
    std::uint32_t value = 0;
    if (data.size() != sizeof(value) || offset % 4 != 0 || offset >= kSize) {
      ++malformed_;
      return;
    }
    std::memcpy(&value, data.data(), sizeof(value));
    if (offset >= kEvent) return write_common(offset, value);
    const auto bus = static_cast<std::uint8_t>(offset / kPortSize);
    Port& port = ports_[bus];
    const std::uint64_t place = offset % kPortSize;
    // The answer to an ejection comes when the device is gone.
    if (place == kSourceEvent) {
      port.request.source_event = value;
    } else if (place == kStatusCode) {
      if (port.request.is_refused_by(value)) refused = bus;
    } else if (place != kEject || !port.present) {
      ++malformed_;
    } else if ((value & 1) != 0) {
      port.present = false;
      port.request = {};
      ejected = bus;
    }
  }
  if (ejected) actions_.ejected(*ejected);
  if (refused) actions_.refused(*refused);
}

void PciHotPlug::insert(std::uint8_t bus, bool tell) noexcept {
  {
    const std::lock_guard lock(mutex_);
    Port& port = ports_[bus];
    if (!port.takes_devices || port.present) return;
    port.present = true;
    port.request = {};
    if (!tell || native_) return;
    port.request.check();
  }
  actions_.notify();
}

bool PciHotPlug::request_removal(std::uint8_t bus) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!ports_[bus].present) return false;
    ports_[bus].request.ask_to_eject();
  }
  actions_.notify();
  return true;
}

void PciHotPlug::remove(std::uint8_t bus) noexcept {
  const std::lock_guard lock(mutex_);
  ports_[bus].present = false;
  ports_[bus].request = {};
}

void PciHotPlug::reset() noexcept {
  const std::lock_guard lock(mutex_);
  native_ = false;
  for (Port& port : ports_) port.request = {};
}

PciHotPlug::State PciHotPlug::save() const {
  const std::lock_guard lock(mutex_);
  return {.version = 1, .native = native_, .ports = ports_};
}

void PciHotPlug::restore(const State& state) {
  if (state.version != 1)
    throw Error(std::errc::invalid_argument, "the saved state of PCI hot plug is of another version");
  const std::lock_guard lock(mutex_);
  native_ = state.native;
  for (std::size_t i = 0; i < std::min(ports_.size(), state.ports.size()); ++i)
    if (ports_[i].present && state.ports[i].present) ports_[i].request.restore(state.ports[i].request);
}

void PciHotPlug::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("native", native_);
  node.add("malformed", malformed_);
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    if (!ports_[i].present) continue;
    InspectNode& child = node.child("bus" + std::to_string(i));
    child.add("event", std::uint64_t{ports_[i].request.event});
    child.add("removal_requested", ports_[i].request.removal_requested);
  }
}

}  // namespace warren::vmm
