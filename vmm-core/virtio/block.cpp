#include "vmm-core/virtio/block.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "vmm-core/block/disk_stream.h"
#include "vmm-core/memory/guest_bytes.h"

namespace warren::vmm::virtio {
namespace {

constexpr std::uint64_t kSectorSize = 512;

// Features (§5.2.3).
constexpr std::uint64_t kSegmentMaximum = 1 << 2, kReadOnly = 1 << 5, kBlockSize = 1 << 6, kFlush = 1 << 9,
                        kTopology = 1 << 10, kConfigWriteback = 1 << 11, kMultiQueue = 1 << 12,
                        kDiscard = 1 << 13, kWriteZeroes = 1 << 14;

// Request types (§5.2.6) and status values.
constexpr std::uint32_t kIn = 0, kOut = 1, kFlushCache = 4, kGetId = 8, kDiscardSectors = 11,
                        kZeroSectors = 13;
constexpr std::byte kOk{0}, kIoError{1}, kUnsupported{2};

constexpr std::uint32_t kMaximumSegments = 254;
constexpr std::size_t kIdBytes = 20;
constexpr std::uint32_t kMaximumZeroSectors = 1u << 22;  // 2 GiB a request
constexpr std::uint32_t kZeroMayUnmap = 1;

struct RequestHeader {
  std::uint32_t type;
  std::uint32_t reserved;
  std::uint64_t sector;
};
static_assert(sizeof(RequestHeader) == 16);

struct ZeroSegment {
  std::uint64_t sector;
  std::uint32_t sectors;
  std::uint32_t flags;
};
static_assert(sizeof(ZeroSegment) == 16);

// Device configuration (§5.2.4).
struct [[gnu::packed]] Configuration {
  std::uint64_t capacity = 0;
  std::uint32_t size_maximum = 0, segment_maximum = kMaximumSegments;
  std::uint16_t cylinders = 0;
  std::uint8_t heads = 0, sectors = 0;
  std::uint32_t block_size = 0;
  std::uint8_t physical_exponent = 0, alignment_offset = 0;
  std::uint16_t minimum_io = 0;
  std::uint32_t optimal_io = 0;
  std::uint8_t writeback = 0, unused0 = 0;
  std::uint16_t queues = 0;
  std::uint32_t maximum_discard_sectors = kMaximumZeroSectors, maximum_discard_segments = 1,
                discard_alignment = 0;
  std::uint32_t maximum_zero_sectors = kMaximumZeroSectors, maximum_zero_segments = 1;
  std::uint8_t zero_may_unmap = 0;
  std::uint8_t unused1[3] = {};
};
static_assert(sizeof(Configuration) == 60);

void add(Counter& counter, std::uint64_t value) noexcept {
  counter.fetch_add(value, std::memory_order_relaxed);
}

}  // namespace

// The requests of one queue that are with the host.
class Block::QueueWorker final : private block::DiskClient {
 public:
  QueueWorker(Block& device, std::uint16_t index)
      : device_(device),
        index_(index),
        slots_(device.options_.queue_size),
        stream_(device.disk_, index, device.options_.queue_size, *this) {
    for (auto& slot : slots_) free_.push_back(&slot);
  }

  void start(EventThread& thread) { stream_.start(thread); }
  void stop(EventThread& thread) noexcept { stream_.stop(thread); }
  void abandon() noexcept { stream_.abandon(); }

  Served serve() noexcept {
    Chain chain;
    unsigned served = 0;
    do {
      for (; served < kShare && !free_.empty() && device_.queue(index_).pop(chain); ++served) take(chain);
      stream_.kick();
      // What the page cache answered is done already; looking costs nothing.
    } while (stream_.reap() != 0 && served < kShare && !free_.empty());
    count_malformed();
    if (free_.empty()) return Served::waiting;
    return served < kShare ? Served::all : Served::more;
  }

 private:
  struct Slot : block::DiskRequest {
    Ticket ticket;
    std::byte* status = nullptr;
    std::array<iovec, kMaximumSegments + 2> iovecs;
    std::uint32_t written = 0;  // besides the status byte
  };

  // Every request here is a slot's base.
  void finished(block::DiskRequest& request, bool failed) noexcept override {
    finish(static_cast<Slot&>(request), failed ? kIoError : kOk);
  }
  void abandoned(block::DiskRequest& request) noexcept override {
    Slot& slot = static_cast<Slot&>(request);
    slot.ticket.complete(0);
    free_.push_back(&slot);
  }
  void went_on() noexcept override { device_.work(index_); }

