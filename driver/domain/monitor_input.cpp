#include "driver/domain/monitor_input.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <linux/input-event-codes.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace control = vmm::control;
namespace json = boost::json;

namespace {

constexpr std::uint32_t kUsualHoldMilliseconds = 100;

// Where the request does not say what it must.
[[noreturn]] void refuse(std::string text) {
  throw invalid_argument(std::move(text));
}

const json::value& member(const json::object& object, std::string_view name) {
  const auto* found = object.if_contains(name);
  if (found == nullptr) refuse(fmt::format("Parameter '{}' is missing", name));
  return *found;
}

const json::object& object_in(const json::value& value, std::string_view name) {
  if (!value.is_object()) refuse(fmt::format("Invalid parameter type for '{}', expected: object", name));
  return value.get_object();
}

std::string_view text_of(const json::object& object, std::string_view name) {
  const json::value& value = member(object, name);
  if (!value.is_string()) refuse(fmt::format("Invalid parameter type for '{}', expected: string", name));
  return value.get_string();
}

std::int64_t number_of(const json::object& object, std::string_view name, std::int64_t minimum,
                       std::int64_t maximum) {
  const json::value& value = member(object, name);
  json::error_code failed;
  const auto number = value.is_number() ? value.to_number<std::int64_t>(failed) : 0;
  if (!value.is_number() || failed || number < minimum || number > maximum)
    refuse(fmt::format("Parameter '{}' expects an integer from {} to {}", name, minimum, maximum));
  return number;
}

bool switch_of(const json::object& object, std::string_view name) {
  const json::value& value = member(object, name);
  if (!value.is_bool()) refuse(fmt::format("Invalid parameter type for '{}', expected: boolean", name));
  return value.get_bool();
}

const KeyCodes& key_in(const json::value& value) {
  const json::object& object = object_in(value, "key");
  const std::string_view type = text_of(object, "type");
  const KeyCodes* key = nullptr;
  if (type == "qcode") {
    key = key_of_name(text_of(object, "data"));
  } else if (type == "number") {
    key = find_key(VIR_KEYCODE_SET_QNUM, static_cast<std::uint32_t>(number_of(object, "data", 0, 0xffff)));
  } else {
    refuse(fmt::format("Parameter 'type' does not accept value '{}'", type.substr(0, 64)));
  }
  if (key == nullptr) refuse(fmt::format("{} is no key of a PC keyboard", json::serialize(value)));
  return *key;
}

struct Button {
  std::string_view name;
  std::uint16_t code;  // 0: a wheel
  std::uint16_t axis = 0;
  std::int32_t step = 0;
};
constexpr auto kButtons = std::to_array<Button>({{"left", BTN_LEFT},
                                                 {"middle", BTN_MIDDLE},
                                                 {"right", BTN_RIGHT},
                                                 {"side", BTN_SIDE},
                                                 {"extra", BTN_EXTRA},
                                                 {"touch", BTN_TOUCH},
                                                 {"wheel-up", 0, REL_WHEEL, 1},
                                                 {"wheel-down", 0, REL_WHEEL, -1},
                                                 {"wheel-right", 0, REL_HWHEEL, 1},
                                                 {"wheel-left", 0, REL_HWHEEL, -1}});

void add_button(const json::object& data, control::SendInput& input) {
  const bool down = switch_of(data, "down");
  const std::string_view name = text_of(data, "button");
  const auto* found = std::ranges::find(kButtons, name, &Button::name);
  if (found == kButtons.end())
    refuse(fmt::format("Parameter 'button' does not accept value '{}'", name.substr(0, 64)));
  if (found->code != 0) {
    input.events.push_back({.type = EV_KEY, .code = found->code, .value = down ? 1 : 0});
  } else if (down) {
    input.events.push_back({.type = EV_REL, .code = found->axis, .value = found->step});
  }
}

void add_motion(const json::object& data, bool absolute, control::SendInput& input) {
  constexpr std::int64_t kAbsoluteMaximum = 0x7fff;
  const std::string_view axis = text_of(data, "axis");
  if (axis != "x" && axis != "y")
    refuse(fmt::format("Parameter 'axis' does not accept value '{}'", axis.substr(0, 64)));
  const std::int64_t value = absolute ? number_of(data, "value", 0, kAbsoluteMaximum)
                                      : number_of(data, "value", INT32_MIN, INT32_MAX);
  static_assert(ABS_X == REL_X && ABS_Y == REL_Y);
  input.events.push_back({.type = absolute ? std::uint16_t{EV_ABS} : std::uint16_t{EV_REL},
                          .code = axis == "x" ? std::uint16_t{REL_X} : std::uint16_t{REL_Y},
                          .value = static_cast<std::int32_t>(value)});
}

control::SendInput input_of(const json::object& arguments) {
  const json::value& events = member(arguments, "events");
  if (!events.is_array() || events.get_array().size() > control::kMaximumInputEvents)
    refuse(fmt::format("Parameter 'events' expects an array of at most {}", control::kMaximumInputEvents));
  control::SendInput input;
  for (const json::value& each : events.get_array()) {
    const json::object& event = object_in(each, "events");
    const std::string_view type = text_of(event, "type");
    const json::object& data = object_in(member(event, "data"), "data");
    if (type == "key") {
      const KeyCodes& key = key_in(member(data, "key"));
      input.events.push_back({.type = EV_KEY,
                              .code = static_cast<std::uint16_t>(key.linux_input),
                              .value = switch_of(data, "down") ? 1 : 0,
                              .at_code = static_cast<std::uint16_t>(key.at_set1)});
    } else if (type == "btn") {
      add_button(data, input);
    } else if (type == "rel" || type == "abs") {
      add_motion(data, type == "abs", input);
    } else {
      refuse(fmt::format("Parameter 'type' does not accept value '{}'", type.substr(0, 64)));
    }
  }
  return input;
}

control::SendKeys keys_of(const json::object& arguments) {
  control::SendKeys keys{.codes = {}, .hold_ms = kUsualHoldMilliseconds};
  const json::value& names = member(arguments, "keys");
  if (!names.is_array() || names.get_array().empty() || names.get_array().size() > control::kMaximumKeys)
    refuse(fmt::format("Parameter 'keys' expects an array of 1 to {}", control::kMaximumKeys));
  for (const json::value& each : names.get_array()) {
    const KeyCodes& key = key_in(each);
    keys.codes.push_back(static_cast<std::uint16_t>(key.at_set1));
    keys.linux_codes.push_back(static_cast<std::uint16_t>(key.linux_input));
  }
  if (arguments.contains("hold-time"))
    keys.hold_ms =
        static_cast<std::uint32_t>(number_of(arguments, "hold-time", 0, control::kMaximumHoldMilliseconds));
  return keys;
}

}  // namespace

