#include "vmm-core/virtio/rng.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::virtio {

namespace {
// The most that one chain gets, however long it is (class T8).
constexpr std::size_t kMaximumAtOnce = 65536;
}  // namespace

Rng::Rng(std::string name, std::uint64_t rate_bytes, std::uint32_t period_milliseconds,
         std::vector<EventThread*> threads)
    : ServedDevice(std::move(name), std::move(threads)),
      rate_bytes_(rate_bytes),
      period_milliseconds_(period_milliseconds),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      left_(rate_bytes) {
  if (!timer_) throw_errno(this->name() + ": timer");
}

Rng::~Rng() {
  deactivate();
}

ServedDevice::Served Rng::serve(std::uint16_t index) noexcept {
  Chain chain;
  std::array<std::byte, 4096> bytes;
  while (rate_bytes_ == 0 || left_ != 0) {
    if (!queue(index).pop(chain)) return Served::all;
    std::uint64_t wanted = std::min<std::uint64_t>(chain.writable_bytes, kMaximumAtOnce);
    if (rate_bytes_ != 0) {
      wanted = std::min(wanted, left_);
      left_ -= wanted;
      arm();
    }
    Writer writer(chain.writable);
    while (writer.written() < wanted) {
      const std::size_t piece =
          static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), wanted - writer.written()));
      const ssize_t got = ::getrandom(bytes.data(), piece, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;  // no generator: the chain goes back with what there was
      writer.write(std::span(bytes).first(static_cast<std::size_t>(got)));
    }
    given_.fetch_add(writer.written(), std::memory_order_relaxed);
    chain.ticket.complete(static_cast<std::uint32_t>(writer.written()));
  }
  return Served::waiting;
}

void Rng::arm() noexcept {
  if (armed_) return;
  itimerspec time{};
  time.it_value.tv_sec = period_milliseconds_ / 1000;
  time.it_value.tv_nsec = period_milliseconds_ % 1000 * 1'000'000L;
  armed_ = ::timerfd_settime(timer_.get(), 0, &time, nullptr) == 0;
}

void Rng::on_event(std::uint32_t) noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(timer_.get(), &count, sizeof(count));
  armed_ = false;
  left_ = rate_bytes_;
  work(0);
}

void Rng::started(std::uint16_t queue) noexcept {
  if (rate_bytes_ == 0) return;
  try {
    thread_of(queue).add(timer_.get(), EPOLLIN, *this);
  } catch (const Error&) {
    host()->request_reset();
  }
}

void Rng::stopped(std::uint16_t queue) noexcept {
  thread_of(queue).remove(timer_.get());
}

void Rng::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  node.add("bytes_given", given_.load(std::memory_order_relaxed));
}

}  // namespace warren::vmm::virtio
