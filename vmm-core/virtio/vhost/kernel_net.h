// Packets of a network device moved by the host's kernel (/dev/vhost-net) between its taps and the guest.
//
// Each pair of queues has a vhost device of its own and the tap queue it belongs to. The kernel knows nothing
// of what a driver does not want to receive, so the filters of the control queue are not offered with it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "vmm-core/virtio/net_back_end.h"
#include "vmm-core/virtio/vhost/backend.h"

namespace warren::vmm::virtio::vhost {

class KernelNet final : public NetBackEnd {
 public:
  // Told once of what keeps the kernel from its work, in words; on the thread that found it out.
  using Report = std::function<void(const std::string& why)>;

  // One of `peers`, /dev/vhost-net that nobody owns yet, for each of `taps`, which are open as long as it is
  // used. `memory` and `thread` outlive it. Throws Error.
  KernelNet(const std::string& name, std::vector<std::unique_ptr<Peer>> peers, std::vector<int> taps,
            GuestMemory& memory, EventThread& thread, Report report);
  ~KernelNet() override;

  std::uint64_t features() const noexcept override;
  void on_loss(std::function<void()>) override {}  // the kernel stays
  bool start(const Activation& activation, std::uint16_t pairs, bool link_up) noexcept override;
  void stop() noexcept override;
  void set_link(bool up) noexcept override;
  // Which of its queues the kernel gives packets to is the tap's matter.
  void set_pairs(std::uint16_t) noexcept override {}
  void inspect(InspectNode& node) const override;

 private:
  class Pair;

  void give_all(const Activation& activation, std::uint16_t pairs, bool link_up);
  void take_all() noexcept;

  EventThread& thread_;
  const Report report_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  bool is_told_ = false;  // why it cannot
  std::atomic<std::uint16_t> running_{0};
};

}  // namespace warren::vmm::virtio::vhost
