#include "vmm-core/control/small_device_server.h"

#include "vmm-core/control/json_codec.h"

namespace warren::vmm::control {

bool serve_small_device_command(SmallDeviceCommands& commands, std::string_view name,
                                const boost::json::value& arguments) {
  if (name == "set_balloon") {
    commands.set_balloon(from_json<SetBalloon>(arguments, "arguments"));
  } else if (name == "set_balloon_statistics_period") {
    commands.set_balloon_statistics_period(from_json<SetBalloonStatisticsPeriod>(arguments, "arguments"));
  } else {
    return false;
  }
  return true;
}

}  // namespace warren::vmm::control
