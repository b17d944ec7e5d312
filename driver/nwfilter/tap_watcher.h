// Watches the taps of guests: which addresses a guest has, and when a tap goes away.
//
// One thread for all taps: a packet socket on each whose guest's address is to be learned, with a filter in
// the kernel, and a netlink socket for links. A guest that floods its tap is not listened to for the rest of
// the second (libvirt's formatnwfilter, "Automatic IP address detection"). Times are of CLOCK_BOOTTIME: they
// outlive the daemon and not the host.
//
// watch() and forget(): any thread; they wait for nothing but the watcher's own short work. The callbacks
// come from the watcher's thread, without any lock; they must not block or throw.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/identity.h"
#include "driver/config/ip_address.h"
#include "driver/nwfilter/filter_tree.h"

namespace warren::driver::nwfilter {

struct LearnedAddress {
  config::IpAddress address;
  std::optional<std::int64_t> expires_s;  // CLOCK_BOOTTIME; none: never
  bool operator==(const LearnedAddress&) const = default;
};

struct WatchedTap {
  std::string tap;
  std::uint64_t number = 0;  // told with all that is told of it
  config::MacAddress mac{};
  Learning learning = Learning::none;  // none: only whether it goes away
  std::vector<std::string> servers;    // of DHCP, that are believed; none: all
  std::vector<LearnedAddress> known;
};

struct TapEvents {
  std::function<void(const std::string& tap, std::uint64_t number)> gone;
  // All it now has; an address whose lease ended is not among them.
  std::function<void(const std::string& tap, std::uint64_t number,
                     const std::vector<LearnedAddress>& addresses)>
      learned;
  std::function<void(std::string_view)> report;
};

std::int64_t boot_seconds();

class TapWatcher {
 public:
  // Throws driver::Error (SYSTEM_ERROR) without its sockets.
  explicit TapWatcher(TapEvents events);
  ~TapWatcher();
  TapWatcher(const TapWatcher&) = delete;
  TapWatcher& operator=(const TapWatcher&) = delete;

  // Instead of what was watched under the same name; what is watched in that way already goes on as it is.
  // The tap may be made later.
  void watch(WatchedTap tap);
  void forget(const std::string& tap);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace warren::driver::nwfilter
