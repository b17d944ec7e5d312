#include "vmm-core/virtio/block.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::virtio {
namespace {

constexpr std::uint64_t kSectorSize = 512;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

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
  return static_cast<std::uint64_t>(time.tv_sec) * kNanosecondsPerSecond +
         static_cast<std::uint64_t>(time.tv_nsec);
}

bool is_zero(std::span<const iovec> ranges) noexcept {
  return std::ranges::all_of(ranges, [](const iovec& range) {
    const auto* bytes = static_cast<const char*>(range.iov_base);
    // Equal to itself moved by one, and zero at the front.
    return range.iov_len == 0 || (bytes[0] == 0 && std::memcmp(bytes, bytes + 1, range.iov_len - 1) == 0);
  });
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

  void start(EventThread& thread) {
    thread.add(queue_->event_descriptor(), EPOLLIN, *this);
    thread.add(alarm(), EPOLLIN, alarm_);
    // What the machine was stopped for is tried again, before anything newer.
    if (!stalled_.empty()) device_.stalled_error_.store(0, std::memory_order_relaxed);
    for (SlotList again = std::exchange(stalled_, {}); !again.empty();) {
      Slot& slot = again.pop();
      block::RequestProgress(slot).keep_rest();
      queue_->submit(slot);
    }
    admit();
    queue_->kick();
  }

  void stop(EventThread& thread) noexcept {
    queue_->drain();
    thread.remove(queue_->event_descriptor());
    thread.remove(alarm());
  }

  // Gives up what waits to be begun, or begun again. Nothing is in flight.
  void abandon() noexcept {
    for (SlotList* list : {&stalled_, &waiting_[0], &waiting_[1]}) {
      while (!list->empty()) {
        Slot& slot = list->pop();
        slot.ticket.complete(0);
        free_.push_back(&slot);
      }
    }
    due_ = {};
  }

  Served serve() noexcept {
    Chain chain;
    unsigned served = 0;
    do {
      for (; !free_.empty() && device_.queue(index_).pop(chain); ++served) take(chain);
      admit();
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

  void completed(block::Request& request, int error) noexcept override {
    // Every request here is a slot's base.
    Slot& slot = static_cast<Slot&>(request);
    if (error == 0) return finish(slot, kOk);
    const BlockFault fault = judge(slot, error);
    if (fault.action == BlockFault::Action::stop) {
      device_.stalled_error_.store(error, std::memory_order_relaxed);
      stalled_.push(slot);
    } else {
      if (fault.action == BlockFault::Action::ignore) add(device_.counters_.errors, 1);
      finish(slot, fault.action == BlockFault::Action::ignore ? kOk : kIoError);
    }
    device_.tell(fault);
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
    std::uint64_t bytes = 0;  // of the whole request; `length` is what is left of it
    Slot* next = nullptr;     // in a SlotList
  };

  // First in, first out.
  class SlotList {
   public:
    bool empty() const noexcept { return first_ == nullptr; }
    void push(Slot& slot) noexcept {
      slot.next = nullptr;
      (first_ == nullptr ? first_ : last_->next) = &slot;
      last_ = &slot;
    }
    Slot& pop() noexcept {
      Slot& slot = *first_;
      first_ = slot.next;
      return slot;
    }
    const Slot& front() const noexcept { return *first_; }

   private:
    Slot* first_ = nullptr;
    Slot* last_ = nullptr;
  };

  class Alarm final : public EventHandler {
   public:
    explicit Alarm(QueueWorker& worker) : worker_(worker) {}
    void on_event(std::uint32_t) noexcept override {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(worker_.alarm(), &count, sizeof(count));
      worker_.admit();
      worker_.queue_->kick();
      worker_.on_event(0);
    }

   private:
    QueueWorker& worker_;
  };

  int alarm() const noexcept { return device_.alarms_[index_].get(); }

  BlockFault judge(const Slot& slot, int error) const noexcept {
    using Action = BlockFault::Action;
    const bool reads = slot.operation == block::Operation::read;
    BlockFault fault{.writes = !reads, .error = error, .action = Action::report};
    switch (reads ? device_.options_.read_error : device_.options_.write_error) {
      case OnBlockError::report:
        break;
      case OnBlockError::stop:
        fault.action = Action::stop;
        break;
      case OnBlockError::ignore:
        fault.action = Action::ignore;
        break;
      case OnBlockError::stop_for_no_space:
        if (error == ENOSPC || error == EDQUOT) fault.action = Action::stop;
        break;
    }
    return fault;
  }

  // Gives a prepared request to the host, or puts it in line.
  void begin(Slot& slot) noexcept {
    const bool counts =
        slot.operation != block::Operation::flush && slot.operation != block::Operation::discard;
    const std::size_t line = slot.operation == block::Operation::read ? 0 : 1;
    block::Throttle* throttle = device_.throttle_.load(std::memory_order_acquire);
    if (counts && ((throttle != nullptr && throttle->is_limited()) || !waiting_[line].empty())) {
      waiting_[line].push(slot);
      return;
    }
    submit(slot);
  }

  void submit(Slot& slot) noexcept {
    if (slot.operation == block::Operation::write || slot.operation == block::Operation::write_zeroes)
      device_.note_write(slot.offset + slot.length);
    queue_->submit(slot);
  }

  // Submits what the limits allow by now, and has the rest looked at again in time. Only the first of a line
  // has a place reserved, so that queues and disks with the same limits take turns.
  void admit() noexcept {
    if (waiting_[0].empty() && waiting_[1].empty()) return;
    std::uint64_t earliest = 0;
    for (std::size_t line = 0; line < waiting_.size(); ++line) {
      const std::uint64_t due = admit_line(line);
      if (due != 0 && (earliest == 0 || due < earliest)) earliest = due;
    }
    if (earliest == 0) return;
    itimerspec time{};
    time.it_value.tv_sec = static_cast<time_t>(earliest / kNanosecondsPerSecond);
    time.it_value.tv_nsec = static_cast<long>(earliest % kNanosecondsPerSecond);
    ::timerfd_settime(alarm(), TFD_TIMER_ABSTIME, &time, nullptr);
  }

  // When the first that must wait may begin; 0 when none does.
  std::uint64_t admit_line(std::size_t line) noexcept {
    while (!waiting_[line].empty()) {
      block::Throttle* throttle = device_.throttle_.load(std::memory_order_acquire);
      if (throttle != nullptr && throttle->is_limited()) {
        const std::uint64_t time = now();
        Reservation& place = due_[line];
        const std::uint32_t generation = throttle->generation();
        if (place.throttle != throttle || place.generation != generation)
          place = {throttle, generation, throttle->reserve(line == 1, waiting_[line].front().length, time)};
        if (place.due > time) return place.due;
        place = {};
      }
      submit(waiting_[line].pop());
    }
    return 0;
  }

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
    slot.bytes = slot.length;
    if (result != kInFlight) return finish(slot, result);
    slot.completion = this;
    begin(slot);
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
    if (!reads && device_.options_.detect_zeroes != BlockOptions::DetectZeroes::off && is_zero(slot.ranges)) {
      slot.operation = block::Operation::write_zeroes;
      slot.may_unmap =
          device_.options_.detect_zeroes == BlockOptions::DetectZeroes::unmap && device_.options_.discard;
    }
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
    if (device_.image_->read_only()) return kUnsupported;
    if (type == kDiscardSectors && !device_.options_.discard) return kUnsupported;
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
    slot.may_unmap = device_.options_.discard && (segment.flags & kZeroMayUnmap) != 0;
    return slot.length == 0 ? kOk : kInFlight;
  }

  void finish(Slot& slot, std::byte status) noexcept {
    if (slot.status != nullptr) *slot.status = status;
    std::uint32_t written = slot.written;
    if (status == kOk && slot.counted == Counted::read) {
      // A chain holds at most 2^32 bytes, one of them the status.
      written = static_cast<std::uint32_t>(slot.bytes);
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
      if (status == kOk) add(counters.read_bytes, slot.bytes);
      add(counters.read_nanoseconds, spent);
    } else if (slot.counted == Counted::write) {
      add(counters.write_requests, 1);
      if (status == kOk) add(counters.write_bytes, slot.bytes);
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

  struct Reservation {
    const block::Throttle* throttle = nullptr;
    std::uint32_t generation = 0;
    std::uint64_t due = 0;
  };

  Block& device_;
  const std::uint16_t index_;
  Alarm alarm_{*this};
  SlotList stalled_;                  // failed, and to be begun again when the machine goes on
  std::array<SlotList, 2> waiting_;   // throttled: [0] reads, [1] writes
  std::array<Reservation, 2> due_{};  // of the first in each line
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
      throttle_(options.throttle),
      workers_(options.queues) {
  for (std::uint16_t i = 0; i < options.queues; ++i) {
    alarms_.emplace_back(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!alarms_.back()) throw_errno(this->name() + ": timer");
  }
}

Block::~Block() {
  deactivate();
  if (options_.listener != nullptr) options_.listener->block_goes(*this);
}

void Block::deactivate() noexcept {
  ServedDevice::deactivate();
  for (auto& worker : workers_)
    if (worker) worker->abandon();
  stalled_error_.store(0, std::memory_order_relaxed);
}

void Block::resize(std::uint64_t bytes) {
  if (bytes % options_.logical_block_size != 0) {
    throw Error(std::errc::invalid_argument, name() + ": " + std::to_string(bytes) +
                                                 " bytes are no multiple of its blocks of " +
                                                 std::to_string(options_.logical_block_size));
  }
  image_->resize(bytes);
  if (DeviceHost* told = host()) told->signal_configuration();
}

void Block::set_throttle(block::Throttle* throttle) noexcept {
  throttle_.store(throttle, std::memory_order_release);
  // Each queue's thread looks at its lines at once.
  const itimerspec soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = 1}};
  for (const auto& alarm : alarms_) ::timerfd_settime(alarm.get(), 0, &soon, nullptr);
}

void Block::note_write(std::uint64_t end) noexcept {
  std::uint64_t highest = counters_.highest_written.load(std::memory_order_relaxed);
  while (end > highest &&
         !counters_.highest_written.compare_exchange_weak(highest, end, std::memory_order_relaxed)) {
  }
  std::uint64_t threshold = threshold_.load(std::memory_order_relaxed);
  if (threshold == 0 || end <= threshold) return;
  if (threshold_.compare_exchange_strong(threshold, 0, std::memory_order_relaxed))
    tell(BlockThresholdCrossed{threshold, end - threshold});
}

std::uint64_t Block::features() const noexcept {
  std::uint64_t features = kSegmentMaximum | kBlockSize | kTopology | kFlush;
  if (image_->read_only()) features |= kReadOnly;
  if (options_.flush == BlockOptions::Flush::honour) features |= kConfigWriteback;
  if (options_.queues > 1) features |= kMultiQueue;
  if (!image_->read_only()) features |= kWriteZeroes | (options_.discard ? kDiscard : 0);
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
  configuration.zero_may_unmap = options_.discard;
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
  node.add("bytes", image_->size());
  node.add("read_only", image_->read_only());
  node.add("writeback", writeback_.load());
  node.add("reads", counters_.read_requests.load());
  node.add("writes", counters_.write_requests.load());
  node.add("flushes", counters_.flush_requests.load());
  node.add("errors", counters_.errors.load());
  node.add("stalled_error", std::int64_t{stalled_error_.load()});
  node.add("threshold", threshold_.load());
}

}  // namespace warren::vmm::virtio
