#include "vmm-core/chardev/descriptor_backend.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <poll.h>
#include <unistd.h>

namespace warren::vmm {

DescriptorBackend::DescriptorBackend(Kind kind, FileDescriptor input, FileDescriptor output,
                                     FileDescriptor log)
    : kind_(kind), input_(std::move(input)), output_(std::move(output)), log_(std::move(log)) {
  if (kind_ == Kind::pty) has_spectator();
}

bool DescriptorBackend::has_spectator() noexcept {
  pollfd state{input_.get(), POLLOUT, 0};
  const bool alone = ::poll(&state, 1, 0) >= 0 && (state.revents & POLLHUP) != 0;
  alone_.store(alone, std::memory_order_release);
  return !alone;
}

std::size_t DescriptorBackend::write(std::span<const std::byte> bytes) noexcept {
  if (bytes.empty()) return 0;
  if (kind_ == Kind::null || (kind_ == Kind::pty && !has_spectator())) {
    dropped_.fetch_add(bytes.size(), std::memory_order_relaxed);
    if (log_) [[maybe_unused]]
      const ssize_t logged = ::write(log_.get(), bytes.data(), bytes.size());
    return bytes.size();
  }
  const ssize_t got = ::write(output_descriptor(), bytes.data(), bytes.size());
  if (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    // A full disk or a terminal that is gone must not stop the guest.
    dropped_.fetch_add(bytes.size(), std::memory_order_relaxed);
    return bytes.size();
  }
  const std::size_t taken = got < 0 ? 0 : static_cast<std::size_t>(got);
  written_.fetch_add(taken, std::memory_order_relaxed);
  // A log that cannot be written loses its copy, never the guest's output.
  if (log_ && taken != 0) [[maybe_unused]]
    const ssize_t logged = ::write(log_.get(), bytes.data(), taken);
  if (taken < bytes.size()) {
    output_blocked_.store(true, std::memory_order_release);
    if (wake_) wake_();
  }
  return taken;
}

void DescriptorBackend::resume_input() noexcept {
  if (input_stalled_.exchange(false, std::memory_order_acq_rel) && wake_) wake_();
}

DescriptorBackend::Wait DescriptorBackend::wait() const noexcept {
  if (kind_ == Kind::null || kind_ == Kind::file) return {};
  if (alone_.load(std::memory_order_acquire)) return {.look_again = true};
  return {.input = !input_stalled_.load(std::memory_order_acquire) &&
                   !input_ended_.load(std::memory_order_acquire),
          .output = output_blocked_.load(std::memory_order_acquire)};
}

void DescriptorBackend::on_event() noexcept {
  if (kind_ == Kind::null || kind_ == Kind::file || listener_ == nullptr) return;
  const bool spectator = kind_ != Kind::pty || has_spectator();
  if (spectator && !input_ended_.load(std::memory_order_acquire)) read_input();
  if (output_blocked_.load(std::memory_order_acquire)) {
    pollfd state{output_descriptor(), POLLOUT, 0};
    // Somebody who leaves with output waiting makes room too: it is dropped.
    if (!spectator || (::poll(&state, 1, 0) > 0 && (state.revents & (POLLOUT | POLLERR | POLLHUP)) != 0)) {
      output_blocked_.store(false, std::memory_order_release);
      listener_->output_ready();
    }
  }
}

void DescriptorBackend::read_input() noexcept {
  std::array<std::byte, 4096> chunk;
  while (true) {
    std::size_t room = std::min(listener_->receive_capacity(), chunk.size());
    if (room == 0) {
      input_stalled_.store(true, std::memory_order_release);
      // Room that came since then has found nothing stalled: look once more.
      room = std::min(listener_->receive_capacity(), chunk.size());
      if (room == 0) return;
      input_stalled_.store(false, std::memory_order_release);
    }
    const ssize_t got = ::read(input_.get(), chunk.data(), room);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      // A pty reads EIO when the last spectator leaves; it may get another. Elsewhere the end is the end.
      if (kind_ == Kind::pty) {
        has_spectator();
      } else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        input_ended_.store(true, std::memory_order_release);
      }
      return;
    }
    received_.fetch_add(static_cast<std::uint64_t>(got), std::memory_order_relaxed);
    listener_->receive({chunk.data(), static_cast<std::size_t>(got)});
  }
}

void DescriptorBackend::inspect(InspectNode& node) const {
  node.add("written", written_.load(std::memory_order_relaxed));
  node.add("dropped", dropped_.load(std::memory_order_relaxed));
  node.add("received", received_.load(std::memory_order_relaxed));
  node.add("output_blocked", output_blocked_.load(std::memory_order_relaxed));
  node.add("input_stalled", input_stalled_.load(std::memory_order_relaxed));
  node.add("alone", alone_.load(std::memory_order_relaxed));
}

}  // namespace warren::vmm
