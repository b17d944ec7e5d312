// <serial>, <console> and <channel>.
#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"

namespace warren::driver::config {

namespace {

CharacterBackend parse_backend(XmlElement& element, bool inactive) {
  CharacterBackend backend;
  backend.type = require_enum(element, "type", names::kCharacter);
  XmlElement* source = element.child("source");
  switch (backend.type) {
    case CharacterBackendType::pty:
      // The slave is made at start: in a persistent definition its name says nothing.
      if (source) {
        const std::string path = require_absolute_path(*source, "path");
        if (!inactive) backend.path = path;
      }
      break;
    case CharacterBackendType::file:
      if (!source) throw element.malformed("<source path='…'/> is missing");
      backend.path = require_absolute_path(*source, "path");
      backend.append = read_on_off(*source, "append");
      break;
    case CharacterBackendType::null:
      break;
    case CharacterBackendType::unix_socket:
      if (!source) break;
      backend.socket_mode = read_enum(*source, "mode", names::kSocketMode);
      if (source->attribute("path") || backend.socket_mode == SocketMode::connect)
        backend.path = require_absolute_path(*source, "path");
      if (!backend.path.empty() && !backend.socket_mode) backend.socket_mode = SocketMode::bind;
      break;
  }
  if (XmlElement* log = element.child("log")) {
    backend.log_file = require_absolute_path(*log, "file");
    backend.log_append = read_on_off(*log, "append");
  }
  return backend;
}

// Only a channel has a name from which a start can make its socket's.
CharacterBackend parse_placed_backend(XmlElement& element, bool inactive) {
  CharacterBackend backend = parse_backend(element, inactive);
  if (backend.type == CharacterBackendType::unix_socket && backend.path.empty())
    throw element.malformed("<source mode='bind' path='…'/> is missing");
  return backend;
}

constexpr EnumName<bool> kPortStates[] = {{"connected", true}, {"disconnected", false}};
constexpr EnumTable<bool> kPortState{kPortStates, {}};

std::optional<VirtioSerialAddress> parse_serial_address(XmlElement& element) {
  XmlElement* address = element.child("address");
  if (!address) return std::nullopt;
  require_text(*address, "type");
  accept_only(*address, "type", "virtio-serial");
  VirtioSerialAddress place;
  place.controller = read_number(*address, "controller", 0, 255).value_or(0);
  place.bus = read_number(*address, "bus").value_or(0);
  if (place.bus != 0)
    throw address->unsupported_attribute("bus", "a virtio-serial controller has bus 0 only");
  place.port = read_number(*address, "port", 0, kMaximumSerialControllerPorts - 1).value_or(0);
  return place;
}

}  // namespace

SerialPort parse_serial(XmlElement& element, bool inactive) {
  SerialPort serial;
  serial.backend = parse_placed_backend(element, inactive);
  if (XmlElement* target = element.child("target")) {
    serial.port = read_number(*target, "port", 0, 3);
    const bool typed = accept_only(*target, "type", "isa-serial");
    if (XmlElement* model = target->child("model")) {
      require_text(*model, "name");
      accept_only(*model, "name", "isa-serial");
    }
    serial.target_given = typed;
  }
  serial.info = parse_device_info(element, inactive, false, false);
  return serial;
}

Console parse_console(XmlElement& element, bool inactive) {
  Console console;
  console.backend = parse_placed_backend(element, inactive);
  if (const auto tty = element.attribute("tty")) {
    if (!inactive) console.tty = *tty;
  }
  if (XmlElement* target = element.child("target")) {
    const auto type = read_enum(*target, "type", names::kConsoleTarget);
    console.target = type.value_or(ConsoleTarget::serial);
    console.target_given = type.has_value();
    console.port = read_number(*target, "port", 0, kMaximumConsolePort);
    if (console.target == ConsoleTarget::serial && console.port.value_or(0) > 3)
      throw target->malformed_attribute("port", "a PC has serial ports 0 to 3");
  }
  console.info = parse_device_info(element, inactive, false, false);
  if (console.target == ConsoleTarget::virtio) console.address = parse_serial_address(element);
  return console;
}

Channel parse_channel(XmlElement& element, bool inactive) {
  Channel channel;
  channel.backend = parse_backend(element, inactive);
  XmlElement* target = element.child("target");
  if (!target) throw element.malformed("<target type='virtio' name='…'/> is missing");
  require_text(*target, "type");
  accept_only(*target, "type", "virtio");
  if (const auto name = target->attribute("name")) channel.name = *name;
  if (channel.name.size() > 128) throw target->malformed_attribute("name", "it is longer than 128 bytes");
  const auto state = read_enum(*target, "state", kPortState);
  if (!inactive) channel.connected = state;
  if (inactive && is_generated_channel_path(channel.backend.path, channel.name)) channel.backend.path.clear();
  if (channel.backend.path.empty()) channel.backend.socket_mode.reset();
  channel.info = parse_device_info(element, inactive, false, false);
  channel.address = parse_serial_address(element);
  return channel;
}

std::string generated_channel_path(const std::string& domain_directory, const std::string& name) {
  return domain_directory + "/channel/" + name;
}

bool is_generated_channel_path(const std::string& path, const std::string& name) {
  constexpr std::size_t kUuidLength = 36;
  const std::string end = generated_channel_path("", name);
  constexpr std::string_view kDomains = "/domain/";
  if (name.empty() || !path.ends_with(end) || path.size() < end.size() + kUuidLength + kDomains.size())
    return false;
  const std::string_view domain = std::string_view(path).substr(0, path.size() - end.size());
  return domain.substr(0, domain.size() - kUuidLength).ends_with(kDomains);
}

}  // namespace warren::driver::config
