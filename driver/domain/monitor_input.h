// The commands of QMP by which scripts type and point: input-send-event and send-key. Unlike the others of
// monitor.h they ask something of the machine.
//
// Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "driver/domain/key_codes.h"
#include "vmm-core/control/probes.h"

namespace warren::driver::domain {

struct MonitorInput {
  // A text: why it is refused.
  std::variant<vmm::control::SendInput, vmm::control::SendKeys, std::string> request;
  std::string id;  // of the request, as JSON
};

inline constexpr std::string_view kMonitorInputCommands[] = {"input-send-event", "send-key"};

// nullopt for every other command, and for what is none.
std::optional<MonitorInput> parse_monitor_input(const std::string& request);
// The whole answer; `refused` is empty when it was done.
std::string answer_monitor_input(const MonitorInput& input, const std::string& refused);

// A key by the name that QMP has for it ("ret", "ctrl_r"); null for none that a PC keyboard has.
const KeyCodes* key_of_name(std::string_view name) noexcept;

}  // namespace warren::driver::domain
