#include "vmm-core/block/disk_stream.h"

#include <algorithm>
#include <utility>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm-core/block/write_map.h"
#include "vmm-core/block/zero_bytes.h"

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
// How often a queue is looked at that cannot be waited for.
constexpr std::chrono::microseconds kLook{500};

std::uint64_t now() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * kNanosecondsPerSecond +
         static_cast<std::uint64_t>(time.tv_nsec);
}

bool are_zero(std::span<const iovec> ranges) noexcept {
  return std::ranges::all_of(ranges, [](const iovec& range) {
    return is_zero(std::span(static_cast<const std::byte*>(range.iov_base), range.iov_len));
  });
}

void add(Counter& counter, std::uint64_t value) noexcept {
  counter.fetch_add(value, std::memory_order_relaxed);
}

}  // namespace

void DiskRequest::clear() noexcept {
  counted = Counted::none;
  offset = 0;
  length = 0;
  ranges = {};
  may_unmap = false;
  durable = false;
  bytes = 0;
  began = now();
}

DiskStream::DiskStream(Disk& disk, std::size_t index, unsigned depth, DiskClient& client)
    : disk_(disk), index_(index), depth_(depth), client_(client) {
  // The image that there is, and is to be, changes under the same lock.
  const std::lock_guard lock(disk_.streams_mutex_);
  if (disk_.image_) queue_ = disk_.image_->make_queue(depth);
  held_ = disk_.held_;
  write_map_ = disk_.write_map_;
  disk_.join(*this);
}

DiskStream::~DiskStream() {
  disk_.leave(*this);
}

bool DiskStream::is_on_its_thread() const noexcept {
  return thread_ != nullptr && thread_->is_current();
}

void DiskStream::watch() {
  if (queue_) thread_->add(queue_->event_descriptor(), EPOLLIN, *this);
}

void DiskStream::watch_or_look() noexcept {
  try {
    watch();
    looks_ = false;
  } catch (const std::exception&) {
    looks_ = true;
  }
}

void DiskStream::unwatch() noexcept {
  if (queue_) thread_->remove(queue_->event_descriptor());
  looks_ = false;
}

void DiskStream::look_soon(std::chrono::nanoseconds delay) noexcept {
  const itimerspec time{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = delay.count()}};
  ::timerfd_settime(alarm(), 0, &time, nullptr);
}

void DiskStream::start(EventThread& thread) {
  {
    const std::lock_guard lock(disk_.streams_mutex_);
    thread_ = &thread;
  }
  watch();
  try {
    thread.add(alarm(), EPOLLIN, alarm_);
  } catch (...) {
    unwatch();
    throw;
  }
  started_ = true;
  if (held_) {
    again_ = true;
  } else {
    begin_again();
  }
}

void DiskStream::begin_again() noexcept {
  again_ = false;
  if (!stalled_.empty()) disk_.stalled_error_.store(0, std::memory_order_relaxed);
  for (List again = std::exchange(stalled_, {}); !again.empty();) {
    DiskRequest& request = again.pop();
    RequestProgress(request).keep_rest();
    queue_->submit(request);
  }
  for (List again = std::exchange(held_requests_, {}); !again.empty();) submit(again.pop());
  kick();
}

void DiskStream::stop(EventThread& thread) noexcept {
  drain();
  unwatch();
  thread.remove(alarm());
  started_ = false;
  again_ = false;
}

void DiskStream::hold() noexcept {
  drain();
  held_ = true;
  if (started_) client_.went_on();
}

void DiskStream::release(std::unique_ptr<BlockQueue> queue) noexcept {
  held_ = false;
  write_map_ = disk_.write_map_;
  if (queue) {
    if (started_) unwatch();
    queue_ = std::move(queue);
    if (started_) watch_or_look();
  }
  if (!started_) return;
  if (again_) return begin_again();
  for (List again = std::exchange(held_requests_, {}); !again.empty();) submit(again.pop());
  kick();
  on_event(0);
}

void DiskStream::drain() noexcept {
  if (queue_) queue_->drain();
}

void DiskStream::abandon() noexcept {
  for (List* list : {&stalled_, &held_requests_, &waiting_[0], &waiting_[1]}) {
    while (!list->empty()) client_.abandoned(list->pop());
  }
  due_ = {};
  disk_.stalled_error_.store(0, std::memory_order_relaxed);
}

