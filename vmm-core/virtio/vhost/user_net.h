// Packets of a network device moved by another program over vhost-user: a virtual switch, a router.
//
// The back end is trusted with the guest's memory and its packets, and with nothing more (class T29): every
// answer has a deadline, and one that dies, lies or is late loses the connection. Then the guest's cable is
// out, `lost` says why, and the machine goes on. A connection that was lost does not come back, as that of a
// disk (user_block.h): whoever connects again plugs in another device.
//
// All that is its own happens on `thread`, for which the transport's calls wait.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "vmm-core/virtio/net_back_end.h"
#include "vmm-core/virtio/vhost/backend.h"
#include "vmm-core/virtio/vhost/user_peer.h"

namespace warren::vmm::virtio::vhost {

struct UserNetOptions {
  std::uint16_t pairs = 1;
  std::chrono::milliseconds patience{5000};  // with all that is asked of the back end at a time
  // On the thread: nobody moves packets any more, for this errno. Once when the connection is over, and once
  // when the queues could not be handed over, until they were again.
  std::function<void(int error)> lost = {};
};

class UserNet final : public NetBackEnd, private EventHandler {
 public:
  // `socket` is connected to the back end. `memory` and `thread` outlive it. Throws Error naming what the
  // back end does not do.
  UserNet(std::string name, FileDescriptor socket, UserNetOptions options, GuestMemory& memory,
          EventThread& thread);
  ~UserNet() override;

  std::uint64_t features() const noexcept override;
  void on_loss(std::function<void()> lost) override;
  bool start(const Activation& activation, std::uint16_t pairs, bool link_up) noexcept override;
  void stop() noexcept override;
  void set_link(bool up) noexcept override;
  void set_pairs(std::uint16_t count) noexcept override;
  void inspect(InspectNode& node) const override;

 private:
  void on_event(std::uint32_t events) noexcept override;
  void hand_over(const Activation& activation, std::uint16_t pairs);
  void take_back() noexcept;
  int apply_rings() noexcept;
  void notice_loss() noexcept;
  void tell_refusal(const std::exception& why) noexcept;

  const std::string name_;
  const UserNetOptions options_;
  EventThread& thread_;
  UserPeer* peer_ = nullptr;  // of backend_
  std::unique_ptr<Backend> backend_;
  std::function<void()> lost_;
  bool link_up_ = true, is_refused_ = false;
  std::uint16_t running_ = 0;  // pairs that are the back end's
  std::uint16_t in_use_ = 1;   // by the driver
  int watched_ = -1;           // the connection's descriptor
};

}  // namespace warren::vmm::virtio::vhost
