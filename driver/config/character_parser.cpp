// <serial> and <console>.
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
  }
  if (XmlElement* log = element.child("log")) {
    backend.log_file = require_absolute_path(*log, "file");
    backend.log_append = read_on_off(*log, "append");
  }
  return backend;
}

}  // namespace

SerialPort parse_serial(XmlElement& element, bool inactive) {
  SerialPort serial;
  serial.backend = parse_backend(element, inactive);
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
  console.backend = parse_backend(element, inactive);
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
  XmlElement* address = console.target == ConsoleTarget::virtio ? element.child("address") : nullptr;
  if (address) {
    require_text(*address, "type");
    accept_only(*address, "type", "virtio-serial");
    VirtioSerialAddress& place = console.address.emplace();
    place.controller = read_number(*address, "controller", 0, 255).value_or(0);
    place.bus = read_number(*address, "bus").value_or(0);
    if (place.bus != 0)
      throw address->unsupported_attribute("bus", "a virtio-serial controller has bus 0 only");
    place.port = read_number(*address, "port").value_or(0);
    if (place.port != 0) {
      throw address->unsupported_attribute(
          "port",
          "a virtio-serial controller of Warren has one port, 0; give each console its own controller");
    }
  }
  return console;
}

}  // namespace warren::driver::config
