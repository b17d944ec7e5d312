#include "vmm-core/virtio/balloon.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <ctime>
#include <limits>
#include <optional>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::virtio {

static_assert(std::endian::native == std::endian::little, "page numbers are copied as they are");

namespace {

// §5.5.3
constexpr std::uint64_t kFeatureStatistics = std::uint64_t{1} << 1;
constexpr std::uint64_t kFeatureDeflateOnOom = std::uint64_t{1} << 2;
constexpr std::uint64_t kFeaturePoison = std::uint64_t{1} << 4;
constexpr std::uint64_t kFeatureReporting = std::uint64_t{1} << 5;

constexpr std::uint64_t kPageBytes = 4096;  // of the balloon, whatever the guest's own are (§5.5.6)
// The most that one chain can name; the rest of a longer one counts as malformed (class T8).
constexpr std::uint64_t kMaximumPages = 65'536;
constexpr std::uint64_t kMaximumStatistics = 64;

// One statistic, as it is in the guest's memory (§5.5.6.3).
struct [[gnu::packed]] Statistic {
  std::uint16_t tag;
  std::uint64_t value;
};
static_assert(sizeof(Statistic) == 10);

// Numbers of pages, one after the other, as the ranges they make up: a hole in the file costs a system call.
class PageRuns {
 public:
  explicit PageRuns(GuestMemory& memory) noexcept : memory_(memory) {}
  ~PageRuns() { flush(); }
  PageRuns(const PageRuns&) = delete;
  PageRuns& operator=(const PageRuns&) = delete;

  void add(std::uint64_t address) noexcept {
    if (end_ != start_ && address == end_) {
      end_ += kPageBytes;
    } else if (end_ != start_ && address + kPageBytes == start_) {
      start_ = address;
    } else {
      flush();
      start_ = address;
      end_ = address + kPageBytes;
    }
  }

 private:
  void flush() noexcept {
    if (end_ != start_) memory_.discard(GuestAddress{start_}, end_ - start_);
  }

  GuestMemory& memory_;
  std::uint64_t start_ = 0, end_ = 0;
};

}  // namespace

Balloon::Balloon(std::string name, GuestMemory& memory, const BalloonOptions& options,
                 BalloonCounters& counters, std::vector<EventThread*> threads)
    : ServedDevice(std::move(name), std::move(threads)),
      memory_(memory),
      options_(options),
      counters_(counters),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  if (!timer_) throw_errno(this->name() + ": timer");
  counters_.actual_bytes.store(memory.size(), std::memory_order_relaxed);
}

Balloon::~Balloon() {
  // Nobody is told any more.
  ServedDevice::deactivate();
}

std::uint64_t Balloon::features() const noexcept {
  std::uint64_t features = kFeatureStatistics;
  if (options_.deflate_on_oom) features |= kFeatureDeflateOnOom;
  // A driver that poisons its free pages must say so, or discarded ones would not be what it left.
  if (options_.page_reporting) features |= kFeatureReporting | kFeaturePoison;
  return features;
}

void Balloon::set_target(std::uint64_t bytes) noexcept {
  const std::uint64_t pages = (memory_.size() - std::min(bytes, memory_.size())) / kPageBytes;
  target_pages_.store(
      static_cast<std::uint32_t>(std::min<std::uint64_t>(pages, std::numeric_limits<std::uint32_t>::max())),
      std::memory_order_relaxed);
  if (DeviceHost* transport = host()) transport->signal_configuration();
}

void Balloon::set_statistics_period(std::uint32_t seconds) noexcept {
  thread_of(kStatistics).run([this, seconds] {
    statistics_period_ = seconds;
    arm();
  });
}

void Balloon::arm() noexcept {
  itimerspec time{};
  if (statistics_period_ != 0) {
    time.it_value.tv_nsec = 1;
    time.it_interval.tv_sec = statistics_period_;
  }
  // Cannot fail: the descriptor is a timer and the times are sound.
  (void)::timerfd_settime(timer_.get(), 0, &time, nullptr);
}

ServedDevice::Served Balloon::serve(std::uint16_t index) noexcept {
  Chain chain;
  for (unsigned served = 0; served < kShare; ++served) {
    if (!queue(index).pop(chain)) return Served::all;
    switch (index) {
      case kInflate:
      case kDeflate:
        take_pages(chain, index == kInflate);
        break;
      case kStatistics:
        take_statistics(chain);
        // It goes back when new ones are wanted (§5.5.6.3); a driver that gives two gets the first one back.
        statistics_buffer_ = std::move(chain.ticket);
        continue;
      default:
        take_reported(chain);
    }
    chain.ticket.complete(0);
  }
  return Served::more;
}

