// What a guest sees of an assigned device's configuration space: which bytes are the device's own, which are
// emulated and with what content, and where the capabilities are that interrupts come by.
//
// Made from the device's bytes, which are hostile: lists of capabilities that run in circles or leave the
// space end there, and a capability that would reach into another is not shown. References: PCI 3.0 §6,
// PCIe 5.0 §7.5, §7.6.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "vmm-core/pci/bar.h"
#include "vmm-core/pci/registers.h"

namespace warren::vmm::vfio {

// The MSI capability (PCI 3.0 §6.8.1).
struct MsiLayout {
  std::uint8_t offset = 0;
  std::uint8_t vectors = 1;  // 1, 2, 4 … 32
  bool is_64bit = false;
  bool maskable = false;

  std::uint16_t data_offset() const noexcept {
    return static_cast<std::uint16_t>(offset + (is_64bit ? 12 : 8));
  }
  std::uint16_t mask_offset() const noexcept {
    return static_cast<std::uint16_t>(offset + (is_64bit ? 16 : 12));
  }
  std::uint16_t size() const noexcept {
    return static_cast<std::uint16_t>((is_64bit ? 14 : 10) + (maskable ? 10 : 0));
  }
};

// The MSI-X capability (PCI 3.0 §6.8.2). Whether the BARs hold the tables is not looked at here.
struct MsixLayout {
  std::uint8_t offset = 0;
  std::uint16_t vectors = 1;  // 1 to 2048
  std::uint8_t table_bar = 0, pending_bar = 0;
  std::uint32_t table_offset = 0, pending_offset = 0;
};

class ConfigurationView {
 public:
  // `device`: the bytes of a whole space, 256 or 4096 of them. `name` is for messages. In the guest it sits
  // behind a root port, or else on the root bus. Throws Error for what is no device that can be assigned: a
  // bridge or port, or nothing at all.
  ConfigurationView(std::span<const std::byte> device, const std::string& name, bool behind_port);

  // 256 or 4096: as much as the guest has.
  std::size_t size() const noexcept { return size_; }
  // Which bits of the byte the guest sees as value() says; the others are the device's.
  std::uint8_t emulated(std::uint16_t offset) const noexcept {
    return std::to_integer<std::uint8_t>(emulated_[offset]);
  }
  std::uint8_t value(std::uint16_t offset) const noexcept {
    return std::to_integer<std::uint8_t>(values_[offset]);
  }
  // The low bits of BARs, as the device has them.
  const std::array<std::uint32_t, pci::kBars>& bars() const noexcept { return bars_; }
  bool has_interrupt_pin() const noexcept { return has_pin_; }
  const std::optional<MsiLayout>& msi() const noexcept { return msi_; }
  const std::optional<MsixLayout>& msix() const noexcept { return msix_; }
  bool is_express() const noexcept { return express_; }

 private:
  std::uint32_t device32(std::size_t offset) const noexcept;
  std::uint16_t device16(std::size_t offset) const noexcept;
  std::uint8_t device8(std::size_t offset) const noexcept;
  template <typename T>
  void emulate(std::size_t offset, T value) noexcept;
  void hide(std::size_t first, std::size_t end) noexcept;

  void take_header(const std::string& name);
  void take_capabilities(const std::string& name);
  // False when it is not to be shown; else how many bytes of it are known.
  std::optional<std::size_t> take_capability(std::uint8_t id, std::uint8_t offset, const std::string& name);
  bool take_msi(std::uint8_t offset);
  bool take_msix(std::uint8_t offset);
  std::size_t take_express(std::uint8_t offset, const std::string& name);
  void take_extended_capabilities();

  std::span<const std::byte> device_;  // while it is made
  const bool behind_port_;
  std::size_t size_ = pci::kConventionalSize;
  std::array<std::byte, pci::kExtendedSize> values_{};
  std::array<std::byte, pci::kExtendedSize> emulated_{};
  std::array<std::uint32_t, pci::kBars> bars_{};
  std::optional<MsiLayout> msi_;
  std::optional<MsixLayout> msix_;
  bool has_pin_ = false;
  bool express_ = false;
};

}  // namespace warren::vmm::vfio
