// Also what the control protocol asks of the balloon.
#include "vmm-core/worker/balloon_watch.h"

#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/os/error.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

BalloonWatch::BalloonWatch(boost::asio::io_context& loop, std::function<void()> changed)
    : loop_(loop), changed_(std::move(changed)), pause_(loop) {}

void BalloonWatch::balloon_changed() noexcept {
  if (has_news_.exchange(true, std::memory_order_acq_rel)) return;
  try {
    boost::asio::post(loop_, [this] {
      if (!is_pausing_) tell();
    });
  } catch (const std::exception&) {
    // No memory for one small message: the next change is told.
    has_news_.store(false, std::memory_order_release);
  }
}

void BalloonWatch::tell() {
  has_news_.store(false, std::memory_order_release);
  changed_();
  is_pausing_ = true;
  pause_.expires_after(std::chrono::seconds(1));
  pause_.async_wait([this](boost::system::error_code cancelled) {
    if (cancelled) return;
    is_pausing_ = false;
    if (has_news_.load(std::memory_order_acquire)) tell();
  });
}

void Worker::set_balloon(const control::SetBalloon& command) {
  require(machine_ != nullptr, "set_balloon");
  if (balloon_ == nullptr) throw Error(std::errc::no_such_device, "the machine has no balloon");
  if (command.bytes > machine_->memory().size())
    throw Error(std::errc::invalid_argument, "set_balloon: more than the machine's memory");
  balloon_->set_target(command.bytes);
}

void Worker::set_balloon_statistics_period(const control::SetBalloonStatisticsPeriod& command) {
  require(machine_ != nullptr, "set_balloon_statistics_period");
  if (balloon_ == nullptr) throw Error(std::errc::no_such_device, "the machine has no balloon");
  balloon_->set_statistics_period(command.seconds);
}

}  // namespace warren::vmm::worker
