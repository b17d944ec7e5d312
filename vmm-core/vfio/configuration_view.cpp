#include "vmm-core/vfio/configuration_view.h"

#include <algorithm>
#include <bitset>
#include <cstring>
#include <vector>

#include "vmm-core/os/error.h"

namespace warren::vmm::vfio {
namespace {

using namespace pci;

constexpr std::uint16_t kBuiltInSelfTest = 0x0f;
constexpr std::uint16_t kCardbusPointer = 0x28;
constexpr std::uint16_t kRomAddress = 0x30;
constexpr std::uint8_t kCapabilityEnhancedAllocation = 0x14;

// Of the PCI Express capability (PCIe 5.0 §7.5.3).
constexpr std::size_t kExpressSize1 = 0x14,
                      kExpressSize2 = 0x3c;  // by version; an endpoint's part of the first
constexpr unsigned kTypeEndpoint = 0, kTypeLegacyEndpoint = 1, kTypeIntegratedEndpoint = 9;
constexpr std::uint32_t kOneLane = 1 | 1 << 4;  // 2.5 GT/s

// Capabilities of an extended space that are not for a guest: they speak of buses, addresses and functions
// that it does not have (ARI, ATS, SR-IOV, MR-IOV, page requests, resizable BARs, PASID, and those of VFs).
constexpr std::array<std::uint16_t, 9> kHiddenExtended = {0x000e, 0x000f, 0x0010, 0x0011, 0x0013,
                                                          0x0015, 0x001b, 0x0024, 0x0009};

bool is_hidden(std::uint16_t id) noexcept {
  return std::ranges::find(kHiddenExtended, id) != kHiddenExtended.end();
}

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw Error(std::errc::not_supported, name + ": " + why);
}

}  // namespace

ConfigurationView::ConfigurationView(std::span<const std::byte> device, const std::string& name,
                                     bool behind_port)
    : device_(device), behind_port_(behind_port) {
  if (device.size() != kConventionalSize && device.size() != kExtendedSize)
    refuse(name, "its configuration space has " + std::to_string(device.size()) + " bytes");
  take_header(name);
  take_capabilities(name);
  if (express_ && device.size() == kExtendedSize) {
    size_ = kExtendedSize;
    take_extended_capabilities();
  }
  device_ = {};
}

std::uint32_t ConfigurationView::device32(std::size_t offset) const noexcept {
  std::uint32_t value = 0;  // little-endian, as x86 is
  std::memcpy(&value, device_.data() + offset, sizeof value);
  return value;
}

std::uint16_t ConfigurationView::device16(std::size_t offset) const noexcept {
  std::uint16_t value = 0;
  std::memcpy(&value, device_.data() + offset, sizeof value);
  return value;
}

std::uint8_t ConfigurationView::device8(std::size_t offset) const noexcept {
  return std::to_integer<std::uint8_t>(device_[offset]);
}

template <typename T>
void ConfigurationView::emulate(std::size_t offset, T value) noexcept {
  std::memcpy(values_.data() + offset, &value, sizeof value);
  std::memset(emulated_.data() + offset, 0xff, sizeof value);
}

void ConfigurationView::hide(std::size_t first, std::size_t end) noexcept {
  std::fill(values_.begin() + static_cast<std::ptrdiff_t>(first),
            values_.begin() + static_cast<std::ptrdiff_t>(end), std::byte{0});
  std::fill(emulated_.begin() + static_cast<std::ptrdiff_t>(first),
            emulated_.begin() + static_cast<std::ptrdiff_t>(end), std::byte{0xff});
}

// The header is what it was when the device was assigned, but for its status.
void ConfigurationView::take_header(const std::string& name) {
  if (device16(kVendorId) == 0xffff || device16(kVendorId) == 0)
    refuse(name, "the device does not answer: its vendor id is " + std::to_string(device16(kVendorId)));
  if ((device8(kHeaderType) & ~kHeaderTypeMultifunction) != 0)
    refuse(name, "it is a bridge, and bridges cannot be assigned");
  for (std::size_t i = 0; i < kFirstCapability; ++i) emulate(i, device8(i));
  emulate<std::uint16_t>(kCommand, 0);
  std::memset(emulated_.data() + kStatus, 0, 2);
  std::memset(values_.data() + kStatus, 0, 2);
  emulated_[kStatus] = std::byte{kStatusCapabilities};
  emulate<std::uint8_t>(kHeaderType, 0);  // the only function behind its port
  emulate<std::uint8_t>(kBuiltInSelfTest, 0);
  for (std::size_t i = 0; i < kBars; ++i) {
    bars_[i] = device32(kBar0 + 4 * i);
    emulate<std::uint32_t>(kBar0 + 4 * i, 0);  // pci::BarSet has them
  }
  emulate<std::uint32_t>(kCardbusPointer, 0);
  emulate<std::uint32_t>(kRomAddress, 0);
  emulate<std::uint32_t>(kCapabilitiesPointer, 0);
  emulate<std::uint8_t>(kInterruptLine, 0);
  has_pin_ = device8(kInterruptPin) >= 1 && device8(kInterruptPin) <= 4;
  emulate<std::uint8_t>(kInterruptPin, has_pin_ ? 1 : 0);
}

