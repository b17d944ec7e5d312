#include "tests/guest/machine/ahci.h"

#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/machine/power.h"

namespace guest {
namespace {

constexpr std::uint32_t kAhciClass = 0x010601;
constexpr std::uint32_t kGlobalControl = 0x04, kImplemented = 0x0c;
constexpr std::uint32_t kList = 0x00, kFrames = 0x08, kInterrupts = 0x10, kCommand = 0x18, kTaskFile = 0x20,
                        kSignature = 0x24, kLink = 0x28, kErrors = 0x30, kIssue = 0x38;
constexpr std::uint32_t kStart = 1 << 0, kReceive = 1 << 4, kRunning = 1 << 15;
constexpr std::uint32_t kPacketSignature = 0xeb140101;
constexpr std::uint32_t kError = 1 << 0, kFailed = 0x7d000000;  // of PxTFD; of PxIS, what stops a port
constexpr std::uint8_t kReadDma = 0x25, kWriteDma = 0x35, kPacket = 0xa0, kIdentify = 0xec, kFlush = 0xea;

}  // namespace

volatile std::uint32_t& AhciPort::at(std::uint32_t offset) const {
  return *reinterpret_cast<volatile std::uint32_t*>(registers_ + offset);
}

bool AhciPort::takes_packets() const {
  return at(kSignature) == kPacketSignature;
}

void AhciPort::start(std::uint64_t registers, unsigned number) {
  registers_ = registers;
  number_ = number;
  present_ = (at(kLink) & 0xf) == 3;
  if (!present_) return;
  list_ = allocate_array<std::uint32_t>(256, 1024);
  table_ = allocate_array<std::uint8_t>(256, 256);
  auto* frames = allocate_array<std::uint8_t>(256, 256);
  at(kList) = static_cast<std::uint32_t>(physical(list_));
  at(kList + 4) = 0;
  at(kFrames) = static_cast<std::uint32_t>(physical(frames));
  at(kFrames + 4) = 0;
  restart();
}

void AhciPort::restart() {
  at(kCommand) = kReceive;
  wait_until([&] { return (at(kCommand) & kRunning) == 0; }, 500);
  at(kErrors) = ~0u;
  at(kInterrupts) = ~0u;
  at(kCommand) = kReceive | kStart;
}

bool AhciPort::run(std::uint8_t command, std::uint64_t sector, std::uint16_t count, const void* buffer,
                   std::uint32_t size, bool writes, const std::uint8_t* packet) {
  for (unsigned i = 0; i < 256; ++i) table_[i] = 0;
  table_[0] = 0x27;
  table_[1] = 1 << 7;
  table_[2] = command;
  table_[3] = packet != nullptr ? 1 : 0;  // a packet's data by DMA
  for (unsigned i = 0; i < 3; ++i) {
    table_[4 + i] = static_cast<std::uint8_t>(sector >> 8 * i);
    table_[8 + i] = static_cast<std::uint8_t>(sector >> 8 * (i + 3));
  }
  table_[7] = 1 << 6;
  table_[12] = static_cast<std::uint8_t>(count);
  table_[13] = static_cast<std::uint8_t>(count >> 8);
  if (packet != nullptr)
    for (unsigned i = 0; i < 12; ++i) table_[0x40 + i] = packet[i];
  auto* region = reinterpret_cast<std::uint32_t*>(table_ + 0x80);
  region[0] = static_cast<std::uint32_t>(physical(buffer));
  region[3] = size - 1;
  list_[0] = 5u | (packet != nullptr ? 1u << 5 : 0) | (writes ? 1u << 6 : 0) | (size != 0 ? 1u << 16 : 0);
  list_[1] = 0;
  list_[2] = static_cast<std::uint32_t>(physical(table_));
  list_[3] = 0;
  at(kIssue) = 1;
  const bool ended = wait_until([&] { return at(kIssue) == 0 || (at(kInterrupts) & kFailed) != 0; }, 2000);
  const bool done = ended && (at(kTaskFile) & kError) == 0 && (at(kInterrupts) & kFailed) == 0;
  if (!done) restart();
  return done;
}

bool AhciPort::identify(void* buffer) {
  return run(kIdentify, 0, 0, buffer, 512, false, nullptr);
}

bool AhciPort::read(std::uint64_t sector, void* buffer, std::uint32_t size) {
  return run(kReadDma, sector, static_cast<std::uint16_t>(size / 512), buffer, size, false, nullptr);
}

bool AhciPort::write(std::uint64_t sector, const void* buffer, std::uint32_t size) {
  return run(kWriteDma, sector, static_cast<std::uint16_t>(size / 512), buffer, size, true, nullptr);
}

bool AhciPort::flush() {
  return run(kFlush, 0, 0, nullptr, 0, false, nullptr);
}

bool AhciPort::packet(std::span<const std::uint8_t, 12> command, void* buffer, std::uint32_t size) {
  return run(kPacket, 0, 0, buffer, size, false, command.data());
}

AhciController::AhciController() {
  for (auto& function : pci_functions()) {
    if (function.class_code() != kAhciClass) continue;
    function.enable();
    const std::uint64_t registers = function.bar(5).address;
    const auto generic = [&](std::uint32_t offset) -> volatile std::uint32_t& {
      return *reinterpret_cast<volatile std::uint32_t*>(registers + offset);
    };
    generic(kGlobalControl) = 1u << 31;
    for (std::uint32_t ports = generic(kImplemented); ports >> count_ != 0; ++count_)
      ports_[count_].start(registers + 0x100 + 0x80 * count_, count_);
    return;
  }
  stop("there is no AHCI controller");
}

}  // namespace guest
