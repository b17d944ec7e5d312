#include "vmm-core/pci/function.h"

#include <array>
#include <limits>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"
#include "vmm-core/pci/fake_interrupts.h"
#include "vmm-core/pci/root_complex.h"

namespace warren::vmm::pci {
namespace {

// Sixteen bytes of registers and memory of where its BARs were.
class TestFunction final : public Function, public IoHandler, public BarListener {
 public:
  TestFunction(AddressSpace& memory, AddressSpace& ports, MsiRouter& messages, bool& line,
               std::string name = "test")
      : Function(std::move(name),
                 {.vendor = 0x1af4, .device = 0x1042, .class_code = 0x010802, .subsystem = 7},
                 {memory, ports, std::make_unique<FakeLine>(line)}) {
    add_bar({.index = 0, .kind = BarKind::io, .size = 32, .handler = this});
    add_msix_with_bar(messages, 2, 1);
    add_bar({.index = 4,
             .kind = BarKind::memory64_prefetchable,
             .size = 0x4000,
             .handler = this,
             .listener = this});
    use_interrupt_pin();
    const std::array<std::byte, 4> body = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
    const std::array<std::byte, 4> writable = {std::byte{0}, std::byte{0xf0}};
    vendor_ = add_capability(kCapabilityVendor, body, writable);
  }
  using Function::bar_address;
  using Function::is_bus_master;
  using Function::msix;
  using Function::set_interrupt;

  void read(std::uint64_t, std::span<std::byte> data) noexcept override {
    for (auto& byte : data) byte = std::byte{0x5a};
  }
  void write(std::uint64_t, std::span<const std::byte>) noexcept override {}
  void bar_mapped(unsigned, GuestAddress address) noexcept override { mapped_ = address; }
  void bar_unmapped(unsigned) noexcept override { mapped_.reset(); }

  std::optional<GuestAddress> mapped_;
  std::uint8_t vendor_ = 0;
};

class FunctionTest : public testing::Test {
 protected:
  std::uint32_t get(std::uint16_t offset, std::size_t size = 4) {
    std::array<std::byte, 4> data{};
    function_.config_read(offset, std::span(data).first(size));
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value |= std::to_integer<std::uint32_t>(data[i]) << (8 * i);
    return value;
  }
  void set(std::uint16_t offset, std::uint32_t value, std::size_t size = 4) {
    std::array<std::byte, 4> data{};
    for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::byte>(value >> (8 * i));
    function_.config_write(offset, std::span(data).first(size));
  }
  bool answers(AddressSpace& space, std::uint64_t address) {
    std::array<std::byte, 1> data{};
    space.read(address, data);
    return data[0] == std::byte{0x5a};
  }

