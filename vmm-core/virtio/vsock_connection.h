// One connection of a virtio socket device. Private to vsock.cpp and vsock_host.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <new>
#include <span>

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
    unfinished_ += bytes;
    const std::size_t end = (start_ + size_) % Vsock::kBufferBytes;
    const std::size_t first = std::min(bytes, Vsock::kBufferBytes - end);
    if (!source.read(std::span(bytes_.get() + end, first))) return false;
    if (!source.read(std::span(bytes_.get(), bytes - first))) return false;
    size_ += bytes;
    return true;
  }
  // The first `bytes` of it.
  std::array<iovec, 2> pieces(std::size_t bytes) const noexcept {
    const std::size_t first = std::min(bytes, Vsock::kBufferBytes - start_);
    return {{{bytes_.get() + start_, first}, {bytes_.get(), bytes - first}}};
  }
  void drop(std::size_t bytes) noexcept {
    size_ -= bytes;
    start_ = (start_ + bytes) % Vsock::kBufferBytes;
    if (size_ == 0) clear();
  }
  void clear() noexcept {
    bytes_.reset();
    ends_.reset();
    start_ = size_ = messages_ = unfinished_ = 0;
  }

  // The rest is of messages, whose ends are marked: however short they are, marks take no more memory.

  // What was appended since the last end is a message; nothing when that is nothing. False when the host has
  // no memory.
  bool end_message() noexcept {
    if (unfinished_ == 0) return true;
    if (!ends_) ends_.reset(new (std::nothrow) std::uint64_t[Vsock::kBufferBytes / 64]());
    if (!ends_) return false;
    const std::size_t last = (start_ + size_ - 1) % Vsock::kBufferBytes;
    ends_[last / 64] |= std::uint64_t{1} << last % 64;
    ++messages_;
    unfinished_ = 0;
    return true;
  }
  bool has_message() const noexcept { return messages_ != 0; }
  // How long the first one is.
  std::size_t first_message() const noexcept {
    for (std::size_t at = start_;;) {
      const std::uint64_t marks = ends_[at / 64] >> at % 64;
      if (marks != 0) {
        at += static_cast<std::size_t>(std::countr_zero(marks));
        return (at + Vsock::kBufferBytes - start_) % Vsock::kBufferBytes + 1;
      }
      at = (at / 64 + 1) * 64 % Vsock::kBufferBytes;
    }
  }
  void drop_message(std::size_t bytes) noexcept {
    const std::size_t last = (start_ + bytes - 1) % Vsock::kBufferBytes;
    ends_[last / 64] &= ~(std::uint64_t{1} << last % 64);
    --messages_;
    drop(bytes);
  }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::unique_ptr<std::uint64_t[]> ends_;  // a bit for each byte of the buffer
  std::size_t start_ = 0, size_ = 0, messages_ = 0, unfinished_ = 0;
};

// A message of the host, of which the guest has not had all yet.
class VsockMessage {
 public:
  bool empty() const noexcept { return taken_ == size_; }
  std::span<const std::byte> left() const noexcept { return {bytes_.get() + taken_, size_ - taken_}; }
  void take(std::size_t bytes) noexcept {
    taken_ += bytes;
    if (empty()) clear();
  }
  // Room for one; empty when the host has no memory.
  std::span<std::byte> begin(std::size_t bytes) noexcept {
    bytes_.reset(new (std::nothrow) std::byte[bytes]);
    return {bytes_.get(), bytes_ ? bytes : 0};
  }
  void filled(std::size_t bytes) noexcept {
    size_ = bytes;
    taken_ = 0;
  }
  void clear() noexcept {
    bytes_.reset();
    size_ = taken_ = 0;
  }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t size_ = 0, taken_ = 0;
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

  Connection(Vsock& device, VsockType its_type) : type(its_type), device_(device) {}
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
  // The host socket has something for the guest, as far as is known.
  bool has_input() const noexcept { return is_readable || !message.empty(); }
  // The host socket is to take something.
  bool has_output() const noexcept {
    return type == VsockType::stream ? !buffer.empty() : buffer.has_message();
  }

  const VsockType type;
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
  VsockMessage message;

 private:
  Vsock& device_;
};

}  // namespace warren::vmm::virtio