void ConfigurationView::take_capabilities(const std::string& name) {
  if ((device16(kStatus) & kStatusCapabilities) == 0) return;
  constexpr std::uint8_t kNoDevice = 0xff;
  std::bitset<kConventionalSize> visited, claimed;
  std::vector<std::uint8_t> starts;
  std::vector<std::uint8_t> hidden;
  std::size_t link = kCapabilitiesPointer;
  for (auto offset = static_cast<std::uint8_t>(device8(kCapabilitiesPointer) & ~3U);
       offset >= kFirstCapability && !visited[offset];
       offset = static_cast<std::uint8_t>(device8(offset + 1U) & ~3U)) {
    visited[offset] = true;
    const std::uint8_t id = device8(offset);
    if (id == kNoDevice) break;
    starts.push_back(offset);
    const auto size = claimed[offset] ? std::nullopt : take_capability(id, offset, name);
    bool is_free = size.has_value();
    for (std::size_t i = offset; is_free && i < offset + *size; ++i) is_free = !claimed[i];
    if (!is_free) {
      // A capability whose bytes are another's too: the first has them.
      if (!claimed[offset]) hidden.push_back(offset);
      if (msi_ && msi_->offset == offset) msi_.reset();
      if (msix_ && msix_->offset == offset) msix_.reset();
      continue;
    }
    for (std::size_t i = offset; i < offset + *size; ++i) claimed[i] = true;
    emulate<std::uint8_t>(link, offset);
    emulate<std::uint8_t>(offset, id);
    emulate<std::uint8_t>(offset + 1U, 0);
    link = offset + 1U;
    values_[kStatus] |= std::byte{kStatusCapabilities};
  }
  // What is not shown has nothing up to the next.
  std::ranges::sort(starts);
  for (const std::uint8_t offset : hidden) {
    const auto next = std::ranges::upper_bound(starts, offset);
    const std::size_t end = next == starts.end() ? kConventionalSize : *next;
    for (std::size_t i = offset; i < end; ++i)
      if (!claimed[i]) hide(i, i + 1);
  }
  if (msi_) (void)take_msi(msi_->offset);
  if (msix_) (void)take_msix(msix_->offset);
}

std::optional<std::size_t> ConfigurationView::take_capability(std::uint8_t id, std::uint8_t offset,
                                                              const std::string& name) {
  constexpr std::size_t kHeader = 2;
  constexpr std::size_t kPowerManagementSize = 8, kMsixSize = 12;
  switch (id) {
    case kCapabilityMsi:
      if (msi_ || !take_msi(offset)) return std::nullopt;
      return msi_->size();
    case kCapabilityMsix:
      if (msix_ || !take_msix(offset)) return std::nullopt;
      return kMsixSize;
    case kCapabilityExpress: {
      if (express_) return std::nullopt;
      const std::size_t size = take_express(offset, name);
      if (size == 0) return std::nullopt;
      return size;
    }
    case kCapabilityPowerManagement:
      if (offset + kPowerManagementSize > kConventionalSize) return std::nullopt;
      return kPowerManagementSize;
    case kCapabilityEnhancedAllocation:  // says where the BARs are fixed to be
      return std::nullopt;
    default:
      return kHeader;
  }
}

// All of it is emulated: off, and without a message (PCI 3.0 §6.8.1.3).
bool ConfigurationView::take_msi(std::uint8_t offset) {
  constexpr unsigned k64Bit = 1 << 7, kMaskable = 1 << 8, kMostVectors = 5;
  const unsigned control = device16(offset + 2U);
  const unsigned order = control >> 1 & 7;
  MsiLayout layout{.offset = offset,
                   .vectors = static_cast<std::uint8_t>(1U << std::min(order, kMostVectors)),
                   .is_64bit = (control & k64Bit) != 0,
                   .maskable = (control & kMaskable) != 0};
  if (order > kMostVectors || offset + std::size_t{layout.size()} > kConventionalSize) return false;
  msi_ = layout;
  hide(offset + 2U, offset + std::size_t{layout.size()});
  emulate(offset + 2U, static_cast<std::uint16_t>(control & (k64Bit | kMaskable | 7U << 1)));
  return true;
}

