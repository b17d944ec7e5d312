#include "tests/guest/runtime/disk_facts.h"

#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/machine/power.h"
#include "tests/guest/runtime/print.h"
#include "tests/guest/virtio/block_driver.h"

namespace guest {
namespace {

constexpr std::uint16_t kModernBlock = 0x1042;
constexpr unsigned kMaximumDisks = 16, kMaximumQueues = 16;
constexpr std::uint32_t kBytes = 65536, kSerialBytes = 20;
// Of the device configuration (§5.2.4).
constexpr std::uint64_t kBlockSizeAt = 20, kPhysicalExponentAt = 24, kQueuesAt = 34;
constexpr std::uint64_t kWanted = block::kReadOnly | block::kBlockSize | block::kFlushFeature |
                                  block::kMultiQueue | block::kDiscardFeature | block::kWriteZeroesFeature;

struct Range {
  std::uint64_t sector;
  std::uint32_t sectors, flags;
};

class Disk {
 public:
  void begin(PciFunction& function) {
    device_ = VirtioDevice(&function);
    if (!device_ || !device_.negotiate(kWanted)) stop("a disk does not take its driver");
    queue_count_ = has(block::kMultiQueue) ? read16(device_.configuration() + kQueuesAt) : std::uint16_t{1};
    if (queue_count_ > kMaximumQueues) stop("a disk has more queues than were expected");
    for (std::uint16_t i = 0; i < queue_count_; ++i) queues_[i] = &device_.set_up_queue(i, 16);
    device_.start();
    header_ = allocate_array<block::Header>(1, 16);
    status_ = allocate_array<std::uint8_t>(1);
    data_ = allocate_array<std::uint8_t>(kBytes, 4096);
    range_ = allocate_array<Range>(1, 16);
  }

  void tell(unsigned number) {
    const std::uint64_t configuration = device_.configuration();
    const std::uint32_t logical = has(block::kBlockSize) ? read32(configuration + kBlockSizeAt) : 0;
    request(0, block::kGetId, 0, writable(data_, kSerialBytes));
    std::uint32_t length = 0;
    while (length < kSerialBytes && data_[length] != 0) ++length;
    print("DISK ", number, " SERIAL '", std::string_view(reinterpret_cast<const char*>(data_), length),
          "' SECTORS ", sectors(), " LOGICAL ", logical, " PHYSICAL ",
          logical << read8(configuration + kPhysicalExponentAt), " QUEUES ", queue_count_,
          has(block::kReadOnly) ? " READONLY" : "", has(block::kDiscardFeature) ? " DISCARD" : "",
          has(block::kWriteZeroesFeature) ? " ZEROES" : "", " .\n");
  }

  std::uint8_t obey(int byte) {
    const std::uint64_t half = sectors() / 2;
    if (byte == 'r') return transfer(block::kIn, 0, sectors());
    if (byte == 'z') {
      for (std::uint32_t i = 0; i < kBytes; ++i) data_[i] = 0;
      return transfer(block::kOut, half, sectors());
    }
    *range_ = {0, static_cast<std::uint32_t>(half), 0};
    return request(0, block::kDiscard, 0, readable(range_));
  }

 private:
  bool has(std::uint64_t feature) const { return (device_.negotiated() & feature) != 0; }
  std::uint64_t sectors() const { return read64(device_.configuration()); }

  std::uint8_t transfer(std::uint32_t type, std::uint64_t begin, std::uint64_t end) {
    constexpr std::uint64_t kSectors = kBytes / block::kSectorBytes;
    std::uint16_t queue = 0;
    for (std::uint64_t at = begin; at < end; at += kSectors) {
      const std::uint64_t count = end - at < kSectors ? end - at : kSectors;
      const Segment data{physical(data_), static_cast<std::uint32_t>(count * block::kSectorBytes),
                         type == block::kIn};
      if (const std::uint8_t status = request(queue, type, at, data)) return status;
      queue = static_cast<std::uint16_t>((queue + 1) % queue_count_);
    }
    return block::kOk;
  }

  std::uint8_t request(std::uint16_t queue, std::uint32_t type, std::uint64_t sector, const Segment& data) {
    *header_ = {type, 0, sector};
    *status_ = 0xff;
    const Segment chain[] = {readable(header_), data, writable(status_)};
    queues_[queue]->add(chain);
    device_.notify(queue, *queues_[queue]);
    if (!wait_used(*queues_[queue])) stop("a disk does not answer");
    return *status_;
  }

  VirtioDevice device_{static_cast<PciFunction*>(nullptr)};
  std::uint16_t queue_count_ = 0;
  Queue* queues_[kMaximumQueues] = {};
  block::Header* header_ = nullptr;
  std::uint8_t* status_ = nullptr;
  std::uint8_t* data_ = nullptr;
  Range* range_ = nullptr;
};

Disk* disks[kMaximumDisks];

}  // namespace

void tell_disk_facts() {
  unsigned count = 0;
  for (auto& function : pci_functions()) {
    if (function.device() != kModernBlock || count == kMaximumDisks) continue;
    disks[count] = allocate_array<Disk>(1);
    disks[count++]->begin(function);
  }
  print("READY\n");
  for (;;) {
    const int byte = serial_read();
    if (byte == 't') {
      for (unsigned i = 0; i < count; ++i) disks[i]->tell(i);
    } else if (byte == 'r' || byte == 'z' || byte == 'd') {
      for (unsigned i = 0; i < count; ++i) print("DISK ", i, " STATUS ", disks[i]->obey(byte), "\n");
    }
    if (byte >= 0) print("DONE\n");
    wait_milliseconds(10);
  }
}

}  // namespace guest
