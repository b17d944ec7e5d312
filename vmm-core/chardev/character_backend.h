// Where a guest's serial bytes go to and come from: what a UART or a console sees of the host.
//
// Output never blocks: a back end takes what it can; what it cannot take stays with the device, which is told
// when there is room again. Input is pushed to the device's listener, and only as much as it says it can
// take: there is back-pressure in both directions. Threads: write() and resume_input() may be called from any
// thread (vCPUs, I/O threads), with the device's lock held, and never call the listener. The listener is
// called on the back end's event thread. It is set before that thread runs and outlives it.
#pragma once

#include <cstddef>
#include <span>

namespace warren::vmm {

class CharacterListener {
 public:
  // How many bytes receive() would take now.
  virtual std::size_t receive_capacity() noexcept = 0;
  // At most receive_capacity() bytes.
  virtual void receive(std::span<const std::byte> bytes) noexcept = 0;
  // After a write() that took less than it was given: there is room again.
  virtual void output_ready() noexcept = 0;

 protected:
  ~CharacterListener() = default;
};

// Told who is at the host's end, by back ends that somebody can come to and leave.
class PeerListener {
 public:
  // On the back end's event thread.
  virtual void peer_changed(bool present) noexcept = 0;

 protected:
  ~PeerListener() = default;
};

class CharacterBackend {
 public:
  virtual ~CharacterBackend() = default;
  virtual void set_listener(CharacterListener* listener) noexcept = 0;
  // Says whether somebody is there now, and tells `listener`, unless it is null, of each change from then on.
  // Set as the listener above is.
  virtual bool watch_peer(PeerListener* listener) noexcept = 0;
  // Returns how many bytes were taken.
  virtual std::size_t write(std::span<const std::byte> bytes) noexcept = 0;
  // The listener's capacity has grown from zero.
  virtual void resume_input() noexcept = 0;
};

}  // namespace warren::vmm
