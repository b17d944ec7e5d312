// An assigned device as its guest drives it, over a device that only remembers.
#include "vmm-core/vfio/assigned_device.h"

#include <condition_variable>
#include <cstring>
#include <mutex>

#include <gtest/gtest.h>

#include "vmm-core/memory/fake_memory_slots.h"
#include "vmm-core/os/error.h"
#include "vmm-core/vfio/fake_device.h"

namespace warren::vmm::vfio {
namespace {

using namespace pci;

constexpr std::uint8_t kMsi = 0x50, kMsix = 0x70, kExpress = 0x90;
constexpr std::uint64_t kBarAddress = 0xc000'0000, kBarSize = 0x10000;
constexpr std::uint64_t kTable = 0x2000, kPending = 0x3000;

class AssignedDeviceTest : public testing::Test {
 protected:
  AssignedDeviceTest() {
    auto owned = std::make_unique<FakeDevice>();
    fake_ = owned.get();
    file_ = std::move(owned);
    fake_->set<std::uint16_t>(kVendorId, 0x1b36);
    fake_->set<std::uint16_t>(kDeviceId, 0x0010);
    fake_->set<std::uint8_t>(kInterruptPin, 2);
    fake_->set<std::uint16_t>(kStatus, kStatusCapabilities);
    fake_->set<std::uint8_t>(kCapabilitiesPointer, kMsi);
    fake_->set<std::uint32_t>(kMsi, kCapabilityMsi | kMsix << 8 | (1 << 7 | 2 << 1) << 16);  // four messages
    fake_->set<std::uint32_t>(kMsix, kCapabilityMsix | kExpress << 8 | 79 << 16);
    fake_->set<std::uint32_t>(kMsix + 4, kTable);
    fake_->set<std::uint32_t>(kMsix + 8, kPending);
    fake_->set<std::uint32_t>(kExpress, kCapabilityExpress | 2U << 16);
    fake_->set<std::uint32_t>(kBar0, kBarMemory64);
    fake_->regions[0] = {
        .size = kBarSize,
        .flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP,
        .capabilities = {}};
    fake_->set<std::uint32_t>(kBar0 + 8, kBarIo);
    fake_->regions[2] = {.size = 32, .capabilities = {}};
  }

