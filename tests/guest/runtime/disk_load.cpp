#include "tests/guest/runtime/disk_load.h"

#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/machine/power.h"
#include "tests/guest/runtime/print.h"
#include "tests/guest/virtio/block_driver.h"

namespace guest {
namespace {

constexpr std::uint16_t kModernBlock = 0x1042;
constexpr unsigned kMaximumDisks = 16, kRequests = 16;
constexpr std::uint16_t kQueueSize = 256;

struct Request {
  block::Header header;
  std::uint8_t* data;
  std::uint8_t status;
};

struct LoadedDisk {
  VirtioDevice device;
  Queue* queue;
  Request requests[kRequests];
  std::uint16_t request_of[kQueueSize];  // by the id of its chain
};

LoadedDisk* disks[kMaximumDisks];
unsigned disk_count;
std::uint32_t request_bytes;

void submit(LoadedDisk& disk, std::uint16_t number) {
  Request& request = disk.requests[number];
  const Segment data{physical(request.data), request_bytes, request.header.type == block::kIn};
  const Segment chain[] = {readable(&request.header), data, writable(&request.status)};
  disk.request_of[disk.queue->add(chain)] = number;
}

void begin(PciFunction& function, char letter) {
  auto* disk = allocate_array<LoadedDisk>(1);
  disk->device = VirtioDevice(&function);
  if (!disk->device || !disk->device.negotiate(0)) stop("a disk does not take its driver");
  disk->queue = &disk->device.set_up_queue(0, kQueueSize);
  disk->device.start();
  if (letter != 'r' && letter != 'w' && letter != 'm') return;
  for (std::uint16_t i = 0; i < kRequests; ++i) {
    const bool writes = letter == 'w' || (letter == 'm' && i % 2 != 0);
    const std::uint64_t sector = i * std::uint64_t{request_bytes} / block::kSectorBytes;
    disk->requests[i] = {
        {writes ? block::kOut : block::kIn, 0, sector}, allocate_array<std::uint8_t>(request_bytes, 512), 0};
    submit(*disk, i);
  }
  disk->device.notify(0, *disk->queue);
  disks[disk_count++] = disk;
}

bool serve(LoadedDisk& disk) {
  bool served = false;
  while (const auto used = disk.queue->take_used()) {
    submit(disk, disk.request_of[used->id % kQueueSize]);
    served = true;
  }
  if (served) disk.device.notify(0, *disk.queue);
  return served;
}

}  // namespace

void load_disks() {
  const std::string_view letters = command_line_value("load");
  request_bytes = static_cast<std::uint32_t>(command_line_number("load_bytes", 4096));
  unsigned number = 0;
  for (auto& function : pci_functions()) {
    if (function.device() != kModernBlock || disk_count == kMaximumDisks) continue;
    begin(function, number < letters.size() ? letters[number] : '-');
    ++number;
  }
  print("LOADED ", disk_count, "\nREADY\n");
  for (;;) {
    bool served = false;
    for (unsigned i = 0; i < disk_count; ++i) served = serve(*disks[i]) || served;
    if (!served) wait_milliseconds(1);
  }
}

}  // namespace guest