bool ConfigurationView::take_msix(std::uint8_t offset) {
  constexpr std::size_t kSize = 12;
  if (offset + kSize > kConventionalSize) return false;
  const std::uint32_t table = device32(offset + 4U), pending = device32(offset + 8U);
  MsixLayout layout{.offset = offset,
                    .vectors = static_cast<std::uint16_t>((device16(offset + 2U) & 0x7ff) + 1),
                    .table_bar = static_cast<std::uint8_t>(table & 7),
                    .pending_bar = static_cast<std::uint8_t>(pending & 7),
                    .table_offset = table & ~7U,
                    .pending_offset = pending & ~7U};
  if (layout.table_bar >= kBars || layout.pending_bar >= kBars) return false;
  msix_ = layout;
  emulate(offset + 2U, static_cast<std::uint16_t>(layout.vectors - 1));
  emulate(offset + 4U, table);
  emulate(offset + 8U, pending);
  return true;
}

// What is behind a root port is an endpoint with a link, and what is on the root bus an integrated one,
// whatever it is where it sits in the host (PCIe 5.0 §7.5.3.2). 0 when it does not fit.
std::size_t ConfigurationView::take_express(std::uint8_t offset, const std::string& name) {
  constexpr std::uint16_t kSlotImplemented = 1 << 8;
  const std::uint16_t flags = device16(offset + 2U);
  const unsigned version = flags & 0xf, type = flags >> 4 & 0xf;
  const std::size_t size = version >= 2 ? kExpressSize2 : kExpressSize1;
  if (offset + size > kConventionalSize) return 0;
  if (type != kTypeEndpoint && type != kTypeLegacyEndpoint && type != kTypeIntegratedEndpoint)
    refuse(name, "it is a PCI Express port or bridge, and those cannot be assigned");
  express_ = true;
  const unsigned other = behind_port_ ? kTypeIntegratedEndpoint : kTypeEndpoint;
  const unsigned shown = type != other ? type : behind_port_ ? kTypeEndpoint : kTypeIntegratedEndpoint;
  emulate(offset + 2U, static_cast<std::uint16_t>((flags & ~(kSlotImplemented | 0xf0U)) | shown << 4));
  if (shown == type || !behind_port_) return size;
  emulate<std::uint32_t>(offset + 0x0cU, kOneLane);
  emulate<std::uint32_t>(offset + 0x10U, kOneLane << 16);  // control 0, and the status
  if (version >= 2) {
    emulate<std::uint32_t>(offset + 0x2cU, 1 << 1);
    emulate<std::uint32_t>(offset + 0x30U, 1);
  }
  return size;
}

// The list is linked anew without what is hidden; where it begins there is always a header, if only an empty
// one (PCIe 5.0 §7.6.2, §7.9.28).
void ConfigurationView::take_extended_capabilities() {
  constexpr std::size_t kStep = 4;
  struct Found {
    std::size_t offset = 0;
    std::uint32_t header = 0;
  };
  std::bitset<kExtendedSize / kStep> visited;
  std::vector<Found> found;
  for (std::size_t offset = kConventionalSize; offset >= kConventionalSize && !visited[offset / kStep];) {
    visited[offset / kStep] = true;
    const std::uint32_t header = device32(offset);
    if (header == 0 || header == 0xffff'ffff) break;
    found.push_back({offset, header});
    offset = header >> 20 & 0xffc;
  }
  std::vector<Found> ordered = found;
  std::ranges::sort(ordered, {}, &Found::offset);
  // What belongs to nobody is not shown: a capability reaches up to the next, wherever the list begins.
  hide(kConventionalSize, kExtendedSize);
  const auto is_shown = [](const Found& each) { return !is_hidden(static_cast<std::uint16_t>(each.header)); };
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    if (!is_shown(ordered[i])) continue;
    const std::size_t end = i + 1 < ordered.size() ? ordered[i + 1].offset : std::size_t{kExtendedSize};
    std::fill(emulated_.begin() + static_cast<std::ptrdiff_t>(ordered[i].offset),
              emulated_.begin() + static_cast<std::ptrdiff_t>(end), std::byte{0});
  }
  std::size_t last = kConventionalSize;
  std::uint32_t last_header = 0;
  for (const Found& each : found) {
    if (!is_shown(each)) continue;
    if (each.offset != kConventionalSize)
      emulate(last, last_header | static_cast<std::uint32_t>(each.offset) << 20);
    last = each.offset;
    last_header = each.header & 0x000f'ffff;
    emulate(last, last_header);
  }
}

}  // namespace warren::vmm::vfio
