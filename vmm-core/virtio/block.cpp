#include "vmm-core/virtio/block.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <sys/epoll.h>
#include <time.h>

#include "vmm-core/os/error.h"

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

std::uint64_t now() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

void add(Counter& counter, std::uint64_t value) noexcept {
  counter.fetch_add(value, std::memory_order_relaxed);
}

}  // namespace

// The requests of one queue that are with the host.
class Block::QueueWorker final : public block::Completion, public EventHandler {
 public:
  QueueWorker(Block& device, std::uint16_t index)
      : device_(device),
        index_(index),
        slots_(device.options_.queue_size),
        queue_(device.image_->make_queue(device.options_.queue_size)) {
    for (auto& slot : slots_) free_.push_back(&slot);
  }

  int event_descriptor() const noexcept { return queue_->event_descriptor(); }

  Served serve() noexcept {
    Chain chain;
    unsigned served = 0;
    do {
      for (; !free_.empty() && device_.queue(index_).pop(chain); ++served) take(chain);
      queue_->kick();
      // What the page cache answered is done already; looking costs nothing.
    } while (queue_->reap() != 0 && served < kShare && !free_.empty());
    count_malformed();
    if (free_.empty()) return Served::waiting;
    return served < kShare ? Served::all : Served::more;
  }

  void on_event(std::uint32_t) noexcept override {
    queue_->reap();
    device_.work(index_);
  }

  void drain() noexcept { queue_->drain(); }

  void completed(block::Request& request, int error) noexcept override {
    // The request is the first member of its slot's class, which made it.
    finish(static_cast<Slot&>(request), error == 0 ? kOk : kIoError);
  }

 private:
  enum class Counted : std::uint8_t { none, read, write, flush };
  struct Slot : block::Request {
    Counted counted = Counted::none;
    Ticket ticket;
    std::byte* status = nullptr;
    std::array<iovec, kMaximumSegments + 2> iovecs;
    std::uint32_t written = 0;  // besides the status byte
    std::uint64_t began = 0;
  };

  void take(Chain& chain) noexcept {
    Reader reader(chain.readable);
    RequestHeader header{};
    // Without a header or a status byte there is nobody to tell: the chain goes back empty (§5.2.6.1).
    if (!reader.read_object(header) || chain.writable_bytes == 0) return reject(chain);
    Slot& slot = *free_.back();
    slot.status = last_byte(chain.writable);
    // Nothing of the request that had the slot before.
    slot.counted = Counted::none;
    slot.written = 0;
    slot.length = 0;
    slot.ranges = {};
    slot.began = now();
    const std::byte result = prepare(slot, chain, header, reader);
    slot.ticket = std::move(chain.ticket);
    free_.pop_back();
    if (result != kInFlight) return finish(slot, result);
    slot.completion = this;
    queue_->submit(slot);
  }

  static constexpr std::byte kInFlight{0xff};

