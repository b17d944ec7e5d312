// The guest's side of an AHCI controller: memory, registers, and commands as a driver gives them; for tests.
#pragma once

#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/block/raw_image.h"
#include "vmm-core/devices/ahci_controller.h"
#include "vmm-core/os/error.h"
#include "vmm-core/pci/fake_interrupts.h"

namespace warren::vmm::ahci {

class FakeDriver {
 public:
  static constexpr std::uint64_t kBar = 0xe000'0000, kMemory = 8 << 20, kDiskBytes = 4 << 20,
                                 kMediumBytes = 1 << 20;
  static constexpr std::uint64_t kList = 0x10000, kFrameArea = 0x11000, kTables = 0x20000, kData = 0x100000;
  static constexpr std::uint64_t kPortStride = 0x100000 / 16;
  static constexpr unsigned kDisk = 0, kDrive = 1;

  explicit FakeDriver(block::DiskOptions options = {}, bool use_io_uring = true) {
    block::DiskOptions optical;
    optical.logical_block_size = 2048;
    std::vector<AhciController::DriveConfiguration> drives;
    options.serial = "serial";
    drives.push_back({kDisk,
                      std::make_unique<block::Disk>("sata0-0-0", image(disk_file, use_io_uring, false),
                                                    options, disk_counters, 1),
                      false,
                      {}});
    drives.push_back({kDrive,
                      std::make_unique<block::Disk>("sata0-0-1", image(medium_file, use_io_uring, true),
                                                    optical, drive_counters, 1),
                      true, [this](bool open) { trays.push_back(open); }});
    controller = std::make_unique<AhciController>(
        "ide", pci::Place{space, ports, std::make_unique<pci::FakeLine>(asserted)}, memory, messages, thread,
        std::move(drives));
    controller->place_bar(AhciController::kBar, kBar);
    controller->enable_decoding();
    set_bus_master(true);
  }
  ~FakeDriver() { controller.reset(); }

  static FileDescriptor file(std::uint64_t bytes) {
    FileDescriptor made(::memfd_create("disk", MFD_CLOEXEC));
    if (!made || ::ftruncate(made.get(), static_cast<off_t>(bytes)) != 0) throw_errno("memfd");
    return made;
  }
  static std::unique_ptr<block::Image> image(const FileDescriptor& from, bool use_io_uring, bool read_only) {
    return std::make_unique<block::RawImage>(
        from.duplicate(), "disk",
        block::RawImageOptions{.read_only = read_only, .use_io_uring = use_io_uring});
  }

