#include "vmm-core/control/disk_server.h"

#include <utility>

#include "vmm-core/control/json_codec.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {

void validate_limits(const DiskLimits& limits, const std::string& member) {
  constexpr std::uint64_t kMost = 1'000'000'000'000'000;
  auto refuse = [&](const char* name, const char* why) {
    throw Error(std::errc::invalid_argument, member + "." + name + ": " + why);
  };
  if (limits.group.size() > 256) refuse("group", "longer than 256 bytes");
  for (const auto& [limit, name] :
       {std::pair(&limits.total_bytes, "total_bytes"), std::pair(&limits.read_bytes, "read_bytes"),
        std::pair(&limits.write_bytes, "write_bytes"),
        std::pair(&limits.total_operations, "total_operations"),
        std::pair(&limits.read_operations, "read_operations"),
        std::pair(&limits.write_operations, "write_operations")}) {
    if (limit->rate > kMost || limit->burst > kMost) refuse(name, "more than 10^15 a second");
    if (limit->burst_seconds == 0 || limit->burst_seconds > kMost)
      refuse(name, "burst_seconds is not 1 to 10^15");
    if (limit->burst != 0 && limit->burst < limit->rate) refuse(name, "the burst is slower than the rate");
  }
  if (limits.operation_bytes > kMost) refuse("operation_bytes", "more than 10^15");
}

std::optional<boost::json::value> serve_disk_command(DiskCommands& commands, std::string_view name,
                                                     const boost::json::value& arguments) {
  if (name == "resize_disk") {
    commands.resize_disk(from_json<ResizeDisk>(arguments, "arguments"));
  } else if (name == "set_disk_limits") {
    const auto command = from_json<SetDiskLimits>(arguments, "arguments");
    validate_limits(command.limits, "limits");
    commands.set_disk_limits(command);
  } else if (name == "set_disk_threshold") {
    commands.set_disk_threshold(from_json<SetDiskThreshold>(arguments, "arguments"));
  } else if (name == "disk_sizes") {
    return to_json(commands.disk_sizes());
  } else {
    return std::nullopt;
  }
  return boost::json::object();
}

}  // namespace warren::vmm::control
