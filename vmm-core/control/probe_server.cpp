#include "vmm-core/control/probe_server.h"

#include <utility>

#include "vmm-core/control/json_codec.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {

namespace {

namespace json = boost::json;

template <typename T>
T arguments_of(const json::value& arguments) {
  return from_json<T>(arguments, "arguments");
}

std::string hexadecimal(const std::vector<std::byte>& bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

json::value read_memory(Probes& probes, const json::value& arguments) {
  const auto range = arguments_of<ReadMemory>(arguments);
  if (range.size > kMaximumPeekBytes) throw Error(std::errc::value_too_large, "read_memory.size");
  return to_json(MemoryBytes{hexadecimal(probes.read_memory(range))});
}

void check_key(std::uint16_t code, const char* where) {
  const unsigned prefix = code >> 8, low = code & 0xff;
  if ((prefix != 0 && prefix != 0xe0) || low == 0 || low > 0x7f)
    throw Error(std::errc::invalid_argument, std::string(where) + ": " + std::to_string(code) + " is no key");
}

void send_keys(Probes& probes, const json::value& arguments) {
  const auto keys = arguments_of<SendKeys>(arguments);
  if (keys.codes.empty() || keys.codes.size() > kMaximumKeys)
    throw Error(std::errc::invalid_argument, "send_keys.codes: 1 to " + std::to_string(kMaximumKeys));
  if (keys.hold_ms > kMaximumHoldMilliseconds)
    throw Error(std::errc::invalid_argument, "send_keys.hold_ms: more than a minute");
  for (const std::uint16_t code : keys.codes) check_key(code, "send_keys.codes");
  if (!keys.linux_codes.empty() && keys.linux_codes.size() != keys.codes.size())
    throw Error(std::errc::invalid_argument, "send_keys.linux_codes: not as many as codes");
  probes.send_keys(keys);
}

void send_input(Probes& probes, const json::value& arguments) {
  const auto input = arguments_of<SendInput>(arguments);
  if (input.events.empty() || input.events.size() > kMaximumInputEvents)
    throw Error(std::errc::invalid_argument,
                "send_input.events: 1 to " + std::to_string(kMaximumInputEvents));
  for (const InputEventSpecification& event : input.events) {
    if (event.type < 1 || event.type > 3)
      throw Error(std::errc::invalid_argument, "send_input.events: neither key, button nor motion");
    if (event.at_code != 0) check_key(event.at_code, "send_input.events");
  }
  probes.send_input(input);
}

void dump(Probes& probes, const json::value& arguments, std::vector<FileDescriptor>& descriptors) {
  if (descriptors.size() != 1) throw Error(std::errc::invalid_argument, "dump comes with one descriptor");
  probes.dump(arguments_of<BeginDump>(arguments), std::move(descriptors.front()));
}

}  // namespace

std::optional<json::value> serve_probe(Probes& probes, std::string_view name, const json::value& arguments,
                                       std::vector<FileDescriptor>& descriptors,
                                       std::vector<FileDescriptor>& given) {
  if (name == "inject_nmi") {
    probes.inject_nmi();
  } else if (name == "send_keys") {
    send_keys(probes, arguments);
  } else if (name == "send_input") {
    send_input(probes, arguments);
  } else if (name == "set_reset_action") {
    probes.set_reset_action(arguments_of<SetResetAction>(arguments).action);
  } else if (name == "read_memory") {
    return read_memory(probes, arguments);
  } else if (name == "dump") {
    dump(probes, arguments, descriptors);
  } else if (name == "dump_status") {
    return to_json(probes.dump_status());
  } else if (name == "abort_dump") {
    probes.abort_dump();
  } else if (name == "add_iothread") {
    probes.add_iothread(arguments_of<IoThreadName>(arguments).id);
  } else if (name == "delete_iothread") {
    probes.delete_iothread(arguments_of<IoThreadName>(arguments).id);
  } else if (name == "start_dirty_rate") {
    const std::uint32_t seconds = arguments_of<StartDirtyRate>(arguments).seconds;
    if (seconds < 1 || seconds > 60) throw Error(std::errc::invalid_argument, "start_dirty_rate.seconds");
    probes.start_dirty_rate(seconds);
  } else if (name == "dirty_rate") {
    return to_json(probes.dirty_rate());
  } else if (name == "kvm_statistics") {
    KvmStatisticsFiles statistics = probes.kvm_statistics();
    given = std::move(statistics.files);
    return to_json(statistics.names);
  } else {
    return std::nullopt;
  }
  return json::object();
}

}  // namespace warren::vmm::control
