#include "vmm-core/virtio/console_port.h"

#include "vmm-core/os/error.h"

namespace warren::vmm::virtio {

ServedDevice::Served Console::Port::serve_input(Queue& queue) noexcept {
  const std::lock_guard lock(mutex_);
  const bool was_full = input_.size() == kInputSize;
  Chain chain;
  unsigned served = 0;
  for (; served < kShare && !input_.empty() && queue.pop(chain); ++served) {
    Writer writer(chain.writable);
    const std::size_t written = writer.write(input_);
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(written));
    received_.fetch_add(written, std::memory_order_relaxed);
    chain.ticket.complete(static_cast<std::uint32_t>(written));
  }
  if (was_full && input_.size() < kInputSize) options_.backend->resume_input();
  // Chains wait for input, or input for chains.
  if (input_.empty()) return Served::waiting;
  return served < kShare ? Served::all : Served::more;
}

ServedDevice::Served Console::Port::serve_output(Queue& queue) noexcept {
  for (unsigned served = 0; served < kShare; ++served) {
    if (!output_.ticket) {
      if (!queue.pop(output_)) return Served::all;
      find_unsent();
    }
    while (output_range_ < output_.readable.size()) {
      const iovec& range = output_.readable[output_range_];
      const auto* bytes = static_cast<const std::byte*>(range.iov_base);
      const std::size_t taken =
          options_.backend->write({bytes + output_offset_, range.iov_len - output_offset_});
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
  return Served::more;
}

// Of a chain that was begun before a pause, the first bytes are sent already.
void Console::Port::find_unsent() noexcept {
  output_range_ = 0;
  std::uint64_t sent = std::min(output_sent_, output_.readable_bytes);
  while (output_range_ < output_.readable.size() && sent >= output_.readable[output_range_].iov_len) {
    sent -= output_.readable[output_range_++].iov_len;
  }
  output_offset_ = static_cast<std::size_t>(sent);
}

ConsolePortState Console::Port::save() const {
  const std::lock_guard lock(mutex_);
  return {.input = input_,
          .output_sent = output_sent_,
          .ready = ready_.load(),
          .guest_open = guest_open_.load(),
          .untold = untold_.load()};
}

void Console::Port::restore(const ConsolePortState& state) {
  {
    const std::lock_guard lock(mutex_);
    input_.assign(state.input.begin(), state.input.end());
  }
  output_sent_ = state.output_sent;
  ready_.store(state.ready);
  guest_open_.store(state.guest_open);
  // Who is at the host's end may differ from who was there when this was saved.
  untold_.store(static_cast<std::uint8_t>((state.untold & 0xf) | (state.ready ? kOpen : 0)));
}

void Console::Port::inspect(InspectNode& node) const {
  node.add("name", options_.name);
  node.add("received", received_.load(std::memory_order_relaxed));
  node.add("transmitted", transmitted_.load(std::memory_order_relaxed));
  node.add("host_open", host_open_.load());
  node.add("guest_open", guest_open_.load());
  const std::lock_guard lock(mutex_);
  node.add("input_waiting", std::uint64_t{input_.size()});
}

}  // namespace warren::vmm::virtio
