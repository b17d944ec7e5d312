#include "tests/guest/runtime/media.h"

#include "tests/guest/machine/ahci.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/serial.h"
#include "tests/guest/runtime/print.h"

namespace guest {
namespace {

// Commands of the drive (MMC-5 §6).
constexpr std::uint8_t kTestUnitReady = 0x00, kRequestSense = 0x03, kStartStop = 0x1b, kPreventRemoval = 0x1e,
                       kReadCapacity = 0x25, kRead10 = 0x28, kGetEventStatus = 0x4a;

std::uint8_t* buffer;

std::uint32_t big32(const std::uint8_t* at) {
  return static_cast<std::uint32_t>(at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]);
}

// Sense key, code and qualifier in one number; 0 for none.
std::uint32_t sense(AhciPort& drive) {
  const std::uint8_t command[12] = {kRequestSense, 0, 0, 0, 18};
  if (!drive.packet(command, buffer, 18)) return ~0u;
  return static_cast<std::uint32_t>((buffer[2] & 0xf) << 16 | buffer[12] << 8 | buffer[13]);
}

// From IDENTIFY data; nothing when the disk has none (ACS-2 §7.16).
void tell_world_wide_name() {
  const auto* words = reinterpret_cast<const std::uint16_t*>(buffer);
  if ((words[87] & 1 << 8) == 0) return;
  std::uint64_t name = 0;
  for (unsigned i = 0; i < 4; ++i) name = name << 16 | words[108 + i];
  print(" WWN ", Hex{name});
}

void tell_medium(AhciPort& drive) {
  const std::uint8_t capacity[12] = {kReadCapacity};
  if (!drive.packet(capacity, buffer, 8)) return;
  const std::uint32_t blocks = big32(buffer) + 1;
  const std::uint8_t read[12] = {kRead10, 0, 0, 0, 0, 1, 0, 0, 1};  // the second block
  if (!drive.packet(read, buffer, 2048)) return;
  print("MEDIUM ", blocks, " FIRST ", *reinterpret_cast<const std::uint64_t*>(buffer), "\n");
}

void obey(AhciPort& drive, int byte) {
  std::uint8_t command[12] = {};
  if (byte == 'l' || byte == 'u') {
    command[0] = kPreventRemoval;
    command[4] = byte == 'l';
  } else if (byte == 'e' || byte == 'i') {
    command[0] = kStartStop;
    command[4] = byte == 'e' ? 2 : 3;
  } else {
    return;
  }
  const bool done = drive.packet(command, nullptr, 0);
  print(done ? "DONE " : "REFUSED ", std::string_view(reinterpret_cast<const char*>(&byte), 1), "\n");
}

void look_for_eject_request(AhciPort& drive) {
  const std::uint8_t command[12] = {kGetEventStatus, 1, 0, 0, 1 << 4, 0, 0, 0, 8};
  if (drive.packet(command, buffer, 8) && buffer[2] == 4 && buffer[4] == 1) print("EJECT REQUEST\n");
}

[[noreturn]] void watch(AhciPort& drive) {
  std::uint32_t before = ~0u;
  for (;;) {
    const std::uint8_t ready[12] = {kTestUnitReady};
    const std::uint32_t now = drive.packet(ready, nullptr, 0) ? 0 : sense(drive);
    if (now != before) {
      if (now == 0) {
        tell_medium(drive);
      } else {
        print("SENSE ", Hex{now}, "\n");
      }
    }
    before = now;
    look_for_eject_request(drive);
    if (const int byte = serial_read(); byte == 's') {
      before = ~0u;
    } else if (byte >= 0) {
      obey(drive, byte);
    }
    wait_milliseconds(20);
  }
}

}  // namespace

void watch_media() {
  buffer = allocate_array<std::uint8_t>(2048, 4096);
  AhciController controller;
  AhciPort* drive = nullptr;
  for (AhciPort& port : controller.ports()) {
    if (!port.present()) continue;
    if (port.takes_packets()) {
      if (drive == nullptr) drive = &port;
      continue;
    }
    if (!port.identify(buffer)) continue;
    print("DISK ", port.number(), " SECTORS ", *reinterpret_cast<const std::uint64_t*>(buffer + 200));
    tell_world_wide_name();
    if (port.read(1, buffer, 512)) print(" FIRST ", *reinterpret_cast<const std::uint64_t*>(buffer));
    for (std::uint32_t i = 0; i < 64; ++i) reinterpret_cast<std::uint64_t*>(buffer)[i] = 1000 + i;
    if (port.write(2, buffer, 512) && port.flush()) print(" WRITTEN");
    print("\n");
  }
  print("READY\n");
  if (drive != nullptr) watch(*drive);
  for (;;) wait_milliseconds(1000);
}

}  // namespace guest
