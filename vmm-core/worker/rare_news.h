// How news that a guest causes, as often as it likes, gets from its threads to the control thread: at most
// once a second.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include <boost/asio/steady_timer.hpp>

namespace warren::vmm::worker {

// Control thread, but for note().
class RareNews final : public std::enable_shared_from_this<RareNews> {
 public:
  // `changed` is called soon after a change, and a second later if there were more; not after this is gone.
  static std::shared_ptr<RareNews> make(boost::asio::io_context& loop, std::function<void()> changed) {
    return std::shared_ptr<RareNews>(new RareNews(loop, std::move(changed)));
  }
  RareNews(const RareNews&) = delete;
  RareNews& operator=(const RareNews&) = delete;

  // Any thread.
  void note() noexcept;

 private:
  RareNews(boost::asio::io_context& loop, std::function<void()> changed);
  void tell();

  boost::asio::io_context& loop_;
  std::function<void()> changed_;
  boost::asio::steady_timer pause_;
  bool is_pausing_ = false;
  std::atomic<bool> has_news_{false};  // told to the control thread, which has not looked yet
};

}  // namespace warren::vmm::worker
