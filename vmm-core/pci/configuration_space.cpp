#include "vmm-core/pci/configuration_space.h"

#include <algorithm>
#include <cstring>

#include "vmm-core/os/error.h"

namespace warren::vmm::pci {
namespace {

template <typename T>
T load(const ConfigurationSpace::Bytes& bytes, std::uint16_t offset) noexcept {
  T value = 0;  // configuration space is little-endian, as x86 is
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <typename T>
void store(ConfigurationSpace::Bytes& bytes, std::uint16_t offset, T value) noexcept {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace

std::uint8_t ConfigurationSpace::get8(std::uint16_t offset) const noexcept {
  return load<std::uint8_t>(bytes_, offset);
}
std::uint16_t ConfigurationSpace::get16(std::uint16_t offset) const noexcept {
  return load<std::uint16_t>(bytes_, offset);
}
std::uint32_t ConfigurationSpace::get32(std::uint16_t offset) const noexcept {
  return load<std::uint32_t>(bytes_, offset);
}
void ConfigurationSpace::set8(std::uint16_t offset, std::uint8_t value) noexcept {
  store(bytes_, offset, value);
}
void ConfigurationSpace::set16(std::uint16_t offset, std::uint16_t value) noexcept {
  store(bytes_, offset, value);
}
void ConfigurationSpace::set32(std::uint16_t offset, std::uint32_t value) noexcept {
  store(bytes_, offset, value);
}
void ConfigurationSpace::set_writable8(std::uint16_t offset, std::uint8_t mask) noexcept {
  store(writable_, offset, mask);
}
void ConfigurationSpace::set_writable16(std::uint16_t offset, std::uint16_t mask) noexcept {
  store(writable_, offset, mask);
}
void ConfigurationSpace::set_writable32(std::uint16_t offset, std::uint32_t mask) noexcept {
  store(writable_, offset, mask);
}
void ConfigurationSpace::set_write_one_clears16(std::uint16_t offset, std::uint16_t mask) noexcept {
  store(write_one_clears_, offset, mask);
}

std::uint8_t ConfigurationSpace::add_capability(std::uint8_t id, std::size_t size) {
  if (size < 2 || size > static_cast<std::size_t>(kConventionalSize - next_free_)) {
    throw Error(std::errc::no_buffer_space, "PCI capability " + std::to_string(id) + " of " +
                                                std::to_string(size) +
                                                " bytes: no room in configuration space");
  }
  const auto offset = static_cast<std::uint8_t>(next_free_);
  set8(last_link_, offset);
  set8(offset, id);
  last_link_ = static_cast<std::uint16_t>(offset + 1);
  set16(kStatus, static_cast<std::uint16_t>(get16(kStatus) | kStatusCapabilities));
  // Capabilities begin at doublewords (PCI 3.0 §6.7).
  next_free_ = static_cast<std::uint16_t>((next_free_ + size + 3) & ~std::size_t{3});
  return offset;
}

void ConfigurationSpace::read(std::uint16_t offset, std::span<std::byte> data) const noexcept {
  std::memcpy(data.data(), bytes_.data() + offset, data.size());
}

void ConfigurationSpace::write(std::uint16_t offset, std::span<const std::byte> data) noexcept {
  for (std::size_t i = 0; i < data.size(); ++i) {
    std::byte& byte = bytes_[offset + i];
    const std::byte mask = writable_[offset + i];
    byte = (byte & ~mask) | (data[i] & mask);
    byte &= ~(data[i] & write_one_clears_[offset + i]);
  }
}

void ConfigurationSpace::restore(std::span<const std::byte, kConventionalSize> saved) noexcept {
  for (std::size_t i = 0; i < kConventionalSize; ++i) {
    const std::byte mask = writable_[i] | write_one_clears_[i];
    bytes_[i] = (bytes_[i] & ~mask) | (saved[i] & mask);
  }
}

}  // namespace warren::vmm::pci
