// How news of the balloon gets from the guest's threads to the control thread: at most once a second.
#pragma once

#include <atomic>
#include <functional>

#include <boost/asio/steady_timer.hpp>

#include "vmm-core/virtio/balloon.h"

namespace warren::vmm::worker {

// Control thread, but for balloon_changed(). Outlives the device.
class BalloonWatch final : public virtio::BalloonListener {
 public:
  // `changed` is called soon after a change, and a second later if there were more.
  BalloonWatch(boost::asio::io_context& loop, std::function<void()> changed);
  void balloon_changed() noexcept override;

 private:
  void tell();

  boost::asio::io_context& loop_;
  std::function<void()> changed_;
  boost::asio::steady_timer pause_;
  bool is_pausing_ = false;
  std::atomic<bool> has_news_{false};  // told to the control thread, which has not looked yet
};

}  // namespace warren::vmm::worker
