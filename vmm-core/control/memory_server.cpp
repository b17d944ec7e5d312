#include "vmm-core/control/memory_server.h"

#include "vmm-core/control/json_codec.h"
#include "vmm-core/control/machine_specification.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {

void validate(const RequestMemory& command) {
  if (command.id.empty()) refuse_member("id", "missing");
  if (command.bytes % 4096 != 0) refuse_member("bytes", "not a multiple of 4096");
}

void validate_memory(const DeviceMemorySpecification& memory, const std::string& member) {
  constexpr std::uint64_t kMaximum = std::uint64_t{1} << 40;
  const std::uint64_t page = memory.huge_page_bytes;
  if (page != 0 && page != std::uint64_t{2} << 20 && page != std::uint64_t{1} << 30)
    refuse_member(member + ".huge_page_bytes", "neither 2 MiB nor 1 GiB");
  if (memory.bytes == 0 || memory.bytes > kMaximum || memory.bytes % (page != 0 ? page : 4096) != 0)
    refuse_member(member + ".bytes", "not a whole number of its pages, up to 1 TiB");
  for (const std::uint32_t node : memory.host_nodes)
    if (node >= 1024) refuse_member(member + ".host_nodes", "above 1023");
}

void validate_dimm(const DimmSpecification& dimm, const std::string& member) {
  if (dimm.address % 4096 != 0) refuse_member(member + ".address", "not a multiple of 4096");
  if (dimm.node >= kMaximumNumaNodes) refuse_member(member + ".node", "above 63");
  validate_memory(dimm.memory, member + ".memory");
}

void validate(const PlugDimm& command) {
  if (command.dimm.id.empty() || command.dimm.id.size() > 64)
    refuse_member("dimm.id", "empty or longer than 64 bytes");
  validate_dimm(command.dimm, "dimm");
}

bool serve_memory_command(MemoryCommands& commands, std::string_view name,
                          const boost::json::value& arguments) {
  if (name == "request_memory") {
    const auto command = from_json<RequestMemory>(arguments, "arguments");
    validate(command);
    commands.request_memory(command);
  } else if (name == "plug_dimm") {
    const auto command = from_json<PlugDimm>(arguments, "arguments");
    validate(command);
    commands.plug_dimm(command);
  } else if (name == "unplug_dimm") {
    commands.unplug_dimm(from_json<UnplugDimm>(arguments, "arguments"));
  } else {
    return false;
  }
  return true;
}

}  // namespace warren::vmm::control
