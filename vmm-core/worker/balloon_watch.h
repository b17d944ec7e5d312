// How news of the balloon gets from the guest's threads to the control thread.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "vmm-core/virtio/balloon.h"
#include "vmm-core/worker/rare_news.h"

namespace warren::vmm::worker {

// Outlives the device. `changed` is called as RareNews does.
class BalloonWatch final : public virtio::BalloonListener {
 public:
  BalloonWatch(boost::asio::io_context& loop, std::function<void()> changed)
      : news_(RareNews::make(loop, std::move(changed))) {}
  void balloon_changed() noexcept override { news_->note(); }

 private:
  const std::shared_ptr<RareNews> news_;
};

}  // namespace warren::vmm::worker
