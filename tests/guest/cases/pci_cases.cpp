// PCI configuration space, BARs and decoding (PCI 3.0 §3.2, §6).
#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/runtime/test.h"

namespace guest {
namespace {

// A function with a memory BAR whose first register reads something else than all ones; null if none.
PciFunction* find_memory_function(PciBar& bar, unsigned& index) {
  for (auto& function : pci_functions()) {
    if (function.is_bridge()) continue;
    function.enable();
    for (index = 0; index < 6; ++index) {
      bar = function.bar(index);
      if (bar.size >= 0x1000 && !bar.io && read32(bar.address) != 0xffffffff) return &function;
      if (bar.wide) ++index;
    }
  }
  return nullptr;
}

}  // namespace

TEST(pci, host_bridge) {
  auto functions = pci_functions();
  REQUIRE(!functions.empty());
  EXPECT_EQUAL(functions[0].class_code() >> 8, 0x0600u);
  EXPECT(functions[0].vendor() != 0xffff);
}

TEST(pci, ports_and_ecam_agree) {
  for (const auto& function : pci_functions()) {
    std::uint64_t base = ecam_address(function.address());
    REQUIRE(base != 0);
    for (std::uint16_t offset = 0; offset < 256; offset = static_cast<std::uint16_t>(offset + 4))
      EXPECT_EQUAL(read32(base + offset), port_config_read32(function.address(), offset));
  }
}

TEST(pci, narrow_reads_agree) {
  for (const auto& function : pci_functions()) {
    auto address = function.address();
    std::uint64_t base = ecam_address(address);
    for (std::uint16_t offset = 0; offset < 64; ++offset) {
      std::uint32_t word = port_config_read32(address, static_cast<std::uint16_t>(offset & ~3));
      std::uint32_t byte = word >> 8 * (offset & 3) & 0xff;
      EXPECT_EQUAL(std::uint32_t{port_config_read8(address, offset)}, byte);
      EXPECT_EQUAL(std::uint32_t{read8(base + offset)}, byte);
      if (offset % 2 == 0)
        EXPECT_EQUAL(std::uint32_t{port_config_read16(address, offset)}, word >> 8 * (offset & 2) & 0xffff);
    }
  }
}

TEST(pci, absent_function) {
  PciAddress absent{0, 31, 7};
  for (const auto& function : pci_functions())
    if (function.address().device == 31 && function.address().function == 7) SKIP("00:1f.7 exists");
  EXPECT_EQUAL(port_config_read32(absent, 0), 0xffffffffu);
  EXPECT_EQUAL(read32(ecam_address(absent)), 0xffffffffu);
  write32(ecam_address(absent), 0);
  EXPECT_EQUAL(read32(ecam_address(absent)), 0xffffffffu);
}

TEST(pci, config_address_register) {
  out32(0xcf8, 0x80000010);
  EXPECT_EQUAL(in32(0xcf8), 0x80000010u);
  out32(0xcf8, 0);  // the enable bit off: no configuration access
  EXPECT_EQUAL(in32(0xcfc), 0xffffffffu);
}

TEST(pci, read_only_fields) {
  for (auto& function : pci_functions()) {
    std::uint32_t id = function.read32(0), kind = function.read32(8), subsystem = function.read32(0x2c);
    std::uint8_t header = function.read8(0x0e);
    function.write32(0, 0);
    function.write32(8, 0x12345678);
    function.write8(0x0e, 0x7f);
    if (!function.is_bridge()) function.write32(0x2c, 0xffffffff);
    EXPECT_EQUAL(function.read32(0), id);
    EXPECT_EQUAL(function.read32(8), kind);
    EXPECT_EQUAL(unsigned{function.read8(0x0e)}, unsigned{header});
    if (!function.is_bridge()) EXPECT_EQUAL(function.read32(0x2c), subsystem);
  }
}

TEST(pci, capabilities) {
  for (const auto& function : pci_functions()) {
    if (!(function.read16(6) & 1 << 4)) continue;
    bool seen[256] = {};
    for (std::uint8_t at = function.read8(0x34); at != 0;
         at = function.read8(static_cast<std::uint16_t>(at + 1))) {
      REQUIRE(at >= 0x40 && at % 4 == 0);
      REQUIRE(!seen[at]);
      seen[at] = true;
    }
  }
}

TEST(pci, bars) {
  for (auto& function : pci_functions()) {
    if (function.is_bridge()) continue;
    for (unsigned index = 0; index < 6; ++index) {
      auto bar = function.bar(index);
      if (bar.size != 0) {
        EXPECT((bar.size & (bar.size - 1)) == 0);
        EXPECT_EQUAL(bar.address & (bar.size - 1), std::uint64_t{0});
        EXPECT(bar.size >= (bar.io ? 4u : 16u));
      }
      if (bar.wide) ++index;
    }
  }
}

TEST(pci, bars_do_not_overlap) {
  PciBar bars[64];
  unsigned count = 0;
  for (auto& function : pci_functions()) {
    if (function.is_bridge()) continue;
    function.enable();
    for (unsigned index = 0; index < 6 && count < 64; ++index) {
      auto bar = function.bar(index);
      if (bar.size != 0 && !bar.io) bars[count++] = bar;
      if (bar.wide) ++index;
    }
  }
  for (unsigned i = 0; i < count; ++i)
    for (unsigned j = 0; j < i; ++j)
      EXPECT(bars[i].address + bars[i].size <= bars[j].address ||
             bars[j].address + bars[j].size <= bars[i].address);
}

TEST(pci, memory_decoding_off) {
  PciBar bar;
  unsigned index;
  auto* function = find_memory_function(bar, index);
  if (function == nullptr) SKIP("no memory BAR with a readable register");
  std::uint32_t value = read32(bar.address);
  std::uint16_t command = function->read16(4);
  function->write16(4, static_cast<std::uint16_t>(command & ~2));
  EXPECT_EQUAL(read32(bar.address), 0xffffffffu);
  function->write16(4, command);
  EXPECT_EQUAL(read32(bar.address), value);
}

TEST(pci, bar_moves) {
  PciBar bar;
  unsigned index;
  auto* function = find_memory_function(bar, index);
  if (function == nullptr) SKIP("no memory BAR with a readable register");
  auto offset = static_cast<std::uint16_t>(0x10 + 4 * index);
  std::uint32_t value = read32(bar.address);
  std::uint64_t elsewhere = 0xfe000000;
  std::uint32_t high = bar.wide ? function->read32(static_cast<std::uint16_t>(offset + 4)) : 0;
  std::uint32_t low = function->read32(offset);
  std::uint16_t command = function->read16(4);
  function->write16(4, static_cast<std::uint16_t>(command & ~2));
  function->write32(offset, static_cast<std::uint32_t>(elsewhere));
  if (bar.wide) function->write32(static_cast<std::uint16_t>(offset + 4), 0);
  function->write16(4, command);
  EXPECT_EQUAL(read32(elsewhere), value);
  EXPECT_EQUAL(read32(bar.address), 0xffffffffu);
  function->write16(4, static_cast<std::uint16_t>(command & ~2));
  function->write32(offset, low);
  if (bar.wide) function->write32(static_cast<std::uint16_t>(offset + 4), high);
  function->write16(4, command);
  EXPECT_EQUAL(read32(bar.address), value);
}

// T5: every width at every offset of every function's 4 KiB, across dwords too, by both mechanisms.
TEST(pci, config_access_sweep) {
  for (const auto& function : pci_functions()) {
    std::uint64_t base = ecam_address(function.address());
    REQUIRE(base != 0);
    for (std::uint16_t offset = 0; offset < 0x110; ++offset) {
      read8(base + offset);
      read16(base + offset);
      read32(base + offset);
      read64(base + offset);
    }
    for (std::uint64_t offset : {0xff8u, 0xffcu, 0xffeu, 0xfffu}) read8(base + offset);
    out32(0xcf8, 0x80000000 | static_cast<std::uint32_t>(function.address().device) << 11);
    for (std::uint16_t port = 0xcf8; port < 0xd00; ++port) {
      in8(port);
      in16(port);
      in32(port);
    }
  }
  EXPECT(pci_functions()[0].vendor() != 0xffff);
}

// T5: writes of every width to configuration bytes that hold nothing, or are read only, leave the identity
// alone.
TEST(pci, config_write_sweep) {
  for (auto& function : pci_functions()) {
    if (function.class_code() >> 8 != 0x00ff && function.vendor() != 0x1af4) continue;  // ours to break
    std::uint64_t base = ecam_address(function.address());
    std::uint32_t id = function.read32(0);
    std::uint32_t saved[64];
    for (unsigned i = 0; i < 64; ++i) saved[i] = function.read32(static_cast<std::uint16_t>(4 * i));
    for (std::uint16_t offset = 0; offset < 256; ++offset) {
      write8(base + offset, 0xff);
      write16(base + offset, 0xffff);
      write32(base + offset, 0xffffffff);
      write64(base + offset, 0);
    }
    for (unsigned i = 0; i < 64; ++i) function.write32(static_cast<std::uint16_t>(4 * i), saved[i]);
    EXPECT_EQUAL(function.read32(0), id);
  }
}

}  // namespace guest
