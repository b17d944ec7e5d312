// Which ports of the machine's consoles the guest has open, and how news of that gets from the devices'
// threads to the control thread.
//
// A guest may open and close its ports as fast as it can: changes are looked at in intervals, so that it
// fills no queue and keeps no daemon busy (T8). One that is taken back within an interval is never told.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
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

  // Where a port is or may come. It never moves: a device's thread knows it while others come.
  class Place {
    friend class PortTable;
    std::string id_;  // empty: no port
    std::atomic<bool> is_open_{false};
    bool is_told_open_ = false;
  };

  // Of a console, before its device is made: one for each number that a port can have.
  std::span<Place> add_console(std::size_t ports);
  // The device does not know of the port yet, or not any more.
  void occupy(Place& place, const std::string& id);
  void vacate(Place& place) noexcept;
  std::vector<std::string> open_ports() const;  // their ids

  // Any thread.
  void guest_opened(Place& place, bool open) noexcept;

 private:
  struct Console {
    std::unique_ptr<Place[]> places;
    std::size_t count;

    std::span<Place> all() const noexcept { return {places.get(), count}; }
  };

  void look() noexcept;
  void look_soon() noexcept;

  boost::asio::io_context& loop_;
  Handler handler_;
  boost::asio::steady_timer timer_;
  std::vector<Console> consoles_;
  std::atomic<bool> will_look_{false};
};

}  // namespace warren::vmm::worker
