// The 6300ESB watchdog, pvpanic and the generation id. Two tests end the machine: the host says how.
#include <string_view>

#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/runtime/test.h"

namespace guest {
namespace {

constexpr std::uint16_t kConfiguration = 0x60, kLock = 0x68, kInterruptOff = 3, kNoReset = 1 << 5;
constexpr std::uint8_t kLocked = 1, kEnabled = 2;
constexpr std::uint16_t kReload = 1 << 8, kTimedOut = 1 << 9;
constexpr std::uint16_t kPanicPort = 0x505;

class Watchdog {
 public:
  Watchdog() {
    for (PciFunction& function : pci_functions())
      if (function.vendor() == 0x8086 && function.device() == 0x25ab) function_ = &function;
    if (function_ == nullptr) return;
    function_->enable();
    registers_ = function_->bar(0).address;
  }
  explicit operator bool() const { return function_ != nullptr; }
  PciFunction& function() { return *function_; }
  std::uint64_t registers() const { return registers_; }

  void unlock() {
    write16(registers_ + 0xc, 0x80);
    write16(registers_ + 0xc, 0x86);
  }
  // About so many milliseconds each.
  void set_stages(std::uint32_t first, std::uint32_t second) {
    unlock();
    write32(registers_, first);
    unlock();
    write32(registers_ + 4, second);
  }
  void reload(std::uint16_t what) {
    unlock();
    write16(registers_ + 0xc, what);
  }
  bool timed_out() const { return (read16(registers_ + 0xc) & kTimedOut) != 0; }

 private:
  PciFunction* function_ = nullptr;
  std::uint64_t registers_ = 0;
};

// Where `text` is in the DSDT; 0 when it is not.
std::uint32_t find_in_dsdt(std::string_view text) {
  const AcpiTable dsdt = acpi_dsdt();
  for (std::uint32_t at = 36; at + text.size() <= dsdt.length(); ++at) {
    std::size_t same = 0;
    while (same < text.size() &&
           dsdt.u8(at + static_cast<std::uint32_t>(same)) == static_cast<std::uint8_t>(text[same]))
      ++same;
    if (same == text.size()) return at;
  }
  return 0;
}

}  // namespace

TEST(watchdog, registers) {
  Watchdog watchdog;
  if (!watchdog) SKIP("no watchdog");
  EXPECT_EQUAL(watchdog.function().class_code(), 0x088000u);
  write32(watchdog.registers(), 7);
  EXPECT_EQUAL(read32(watchdog.registers()), 0xfffffu);
  watchdog.set_stages(0x123, 0xfff00456);
  EXPECT_EQUAL(read32(watchdog.registers()), 0x123u);
  EXPECT_EQUAL(read32(watchdog.registers() + 4), 0x456u);
  watchdog.function().write16(kConfiguration, 0xffff);
  EXPECT_EQUAL(unsigned{watchdog.function().read16(kConfiguration)}, 0x27u);
  watchdog.function().write16(kConfiguration, 0);
  for (std::uint64_t offset = 0; offset < 16; ++offset) {
    static_cast<void>(read8(watchdog.registers() + offset));
    write8(watchdog.registers() + offset, 0xff);
  }
}

TEST(watchdog, reloaded_in_time) {
  Watchdog watchdog;
  if (!watchdog) SKIP("no watchdog");
  watchdog.function().write16(kConfiguration, kInterruptOff | kNoReset);
  watchdog.reload(kTimedOut);
  watchdog.set_stages(150, 150);
  watchdog.function().write8(kLock, kEnabled);
  for (int i = 0; i < 10; ++i) {
    wait_milliseconds(50);
    watchdog.reload(kReload);
  }
  EXPECT(!watchdog.timed_out());
  EXPECT(wait_until([&] { return watchdog.timed_out(); }, 2000));  // and then not any more
  watchdog.function().write8(kLock, 0);
  watchdog.reload(kTimedOut);
  EXPECT(!watchdog.timed_out());
}

// What becomes of the machine is up to its definition.
TEST(watchdog, left_alone) {
  Watchdog watchdog;
  if (!watchdog) SKIP("no watchdog");
  watchdog.function().write16(kConfiguration, kInterruptOff);
  watchdog.set_stages(20, 20);
  watchdog.function().write8(kLock, kLocked | kEnabled);
  wait_milliseconds(10000);
  EXPECT(false);
}

TEST(panic, found_by_acpi) {
  if (find_in_dsdt("QEMU0001") == 0) SKIP("no panic device");
  EXPECT_EQUAL(unsigned{in8(kPanicPort)}, 3u);
  out8(kPanicPort, 2);  // a kernel that dumps itself is no end
  out8(kPanicPort, 0xfc);
}

TEST(panic, told) {
  if (find_in_dsdt("QEMU0001") == 0) SKIP("no panic device");
  out8(kPanicPort, 1);
  wait_milliseconds(10000);
  EXPECT(false);
}

// The host's test says which id it is: 00112233-4455-6677-8899-aabbccddeeff.
TEST(generation_id, address_and_value) {
  if (find_in_dsdt("VM_Gen_Counter") == 0) SKIP("no generation id");
  // Name(ADDR, Package(2){DWordConst, Zero})
  const std::uint32_t at = find_in_dsdt("ADDR\x12");
  REQUIRE(at != 0);
  const AcpiTable dsdt = acpi_dsdt();
  REQUIRE_EQUAL(unsigned{dsdt.u8(at + 6)}, 2u);
  REQUIRE_EQUAL(unsigned{dsdt.u8(at + 7)}, 0x0cu);
  const std::uint64_t address = dsdt.u32(at + 8);
  EXPECT_EQUAL(address % 4096, 0u);
  EXPECT_EQUAL(read32(address), 0x00112233u);
  EXPECT_EQUAL(unsigned{read16(address + 4)}, 0x4455u);
  EXPECT_EQUAL(unsigned{read16(address + 6)}, 0x6677u);
  EXPECT_EQUAL(read64(address + 8), 0xffeeddccbbaa9988u);
}

}  // namespace guest
