// What others do to the links and the packet filter of this host behind our back, told to the drivers that
// have something there: a bridge or tap that is removed by hand, a ruleset that is flushed.
//
// One thread listens (of the network name space of the one that makes it); everything is told on the loop's.
// What the daemon does itself is told of links too, and not of rules.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "driver/link/monitor.h"

namespace boost::asio {
class io_context;
}

namespace warren::driver::watch {

// Of tables of ours; nft's words.
inline constexpr const char* kNetworkTable = "inet warren_network";
inline constexpr const char* kFilterTable = "bridge warren_nwfilter";

class HostWatch {
 public:
  struct Handlers {
    // In order. After a burst that the kernel could not keep up with: what is different from before.
    std::function<void(const std::vector<link::LinkEvent>& events)> links;
    // Somebody else changed that table of ours. Told when it has been quiet for a moment, and at most about
    // once in a second.
    std::function<void(const std::string& table)> rules;
  };

  // `report` is for the log, from any thread: what cannot be watched. Never throws for that.
  HostWatch(boost::asio::io_context& loop, std::function<void(std::string_view)> report);
  ~HostWatch();
  HostWatch(const HostWatch&) = delete;
  HostWatch& operator=(const HostWatch&) = delete;

  // The loop's thread, both; no handler is called once its subscription has ended.
  std::uint64_t subscribe(Handlers handlers);
  void unsubscribe(std::uint64_t id) noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace warren::driver::watch