std::optional<MonitorInput> parse_monitor_input(const std::string& request) {
  json::error_code failed;
  const json::value parsed = json::parse(request, failed);
  const auto* object = failed ? nullptr : parsed.if_object();
  const auto* execute = object == nullptr ? nullptr : object->if_contains("execute");
  const auto* name = execute == nullptr ? nullptr : execute->if_string();
  if (name == nullptr ||
      std::ranges::find(kMonitorInputCommands, std::string_view(*name)) == std::end(kMonitorInputCommands))
    return std::nullopt;
  const auto* id = object->if_contains("id");
  MonitorInput input{.request = {}, .id = id == nullptr ? "\"libvirt-1\"" : json::serialize(*id)};
  try {
    const json::object& arguments = object_in(member(*object, "arguments"), "arguments");
    if (*name == "send-key") {
      input.request = keys_of(arguments);
    } else {
      input.request = input_of(arguments);
    }
  } catch (const Error& error) {
    input.request = std::string(error.what());
  }
  return input;
}

std::string answer_monitor_input(const MonitorInput& input, const std::string& refused) {
  json::object answer;
  if (refused.empty()) {
    answer["return"] = json::object();
  } else {
    answer["error"] = {{"class", "GenericError"}, {"desc", refused}};
  }
  answer["id"] = json::parse(input.id);
  return json::serialize(answer);
}

}  // namespace warren::driver::domain
