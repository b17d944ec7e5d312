// Who moves the packets of a network device in its place: the host's kernel (vhost-net), or another program
// (vhost-user). The device keeps its control queue, its configuration and its link.
#pragma once

#include <cstdint>
#include <functional>

#include "vmm-core/state/inspect.h"
#include "vmm-core/virtio/device.h"

namespace warren::vmm::virtio {

class NetBackEnd : public Inspectable {
 public:
  virtual ~NetBackEnd() = default;

  // Of the features of a network device (§5.1.3), those that a guest may have with it.
  virtual std::uint64_t features() const noexcept = 0;
  // What it is told when nobody moves packets any more: its link is down from then on. Before start().
  virtual void on_loss(std::function<void()> lost) = 0;

  // One at a time, from the transport, with the queues of pairs as the driver made them. start() says false
  // when it cannot have them now, and has told why; then nothing was handed over. After stop() nothing
  // touches a queue, and each knows where it has come to; harmless when nothing was handed over.
  virtual bool start(const Activation& activation, std::uint16_t pairs, bool link_up) noexcept = 0;
  virtual void stop() noexcept = 0;

  // Any thread; also when nothing was handed over. Of an interface that is unplugged no packet moves.
  virtual void set_link(bool up) noexcept = 0;
  // How many of the pairs the driver uses (§5.1.6.5.5).
  virtual void set_pairs(std::uint16_t count) noexcept = 0;
};

}  // namespace warren::vmm::virtio
