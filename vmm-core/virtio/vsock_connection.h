// One connection of a virtio socket device. Private to vsock.cpp and vsock_host.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>

#include "vmm-core/virtio/vsock.h"

namespace warren::vmm::virtio {

// What the guest has sent and the host socket has not yet taken. Memory is there while there is something.
class VsockBuffer {
 public:
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::size_t room() const noexcept { return Vsock::kBufferBytes - size_; }

  // At most room() bytes, which `source` has. False when the host has no memory.
  bool append(Reader& source, std::size_t bytes) noexcept {
    if (bytes == 0) return true;
    if (!bytes_) bytes_.reset(new (std::nothrow) std::byte[Vsock::kBufferBytes]);
    if (!bytes_) return false;
    const std::size_t end = (start_ + size_) % Vsock::kBufferBytes;
    const std::size_t first = std::min(bytes, Vsock::kBufferBytes - end);
    if (!source.read(std::span(bytes_.get() + end, first))) return false;
    if (!source.read(std::span(bytes_.get(), bytes - first))) return false;
    size_ += bytes;
    return true;
  }
  std::array<iovec, 2> pieces() const noexcept {
    const std::size_t first = std::min(size_, Vsock::kBufferBytes - start_);
    return {{{bytes_.get() + start_, first}, {bytes_.get(), size_ - first}}};
  }
  void drop(std::size_t bytes) noexcept {
    size_ -= bytes;
    start_ = (start_ + bytes) % Vsock::kBufferBytes;
    if (size_ == 0) clear();
  }
  void clear() noexcept {
    bytes_.reset();
    start_ = size_ = 0;
  }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t start_ = 0, size_ = 0;
};

class Vsock::Connection final : public EventHandler {
 public:
  enum class State {
    greeting,      // a client's first line is awaited
    asking_guest,  // REQUEST was sent, or will be
    asking_host,   // the guest's REQUEST came
    open,
    resetting,  // RST will be sent; the socket is closed
    draining,   // the guest is through with it; what it sent goes to the host
    dead,
  };
  // What the guest is to be told, each once, in this order; data comes after the first two.
  enum Untold : std::uint8_t {
    kRequest = 1,
    kResponse = 2,
    kCreditUpdate = 4,
    kCreditRequest = 8,
    kShutdown = 16,
    kReset = 32,
  };

  explicit Connection(Vsock& device) : device_(device) {}
  void on_event(std::uint32_t events) noexcept override { device_.socket_event(*this, events); }

  std::uint64_t key() const noexcept { return std::uint64_t{host_port} << 32 | guest_port; }
  // How many bytes the guest takes now (§5.10.6.3).
  std::uint32_t credit() const noexcept {
    const std::uint32_t in_flight = sent - peer_forwarded;
    return in_flight >= peer_buffer ? 0 : peer_buffer - in_flight;
  }
  std::uint32_t forwarded() const noexcept { return received - static_cast<std::uint32_t>(buffer.size()); }
  // What has been read since the guest was told last is worth a packet of its own.
  void note_forwarded() noexcept {
    if (state == State::open && forwarded() - told_forwarded >= kBufferBytes / 2) untold |= kCreditUpdate;
  }
  bool reads() const noexcept {
    return state == State::open && !host_sends_no_more && !guest_receives_no_more;
  }

  State state = State::greeting;
  FileDescriptor socket;
  bool is_attached = false;     // its socket is waited for
  std::uint32_t waits_for = 0;  // its events
  bool has_hung_up = false;     // the program has closed its end; its last bytes may wait still
  bool is_readable = false;     // as far as is known
  bool is_queued = false;       // in the line
  bool has_ports = false;       // found by them
  std::uint8_t untold = 0;
  std::uint32_t host_port = 0, guest_port = 0;
  std::uint32_t request = 0;    // while asking_host
  std::array<char, 32> line{};  // the greeting so far
  std::size_t line_length = 0;

  std::uint32_t peer_buffer = 0, peer_forwarded = 0;
  std::uint32_t sent = 0;                          // data bytes to the guest, modulo 2^32
  std::uint32_t received = 0, told_forwarded = 0;  // from the guest, likewise
  bool has_asked_for_credit = false;
  bool guest_receives_no_more = false, guest_sends_no_more = false;
  bool host_receives_no_more = false, host_sends_no_more = false;
  bool is_write_shut = false;  // the socket's end of the file was told
  VsockBuffer buffer;

 private:
  Vsock& device_;
};

}  // namespace warren::vmm::virtio
