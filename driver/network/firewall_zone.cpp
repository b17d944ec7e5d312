#include "driver/network/firewall_zone.h"

#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/tool/tool.h"

namespace warren::driver::network {

namespace {

constexpr const char* kProgram = "firewall-cmd";

// It answers with 252 where the daemon does not run (firewall-cmd(1), exit codes).
bool is_running() {
  return !find_tool(kProgram).empty() && run_tool({.name = kProgram, .arguments = {"--state"}}).status == 0;
}

Error zone_error(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_NETWORK};
}

std::string of_zone(const NetworkDefinition& definition) {
  return fmt::format("--zone={}", definition.bridge.zone);
}

}  // namespace

void enter_zone(const NetworkDefinition& definition) {
  if (definition.bridge.zone.empty()) return;
  if (!is_running()) {
    throw zone_error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("network '{}': <bridge zone='{}'/> is a zone of firewalld, which does not run "
                    "(firewall-cmd --state): start it, or leave the zone out",
                    definition.name, definition.bridge.zone));
  }
  const ToolResult result = run_tool(
      {.name = kProgram,
       .arguments = {of_zone(definition), fmt::format("--change-interface={}", definition.bridge.name)}});
  if (result.status == 0) return;
  throw zone_error(VIR_ERR_OPERATION_FAILED,
                   fmt::format("network '{}': bridge '{}' cannot be in zone '{}': firewall-cmd: {}",
                               definition.name, definition.bridge.name, definition.bridge.zone,
                               result.errors.substr(0, result.errors.find('\n'))));
}

void leave_zone(const NetworkDefinition& definition) noexcept {
  if (definition.bridge.zone.empty()) return;
  try {
    if (is_running()) {
      run_tool(
          {.name = kProgram,
           .arguments = {of_zone(definition), fmt::format("--remove-interface={}", definition.bridge.name)}});
    }
  } catch (const std::exception&) {
    // As said: it does nothing.
  }
}

}  // namespace warren::driver::network
