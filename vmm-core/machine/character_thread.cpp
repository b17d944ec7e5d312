#include "vmm-core/machine/character_thread.h"

#include <algorithm>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

constexpr RealTimeClock::Nanoseconds kMillisecond = 1'000'000;
constexpr RealTimeClock::Nanoseconds kLongestWait = 3'600'000 * kMillisecond;

// Two entries for each back end: its input and its output side.
void set_descriptors(const DescriptorBackend& backend, pollfd& input, pollfd& output, bool& look_again) {
  const auto wanted = backend.wait();
  // poll() ignores negative descriptors, but reports errors of others even when nothing is asked for.
  const bool reads = wanted.input || wanted.hang_up;
  input = {.fd = reads ? backend.input_descriptor() : -1,
           .events = static_cast<short>(wanted.input ? POLLIN : 0)};
  output = {.fd = wanted.output ? backend.output_descriptor() : -1, .events = POLLOUT};
  look_again = look_again || wanted.look_again;
}

}  // namespace

CharacterThread::CharacterThread() : wake_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_event_) throw_errno("character thread: create its eventfd");
}

void CharacterThread::wake() noexcept {
  const std::uint64_t one = 1;
  // It can only fail when the counter is full, and then the thread wakes anyway.
  (void)!::write(wake_event_.get(), &one, sizeof one);
}

void CharacterThread::start(std::vector<DescriptorBackend*> backends, RealTimeClock* clock,
                            std::function<void(ThreadKind)> thread_started) {
  backends_ = std::move(backends);
  clock_ = clock;
  thread_started_ = std::move(thread_started);
  for (auto* backend : backends_) backend->set_wake([this] { wake(); });
  thread_ = std::thread([this] { main(); });
}

void CharacterThread::add(DescriptorBackend& backend) {
  const std::lock_guard lock(mutex_);
  backends_.push_back(&backend);
  ++generation_;
  wake();
}

void CharacterThread::remove(const DescriptorBackend& backend) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase(backends_, &backend);
  ++generation_;
  wake();
}

void CharacterThread::stop() noexcept {
  if (!thread_.joinable()) return;
  ending_.store(true);
  wake();
  thread_.join();
}

int CharacterThread::timeout_milliseconds(bool look_again) const noexcept {
  auto wait = kLongestWait;
  if (look_again) wait = DescriptorBackend::kLookAgainMilliseconds * kMillisecond;
  if (clock_ != nullptr) {
    if (const auto next = clock_->next_tick())
      wait = std::min(wait, std::max<RealTimeClock::Nanoseconds>(*next, 0));
  }
  return static_cast<int>((wait + kMillisecond - 1) / kMillisecond);
}

void CharacterThread::main() {
  ::pthread_setname_np(::pthread_self(), "characters");
  if (thread_started_) thread_started_(ThreadKind::io);
  std::vector<pollfd> descriptors;
  std::unique_lock lock(mutex_);
  while (!ending_.load()) {
    const std::uint64_t generation = generation_;
    descriptors.resize(1 + 2 * backends_.size());
    descriptors[0] = {.fd = wake_event_.get(), .events = POLLIN};
    bool look_again = false;
    for (std::size_t i = 0; i < backends_.size(); ++i) {
      set_descriptors(*backends_[i], descriptors[1 + 2 * i], descriptors[2 + 2 * i], look_again);
    }
    const int timeout = timeout_milliseconds(look_again);
    lock.unlock();
    const int ready = ::poll(descriptors.data(), descriptors.size(), timeout);
    lock.lock();
    if (ready > 0 && descriptors[0].revents != 0) {
      std::uint64_t wakes = 0;
      (void)!::read(wake_event_.get(), &wakes, sizeof wakes);
    }
    if (generation != generation_) continue;  // what was waited for is not what there is
    for (std::size_t i = 0; i < backends_.size(); ++i) {
      const bool is_ready =
          ready > 0 && (descriptors[1 + 2 * i].revents | descriptors[2 + 2 * i].revents) != 0;
      if (is_ready || (ready == 0 && look_again)) backends_[i]->on_event();
    }
    if (clock_ != nullptr) clock_->tick();
  }
}

}  // namespace warren::vmm::machine
