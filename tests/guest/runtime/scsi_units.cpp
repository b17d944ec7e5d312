#include "tests/guest/runtime/scsi_units.h"

#include <string_view>

#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/serial.h"
#include "tests/guest/runtime/print.h"
#include "tests/guest/virtio/scsi_driver.h"

namespace guest {
namespace {

constexpr std::uint8_t kTestUnitReady = 0x00, kInquiry = 0x12, kReadCapacity = 0x25, kRead10 = 0x28,
                       kWrite10 = 0x2a, kSynchronize = 0x35, kUnmap = 0x42, kReportLuns = 0xa0;
constexpr unsigned kTargets = 8, kMaximumUnits = 32;
constexpr std::uint8_t kOptical = 5;

struct Unit {
  ScsiUnit place;
  std::uint8_t type;
  std::uint32_t sense;  // when it was last asked whether it is ready; 0: it is
};
Unit units[kMaximumUnits];
unsigned unit_count;

std::uint32_t big32(const std::uint8_t* at) {
  return static_cast<std::uint32_t>(at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]);
}

// What waits to be told (unit attention) is passed over.
std::uint32_t readiness(ScsiDriver& driver, ScsiUnit place) {
  const std::uint8_t ready[6] = {kTestUnitReady};
  ScsiResult result;
  for (int i = 0; i < 4; ++i) {
    result = driver.command(place, ready);
    if ((result.sense >> 16) != 6) break;
  }
  return result.ok() ? 0 : result.sense != 0 ? result.sense : ~0u;
}

std::string_view text(const std::uint8_t* at, std::size_t size) {
  while (size != 0 && at[size - 1] == ' ') --size;
  return {reinterpret_cast<const char*>(at), size};
}

void tell_medium(ScsiDriver& driver, const Unit& unit) {
  if (unit.sense != 0) {
    print(" SENSE ", Hex{unit.sense});
    return;
  }
  const std::uint8_t capacity[10] = {kReadCapacity};
  if (!driver.command(unit.place, capacity, 0, 8).ok()) return;
  const std::uint32_t blocks = big32(driver.data()) + 1, block = big32(driver.data() + 4);
  print(" BLOCKS ", blocks);
  const std::uint8_t read[10] = {kRead10, 0, 0, 0, 0, 1, 0, 0, 1};  // the second one
  if (driver.command(unit.place, read, 0, block).ok())
    print(" FIRST ", *reinterpret_cast<const std::uint64_t*>(driver.data()));
  if (unit.type == kOptical) return;
  for (std::uint32_t i = 0; i < 64; ++i) reinterpret_cast<std::uint64_t*>(driver.data())[i] = 1000 + i;
  const std::uint8_t write[10] = {kWrite10, 0, 0, 0, 0, 2, 0, 0, 1};
  const std::uint8_t flush[10] = {kSynchronize};
  if (driver.command(unit.place, write, block, 0).ok() && driver.command(unit.place, flush).ok())
    print(" WRITTEN");
}

void look_at(ScsiDriver& driver, ScsiUnit place) {
  const std::uint8_t inquiry[6] = {kInquiry, 0, 0, 0, 36};
  if (unit_count == kMaximumUnits || !driver.command(place, inquiry, 0, 36).ok() || driver.data()[0] == 0x7f)
    return;
  Unit& unit = units[unit_count++];
  unit = {place, driver.data()[0], 0};
  print("UNIT ", place.target, ":", place.lun, unit.type == kOptical ? " DRIVE " : " DISK ",
        text(driver.data() + 8, 8), "/", text(driver.data() + 16, 16));
  const std::uint8_t serial[6] = {kInquiry, 1, 0x80, 0, 64};
  if (driver.command(place, serial, 0, 64).ok()) print(" SERIAL ", text(driver.data() + 4, driver.data()[3]));
  unit.sense = readiness(driver, place);
  tell_medium(driver, unit);
  print("\n");
}

void look_at_all(ScsiDriver& driver) {
  unit_count = 0;
  for (unsigned target = 0; target < kTargets; ++target) {
    const std::uint8_t report[12] = {kReportLuns, 0, 0, 0, 0, 0, 0, 0, 1, 0};
    const auto number = static_cast<std::uint8_t>(target);
    if (!driver.command({number, 0}, report, 0, 256).ok()) continue;
    std::uint16_t luns[31];
    const std::uint32_t count = big32(driver.data()) / 8;
    for (std::uint32_t i = 0; i < count && i < 31; ++i) {
      const std::uint8_t* entry = driver.data() + 8 + 8 * i;
      luns[i] = static_cast<std::uint16_t>((entry[0] & 0x3f) << 8 | entry[1]);
    }
    for (std::uint32_t i = 0; i < count && i < 31; ++i) look_at(driver, {number, luns[i]});
  }
  print("LOOKED ", unit_count, "\n");
}

void forget(ScsiUnit place) {
  for (unsigned i = 0; i < unit_count; ++i) {
    if (units[i].place.target != place.target || units[i].place.lun != place.lun) continue;
    units[i] = units[--unit_count];
    return;
  }
}

void take(ScsiDriver& driver, const ScsiEvent& event) {
  constexpr std::uint32_t kTransportReset = 1, kParameterChange = 3, kRescan = 1, kRemoved = 2;
  const ScsiUnit place = {event.lun[1],
                          static_cast<std::uint16_t>((event.lun[2] & 0x3f) << 8 | event.lun[3])};
  if (event.event == kTransportReset && event.reason == kRescan) {
    print("ADDED ", place.target, ":", place.lun, "\n");
    look_at(driver, place);
  } else if (event.event == kTransportReset && event.reason == kRemoved) {
    print("REMOVED ", place.target, ":", place.lun, "\n");
    forget(place);
  } else if (event.event == kParameterChange) {
    print("CHANGED ", place.target, ":", place.lun, " ", Hex{event.reason}, "\n");
    forget(place);
    look_at(driver, place);
  } else {
    print("EVENT ", Hex{event.event}, " ", Hex{event.reason}, "\n");
  }
}

void unmap(ScsiDriver& driver, ScsiUnit place) {
  for (int i = 0; i < 24; ++i) driver.data()[i] = 0;
  driver.data()[3] = 16;
  driver.data()[14] = 1024 >> 8;  // from block 1024 on
  driver.data()[18] = 0;
  driver.data()[18] = 1024 >> 8;  // as many
  const std::uint8_t command[10] = {kUnmap, 0, 0, 0, 0, 0, 0, 0, 24};
  const ScsiResult result = driver.command(place, command, 24, 0);
  if (result.ok()) {
    print("UNMAPPED\n");
  } else {
    print("REFUSED ", Hex{result.sense}, "\n");
  }
}

void follow_media(ScsiDriver& driver) {
  for (unsigned i = 0; i < unit_count; ++i) {
    Unit& unit = units[i];
    if (unit.type != kOptical) continue;
    const std::uint32_t now = readiness(driver, unit.place);
    if (now == unit.sense) continue;
    unit.sense = now;
    print("MEDIUM ", unit.place.target, ":", unit.place.lun);
    tell_medium(driver, unit);
    print("\n");
  }
}

}  // namespace

void watch_scsi_units() {
  ScsiDriver driver;
  if (!driver.ready()) {
    print("NO CONTROLLER\n");
  } else {
    look_at_all(driver);
  }
  print("READY\n");
  for (;;) {
    wait_milliseconds(20);
    if (!driver.ready()) continue;
    while (const auto event = driver.take_event()) take(driver, *event);
    follow_media(driver);
    const int byte = serial_read();
    if (byte == 's') look_at_all(driver);
    if (byte == 'z' && unit_count != 0) unmap(driver, units[0].place);
  }
}

}  // namespace guest