  void take(Chain& chain) noexcept {
    Reader reader(chain.readable);
    RequestHeader header{};
    // Without a header or a status byte there is nobody to tell: the chain goes back empty (§5.2.6.1).
    if (!reader.read_object(header) || chain.writable_bytes == 0) return reject(chain);
    Slot& slot = *free_.back();
    slot.clear();
    slot.status = last_byte(chain.writable);
    slot.written = 0;
    const std::byte result = prepare(slot, chain, header, reader);
    slot.ticket = std::move(chain.ticket);
    free_.pop_back();
    slot.bytes = slot.length;
    if (result != kInFlight) return finish(slot, result);
    stream_.begin(slot);
  }

  static constexpr std::byte kInFlight{0xff};

  // Sets the request up. A status value when it is decided already.
  std::byte prepare(Slot& slot, Chain& chain, const RequestHeader& header, const Reader& reader) noexcept {
    slot.durable = device_.writes_through();
    switch (header.type) {
      case kIn:
        return prepare_transfer(slot, block::Operation::read, header.sector, chain, reader);
      case kOut:
        if (device_.disk_.is_read_only()) return kIoError;
        return prepare_transfer(slot, block::Operation::write, header.sector, chain, reader);
      case kFlushCache:
        if (device_.options_.disk.flush == block::DiskOptions::Flush::ignore || device_.disk_.is_read_only())
          return kOk;
        slot.operation = block::Operation::flush;
        slot.counted = block::Counted::flush;
        return kInFlight;
      case kGetId:
        return give_id(slot, chain);
      case kDiscardSectors:
      case kZeroSectors:
        return prepare_zero(slot, header.type, reader);
      default:
        return kUnsupported;
    }
  }

  std::byte prepare_transfer(Slot& slot, block::Operation operation, std::uint64_t sector, const Chain& chain,
                             const Reader& reader) noexcept {
    const bool reads = operation == block::Operation::read;
    slot.operation = operation;
    slot.counted = reads ? block::Counted::read : block::Counted::write;
    slot.length = reads ? chain.writable_bytes - 1 : reader.left();
    if (!in_image(sector, slot.length)) return kIoError;
    std::size_t count = 0;
    const Reader data = reads ? Reader(chain.writable) : reader;
    if (!data.rest(slot.iovecs, slot.length, count)) return kIoError;
    if (slot.length == 0) return kOk;
    slot.offset = sector * kSectorSize;
    slot.ranges = std::span(slot.iovecs).first(count);
    if (!reads) stream_.detect_zeroes(slot);
    return kInFlight;
  }

  bool in_image(std::uint64_t sector, std::uint64_t length) const noexcept {
    std::uint64_t offset = 0;
    return !__builtin_mul_overflow(sector, kSectorSize, &offset) && device_.disk_.contains(offset, length);
  }

  std::byte give_id(Slot& slot, const Chain& chain) noexcept {
    std::array<std::byte, kIdBytes> id{};
    std::memcpy(id.data(), device_.options_.disk.serial.data(),
                std::min(device_.options_.disk.serial.size(), kIdBytes));
    const std::size_t room =
        static_cast<std::size_t>(std::min<std::uint64_t>(kIdBytes, chain.writable_bytes - 1));
    slot.written = static_cast<std::uint32_t>(Writer(chain.writable).write(std::span(id).first(room)));
    return kOk;
  }

  std::byte prepare_zero(Slot& slot, std::uint32_t type, Reader reader) noexcept {
    if (device_.disk_.is_read_only()) return kUnsupported;
    if (type == kDiscardSectors && !device_.options_.disk.discard) return kUnsupported;
    ZeroSegment segment{};
    // One segment a request: that is what the configuration says (§5.2.6.1).
    if (reader.left() != sizeof(segment) || !reader.read_object(segment)) return kIoError;
    const bool discards = type == kDiscardSectors;
    if (segment.flags & ~(discards ? 0 : kZeroMayUnmap)) return kUnsupported;
    if (segment.sectors > kMaximumZeroSectors) return kIoError;
    slot.length = segment.sectors * kSectorSize;
    if (!in_image(segment.sector, slot.length)) return kIoError;
    slot.operation = discards ? block::Operation::discard : block::Operation::write_zeroes;
    slot.offset = segment.sector * kSectorSize;
    slot.may_unmap = device_.options_.disk.discard && (segment.flags & kZeroMayUnmap) != 0;
    return slot.length == 0 ? kOk : kInFlight;
  }

  void finish(Slot& slot, std::byte status) noexcept {
    if (slot.status != nullptr) copy_guest_bytes(slot.status, &status, 1);
    std::uint32_t written = slot.written;
    if (status == kOk && slot.counted == block::Counted::read) {
      // A chain holds at most 2^32 bytes, one of them the status.
      written = static_cast<std::uint32_t>(slot.bytes);
    }
    stream_.count(slot, status == kIoError);
    // The status byte is the chain's last; when less than all before it was written, what was is not a prefix
    // that reaches it, and the driver is told the prefix only for a read that went well (§2.7.8.2).
    slot.ticket.complete(written + 1);
    free_.push_back(&slot);
  }