bool DiskStream::withdraw(const DiskRequest& request) noexcept {
  for (std::size_t line = 0; line < waiting_.size(); ++line) {
    const bool was_first = !waiting_[line].empty() && &waiting_[line].front() == &request;
    if (!waiting_[line].remove(request)) continue;
    if (was_first) due_[line] = {};  // the place was this one's
    return true;
  }
  if (held_requests_.remove(request)) return true;
  if (!stalled_.remove(request)) return false;
  if (stalled_.empty()) disk_.stalled_error_.store(0, std::memory_order_relaxed);
  return true;
}

void DiskStream::replace_image(std::unique_ptr<Image> image, EventThread* thread) {
  const std::lock_guard lock(disk_.streams_mutex_);
  auto queue = image ? image->make_queue(depth_) : nullptr;
  if (queue && thread != nullptr) thread->add(queue->event_descriptor(), EPOLLIN, *this);
  if (queue_ && thread != nullptr) thread->remove(queue_->event_descriptor());
  looks_ = false;
  queue_ = std::move(queue);  // before the image that it was made from
  disk_.image_ = std::move(image);
}

void DiskStream::completed(Request& done, int error) noexcept {
  // Every request here is a DiskRequest's base.
  DiskRequest& request = static_cast<DiskRequest&>(done);
  // A request that failed may have been half done.
  if (write_map_ != nullptr && request.operation != Operation::read) [[unlikely]]
    write_map_->mark(request.offset, request.length);
  if (error == 0) return client_.finished(request, false);
  const DiskFault fault = disk_.judge(request.operation == Operation::read, error);
  if (fault.action == DiskFault::Action::stop) {
    disk_.stalled_error_.store(error, std::memory_order_relaxed);
    stalled_.push(request);
  } else {
    const bool ignored = fault.action == DiskFault::Action::ignore;
    if (ignored) add(disk_.counters_.errors, 1);
    client_.finished(request, !ignored);
  }
  disk_.tell(fault);
}

void DiskStream::on_event(std::uint32_t) noexcept {
  reap();
  client_.went_on();
}

void DiskStream::alarm_rang() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(alarm(), &count, sizeof(count));
  if (looks_) watch_or_look();
  kick();
  on_event(0);
}

void DiskStream::detect_zeroes(DiskRequest& request) const noexcept {
  const auto detect = disk_.options_.detect_zeroes;
  if (detect == DiskOptions::DetectZeroes::off || !are_zero(request.ranges)) return;
  request.operation = Operation::write_zeroes;
  request.may_unmap = detect == DiskOptions::DetectZeroes::unmap && disk_.options_.discard;
}

void DiskStream::begin(DiskRequest& request) noexcept {
  request.completion = this;
  request.bytes = request.length;
  const bool counts = request.operation != Operation::flush && request.operation != Operation::discard;
  const std::size_t line = request.operation == Operation::read ? 0 : 1;
  Throttle* throttle = disk_.throttle_.load(std::memory_order_acquire);
  if (counts && ((throttle != nullptr && throttle->is_limited()) || !waiting_[line].empty())) {
    waiting_[line].push(request);
    return;
  }
  submit(request);
}

void DiskStream::submit(DiskRequest& request) noexcept {
  if (request.operation == Operation::write || request.operation == Operation::write_zeroes)
    disk_.note_write(request.offset + request.length);
  if (held_) [[unlikely]]
    return held_requests_.push(request);
  queue_->submit(request);
}

void DiskStream::kick() noexcept {
  admit();
  if (queue_) queue_->kick();
  if (looks_) [[unlikely]]
    look_soon(kLook);
}

// Submits what the limits allow by now, and has the rest looked at again in time. Only the first of a line
// has a place reserved, so that streams and disks with the same limits take turns.
void DiskStream::admit() noexcept {
  if (held_ || (waiting_[0].empty() && waiting_[1].empty())) return;
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
std::uint64_t DiskStream::admit_line(std::size_t line) noexcept {
  while (!waiting_[line].empty()) {
    Throttle* throttle = disk_.throttle_.load(std::memory_order_acquire);
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

void DiskStream::count(const DiskRequest& request, bool failed) noexcept {
  BlockCounters& counters = disk_.counters_;
  if (failed) add(counters.errors, 1);
  const std::uint64_t spent = now() - request.began;
  if (request.counted == Counted::read) {
    add(counters.read_requests, 1);
    if (!failed) add(counters.read_bytes, request.bytes);
    add(counters.read_nanoseconds, spent);
  } else if (request.counted == Counted::write) {
    add(counters.write_requests, 1);
    if (!failed) add(counters.write_bytes, request.bytes);
    add(counters.write_nanoseconds, spent);
  } else if (request.counted == Counted::flush) {
    add(counters.flush_requests, 1);
    add(counters.flush_nanoseconds, spent);
  }
}

}  // namespace warren::vmm::block