  void set_bus_master(bool on) {
    const std::uint16_t command = on ? 0x6 : 0x2;
    controller->config_write(4, std::as_bytes(std::span(&command, 1)));
  }
  std::uint32_t get(std::uint64_t offset) {
    std::uint32_t value = 0;
    space.read(kBar + offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  void set(std::uint64_t offset, std::uint32_t value) {
    space.write(kBar + offset, std::as_bytes(std::span(&value, 1)));
  }
  static std::uint64_t at(unsigned port, std::uint64_t offset) {
    return kGenericBytes + port * kPortBytes + offset;
  }
  std::uint64_t list(unsigned port) const { return kList + port * 0x400; }
  std::uint64_t frames(unsigned port) const { return kFrameArea + port * 0x100; }
  std::uint64_t table(unsigned port, unsigned slot) const { return kTables + (port * 32 + slot) * 0x1000; }

  // §10.1.2: both addresses, frames, interrupts, and the list runs.
  void start(unsigned port) {
    set(kGlobalControl, kAhciEnable | kInterruptEnable);
    set(at(port, kCommandList), static_cast<std::uint32_t>(list(port)));
    set(at(port, kFrames), static_cast<std::uint32_t>(frames(port)));
    set(at(port, kLinkError), ~0U);
    set(at(port, kPortInterruptStatus), ~0U);
    set(at(port, kPortInterruptEnable), ~0U);
    set(at(port, kCommand), kFrameReceive);
    set(at(port, kCommand), kFrameReceive | kStart);
  }
  bool stop(unsigned port) {
    set(at(port, kCommand), kFrameReceive);
    return wait([&] { return (get(at(port, kCommand)) & kListRunning) == 0; });
  }
  template <typename Condition>
  static bool wait(Condition condition) {
    for (int i = 0; i < 5000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
    return false;
  }

  struct Piece {
    std::uint64_t address = 0;
    std::uint32_t bytes = 0;
  };
  static ata::CommandFrame frame(std::uint8_t command, std::uint64_t sector = 0, std::uint16_t count = 0) {
    ata::CommandFrame made{.type = ata::kCommandFrameType, .flags = ata::kIsCommand, .command = command};
    for (unsigned i = 0; i < 3; ++i) {
      made.address_low[i] = static_cast<std::uint8_t>(sector >> 8 * i);
      made.address_high[i] = static_cast<std::uint8_t>(sector >> 8 * (i + 3));
    }
    made.device = 1 << 6;
    made.count_low = static_cast<std::uint8_t>(count);
    made.count_high = static_cast<std::uint8_t>(count >> 8);
    return made;
  }
  static ata::CommandFrame queued(std::uint8_t command, unsigned slot, std::uint64_t sector,
                                  std::uint16_t count) {
    ata::CommandFrame made = frame(command, sector, static_cast<std::uint16_t>(slot << 3));
    made.features_low = static_cast<std::uint8_t>(count);
    made.features_high = static_cast<std::uint8_t>(count >> 8);
    return made;
  }
  void put(unsigned port, unsigned slot, const ata::CommandFrame& command, const std::vector<Piece>& pieces,
           bool writes = false, const std::array<std::uint8_t, 12>& packet = {}) {
    CommandHeader header;
    header.flags = static_cast<std::uint16_t>(5 | (writes ? kHeaderWrites : 0));
    header.regions = static_cast<std::uint16_t>(pieces.size());
    header.table = table(port, slot);
    static_cast<void>(memory.write_object({list(port) + slot * sizeof(header)}, header));
    static_cast<void>(memory.write_object({header.table}, command));
    static_cast<void>(memory.write_object({header.table + kPacketOffset}, packet));
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const Region region{.address = pieces[i].address, .reserved = 0, .count = pieces[i].bytes - 1};
      static_cast<void>(memory.write_object({header.table + kRegionsOffset + i * sizeof(region)}, region));
    }
  }
  void issue(unsigned port, std::uint32_t slots) { set(at(port, kCommandIssue), slots); }
  // Whether it was done, or failed; not when nothing came of it in time.
  bool wait_for(unsigned port, std::uint32_t slots) {
    return wait([&] {
      return (get(at(port, kCommandIssue)) & slots) == 0 ||
             (get(at(port, kPortInterruptStatus)) & (kTaskFileError | kHostBusFatal | kInterfaceFatal)) != 0;
    });
  }
  // The task file after a command in slot 0 alone; all ones when it did not end.
  std::uint32_t run(unsigned port, const ata::CommandFrame& command, const std::vector<Piece>& pieces = {},
                    bool writes = false, const std::array<std::uint8_t, 12>& packet = {}) {
    put(port, 0, command, pieces, writes, packet);
    issue(port, 1);
    if (!wait_for(port, 1)) return ~0U;
    const std::uint32_t task_file = get(at(port, kTaskFile));
    if ((task_file & ata::kError) != 0 || (get(at(port, kPortInterruptStatus)) & 0x7800'0000) != 0)
      recover(port);
    return task_file;
  }
  // After an error the list is stopped and started again (§6.2.2).
  void recover(unsigned port) {
    stop(port);
    start(port);
  }
  std::uint32_t packet(const std::array<std::uint8_t, 12>& command, std::uint32_t bytes = 0,
                       std::uint64_t address = kData) {
    ata::CommandFrame made = frame(ata::kPacketCommand);
    made.features_low = 1;
    std::vector<Piece> pieces;
    if (bytes != 0) pieces.push_back({address, bytes});
    return run(kDrive, made, pieces, false, command);
  }
  // Key, code and qualifier of what went wrong last.
  std::array<std::uint8_t, 3> sense() {
    packet({0x03, 0, 0, 0, 18}, 18);
    const auto bytes = data<std::array<std::uint8_t, 18>>();
    return {bytes[2], bytes[12], bytes[13]};
  }
  template <typename T>
  T data(std::uint64_t offset = 0) {
    return memory.read_object<T>({kData + offset}).value_or(T{});
  }
  std::uint32_t transferred(unsigned port, unsigned slot = 0) {
    return memory.read_object<std::uint32_t>({list(port) + slot * sizeof(CommandHeader) + kTransferredOffset})
        .value_or(~0U);
  }

  FileDescriptor disk_file = file(kDiskBytes), medium_file = file(kMediumBytes);
  GuestMemory memory{std::array{GuestMemory::Layout{GuestAddress{0}, kMemory}}};
  AddressSpace space{"mmio", ~std::uint64_t{0}}, ports{"ports", 0xffff};
  pci::FakeMessages messages;
  bool asserted = false;
  BlockCounters disk_counters{}, drive_counters{};
  std::vector<bool> trays;
  EventThread thread{"ahci-test"};
  std::unique_ptr<AhciController> controller;
};

}  // namespace warren::vmm::ahci
