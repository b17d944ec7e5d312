#include "vmm-core/virtio/vhost/vsock.h"

#include "vmm-core/os/error.h"
#include "vmm-core/os/vhost_interface.h"

namespace warren::vmm::virtio::vhost {

Vsock::Vsock(std::string name, std::uint64_t guest_cid, std::unique_ptr<Peer> peer, GuestMemory& memory,
             EventThread& thread)
    : guest_cid_(guest_cid), backend_(std::move(name), std::move(peer), memory, thread) {}

Vsock::~Vsock() {
  stop();
}

void Vsock::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  read_bytes(std::as_bytes(std::span(&guest_cid_, 1)), offset, data);
}

void Vsock::activate(const Activation& activation) {
  activation_ = activation;
  active_ = true;
  if (!paused_) start();
}

void Vsock::deactivate() noexcept {
  stop();
  active_ = false;
}

void Vsock::pause() noexcept {
  stop();
  paused_ = true;
}

void Vsock::resume() noexcept {
  paused_ = false;
  if (!active_ || running_) return;
  try {
    start();
  } catch (const std::exception&) {
    activation_.host->request_reset();  // the host has taken back what it gave at first
  }
}

// A driver that has not made both queues has no use of the device, and the kernel takes none of them alone.
void Vsock::start() {
  for (std::uint16_t i = 0; i < kKernelQueues; ++i)
    if (!activation_.queues[i]->active()) return;
  backend_.give(activation_, kKernelQueues);
  int on = 1;
  try {
    backend_.require(VHOST_VSOCK_SET_RUNNING, &on, "VHOST_VSOCK_SET_RUNNING");
  } catch (...) {
    backend_.take();
    throw;
  }
  running_ = true;
}

void Vsock::stop() noexcept {
  if (!running_) return;
  running_ = false;
  int off = 0;
  (void)backend_.request(VHOST_VSOCK_SET_RUNNING, &off);
  backend_.take();
}

void Vsock::inspect(InspectNode& node) const {
  node.add("served_by", "vhost");
  node.add("active", active_);
  node.add("running", running_);
  node.add("features", active_ ? activation_.features : 0);
  node.add("guest_cid", guest_cid_);
}

}  // namespace warren::vmm::virtio::vhost