  void make(Notices notices = {}) {
    Place place{memory_, ports_, nullptr, true, std::make_unique<FakeExternalLine>(line_)};
    device_ = std::make_unique<AssignedDevice>(
        "hostdev0", open_device("0000:01:00.0", std::move(file_), true), std::move(place),
        AssignedDevice::Surroundings{slots_, routes_}, std::move(notices));
  }
  template <typename T>
  T read(std::uint16_t offset) {
    T value{};
    device_->config_read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void write(std::uint16_t offset, T value) {
    device_->config_write(offset, std::as_bytes(std::span(&value, 1)));
  }
  template <typename T>
  void write_memory(std::uint64_t address, T value) {
    memory_.write(address, std::as_bytes(std::span(&value, 1)));
  }
  template <typename T>
  T read_memory(std::uint64_t address) {
    T value{};
    memory_.read(address, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  void place_bars() {
    write(kBar0, static_cast<std::uint32_t>(kBarAddress));
    write(kCommand, static_cast<std::uint16_t>(kCommandMemory | kCommandBusMaster));
  }
  void program(std::uint64_t vector, std::uint32_t data) {
    const std::uint64_t entry = kBarAddress + kTable + vector * 16;
    write_memory<std::uint64_t>(entry, 0xfee0'0000);
    write_memory(entry + 8, data);
    write_memory<std::uint32_t>(entry + 12, 0);
  }

  AddressSpace memory_{"mmio", ~std::uint64_t{0}};
  AddressSpace ports_{"ports", 0xffff};
  FakeMemorySlots slots_;
  FakeRoutes routes_;
  FakeExternalLine::State line_;
  FakeDevice* fake_ = nullptr;
  std::unique_ptr<DeviceFile> file_;
  std::unique_ptr<AssignedDevice> device_;
};

TEST_F(AssignedDeviceTest, ShowsTheDeviceAndSizesItsBars) {
  make();
  EXPECT_EQ(read<std::uint32_t>(kVendorId), 0x0010'1b36u);
  EXPECT_EQ(read<std::uint8_t>(kInterruptPin), 1);
  write<std::uint32_t>(kBar0, ~0U);
  EXPECT_EQ(read<std::uint32_t>(kBar0), (~0U & ~static_cast<std::uint32_t>(kBarSize - 1)) | kBarMemory64);
  write<std::uint32_t>(kBar0 + 8, ~0U);
  EXPECT_EQ(read<std::uint32_t>(kBar0 + 8), ~31U | kBarIo);
  // Registers of a capability that is the device's own go there and come from there.
  write<std::uint16_t>(kExpress + 8, 0x2810);
  EXPECT_EQ(fake_->get<std::uint16_t>(kExpress + 8), 0x2810);
  EXPECT_EQ(read<std::uint16_t>(kExpress + 8), 0x2810);
  // A BAR never does: the host has it where it is.
  EXPECT_EQ(fake_->get<std::uint32_t>(kBar0), kBarMemory64);
}

TEST_F(AssignedDeviceTest, MapsPagesButThoseOfTheTables) {
  make();
  EXPECT_EQ(slots_.count(), 0u);
  place_bars();
  EXPECT_TRUE(slots_.has(GuestAddress{kBarAddress}, kTable));
  EXPECT_TRUE(slots_.has(GuestAddress{kBarAddress + 0x4000}, kBarSize - 0x4000));
  EXPECT_EQ(slots_.count(), 2u);
  EXPECT_EQ(fake_->get<std::uint16_t>(kCommand), kCommandMemory | kCommandBusMaster);
  // What is beside the table on its page is reached access by access.
  write_memory<std::uint32_t>(kBarAddress + 0x2800, 0x12345678);
  EXPECT_EQ(read_memory<std::uint32_t>(kBarAddress + 0x2800), 0x12345678u);
  EXPECT_EQ(fake_->content[0][0x2800], std::byte{0x78});
  // Half in the table: nobody's.
  EXPECT_EQ(read_memory<std::uint64_t>(kBarAddress + kTable + 80 * 16 - 4), ~std::uint64_t{0});
  write(kCommand, std::uint16_t{0});
  EXPECT_EQ(slots_.count(), 0u);
  EXPECT_EQ(fake_->get<std::uint16_t>(kCommand), 0);
  // It moves as it is told.
  write(kBar0, static_cast<std::uint32_t>(kBarAddress + 0x100000));
  write(kCommand, std::uint16_t{kCommandMemory});
  EXPECT_TRUE(slots_.has(GuestAddress{kBarAddress + 0x100000}, kTable));
  device_.reset();
  EXPECT_EQ(slots_.count(), 0u);
}

TEST_F(AssignedDeviceTest, IsReachedBySlowAccessesWhereNoSlotIsLeft) {
  slots_.refuse_after(0);
  make();
  place_bars();
  write_memory<std::uint16_t>(kBarAddress + 8, 0xabcd);
  EXPECT_EQ(read_memory<std::uint16_t>(kBarAddress + 8), 0xabcd);
}

TEST_F(AssignedDeviceTest, BeginsWithItsPin) {
  make();
  ASSERT_EQ(fake_->interrupts[VFIO_PCI_INTX_IRQ_INDEX].size(), 1u);
  EXPECT_EQ(fake_->interrupts[VFIO_PCI_INTX_IRQ_INDEX][0], line_.trigger);
  EXPECT_EQ(fake_->unmasking[VFIO_PCI_INTX_IRQ_INDEX], line_.resample);
  EXPECT_GE(line_.trigger, 0);
}

TEST_F(AssignedDeviceTest, SignalsTheVectorsThatTheGuestHasUnmasked) {
  make();
  place_bars();
  write<std::uint16_t>(kMsix + 2, 0xc000);  // enabled, and masked as a whole
  auto& vectors = fake_->interrupts[VFIO_PCI_MSIX_IRQ_INDEX];
  EXPECT_EQ(vectors.size(), 64u);
  EXPECT_EQ(line_.trigger, -1);
  EXPECT_TRUE(fake_->interrupts[VFIO_PCI_INTX_IRQ_INDEX].empty());
  program(1, 0x4321);
  write<std::uint16_t>(kMsix + 2, 0x8000);
  EXPECT_EQ(vectors[1], routes_.states[1]->event.get());
  EXPECT_EQ(vectors[0], -1);
  EXPECT_EQ(routes_.states[1]->message.data, 0x4321u);
  EXPECT_FALSE(routes_.states[1]->held);
  // Beyond what the host was asked for at first.
  program(70, 0x70);
  EXPECT_EQ(vectors.size(), 80u);
  EXPECT_EQ(vectors[70], routes_.states[70]->event.get());
  EXPECT_EQ(vectors[1], routes_.states[1]->event.get());
  write<std::uint16_t>(kMsix + 2, 0);
  EXPECT_TRUE(fake_->interrupts[VFIO_PCI_MSIX_IRQ_INDEX].empty());
  EXPECT_GE(line_.trigger, 0);
}

TEST_F(AssignedDeviceTest, KeepsWhatComesWhileAVectorIsMasked) {
  make();
  place_bars();
  write<std::uint16_t>(kMsix + 2, 0x8000);
  program(0, 1);
  write_memory<std::uint32_t>(kBarAddress + kTable + 12, 1);
  EXPECT_TRUE(routes_.states[0]->held);
  EXPECT_EQ(read_memory<std::uint64_t>(kBarAddress + kPending), 0u);
  const std::uint64_t once = 1;
  ASSERT_EQ(::write(routes_.states[0]->event.get(), &once, sizeof once), ssize_t{sizeof once});
  EXPECT_EQ(read_memory<std::uint64_t>(kBarAddress + kPending), 1u);
  write_memory<std::uint32_t>(kBarAddress + kTable + 12, 0);
  EXPECT_FALSE(routes_.states[0]->held);
}

TEST_F(AssignedDeviceTest, TakesFewerVectorsWhereTheHostHasNoMore) {
  fake_->most_vectors = 20;
  make();
  place_bars();
  write<std::uint16_t>(kMsix + 2, 0x8000);
  EXPECT_EQ(fake_->interrupts[VFIO_PCI_MSIX_IRQ_INDEX].size(), 16u);
  program(3, 3);
  EXPECT_EQ(fake_->interrupts[VFIO_PCI_MSIX_IRQ_INDEX][3], routes_.states[3]->event.get());
}

TEST_F(AssignedDeviceTest, SendsSeveralMessagesOfMsi) {
  make();
  write<std::uint32_t>(kMsi + 4, 0xfee0'1000);
  write<std::uint16_t>(kMsi + 12, 0x45);
  write<std::uint16_t>(kMsi + 2, 1 | 2 << 4);  // four
  auto& vectors = fake_->interrupts[VFIO_PCI_MSI_IRQ_INDEX];
  ASSERT_EQ(vectors.size(), 4u);
  const auto& last = *routes_.states[80 + 3];  // behind those of MSI-X
  EXPECT_EQ(vectors[3], last.event.get());
  EXPECT_EQ(last.message.data, 0x47u);
  EXPECT_EQ(last.message.address, 0xfee0'1000u);
  // What is the host's to program is never passed on.
  EXPECT_EQ(fake_->get<std::uint16_t>(kMsi + 12), 0);
  write<std::uint16_t>(kMsi + 2, 0);
  EXPECT_TRUE(vectors.empty());
  EXPECT_GE(line_.trigger, 0);
}

TEST_F(AssignedDeviceTest, BeginsAnewAtAReset) {
  make();
  EXPECT_EQ(fake_->resets, 1);
  place_bars();
  write<std::uint16_t>(kMsix + 2, 0x8000);
  program(0, 1);
  device_->reset();
  EXPECT_EQ(fake_->resets, 2);
  EXPECT_EQ(slots_.count(), 0u);
  EXPECT_EQ(read<std::uint16_t>(kMsix + 2), 79);
  EXPECT_EQ(fake_->get<std::uint16_t>(kCommand), 0);
  EXPECT_TRUE(fake_->interrupts[VFIO_PCI_MSIX_IRQ_INDEX].empty());
  EXPECT_GE(line_.trigger, 0);
}

TEST_F(AssignedDeviceTest, RefusesTablesThatAreNotInItsBars) {
  fake_->set<std::uint32_t>(kMsix + 4, static_cast<std::uint32_t>(kBarSize - 16));
  EXPECT_THROW(make(), Error);
}

TEST_F(AssignedDeviceTest, RefusesABarOfNoSize) {
  fake_->regions[0].size = 0x3000;
  EXPECT_THROW(make(), Error);
}

TEST_F(AssignedDeviceTest, MapsTheAreasThatTheHostNames) {
  vfio_region_info_cap_sparse_mmap head;
  std::memset(&head, 0, sizeof head);
  head.header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
  head.nr_areas = 900;  // it lies
  const std::array<vfio_region_sparse_mmap_area, 3> areas = {
      {{0x1000, 0x1000}, {0x8000, 0x100000}, {0x5001, 0x1000}}};
  auto& bytes = fake_->regions[0].capabilities;
  bytes.resize(sizeof head + sizeof areas);
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, areas.data(), sizeof areas);
  make();
  place_bars();
  EXPECT_EQ(slots_.count(), 1u);
  EXPECT_TRUE(slots_.has(GuestAddress{kBarAddress + 0x1000}, 0x1000));
}

TEST_F(AssignedDeviceTest, TellsWhatTheHostWants) {
  std::mutex mutex;
  std::condition_variable told;
  int wanted = 0, failed = 0;
  const auto note = [&](int& count) {
    return [&] {
      const std::lock_guard lock(mutex);
      ++count;
      told.notify_all();
    };
  };
  EventThread thread("notices");
  make({.thread = &thread, .wanted_back = note(wanted), .failed = note(failed)});
  const std::uint64_t once = 1;
  const auto signal = [&](std::uint32_t index) {
    ASSERT_EQ(::write(fake_->interrupts[index].at(0), &once, sizeof once), ssize_t{sizeof once});
  };
  signal(VFIO_PCI_REQ_IRQ_INDEX);
  signal(VFIO_PCI_ERR_IRQ_INDEX);
  std::unique_lock lock(mutex);
  EXPECT_TRUE(told.wait_for(lock, std::chrono::seconds(20), [&] { return wanted == 1 && failed == 1; }));
  lock.unlock();
  device_.reset();
}

// Every register by accesses of every size and place (class T5): nothing is read beyond the space.
TEST_F(AssignedDeviceTest, AnswersEveryAccess) {
  make();
  for (std::uint16_t offset = 0; offset < kExtendedSize; ++offset) {
    for (std::size_t size = 1; size <= 4U - offset % 4U; ++size) {
      std::array<std::byte, 4> data{};
      device_->config_read(offset, std::span(data).first(size));
      device_->config_write(offset, std::span<const std::byte>(data).first(size));
    }
  }
  EXPECT_EQ(read<std::uint32_t>(kVendorId), 0x0010'1b36u);
}

}  // namespace
}  // namespace warren::vmm::vfio
