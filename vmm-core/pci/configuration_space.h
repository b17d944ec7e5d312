// The bytes of a function's configuration space: what they hold, which bits a guest may change, and the list
// of capabilities (PCI 3.0 §6.1, §6.7). No meaning beyond that.
//
// Not synchronized: Function holds its lock around it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm-core/pci/registers.h"

namespace warren::vmm::pci {

class ConfigurationSpace {
 public:
  std::uint8_t get8(std::uint16_t offset) const noexcept;
  std::uint16_t get16(std::uint16_t offset) const noexcept;
  std::uint32_t get32(std::uint16_t offset) const noexcept;
  // From the device's side: no mask applies.
  void set8(std::uint16_t offset, std::uint8_t value) noexcept;
  void set16(std::uint16_t offset, std::uint16_t value) noexcept;
  void set32(std::uint16_t offset, std::uint32_t value) noexcept;

  // Which bits the guest may write, and which of them are cleared by writing 1 (status bits).
  void set_writable8(std::uint16_t offset, std::uint8_t mask) noexcept;
  void set_writable16(std::uint16_t offset, std::uint16_t mask) noexcept;
  void set_writable32(std::uint16_t offset, std::uint32_t mask) noexcept;
  void set_write_one_clears16(std::uint16_t offset, std::uint16_t mask) noexcept;

  // Appends a capability of `size` bytes, its two header bytes included, and returns where it begins. Throws
  // Error when the space is used up.
  std::uint8_t add_capability(std::uint8_t id, std::size_t size);

  // From the guest's side: 1, 2 or 4 bytes inside the 256.
  void read(std::uint16_t offset, std::span<std::byte> data) const noexcept;
  void write(std::uint16_t offset, std::span<const std::byte> data) noexcept;

  // Makes what the space holds now what reset() returns to.
  void set_defaults() noexcept { defaults_ = bytes_; }
  void reset() noexcept { bytes_ = defaults_; }

  using Bytes = std::array<std::byte, kConventionalSize>;
  const Bytes& bytes() const noexcept { return bytes_; }
  // Takes the guest-writable bits of `saved` and keeps the rest.
  void restore(std::span<const std::byte, kConventionalSize> saved) noexcept;

 private:
  Bytes bytes_{};
  Bytes writable_{};
  Bytes write_one_clears_{};
  Bytes defaults_{};
  std::uint16_t next_free_ = kFirstCapability;
  std::uint16_t last_link_ = kCapabilitiesPointer;
};

}  // namespace warren::vmm::pci
