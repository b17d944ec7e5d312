// Queues of a virtio device that somebody else serves: the host's kernel (vhost), or another program
// (vhost-user). What its devices have in common, as linux/vhost.h says; the requests of vhost-user are the
// same. Who derives a device from it adds the one request that sets the peer to work. What is said of the
// kernel here goes for another program as well.
//
// The kernel reads and writes guest memory through this process's mappings, a program through its own of the
// same files. What it may reach is told to it each time it is set to work, which is whenever the machine goes
// on: so it follows memory that came or went.
//
// DEVNOTE: of memory that is plugged by block the kernel sees the whole device, as it sees no bitmap. A guest
// that has it write to a block it does not have, which VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE forbids, can have
// no more memory for that than the device's size.
//
// Changes come one at a time, from the transport (device.h: activate, deactivate, pause, resume).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/os/event_thread.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/virtio/device.h"

namespace warren::vmm::virtio::vhost {

// Who serves the queues, behind the kernel's requests: a vhost device of the kernel, a program that is asked
// by messages (user_peer.h), or a test.
class Peer {
 public:
  virtual ~Peer() = default;
  // As ioctl(2) on a vhost device: 0, or the errno it failed with.
  virtual int request(unsigned long number, void* argument) noexcept = 0;
};

// `device` is an open one (/dev/vhost-…) that nobody owns yet.
std::unique_ptr<Peer> kernel_of(FileDescriptor device);

class Backend {
 public:
  // The peer works for this process from now on. `name` is the device's, for messages; `memory` and
  // `thread` outlive it. Throws Error, also when the kernel cannot do what every queue of ours does.
  Backend(std::string name, std::unique_ptr<Peer> peer, GuestMemory& memory, EventThread& thread);
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  ~Backend();

  // Those of the device itself (virtio 1.2 §6: bits 0 to 23 and from 50 on) that the kernel knows.
  std::uint64_t features() const noexcept;

  // Hands the first `count` queues over, from where they have come to. All of them are active. Then the
  // device's own request sets the kernel to work. Throws Error; nothing was handed over then.
  void give(const Activation& activation, std::uint16_t count);
  // Whether each request that the driver has offered on the queues that were handed over is answered.
  bool is_quiet() const noexcept;
  // After the device's own request has stopped the kernel, or was refused: the queues know where they have
  // come to, and interrupts that were due have been raised. Harmless when nothing was handed over.
  void take() noexcept;

  // A request of the device's own. require() throws Error, which names it.
  int request(unsigned long number, void* argument) noexcept { return peer_->request(number, argument); }
  void require(unsigned long number, void* argument, const char* request_name);

 private:
  // The descriptor the kernel signals, and what that means.
  class Signal;

  void set_memory_table();
  void set_ring(std::uint16_t index, const Queue& queue, int doorbell);
  std::uint64_t host_address(GuestAddress address, std::uint64_t size, const char* what);
  void listen();
  void listen_no_more() noexcept;
  void take_ring(std::uint16_t index) noexcept;
  void raise_due() noexcept;

  const std::string name_;
  const std::unique_ptr<Peer> peer_;
  GuestMemory& memory_;
  EventThread& thread_;
  std::uint64_t peer_features_ = 0;
  DeviceHost* host_ = nullptr;
  std::span<Queue* const> queues_;                // handed over
  std::vector<std::unique_ptr<Signal>> signals_;  // by queue: something was used; the last: a ring is damaged
};

}  // namespace warren::vmm::virtio::vhost