  void reject(Chain& chain) noexcept {
    add(device_.disk_.counters().malformed_chains, 1);
    chain.ticket.complete(0);
  }

  void count_malformed() noexcept {
    const std::uint64_t total = device_.queue(index_).malformed_chains();
    add(device_.disk_.counters().malformed_chains, total - malformed_seen_);
    malformed_seen_ = total;
  }

  static std::byte* last_byte(std::span<const iovec> ranges) noexcept {
    const iovec& last = ranges.back();
    return static_cast<std::byte*>(last.iov_base) + last.iov_len - 1;
  }

  Block& device_;
  const std::uint16_t index_;
  std::vector<Slot> slots_;
  std::vector<Slot*> free_;
  block::DiskStream stream_;
  std::uint64_t malformed_seen_ = 0;
};

Block::Block(std::string name, std::unique_ptr<block::Image> image, const BlockOptions& options,
             BlockCounters& counters, std::vector<EventThread*> threads)
    : ServedDevice(name, std::move(threads), Polling::yes),
      disk_(std::move(name), std::move(image), options.disk, counters, options.queues),
      options_(options),
      workers_(options.queues) {
  disk_.set_resize_handler([this] {
    if (DeviceHost* told = host()) told->signal_configuration();
  });
}

Block::~Block() {
  deactivate();
}

void Block::deactivate() noexcept {
  ServedDevice::deactivate();
  for (auto& worker : workers_)
    if (worker) worker->abandon();
}

std::uint64_t Block::features() const noexcept {
  std::uint64_t features = kSegmentMaximum | kBlockSize | kTopology;
  if (disk_.is_read_only()) features |= kReadOnly;
  // A disk that writes through has no cache to be flushed, and says so (§5.2.5).
  if (options_.disk.flush != block::DiskOptions::Flush::always) features |= kFlush;
  if (options_.disk.flush == block::DiskOptions::Flush::honour) features |= kConfigWriteback;
  if (options_.queues > 1) features |= kMultiQueue;
  if (!disk_.is_read_only()) features |= kWriteZeroes | (options_.disk.discard ? kDiscard : 0);
  return features;
}

bool Block::writes_through() const noexcept {
  switch (options_.disk.flush) {
    case block::DiskOptions::Flush::always:
      return true;
    case block::DiskOptions::Flush::ignore:
      return false;
    case block::DiskOptions::Flush::honour:
      // A driver that knows no flush must not lose what it wrote (§5.2.6.2).
      return !writeback_.load(std::memory_order_relaxed) || (accepted_features() & kFlush) == 0;
  }
  return true;
}

void Block::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  Configuration configuration;
  configuration.capacity = disk_.size() / kSectorSize;
  configuration.block_size = options_.disk.logical_block_size;
  configuration.physical_exponent =
      static_cast<std::uint8_t>(std::countr_zero(options_.disk.physical_block_size) -
                                std::countr_zero(options_.disk.logical_block_size));
  configuration.minimum_io =
      static_cast<std::uint16_t>(options_.disk.physical_block_size / options_.disk.logical_block_size);
  configuration.writeback =
      writeback_.load(std::memory_order_relaxed) && options_.disk.flush != block::DiskOptions::Flush::always;
  configuration.queues = options_.queues;
  configuration.discard_alignment =
      options_.disk.logical_block_size / static_cast<std::uint32_t>(kSectorSize);
  configuration.zero_may_unmap = options_.disk.discard;
  read_bytes(std::as_bytes(std::span(&configuration, 1)), offset, data);
}

void Block::write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  if (offset != offsetof(Configuration, writeback) || data.size() != 1) return;
  if (options_.disk.flush == block::DiskOptions::Flush::honour) writeback_.store(data[0] != std::byte{0});
}

ServedDevice::Served Block::serve(std::uint16_t queue) noexcept {
  return workers_[queue] ? workers_[queue]->serve() : Served::waiting;
}

void Block::started(std::uint16_t queue) noexcept {
  try {
    if (!workers_[queue]) workers_[queue] = std::make_unique<QueueWorker>(*this, queue);
    workers_[queue]->start(thread_of(queue));
  } catch (const std::exception&) {
    workers_[queue] = nullptr;
    host()->request_reset();  // no ring, no threads: the driver learns that the device is lost
  }
}

void Block::stopped(std::uint16_t queue) noexcept {
  if (!workers_[queue]) return;
  workers_[queue]->stop(thread_of(queue));
}

void Block::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  node.add("writeback", writeback_.load());
  disk_.inspect(node);
}

}  // namespace warren::vmm::virtio