void Balloon::take_pages(const Chain& chain, bool inflates) noexcept {
  Reader reader(chain.readable);
  PageRuns runs(memory_);
  std::array<std::uint32_t, 256> numbers;
  std::uint64_t left = std::min(chain.readable_bytes / sizeof(numbers[0]), kMaximumPages);
  std::uint64_t taken = 0, wrong = chain.readable_bytes != left * sizeof(numbers[0]) ? 1 : 0;
  while (left != 0) {
    const auto some = std::span(numbers).first(std::min<std::uint64_t>(left, numbers.size()));
    if (!reader.read(std::as_writable_bytes(some))) break;
    left -= some.size();
    for (const std::uint32_t number : some) {
      const std::uint64_t address = std::uint64_t{number} * kPageBytes;
      // Class T6: what is no RAM, a device's registers among it, cannot be given away.
      if (!memory_.contains(GuestAddress{address}, kPageBytes)) {
        ++wrong;
        continue;
      }
      ++taken;
      // A page that comes back is there again when it is touched.
      if (inflates) runs.add(address);
    }
  }
  (inflates ? counters_.inflated_pages : counters_.deflated_pages)
      .fetch_add(taken, std::memory_order_relaxed);
  counters_.malformed.fetch_add(wrong, std::memory_order_relaxed);
}

void Balloon::take_statistics(const Chain& chain) noexcept {
  Reader reader(chain.readable);
  std::uint64_t present = 0;
  Statistic statistic{};
  for (std::uint64_t i = 0; i < kMaximumStatistics && reader.read_object(statistic); ++i) {
    if (statistic.tag >= counters_.statistics.size()) continue;  // newer than this device
    counters_.statistics[statistic.tag].store(statistic.value, std::memory_order_relaxed);
    present |= std::uint64_t{1} << statistic.tag;
  }
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  counters_.statistics_present.store(present, std::memory_order_relaxed);
  counters_.statistics_time.store(static_cast<std::uint64_t>(now.tv_sec), std::memory_order_relaxed);
}

// What the driver gives to be written to are its free pages (§5.5.6.7). The host may have them, if a page of
// zeros is what the driver expects back.
void Balloon::take_reported(const Chain& chain) noexcept {
  const bool is_poisoned = (accepted_features() & kFeaturePoison) != 0 && poison_.load() != 0;
  if (is_poisoned) return;
  std::uint64_t bytes = 0;
  for (const iovec& range : chain.writable) bytes += memory_.discard(range);
  counters_.reported_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

void Balloon::on_event(std::uint32_t) noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(timer_.get(), &count, sizeof(count));
  if (!statistics_buffer_) return;  // the driver has not answered yet
  statistics_buffer_.complete(0);
  signal(kStatistics);
}

void Balloon::started(std::uint16_t queue) noexcept {
  if (queue != kStatistics) return;
  try {
    thread_of(queue).add(timer_.get(), EPOLLIN, *this);
  } catch (const Error&) {
    host()->request_reset();
  }
}

void Balloon::stopped(std::uint16_t queue) noexcept {
  if (queue != kStatistics) return;
  thread_of(queue).remove(timer_.get());
  // Who goes on with the queue, this device or another one, is given the buffer again.
  statistics_buffer_.complete(0);
}

Balloon::Configuration Balloon::configuration() const noexcept {
  const std::array<std::uint32_t, 4> words = {target_pages_.load(std::memory_order_relaxed),
                                              actual_pages_.load(std::memory_order_relaxed),
                                              0,  // free_page_hint_cmd_id: not offered
                                              poison_.load(std::memory_order_relaxed)};
  return std::bit_cast<Configuration>(words);
}

void Balloon::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  read_bytes(configuration(), offset, data);
}

void Balloon::write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  Configuration changed = configuration();
  if (offset >= changed.size()) return;
  const std::size_t size = std::min<std::size_t>(data.size(), changed.size() - offset);
  std::memcpy(changed.data() + offset, data.data(), size);
  const auto words = std::bit_cast<std::array<std::uint32_t, 4>>(changed);
  poison_.store(words[3], std::memory_order_relaxed);
  set_actual(words[1]);
}

void Balloon::set_actual(std::uint32_t pages) noexcept {
  if (actual_pages_.exchange(pages, std::memory_order_relaxed) != pages) count_actual();
}

void Balloon::memory_changed() noexcept {
  count_actual();
}

void Balloon::count_actual() noexcept {
  const std::uint64_t pages = actual_pages_.load(std::memory_order_relaxed);
  const std::uint64_t gone = std::min(pages * kPageBytes, memory_.size());
  counters_.actual_bytes.store(memory_.size() - gone, std::memory_order_relaxed);
  if (options_.listener != nullptr) options_.listener->balloon_changed();
}

// A driver that was reset has let go of its balloon.
void Balloon::deactivate() noexcept {
  ServedDevice::deactivate();
  poison_.store(0, std::memory_order_relaxed);
  set_actual(0);
}

void Balloon::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  node.add("target_pages", target_pages_.load(std::memory_order_relaxed));
  node.add("actual_pages", actual_pages_.load(std::memory_order_relaxed));
  node.add("inflated_pages", counters_.inflated_pages.load(std::memory_order_relaxed));
  node.add("deflated_pages", counters_.deflated_pages.load(std::memory_order_relaxed));
  node.add("reported_bytes", counters_.reported_bytes.load(std::memory_order_relaxed));
  node.add("malformed", counters_.malformed.load(std::memory_order_relaxed));
  node.add("statistics_time", counters_.statistics_time.load(std::memory_order_relaxed));
}

}  // namespace warren::vmm::virtio
