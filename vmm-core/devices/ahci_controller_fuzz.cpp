// An AHCI controller under random registers, command lists, tables, packets, pauses and media (classes T1,
// T5, T7, T8): inputs are sound by default, with each part rarely wrong.
#include "vmm-core/devices/ahci_fake_driver.h"
#include "vmm-core/devices/register_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  using namespace warren::vmm::ahci;
  static FakeDriver driver({.discard = true}, false);
  driver.controller->pause();
  driver.controller->reset();
  driver.controller->place_bar(AhciController::kBar, FakeDriver::kBar);
  driver.controller->enable_decoding();
  driver.set_bus_master(true);
  driver.controller->resume();
  driver.start(FakeDriver::kDisk);
  driver.start(FakeDriver::kDrive);
  driver.trays.clear();
  for_each_step(data, size, [&](const FuzzStep& step) {
    std::array<std::byte, 8> bytes = step.data;
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof(value));
    const unsigned port = step.argument & 1, slot = step.argument >> 1 & 31;
    switch (step.action >> 1 & 7) {
      case 0: {  // a command of a disk
        const bool queued = (step.offset & 1) != 0;
        const auto sector = value & 0x1fff;
        const auto command =
            queued ? FakeDriver::queued(step.size & 1 ? 0x60 : 0x61, slot, sector, step.size & 7)
                   : FakeDriver::frame(step.offset, sector, step.size & 7);
        driver.put(port, slot, command, {{FakeDriver::kData + (value >> 32 & 0xffff), 4096}});
        if (queued) driver.set(FakeDriver::at(port, kActive), 1U << slot);
        driver.issue(port, 1U << slot);
        break;
      }
      case 1: {  // a packet
        std::array<std::uint8_t, 12> packet{step.offset};
        std::memcpy(packet.data() + 1, &value, sizeof(value));
        driver.put(FakeDriver::kDrive, slot, FakeDriver::frame(ata::kPacketCommand),
                   {{FakeDriver::kData, 4096u << (step.size & 3)}}, false, packet);
        driver.issue(FakeDriver::kDrive, 1U << slot);
        break;
      }
      case 2:  // anything at all in lists and tables
        static_cast<void>(driver.memory.write(
            {(port != 0 ? driver.table(step.argument >> 6 & 1, slot) : driver.list(step.argument >> 6 & 1)) +
             step.offset % 0x180},
            bytes));
        break;
      case 3:  // any register
        driver.set((step.offset * 4u) % 0x400, static_cast<std::uint32_t>(value));
        break;
      case 4:
        driver.recover(port);
        break;
      case 5: {
        driver.controller->pause();
        const auto state = driver.controller->save();
        driver.controller->restore(state);
        driver.controller->resume();
        break;
      }
      case 6:
        if ((step.offset & 1) != 0) {
          static_cast<void>(driver.controller->open_tray(FakeDriver::kDrive, (step.offset & 2) != 0));
        } else {
          driver.controller->close_tray(FakeDriver::kDrive);
        }
        break;
      default:
        driver.controller->set_medium(
            FakeDriver::kDrive,
            (step.offset & 1) != 0 ? FakeDriver::image(driver.medium_file, false, true) : nullptr);
        break;
    }
  });
  driver.controller->pause();
  return 0;
}
