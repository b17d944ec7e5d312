#include "vmm-core/virtio/console.h"

#include <algorithm>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::virtio {
namespace {
constexpr std::uint16_t kReceiveQueue = 0, kTransmitQueue = 1;  // §5.3.2
}

class Console::Wake final : public EventHandler {
 public:
  Wake(Console& console, std::uint16_t queue) : console_(console), queue_(queue) {}
  void on_event(std::uint32_t) noexcept override {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(console_.wakes_[queue_].get(), &count, sizeof(count));
    console_.work(queue_);
  }

 private:
  Console& console_;
  const std::uint16_t queue_;
};

Console::Console(std::string name, CharacterBackend& backend, std::vector<EventThread*> threads)
    : ServedDevice(std::move(name), std::move(threads)), backend_(backend) {
  input_.reserve(kInputSize);
  for (std::uint16_t i = 0; i < wakes_.size(); ++i) {
    wakes_[i].reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wakes_[i]) throw_errno(this->name() + ": eventfd");
    wakers_[i] = std::make_unique<Wake>(*this, i);
  }
  backend_.set_listener(this);
}

Console::~Console() {
  deactivate();
  backend_.set_listener(nullptr);
}

void Console::ring(std::uint16_t queue) noexcept {
  const std::uint64_t one = 1;
  // A full counter has rung already.
  [[maybe_unused]] const ssize_t written = ::write(wakes_[queue].get(), &one, sizeof(one));
}

void Console::started(std::uint16_t queue) noexcept {
  try {
    thread_of(queue).add(wakes_[queue].get(), EPOLLIN, *wakers_[queue]);
  } catch (const Error&) {
    host()->request_reset();
  }
}

void Console::stopped(std::uint16_t index) noexcept {
  thread_of(index).remove(wakes_[index].get());
  // A chain that was begun goes back; output_sent_ says from where it is to be taken up again.
  if (index == kTransmitQueue && output_.ticket) queue(index).push_back(output_);
}

void Console::deactivate() noexcept {
  ServedDevice::deactivate();
  output_sent_ = 0;
}

ConsoleState Console::save() const {
  const std::lock_guard lock(mutex_);
  return {.input = input_, .output_sent = output_sent_};
}

void Console::restore(const ConsoleState& state) {
  if (state.input.size() > kInputSize) {
    throw Error(std::errc::invalid_argument, name() + ": saved state has more input than a console holds");
  }
  const std::lock_guard lock(mutex_);
  input_.assign(state.input.begin(), state.input.end());
  output_sent_ = state.output_sent;
}

ServedDevice::Served Console::serve(std::uint16_t queue) noexcept {
  return queue == kReceiveQueue ? serve_input() : serve_output();
}

ServedDevice::Served Console::serve_input() noexcept {
  const std::lock_guard lock(mutex_);
  const bool was_full = input_.size() == kInputSize;
  Chain chain;
  while (!input_.empty() && queue(kReceiveQueue).pop(chain)) {
    Writer writer(chain.writable);
    const std::size_t written = writer.write(input_);
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(written));
    received_.fetch_add(written, std::memory_order_relaxed);
    chain.ticket.complete(static_cast<std::uint32_t>(written));
  }
  if (was_full && input_.size() < kInputSize) backend_.resume_input();
  // Chains wait for input, or input for chains.
  return input_.empty() ? Served::waiting : Served::all;
}

ServedDevice::Served Console::serve_output() noexcept {
  while (true) {
    if (!output_.ticket) {
      if (!queue(kTransmitQueue).pop(output_)) return Served::all;
      find_unsent();
    }
    while (output_range_ < output_.readable.size()) {
      const iovec& range = output_.readable[output_range_];
      const auto* bytes = static_cast<const std::byte*>(range.iov_base);
      const std::size_t taken = backend_.write({bytes + output_offset_, range.iov_len - output_offset_});
      transmitted_.fetch_add(taken, std::memory_order_relaxed);
      output_offset_ += taken;
      output_sent_ += taken;
      if (output_offset_ < range.iov_len) return Served::waiting;
      ++output_range_;
      output_offset_ = 0;
    }
    output_sent_ = 0;
    output_.ticket.complete(0);
  }
}

// Of a chain that was begun before a pause, the first bytes are sent already.
void Console::find_unsent() noexcept {
  output_range_ = 0;
  std::uint64_t sent = std::min(output_sent_, output_.readable_bytes);
  while (output_range_ < output_.readable.size() && sent >= output_.readable[output_range_].iov_len) {
    sent -= output_.readable[output_range_++].iov_len;
  }
  output_offset_ = static_cast<std::size_t>(sent);
}

std::size_t Console::receive_capacity() noexcept {
  const std::lock_guard lock(mutex_);
  return kInputSize - input_.size();
}

void Console::receive(std::span<const std::byte> bytes) noexcept {
  {
    const std::lock_guard lock(mutex_);
    // Within the capacity that was asked for, which is reserved.
    input_.insert(input_.end(), bytes.begin(), bytes.end());
  }
  ring(kReceiveQueue);
}

void Console::output_ready() noexcept {
  ring(kTransmitQueue);
}

void Console::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  node.add("received", received_.load(std::memory_order_relaxed));
  node.add("transmitted", transmitted_.load(std::memory_order_relaxed));
  const std::lock_guard lock(mutex_);
  node.add("input_waiting", std::uint64_t{input_.size()});
}

}  // namespace warren::vmm::virtio
