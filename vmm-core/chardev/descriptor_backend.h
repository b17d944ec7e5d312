// Character back ends on descriptors: the main side of a pseudo terminal, a file, a terminal, a socket, or
// nothing at all.
//
// Knows no event loop: whoever runs one waits as wait() says, calls on_event() when something is there, and
// is told through the wake function, from any thread, that the answer of wait() may have changed. The process
// ignores SIGPIPE.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

#include "vmm-core/chardev/character_backend.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

class DescriptorBackend final : public CharacterBackend, public Inspectable {
 public:
  enum class Kind {
    null,    // output vanishes, input never comes
    file,    // output only
    stream,  // input and output, one or two descriptors
    // The main side of a pseudo terminal. While nobody has the other side open, output is dropped, so that a
    // guest without a spectator runs as fast as one with; each write looks whether somebody came.
    pty,
    socket,  // a connected stream socket; when its peer is gone, output is dropped
    // A listening stream socket that has one client at a time; output without one is dropped.
    listener,
  };

  // What an event loop is to wait for.
  struct Wait {
    bool input = false;
    bool output = false;
    bool hang_up = false;     // of the input, while nothing of it can be read
    bool look_again = false;  // nobody at the other side of the pty: look again in kLookAgainMilliseconds
  };
  static constexpr int kLookAgainMilliseconds = 250;

  // `input` and `output` as the kind uses them (pty, socket, listener: input only, for both); `log` gets a
  // copy of all output that was taken, or is invalid. All are non-blocking but files.
  DescriptorBackend(Kind kind, FileDescriptor input, FileDescriptor output, FileDescriptor log);

  void set_listener(CharacterListener* listener) noexcept override { listener_ = listener; }
  bool watch_peer(PeerListener* listener) noexcept override;
  std::size_t write(std::span<const std::byte> bytes) noexcept override;
  void resume_input() noexcept override;

  // --- The event loop's side ---
  void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }
  Wait wait() const noexcept;
  // Reads what is there and tells the listener of room for output.
  void on_event() noexcept;
  int input_descriptor() const noexcept;
  int output_descriptor() const noexcept;

  void inspect(InspectNode& node) const override;

 private:
  bool has_spectator() noexcept;
  bool has_peer() const noexcept;
  bool has_left() noexcept;
  void serve_clients() noexcept;
  void set_client(FileDescriptor client) noexcept;
  void read_input() noexcept;
  void drop(std::span<const std::byte> bytes) noexcept;
  std::int64_t send(std::span<const std::byte> bytes) noexcept;

  const Kind kind_;
  FileDescriptor input_;
  FileDescriptor output_;
  FileDescriptor log_;
  mutable std::mutex client_mutex_;  // held to change client_ and to write to it
  FileDescriptor client_;            // of a listener; changed on the event loop's thread only
  CharacterListener* listener_ = nullptr;
  PeerListener* peer_listener_ = nullptr;
  bool told_peer_ = false;
  bool hung_up_ = false;  // the client has left, and there is input of it that the guest has no room for
  std::function<void()> wake_;
  std::atomic<bool> output_blocked_{false};
  std::atomic<bool> input_stalled_{false};  // the listener had no room
  std::atomic<bool> input_ended_{false};
  std::atomic<bool> connected_{false};  // listener: there is a client
  std::atomic<bool> alone_{false};      // a pty whose other side nobody has open
  std::atomic<std::uint64_t> written_{0}, dropped_{0}, received_{0};
};

}  // namespace warren::vmm
