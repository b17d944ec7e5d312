// Which ports of the machine's consoles the guest has open, and how news of that gets from the devices'
// threads to the control thread.
//
// A guest may open and close its ports as fast as it can: changes are looked at in intervals, so that it
// fills no queue and keeps no daemon busy (T8). One that is taken back within an interval is never told.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include <boost/asio/steady_timer.hpp>

namespace warren::vmm::worker {

// Control thread, but for guest_opened(). Outlives the devices.
class PortTable {
 public:
  using Handler = std::function<void(const std::string& id, bool open)>;
  static constexpr std::chrono::milliseconds kInterval{100};

  PortTable(boost::asio::io_context& loop, Handler handler);

  // Before the port's device is made. Returns what guest_opened() takes.
  std::size_t add(const std::string& id);
  // Of a port that is not there any more; its place stays empty.
  void forget(std::size_t place) noexcept;
  std::vector<std::string> open_ports() const;  // their ids

  // Any thread; a place that add() returned.
  void guest_opened(std::size_t place, bool open) noexcept;

 private:
  struct Port {
    std::string id;
    std::atomic<bool> is_open{false};
    bool is_told_open = false;
  };

  void look() noexcept;
  void look_soon() noexcept;

  boost::asio::io_context& loop_;
  Handler handler_;
  boost::asio::steady_timer timer_;
  std::deque<Port> ports_;  // which never move
  std::atomic<bool> will_look_{false};
};

}  // namespace warren::vmm::worker
