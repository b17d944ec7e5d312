// The virtio socket device (virtio 1.2 §5.10) that the host's kernel serves: its guests are found at their
// CID by every program of the host that has AF_VSOCK. The kernel has the two queues of packets; nothing
// travels on the queue of events before a machine can be saved.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "vmm-core/virtio/device.h"
#include "vmm-core/virtio/vhost/backend.h"

namespace warren::vmm::virtio::vhost {

class Vsock final : public Device {
 public:
  // `peer` is /dev/vhost-vsock, which has the guest's CID already. `memory` and `thread`, where interrupts
  // are passed on, outlive it. Throws Error.
  Vsock(std::string name, std::uint64_t guest_cid, std::unique_ptr<Peer> peer, GuestMemory& memory,
        EventThread& thread);
  ~Vsock() override;

  DeviceType type() const noexcept override { return DeviceType::vsock; }
  std::uint64_t features() const noexcept override { return backend_.features(); }
  bool offers_packed() const noexcept override { return false; }
  std::uint16_t queue_count() const noexcept override { return 3; }
  std::uint16_t queue_size() const noexcept override { return 128; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t, std::span<const std::byte>) noexcept override {}

  void activate(const Activation& activation) override;
  // Connections stay the host's until the guest's driver, when it is back, denies them or they time out: so
  // it is with every vhost-vsock.
  void deactivate() noexcept override;
  void pause() noexcept override;
  void resume() noexcept override;
  void inspect(InspectNode& node) const override;

 private:
  static constexpr std::uint16_t kKernelQueues = 2;  // receive and transmit (§5.10.2)

  void start();
  void stop() noexcept;

  const std::uint64_t guest_cid_;
  Backend backend_;
  Activation activation_;
  bool active_ = false, paused_ = false;
  bool running_ = false;  // the kernel
};

}  // namespace warren::vmm::virtio::vhost
