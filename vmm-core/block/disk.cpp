#include "vmm-core/block/disk.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/timerfd.h>
#include <time.h>

#include "vmm-core/block/disk_stream.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block {

Disk::Disk(std::string name, std::unique_ptr<Image> image, const DiskOptions& options,
           BlockCounters& counters, std::size_t streams)
    : name_(std::move(name)),
      image_(std::move(image)),
      options_(options),
      counters_(counters),
      told_size_(size()),
      throttle_(options.throttle) {
  for (std::size_t i = 0; i < streams; ++i) {
    alarms_.emplace_back(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!alarms_.back()) throw_errno(name_ + ": timer");
  }
}

Disk::~Disk() {
  if (options_.listener != nullptr) options_.listener->disk_goes(*this);
}

bool Disk::contains(std::uint64_t offset, std::uint64_t length) const noexcept {
  const std::uint64_t bytes = size();
  return offset % options_.logical_block_size == 0 && length % options_.logical_block_size == 0 &&
         offset <= bytes && length <= bytes - offset;
}

void Disk::resize(std::uint64_t bytes) {
  if (!image_) throw Error(std::errc::no_such_device, name_ + ": there is no medium to resize");
  if (bytes % options_.logical_block_size != 0) {
    throw Error(std::errc::invalid_argument, name_ + ": " + std::to_string(bytes) +
                                                 " bytes are no multiple of its blocks of " +
                                                 std::to_string(options_.logical_block_size));
  }
  image_->resize(bytes);
  tell_size();
}

void Disk::tell_size() {
  if (std::exchange(told_size_, size()) != size() && resized_) resized_();
}

void Disk::set_throttle(Throttle* throttle) noexcept {
  throttle_.store(throttle, std::memory_order_release);
  // Each stream's thread looks at its lines at once.
  const itimerspec soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = 1}};
  for (const auto& alarm : alarms_) ::timerfd_settime(alarm.get(), 0, &soon, nullptr);
}

DiskFault Disk::judge(bool reads, int error) const noexcept {
  using Action = DiskFault::Action;
  DiskFault fault{.writes = !reads, .error = error, .action = Action::report};
  switch (reads ? options_.read_error : options_.write_error) {
    case OnDiskError::report:
      break;
    case OnDiskError::stop:
      fault.action = Action::stop;
      break;
    case OnDiskError::ignore:
      fault.action = Action::ignore;
      break;
    case OnDiskError::stop_for_no_space:
      if (error == ENOSPC || error == EDQUOT) fault.action = Action::stop;
      break;
  }
  return fault;
}

void Disk::note_write(std::uint64_t end) noexcept {
  std::uint64_t highest = counters_.highest_written.load(std::memory_order_relaxed);
  while (end > highest &&
         !counters_.highest_written.compare_exchange_weak(highest, end, std::memory_order_relaxed)) {
  }
  std::uint64_t threshold = threshold_.load(std::memory_order_relaxed);
  if (threshold == 0 || end <= threshold) return;
  if (threshold_.compare_exchange_strong(threshold, 0, std::memory_order_relaxed))
    tell(ThresholdCrossed{threshold, end - threshold});
}

void Disk::join(DiskStream& stream) {
  streams_.push_back(&stream);
}

void Disk::leave(DiskStream& stream) noexcept {
  std::unique_lock lock(streams_mutex_);
  // Who holds the disk waits for this very thread, maybe; it asks whether the stream is still there.
  if (!stream.is_on_its_thread()) released_.wait(lock, [this] { return !has_holder_; });
  // Before the next holder, who knows nothing of this stream, changes what the queue was made from.
  stream.queue_ = nullptr;
  std::erase(streams_, &stream);
}

bool Disk::has(const DiskStream* stream) const noexcept {
  const std::lock_guard lock(streams_mutex_);
  return std::ranges::find(streams_, stream) != streams_.end();
}

void Disk::inspect(InspectNode& node) const {
  node.add("bytes", size());
  node.add("read_only", is_read_only());
  node.add("reads", counters_.read_requests.load());
  node.add("writes", counters_.write_requests.load());
  node.add("flushes", counters_.flush_requests.load());
  node.add("errors", counters_.errors.load());
  node.add("stalled_error", std::int64_t{stalled_error()});
  node.add("threshold", threshold());
}

}  // namespace warren::vmm::block