  AddressSpace memory_{"mmio", std::numeric_limits<std::uint64_t>::max()};
  AddressSpace ports_{"ports", 0xffff};
  FakeMessages messages_;
  bool line_ = false;
  TestFunction function_{memory_, ports_, messages_, line_};
};

TEST_F(FunctionTest, TheHeaderSaysWhatItIs) {
  EXPECT_EQ(get(kVendorId), 0x10421af4U);
  EXPECT_EQ(get(kRevisionId), 0x01080200U);
  EXPECT_EQ(get(kHeaderType, 1), 0U);
  EXPECT_EQ(get(kSubsystemId, 2), 7U);
  EXPECT_EQ(get(kInterruptPin, 1), 1U);
  set(kVendorId, 0);
  set(kRevisionId, 0);
  EXPECT_EQ(get(kVendorId), 0x10421af4U) << "read-only";
}

TEST_F(FunctionTest, CapabilitiesFormAList) {
  EXPECT_EQ(get(kStatus, 2) & kStatusCapabilities, kStatusCapabilities);
  std::vector<std::uint32_t> ids;
  for (std::uint32_t at = get(kCapabilitiesPointer, 1); at != 0;
       at = get(static_cast<std::uint16_t>(at + 1), 1)) {
    EXPECT_EQ(at % 4, 0U);
    ids.push_back(get(static_cast<std::uint16_t>(at), 1));
    ASSERT_LE(ids.size(), 8U);
  }
  EXPECT_EQ(ids, (std::vector<std::uint32_t>{kCapabilityMsix, kCapabilityVendor}));
  set(function_.vendor_, 0xffff'ffff);
  EXPECT_EQ(get(function_.vendor_), 0xf2010009U) << "only the writable bits have changed";
}

TEST_F(FunctionTest, BarsTellTheirSize) {
  set(kBar0, 0xffff'ffff);
  EXPECT_EQ(get(kBar0), 0xffff'ffe1U);
  set(kBar0 + 16, 0xffff'ffff);
  set(kBar0 + 20, 0xffff'ffff);
  EXPECT_EQ(get(kBar0 + 16), 0xffff'c00cU);
  EXPECT_EQ(get(kBar0 + 20), 0xffff'ffffU);
  set(kBar0 + 8, 0xffff'ffff);
  EXPECT_EQ(get(kBar0 + 8), 0U) << "no such BAR";
}

TEST_F(FunctionTest, BarsAnswerWhereTheGuestPutsThem) {
  set(kBar0, 0xc000);
  set(kBar0 + 16, 0xe000'0000);
  set(kBar0 + 20, 0x8);
  EXPECT_FALSE(answers(ports_, 0xc000));
  set(kCommand, kCommandIo | kCommandMemory, 2);
  EXPECT_TRUE(answers(ports_, 0xc01f));
  EXPECT_TRUE(answers(memory_, 0x8'e000'3fff));
  EXPECT_EQ(function_.mapped_, GuestAddress{0x8'e000'0000});
  set(kBar0 + 20, 0x9);
  EXPECT_FALSE(answers(memory_, 0x8'e000'0000));
  EXPECT_TRUE(answers(memory_, 0x9'e000'0000));
  EXPECT_EQ(function_.mapped_, GuestAddress{0x9'e000'0000});
  set(kBar0 + 17, 0x12, 1);
  EXPECT_EQ(function_.bar_address(4), GuestAddress{0x9'e000'0000}) << "below the size: hard-wired to 0";
  set(kBar0 + 17, 0x42, 1);
  EXPECT_EQ(function_.bar_address(4), GuestAddress{0x9'e000'4000}) << "one byte alone moves it too";
  set(kCommand, 0, 2);
  EXPECT_FALSE(answers(memory_, 0x9'e000'4000));
  EXPECT_FALSE(function_.mapped_);
}

TEST_F(FunctionTest, ThePinFollowsStateAndDisableBit) {
  function_.set_interrupt(true);
  EXPECT_TRUE(line_);
  EXPECT_EQ(get(kStatus, 2) & kStatusInterrupt, kStatusInterrupt);
  set(kCommand, kCommandInterruptDisable, 2);
  EXPECT_FALSE(line_);
  EXPECT_EQ(get(kStatus, 2) & kStatusInterrupt, kStatusInterrupt)
      << "whatever the disable bit says (PCI 3.0 §6.2.3)";
  set(kCommand, 0, 2);
  EXPECT_TRUE(line_);
  function_.reset();
  EXPECT_FALSE(line_);
}

TEST_F(FunctionTest, MsixIsControlledThroughItsCapability) {
  const auto at = static_cast<std::uint16_t>(get(kCapabilitiesPointer, 1));
  EXPECT_EQ(get(static_cast<std::uint16_t>(at + 2), 2), 1U) << "two vectors";
  EXPECT_EQ(get(static_cast<std::uint16_t>(at + 4)), 1U) << "BAR 1";
  EXPECT_EQ(get(static_cast<std::uint16_t>(at + 8)), 0x801U);
  set(static_cast<std::uint16_t>(at + 2), 0x8000, 2);
  EXPECT_TRUE(function_.msix().enabled());
  set(static_cast<std::uint16_t>(at + 3), 0x00, 1);
  EXPECT_FALSE(function_.msix().enabled());
  set(kBar0 + 4, 0xd000'0000);
  set(kCommand, kCommandMemory, 2);
  const std::uint32_t data = 0x31;
  memory_.write(0xd000'0008, std::as_bytes(std::span(&data, 1)));
  std::uint32_t got = 0;
  memory_.read(0xd000'0008, std::as_writable_bytes(std::span(&got, 1)));
  EXPECT_EQ(got, 0x31U);
  memory_.read(0xd000'0800, std::as_writable_bytes(std::span(&got, 1)));
  EXPECT_EQ(got, 0U) << "nothing is pending";
}

TEST_F(FunctionTest, TheSpaceBehind256BytesIsNotThere) {
  EXPECT_EQ(get(0x100), 0xffff'ffffU);
  set(0x100, 0);
  EXPECT_EQ(get(0xffc), 0xffff'ffffU);
}

TEST_F(FunctionTest, ResetTakesEverythingBack) {
  set(kBar0 + 16, 0xe000'0000);
  set(kCommand, kCommandMemory | kCommandBusMaster, 2);
  EXPECT_TRUE(function_.is_bus_master());
  function_.reset();
  EXPECT_FALSE(function_.is_bus_master());
  EXPECT_FALSE(function_.mapped_);
  EXPECT_EQ(get(kBar0 + 16), 0xcU);
  EXPECT_EQ(get(kCommand, 2), 0U);
}

TEST_F(FunctionTest, ADeviceMayGoWhileItsBarsAnswer) {
  const std::uint32_t address = 0xd800'0000;
  const std::uint16_t command = kCommandMemory;
  {
    bool line = false;
    TestFunction other(memory_, ports_, messages_, line);
    other.config_write(kBar0 + 16, std::as_bytes(std::span(&address, 1)));
    other.config_write(kCommand, std::as_bytes(std::span(&command, 1)));
    EXPECT_TRUE(answers(memory_, address));
  }
  EXPECT_FALSE(answers(memory_, address));
}

TEST_F(FunctionTest, StateComesBack) {
  set(kBar0 + 16, 0xe000'0000);
  set(kCommand, kCommandMemory | kCommandBusMaster, 2);
  function_.set_interrupt(true);
  const FunctionState state = function_.save_function();
  function_.reset();
  function_.restore_function(state);
  EXPECT_EQ(function_.mapped_, GuestAddress{0xe000'0000});
  EXPECT_TRUE(function_.is_bus_master());
  EXPECT_TRUE(line_);
  // T21: a state of another device, with read-only bytes changed.
  FunctionState foreign = state;
  foreign.msix.reset();
  EXPECT_THROW(function_.restore_function(foreign), Error);
  foreign = state;
  foreign.configuration.fill(std::byte{0xff});
  function_.restore_function(foreign);
  EXPECT_EQ(get(kVendorId), 0x10421af4U);
}

TEST_F(FunctionTest, T5EveryByteTakesEveryWidth) {
  for (std::uint16_t offset = 0; offset < kExtendedSize; ++offset) {
    for (std::size_t size = 1; size <= 4U - offset % 4; ++size) {
      for (const std::uint32_t value : {0xffff'ffffU, 0U, 0xa5a5'a5a5U}) {
        set(offset, value, size);
        get(offset, size);
      }
    }
  }
  EXPECT_EQ(get(kVendorId), 0x10421af4U);
}

class RootComplexTest : public FunctionTest {
 protected:
  RootComplexTest() {
    root_.attach(3, 0, function_);
    root_.attach(3, 1, second_);
    root_.attach_port(4, 0, port_);
    port_.attach(0, behind_);
  }
  void place() {
    root_.place_bars({.io = {0xc000, 0xffff},
                      .memory32 = {0xc000'0000, 0xfebf'ffff},
                      .memory64 = {0x8'0000'0000, 0xf'ffff'ffff}});
  }
  std::uint32_t by_ports(std::uint32_t address) {
    root_.ports().write(0, std::as_bytes(std::span(&address, 1)));
    std::uint32_t value = 0;
    root_.ports().read(4, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  std::uint32_t by_memory(std::uint64_t offset) {
    std::uint32_t value = 0;
    root_.ecam().read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }

  bool other_line_ = false;
  TestFunction second_{memory_, ports_, messages_, other_line_, "second"};
  TestFunction behind_{memory_, ports_, messages_, other_line_, "behind"};
  RootPort port_{"port", {memory_, ports_, nullptr}, 1};
  RootComplex root_;
};

TEST_F(RootComplexTest, BothMechanismsReachTheFunction) {
  EXPECT_EQ(by_ports(0x8000'0000 | 3 << 11), 0x10421af4U);
  EXPECT_EQ(by_memory(3 << 15), 0x10421af4U);
  EXPECT_EQ(by_memory(3 << 15 | 1 << 12), 0x10421af4U);
  EXPECT_EQ(by_memory(3 << 15 | kCacheLineSize) >> 16 & 0xff, 0x80U) << "there are more functions";
  EXPECT_EQ(by_ports(0x8000'0000 | 5 << 11), 0xffff'ffffU);
  EXPECT_EQ(by_ports(3 << 11), 0xffff'ffffU) << "not enabled";
  EXPECT_EQ(by_memory(std::uint64_t{255} << 20), 0xffff'ffffU);
}

TEST_F(RootComplexTest, PlacesEverythingWithoutOverlap) {
  place();
  for (Function* function : std::initializer_list<Function*>{&function_, &second_, &behind_}) {
    EXPECT_FALSE(function->has_refused_bars());
  }
  EXPECT_TRUE(function_.mapped_);
  EXPECT_TRUE(behind_.mapped_);
  EXPECT_EQ(port_.secondary_bus(), 1U);
  EXPECT_EQ(by_memory(1 << 20), 0x10421af4U) << "behind the port";
  EXPECT_EQ(by_memory(1 << 20 | 1 << 15), 0xffff'ffffU) << "a link has one device";
  const std::uint32_t window = by_memory(4 << 15 | kMemoryBase);
  EXPECT_GE(behind_.mapped_->value, std::uint64_t{window & 0xfff0} << 16);
  EXPECT_LE(behind_.mapped_->value, std::uint64_t{window >> 16 | 0xf} << 16);
}

TEST_F(RootComplexTest, AWindowThatIsTooSmallIsRefused) {
  EXPECT_THROW(root_.place_bars({.io = {0xc000, 0xffff}, .memory32 = {0xc000'0000, 0xc000'0fff}}), Error);
}

TEST_F(RootComplexTest, TwoFunctionsMayChangePlaces) {
  place();
  const std::uint64_t first = function_.mapped_->value;
  const std::uint64_t second = second_.mapped_->value;
  const auto move = [&](std::uint8_t function, std::uint64_t address) {
    const auto low = static_cast<std::uint32_t>(address);
    root_.config_write({0, 3, function}, kBar0 + 16, std::as_bytes(std::span(&low, 1)));
  };
  move(0, second);
  EXPECT_FALSE(function_.mapped_) << "something is there";
  move(1, first);
  EXPECT_EQ(second_.mapped_, GuestAddress{first});
  EXPECT_EQ(function_.mapped_, GuestAddress{second}) << "tried again when its place became free";
}

TEST_F(RootComplexTest, PlacesThatAreTakenAreRefused) {
  EXPECT_THROW(root_.attach(3, 0, behind_), Error);
  EXPECT_THROW(root_.attach(32, 0, behind_), Error);
  EXPECT_THROW(port_.attach(0, second_), Error);
}

// T5: every width and alignment, across doublewords and at the ends.
TEST_F(RootComplexTest, T5OddAccessesAreHarmless) {
  place();
  for (std::size_t size = 1; size <= 8; ++size) {
    for (std::uint64_t offset = 0; offset < 0x120; ++offset) {
      std::array<std::byte, 8> data{};
      const std::span<std::byte> bytes(data.data(), size);
      root_.ecam().read((3 << 15) + offset, bytes);
      root_.ecam().write((3 << 15) + offset, bytes);
      root_.ecam().read((std::uint64_t{256} << 20) - 8, bytes);
      if (offset + size <= RootComplex::kConfigPorts) {
        root_.ports().read(offset, bytes);
        root_.ports().write(offset, bytes);
      }
    }
  }
  EXPECT_EQ(by_memory(3 << 15), 0x10421af4U);
}

}  // namespace
}  // namespace warren::vmm::pci
