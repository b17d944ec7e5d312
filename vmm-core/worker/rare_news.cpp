#include "vmm-core/worker/rare_news.h"

#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace warren::vmm::worker {

RareNews::RareNews(boost::asio::io_context& loop, std::function<void()> changed)
    : loop_(loop), changed_(std::move(changed)), pause_(loop) {}

void RareNews::note() noexcept {
  if (has_news_.exchange(true, std::memory_order_acq_rel)) return;
  try {
    boost::asio::post(loop_, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && !self->is_pausing_) self->tell();
    });
  } catch (const std::exception&) {
    // No memory for one small message: the next change is told.
    has_news_.store(false, std::memory_order_release);
  }
}

void RareNews::tell() {
  has_news_.store(false, std::memory_order_release);
  changed_();
  is_pausing_ = true;
  pause_.expires_after(std::chrono::seconds(1));
  pause_.async_wait([weak = weak_from_this()](boost::system::error_code cancelled) {
    const auto self = weak.lock();
    if (cancelled || !self) return;
    self->is_pausing_ = false;
    if (self->has_news_.load(std::memory_order_acquire)) self->tell();
  });
}

}  // namespace warren::vmm::worker
