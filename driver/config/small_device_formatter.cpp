// The devices of small_devices.h as XML.
#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"

namespace warren::driver::config {

void format_memory_balloon(XmlWriter& writer, const MemoryBalloon& balloon, const FormatContext& context) {
  writer.begin("memballoon");
  writer.attribute("model", names::kBalloonModel.name(balloon.model));
  if (balloon.deflate_on_oom) writer.attribute("autodeflate", *balloon.deflate_on_oom ? "on" : "off");
  if (balloon.free_page_reporting)
    writer.attribute("freePageReporting", *balloon.free_page_reporting ? "on" : "off");
  if (balloon.statistics_period_seconds != 0) {
    writer.begin("stats");
    writer.attribute("period", balloon.statistics_period_seconds);
    writer.end();
  }
  format_device_info(writer, balloon.info, context);
  writer.end();
}

void format_watchdog(XmlWriter& writer, const Watchdog& watchdog, const FormatContext& context) {
  writer.begin("watchdog");
  writer.attribute("model", names::kWatchdogModel.name(watchdog.model));
  writer.attribute("action", names::kWatchdogAction.name(watchdog.action));
  format_device_info(writer, watchdog.info, context);
  writer.end();
}

void format_panic(XmlWriter& writer, const PanicDevice& panic, const FormatContext& context) {
  writer.begin("panic");
  if (panic.has_model) writer.attribute("model", "isa");
  format_device_info(writer, panic.info, context);
  if (panic.has_address) {
    writer.begin("address");
    writer.attribute("type", "isa");
    writer.attribute("iobase", "0x505");
    writer.end();
  }
  writer.end();
}

void format_vsock(XmlWriter& writer, const Vsock& vsock, const FormatContext& context) {
  writer.begin("vsock");
  if (vsock.has_model) writer.attribute("model", "virtio");
  if (vsock.driver) {
    writer.begin("driver");
    writer.attribute("name", names::kVsockDriver.name(*vsock.driver));
    writer.end();
  }
  if (vsock.auto_cid || vsock.cid) {
    writer.begin("cid");
    if (vsock.auto_cid) writer.attribute("auto", *vsock.auto_cid ? "yes" : "no");
    if (vsock.cid) writer.attribute("address", *vsock.cid);
    writer.end();
  }
  format_device_info(writer, vsock.info, context);
  writer.end();
}

void format_input(XmlWriter& writer, const Input& input, const FormatContext& context) {
  writer.begin("input");
  writer.attribute("type", names::kInputType.name(input.type));
  if (input.bus != InputBus::none) writer.attribute("bus", names::kInputBus.name(input.bus));
  if (input.model) writer.attribute("model", names::kInputModel.name(*input.model));
  if (!input.source.empty()) {
    writer.begin("source");
    writer.attribute(input.type == InputType::evdev ? "dev" : "evdev", input.source);
    if (input.grab_all) writer.attribute("grab", "all");
    if (input.grab_toggle) writer.attribute("grabToggle", names::kGrabToggle.name(*input.grab_toggle));
    if (input.repeat) writer.attribute("repeat", *input.repeat ? "on" : "off");
    writer.end();
  }
  format_device_info(writer, input.info, context);
  writer.end();
}

}  // namespace warren::driver::config
