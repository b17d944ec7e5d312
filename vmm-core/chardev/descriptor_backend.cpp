#include "vmm-core/chardev/descriptor_backend.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <poll.h>
#include <sys/socket.h>
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

bool DescriptorBackend::has_peer() const noexcept {
  switch (kind_) {
    case Kind::null:
    case Kind::file:
      return true;
    case Kind::stream:
    case Kind::socket:
      return !input_ended_.load(std::memory_order_acquire);
    case Kind::pty:
      return !alone_.load(std::memory_order_acquire);
    case Kind::listener:
      return connected_.load(std::memory_order_acquire) && !hung_up_;
  }
  return false;
}

bool DescriptorBackend::watch_peer(PeerListener* listener) noexcept {
  peer_listener_ = listener;
  return told_peer_ = has_peer();
}

int DescriptorBackend::input_descriptor() const noexcept {
  // Behind a client that has left, the next one is waited for.
  return client_ && !(hung_up_ && input_stalled_.load(std::memory_order_acquire)) ? client_.get()
                                                                                  : input_.get();
}

int DescriptorBackend::output_descriptor() const noexcept {
  if (client_) return client_.get();
  return output_.valid() ? output_.get() : input_.get();
}

void DescriptorBackend::drop(std::span<const std::byte> bytes) noexcept {
  dropped_.fetch_add(bytes.size(), std::memory_order_relaxed);
  if (log_) [[maybe_unused]]
    const ssize_t logged = ::write(log_.get(), bytes.data(), bytes.size());
}

// write(2), of sockets too: a UART is written by vCPU threads, which may make no calls of sockets.
std::int64_t DescriptorBackend::send(std::span<const std::byte> bytes) noexcept {
  if (kind_ != Kind::listener) return ::write(output_descriptor(), bytes.data(), bytes.size());
  const std::lock_guard lock(client_mutex_);
  if (client_) return ::write(client_.get(), bytes.data(), bytes.size());
  errno = ENOTCONN;
  return -1;
}

std::size_t DescriptorBackend::write(std::span<const std::byte> bytes) noexcept {
  if (bytes.empty()) return 0;
  if (kind_ == Kind::null || (kind_ == Kind::pty && !has_spectator())) {
    drop(bytes);
    return bytes.size();
  }
  const std::int64_t got = send(bytes);
  if (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    // A full disk, or a terminal or client that is gone, must not stop the guest.
    drop(bytes);
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
  const bool stalled = input_stalled_.load(std::memory_order_acquire);
  if (kind_ == Kind::listener) {
    return {.input = !client_ || hung_up_ || !stalled,
            .output = client_ && output_blocked_.load(std::memory_order_acquire),
            .hang_up = client_ && stalled};
  }
  return {.input = !stalled && !input_ended_.load(std::memory_order_acquire),
          .output = output_blocked_.load(std::memory_order_acquire)};
}

void DescriptorBackend::on_event() noexcept {
  if (kind_ == Kind::null || kind_ == Kind::file || listener_ == nullptr) return;
  if (kind_ == Kind::listener) serve_clients();
  const bool spectator = kind_ == Kind::listener ? client_.valid() : kind_ != Kind::pty || has_spectator();
  if (kind_ != Kind::listener && spectator && !input_ended_.load(std::memory_order_acquire)) read_input();
  if (output_blocked_.load(std::memory_order_acquire)) {
    pollfd state{output_descriptor(), POLLOUT, 0};
    // Somebody who leaves with output waiting makes room too: it is dropped.
    if (!spectator || (::poll(&state, 1, 0) > 0 && (state.revents & (POLLOUT | POLLERR | POLLHUP)) != 0)) {
      output_blocked_.store(false, std::memory_order_release);
      listener_->output_ready();
    }
  }
  if (const bool peer = has_peer(); peer != told_peer_) {
    told_peer_ = peer;
    if (peer_listener_ != nullptr) peer_listener_->peer_changed(peer);
  }
}

void DescriptorBackend::set_client(FileDescriptor client) noexcept {
  const std::lock_guard lock(client_mutex_);
  client_ = std::move(client);
  connected_.store(client_.valid(), std::memory_order_release);
  input_ended_.store(false, std::memory_order_release);
  input_stalled_.store(false, std::memory_order_release);
  hung_up_ = false;
}

// Whether the client has closed its end.
bool DescriptorBackend::has_left() noexcept {
  pollfd state{client_.get(), 0, 0};
  return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

// One client after the other. What one has left behind it is read as long as nobody else waits.
void DescriptorBackend::serve_clients() noexcept {
  if (!client_ || hung_up_) {
    FileDescriptor next(::accept4(input_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (next) {
      set_client(std::move(next));
      if (peer_listener_ != nullptr && told_peer_) peer_listener_->peer_changed(false);
      told_peer_ = false;
    }
  }
  if (!client_) return;
  if (!input_stalled_.load(std::memory_order_acquire)) read_input();
  if (input_ended_.load(std::memory_order_acquire)) return set_client({});
  hung_up_ = input_stalled_.load(std::memory_order_acquire) && has_left();
}

void DescriptorBackend::read_input() noexcept {
  constexpr int kShare =
      16;  // of the thread, which serves other back ends too; the rest is still there later
  std::array<std::byte, 4096> chunk;
  for (int turn = 0; turn < kShare; ++turn) {
    std::size_t room = std::min(listener_->receive_capacity(), chunk.size());
    if (room == 0) {
      input_stalled_.store(true, std::memory_order_release);
      // Room that came since then has found nothing stalled: look once more.
      room = std::min(listener_->receive_capacity(), chunk.size());
      if (room == 0) return;
      input_stalled_.store(false, std::memory_order_release);
    }
    const ssize_t got = ::read(kind_ == Kind::listener ? client_.get() : input_.get(), chunk.data(), room);
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
  node.add("connected", connected_.load(std::memory_order_relaxed));
  node.add("alone", alone_.load(std::memory_order_relaxed));
}

}  // namespace warren::vmm
