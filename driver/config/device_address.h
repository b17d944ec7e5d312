// Where a device sits in the guest: its place on the PCI bus or on a virtio-serial controller, and its alias.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warren::driver::config {

// <address type='pci' domain= bus= slot= function= multifunction=/>. Segment ("domain") is always 0 on q35.
struct PciAddress {
  std::uint16_t segment = 0;
  std::uint8_t bus = 0;
  std::uint8_t slot = 0;      // 0..31
  std::uint8_t function = 0;  // 0..7
  std::optional<bool> multifunction;
  bool operator==(const PciAddress&) const = default;
};

// "0000:00:1f.2"
std::string format_pci_address(const PciAddress& address);
// And back; nothing for any other text.
std::optional<PciAddress> parse_pci_address(std::string_view text);

// <address type='virtio-serial' controller= bus= port=/>
struct VirtioSerialAddress {
  std::uint32_t controller = 0;
  std::uint32_t bus = 0;
  std::uint32_t port = 0;
  bool operator==(const VirtioSerialAddress&) const = default;
};

// <address type='drive' controller= bus= target= unit=/>
struct DriveAddress {
  std::uint32_t controller = 0;
  std::uint32_t bus = 0;
  std::uint32_t target = 0;
  std::uint32_t unit = 0;
  bool operator==(const DriveAddress&) const = default;
};

inline constexpr std::uint32_t kSataPorts = 6;                          // units of a SATA controller
inline constexpr std::uint32_t kScsiTargets = 256, kScsiUnits = 16384;  // of a virtio SCSI controller

// What every device has. `alias` is kept in a persistent definition only if it is the user's own ("ua-…").
struct DeviceInfo {
  std::string alias;                        // empty: none yet
  std::optional<PciAddress> pci;            // none: fill_defaults chooses
  std::optional<std::uint32_t> boot_order;  // from 1
  bool operator==(const DeviceInfo&) const = default;
};

}  // namespace warren::driver::config
