// <devices>: memballoon, watchdog, panic, vsock, input.
#include <set>

#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"

namespace warren::driver::config {

MemoryBalloon parse_memory_balloon(XmlElement& element, bool inactive) {
  MemoryBalloon balloon;
  balloon.model = require_enum(element, "model", names::kBalloonModel);
  if (balloon.model == BalloonModel::none) return balloon;
  balloon.deflate_on_oom = read_on_off(element, "autodeflate");
  balloon.free_page_reporting = read_on_off(element, "freePageReporting");
  if (XmlElement* statistics = element.child("stats"))
    balloon.statistics_period_seconds = require_number(*statistics, "period", 1, kMaximumStatisticsPeriod);
  balloon.info = parse_device_info(element, inactive, true, false);
  return balloon;
}

Watchdog parse_watchdog(XmlElement& element, bool inactive) {
  Watchdog watchdog;
  watchdog.model = require_enum(element, "model", names::kWatchdogModel);
  watchdog.action = read_enum(element, "action", names::kWatchdogAction).value_or(WatchdogAction::reset);
  watchdog.info = parse_device_info(element, inactive, watchdog.model == WatchdogModel::i6300esb, false);
  return watchdog;
}

PanicDevice parse_panic(XmlElement& element, bool inactive) {
  PanicDevice panic;
  panic.has_model = accept_only(element, "model", "isa");
  if (XmlElement* address = element.child("address")) {
    require_text(*address, "type");
    accept_only(*address, "type", "isa");
    panic.has_address = true;
    if (const auto base = address->attribute("iobase")) {
      if (*base != "0x505" && *base != "1285")
        throw address->unsupported_attribute("iobase", "drivers look for the device at port 0x505 only");
    }
  }
  panic.info = parse_device_info(element, inactive, false, false);
  return panic;
}

Vsock parse_vsock(XmlElement& element, bool inactive) {
  Vsock vsock;
  vsock.has_model = accept_only(element, "model", "virtio");
  if (XmlElement* driver = element.child("driver"))
    vsock.driver = require_enum(*driver, "name", names::kVsockDriver);
  if (XmlElement* cid = element.child("cid")) {
    vsock.auto_cid = read_yes_no(*cid, "auto");
    vsock.cid = read_number(*cid, "address", 0, 0xffff'fffe);
    // 0 stands for none, and 1 and 2 are those of the hypervisor and the host (virtio 1.2 §5.10.4).
    if (vsock.cid == 0u) vsock.cid.reset();
    if (vsock.cid && *vsock.cid < 3) throw cid->malformed_attribute("address", "guest CIDs must be >= 3");
    if (vsock.auto_cid == false && !vsock.cid) throw cid->malformed("it has no 'address', and auto='no'");
  }
  // One that was chosen belongs to the run.
  if (inactive && vsock.auto_cid == true) vsock.cid.reset();
  vsock.info = parse_device_info(element, inactive, true, false);
  return vsock;
}

namespace {

// It has no bus and no place: what the guest has of keyboards and pointers gets its events.
Input parse_evdev(XmlElement& element, bool inactive) {
  Input input{.type = InputType::evdev, .bus = InputBus::none};
  accept_only(element, "bus", "none");
  XmlElement* source = element.child("source");
  if (!source) throw element.malformed("<source dev='…'/> is missing");
  input.source = require_absolute_path(*source, "dev");
  input.grab_all = accept_only(*source, "grab", "all");
  input.grab_toggle = read_enum(*source, "grabToggle", names::kGrabToggle);
  input.repeat = read_on_off(*source, "repeat");
  input.info = parse_device_info(element, inactive, false, false);
  return input;
}

}  // namespace

Input parse_input(XmlElement& element, bool inactive) {
  Input input;
  input.type = require_enum(element, "type", names::kInputType);
  if (input.type == InputType::evdev) return parse_evdev(element, inactive);
  const auto bus = read_enum(element, "bus", names::kInputBus);
  if (bus == InputBus::none) throw element.malformed_attribute("bus", "only an evdev has none");
  // As for libvirt: keyboards and mice are PS/2, what else there is sits on USB.
  const bool is_ps2 = input.type == InputType::keyboard || input.type == InputType::mouse;
  if (!bus && !is_ps2) throw element.unsupported("Warren has no USB yet: give it bus='virtio'");
  input.bus = bus.value_or(InputBus::ps2);
  if (input.bus == InputBus::ps2 && input.type != InputType::keyboard) {
    throw element.unsupported(
        fmt::format("the machine has a PS/2 keyboard, and no other input device on that bus: give the {} "
                    "bus='virtio'",
                    names::kInputType.name(input.type)));
  }
  input.model = read_enum(element, "model", names::kInputModel);
  if (input.model && input.bus != InputBus::virtio)
    throw element.unsupported_attribute("model", "only an input device on bus 'virtio' has one");
  if (input.type == InputType::passthrough) {
    XmlElement* source = element.child("source");
    if (!source) throw element.malformed("<source evdev='…'/> is missing");
    input.source = require_absolute_path(*source, "evdev");
  }
  input.info = parse_device_info(element, inactive, input.bus == InputBus::virtio, false);
  return input;
}

void check_inputs(XmlElement& devices, const std::vector<Input>& inputs) {
  std::set<std::string_view> sources;
  std::size_t ps2 = 0;
  for (const Input& input : inputs) {
    if (input.bus == InputBus::ps2 && ++ps2 > 1)
      throw devices.unsupported("there is one PS/2 keyboard, and there are two <input>");
    if (!input.source.empty() && !sources.insert(input.source).second)
      throw devices.malformed(fmt::format("two <input> have the source '{}'", input.source));
  }
}

}  // namespace warren::driver::config
