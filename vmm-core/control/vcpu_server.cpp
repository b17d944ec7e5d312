#include "vmm-core/control/vcpu_server.h"

#include <set>
#include <string>

#include "vmm-core/control/json_codec.h"
#include "vmm-core/control/machine_specification.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {

void validate(const VcpuNumbers& numbers) {
  std::set<std::uint32_t> seen;
  for (const std::uint32_t vcpu : numbers.vcpus) {
    if (vcpu == 0 || vcpu >= kMaximumVcpus || !seen.insert(vcpu).second)
      throw Error(std::errc::invalid_argument,
                  "vcpus: " + std::to_string(vcpu) + " is not one of 1 to 254, once");
  }
  if (seen.empty()) throw Error(std::errc::invalid_argument, "vcpus: empty");
}

bool serve_vcpu_command(VcpuCommands& commands, std::string_view name, const boost::json::value& arguments) {
  if (name != "plug_vcpus" && name != "unplug_vcpus") return false;
  const auto numbers = from_json<VcpuNumbers>(arguments, "arguments");
  validate(numbers);
  if (name == "plug_vcpus") {
    commands.plug_vcpus(numbers);
  } else {
    commands.unplug_vcpus(numbers);
  }
  return true;
}

}  // namespace warren::vmm::control
