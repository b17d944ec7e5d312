// <devices>: memballoon, watchdog, panic, vsock.
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

}  // namespace warren::driver::config
