// What the daemon changes on a running machine's balloon, and what the worker tells of its small devices.
//
// Commands of the control protocol (protocol.h): set_balloon(SetBalloon),
// set_balloon_statistics_period(SetBalloonStatisticsPeriod). Events: balloon_changed(BalloonChanged),
// watchdog_expired(WatchdogExpired).
#pragma once

#include <cstdint>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

namespace warren::vmm::control {

// How much of its memory the guest is asked to have; what it really has it tells by itself.
struct SetBalloon {
  std::uint64_t bytes = 0;
};
BOOST_DESCRIBE_STRUCT(SetBalloon, (), (bytes))

struct SetBalloonStatisticsPeriod {
  std::uint32_t seconds = 0;  // 0: no more
};
BOOST_DESCRIBE_STRUCT(SetBalloonStatisticsPeriod, (), (seconds))

// What the guest has now, less its balloon. At most one a second; the last one is true.
struct BalloonChanged {
  std::uint64_t bytes = 0;
};
BOOST_DESCRIBE_STRUCT(BalloonChanged, (), (bytes))

// What the worker does when the guest has not reloaded its watchdog in time. shutdown presses the power
// button, poweroff ends the machine.
enum class WatchdogAction { none, reset, shutdown, poweroff, pause, inject_nmi };
BOOST_DESCRIBE_ENUM(WatchdogAction, none, reset, shutdown, poweroff, pause, inject_nmi)

// Before the change of state that the action brings.
struct WatchdogExpired {
  WatchdogAction action = WatchdogAction::none;
};
BOOST_DESCRIBE_STRUCT(WatchdogExpired, (), (action))

// As Commands (server.h): each runs to its end before it returns; what cannot be done throws Error.
class SmallDeviceCommands {
 public:
  virtual void set_balloon(const SetBalloon& command) = 0;
  virtual void set_balloon_statistics_period(const SetBalloonStatisticsPeriod& command) = 0;

 protected:
  ~SmallDeviceCommands() = default;
};

}  // namespace warren::vmm::control