  // Sets the request up. A status value when it is decided already.
  std::byte prepare(Slot& slot, Chain& chain, const RequestHeader& header, const Reader& reader) noexcept {
    slot.durable = device_.writes_through();
    switch (header.type) {
      case kIn:
        return prepare_transfer(slot, block::Operation::read, header.sector, chain, reader);
      case kOut:
        if (device_.image_->read_only()) return kIoError;
        return prepare_transfer(slot, block::Operation::write, header.sector, chain, reader);
      case kFlushCache:
        if (device_.options_.flush == BlockOptions::Flush::ignore || device_.image_->read_only()) return kOk;
        slot.operation = block::Operation::flush;
        slot.counted = Counted::flush;
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
    slot.counted = reads ? Counted::read : Counted::write;
    slot.length = reads ? chain.writable_bytes - 1 : reader.left();
    if (!in_image(sector, slot.length)) return kIoError;
    std::size_t count = 0;
    const Reader data = reads ? Reader(chain.writable) : reader;
    if (!data.rest(slot.iovecs, slot.length, count)) return kIoError;
    if (slot.length == 0) return kOk;
    slot.offset = sector * kSectorSize;
    slot.ranges = std::span(slot.iovecs).first(count);
    return kInFlight;
  }

  bool in_image(std::uint64_t sector, std::uint64_t length) const noexcept {
    const std::uint64_t sectors = device_.image_->size() / kSectorSize;
    return length % device_.options_.logical_block_size == 0 && sector <= sectors &&
           length / kSectorSize <= sectors - sector &&
           sector * kSectorSize % device_.options_.logical_block_size == 0;
  }

  std::byte give_id(Slot& slot, const Chain& chain) noexcept {
    std::array<std::byte, kIdBytes> id{};
    std::memcpy(id.data(), device_.options_.serial.data(),
                std::min(device_.options_.serial.size(), kIdBytes));
    const std::size_t room =
        static_cast<std::size_t>(std::min<std::uint64_t>(kIdBytes, chain.writable_bytes - 1));
    slot.written = static_cast<std::uint32_t>(Writer(chain.writable).write(std::span(id).first(room)));
    return kOk;
  }

  std::byte prepare_zero(Slot& slot, std::uint32_t type, Reader reader) noexcept {
    if (!device_.options_.discard || device_.image_->read_only()) return kUnsupported;
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
    slot.may_unmap = (segment.flags & kZeroMayUnmap) != 0;
    return slot.length == 0 ? kOk : kInFlight;
  }

  void finish(Slot& slot, std::byte status) noexcept {
    if (slot.status != nullptr) *slot.status = status;
    std::uint32_t written = slot.written;
    if (status == kOk && slot.counted == Counted::read) {
      // A chain holds at most 2^32 bytes, one of them the status.
      written = static_cast<std::uint32_t>(slot.length);
    }
    count(slot, status);
    // The status byte is the chain's last; when less than all before it was written, what was is not a prefix
    // that reaches it, and the driver is told the prefix only for a read that went well (§2.7.8.2).
    slot.ticket.complete(written + 1);
    free_.push_back(&slot);
  }

  void count(const Slot& slot, std::byte status) noexcept {
    BlockCounters& counters = device_.counters_;
    if (status == kIoError) add(counters.errors, 1);
    const std::uint64_t spent = now() - slot.began;
    if (slot.counted == Counted::read) {
      add(counters.read_requests, 1);
      if (status == kOk) add(counters.read_bytes, slot.length);
      add(counters.read_nanoseconds, spent);
    } else if (slot.counted == Counted::write) {
      add(counters.write_requests, 1);
      if (status == kOk) add(counters.write_bytes, slot.length);
      add(counters.write_nanoseconds, spent);
    } else if (slot.counted == Counted::flush) {
      add(counters.flush_requests, 1);
      add(counters.flush_nanoseconds, spent);
    }
  }

  void reject(Chain& chain) noexcept {
    add(device_.counters_.malformed_chains, 1);
    chain.ticket.complete(0);
  }

  void count_malformed() noexcept {
    const std::uint64_t total = device_.queue(index_).malformed_chains();
    add(device_.counters_.malformed_chains, total - malformed_seen_);
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
  std::unique_ptr<block::BlockQueue> queue_;
  std::uint64_t malformed_seen_ = 0;
};

Block::Block(std::string name, std::unique_ptr<block::Image> image, const BlockOptions& options,
             BlockCounters& counters, std::vector<EventThread*> threads)
    : ServedDevice(std::move(name), std::move(threads)),
      image_(std::move(image)),
      options_(options),
      counters_(counters),
      workers_(options.queues) {}

Block::~Block() {
  deactivate();
}

std::uint64_t Block::features() const noexcept {
  std::uint64_t features = kSegmentMaximum | kBlockSize | kTopology | kFlush;
  if (image_->read_only()) features |= kReadOnly;
  if (options_.flush == BlockOptions::Flush::honour) features |= kConfigWriteback;
  if (options_.queues > 1) features |= kMultiQueue;
  if (options_.discard && !image_->read_only()) features |= kDiscard | kWriteZeroes;
  return features;
}

bool Block::writes_through() const noexcept {
  switch (options_.flush) {
    case BlockOptions::Flush::always:
      return true;
    case BlockOptions::Flush::ignore:
      return false;
    case BlockOptions::Flush::honour:
      // A driver that knows no flush must not lose what it wrote (§5.2.6.2).
      return !writeback_.load(std::memory_order_relaxed) || (accepted_features() & kFlush) == 0;
  }
  return true;
}

void Block::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  Configuration configuration;
  configuration.capacity = image_->size() / kSectorSize;
  configuration.block_size = options_.logical_block_size;
  configuration.physical_exponent = static_cast<std::uint8_t>(std::countr_zero(options_.physical_block_size) -
                                                              std::countr_zero(options_.logical_block_size));
  configuration.minimum_io =
      static_cast<std::uint16_t>(options_.physical_block_size / options_.logical_block_size);
  configuration.writeback =
      writeback_.load(std::memory_order_relaxed) && options_.flush != BlockOptions::Flush::always;
  configuration.queues = options_.queues;
  configuration.discard_alignment = options_.logical_block_size / static_cast<std::uint32_t>(kSectorSize);
  configuration.zero_may_unmap = 1;
  read_bytes(std::as_bytes(std::span(&configuration, 1)), offset, data);
}

void Block::write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  if (offset != offsetof(Configuration, writeback) || data.size() != 1) return;
  if (options_.flush == BlockOptions::Flush::honour) writeback_.store(data[0] != std::byte{0});
}

ServedDevice::Served Block::serve(std::uint16_t queue) noexcept {
  return workers_[queue] ? workers_[queue]->serve() : Served::waiting;
}

void Block::started(std::uint16_t queue) noexcept {
  try {
    if (!workers_[queue]) workers_[queue] = std::make_unique<QueueWorker>(*this, queue);
    thread_of(queue).add(workers_[queue]->event_descriptor(), EPOLLIN, *workers_[queue]);
  } catch (const std::exception&) {
    workers_[queue] = nullptr;
    host()->request_reset();  // no ring, no threads: the driver learns that the device is lost
  }
}

void Block::stopped(std::uint16_t queue) noexcept {
  if (!workers_[queue]) return;
  workers_[queue]->drain();
  thread_of(queue).remove(workers_[queue]->event_descriptor());
}

void Block::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  node.add("bytes", image_->size());
  node.add("read_only", image_->read_only());
  node.add("writeback", writeback_.load());
  node.add("reads", counters_.read_requests.load());
  node.add("writes", counters_.write_requests.load());
  node.add("flushes", counters_.flush_requests.load());
  node.add("errors", counters_.errors.load());
}

}  // namespace warren::vmm::virtio
