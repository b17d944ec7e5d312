#include "vmm-core/control/standalone_machine.h"

#include <boost/json.hpp>

#include "vmm-core/control/json_codec.h"

namespace warren::vmm::control {
namespace {

void print(const boost::json::value& value, std::string indent, std::string& text) {
  const auto list = [&](const auto& elements, char open, char close, auto print_element) {
    text += open;
    const std::string inner = indent + "  ";
    bool first = true;
    for (const auto& element : elements) {
      if (!first) text += ',';
      first = false;
      text += '\n' + inner;
      print_element(element, inner);
    }
    if (!first) text += '\n' + indent;
    text += close;
  };
  if (const auto* object = value.if_object()) {
    list(*object, '{', '}', [&](const auto& member, const std::string& inner) {
      text += boost::json::serialize(boost::json::value(member.key())) + ": ";
      print(member.value(), inner, text);
    });
  } else if (const auto* array = value.if_array()) {
    list(*array, '[', ']',
         [&](const auto& element, const std::string& inner) { print(element, inner, text); });
  } else {
    text += boost::json::serialize(value);
  }
}

}  // namespace

std::string format_standalone_machine(const StandaloneMachine& machine) {
  std::string text;
  print(to_json(machine), "", text);
  return text + '\n';
}

StandaloneMachine parse_standalone_machine(const std::string& text) {
  boost::json::error_code failed;
  boost::json::parse_options options;
  options.allow_comments = true;
  const auto value = boost::json::parse(text, failed, {}, options);
  if (failed) throw Error(std::errc::invalid_argument, "not JSON: " + failed.message());
  auto read = from_json<StandaloneMachine>(value, "");
  validate(read.machine);
  return read;
}

}  // namespace warren::vmm::control
