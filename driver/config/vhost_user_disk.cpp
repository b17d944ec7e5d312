#include "driver/config/vhost_user_disk.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "driver/config/xml_values.h"

namespace warren::driver::config {

void parse_vhost_user_source(XmlElement& element, Disk& disk, bool is_removal) {
  XmlElement* source = element.child("source");
  if (!source) {
    if (is_removal) return;
    throw element.malformed("<source type='unix' path='…'/> is missing");
  }
  if (!source->attribute("type")) throw source->malformed_attribute("type", "it is missing; it is 'unix'");
  accept_only(*source, "type", "unix");
  disk.vhost_user = require_absolute_path(*source, "path");
  if (XmlElement* reconnect = source->child("reconnect")) {
    if (read_yes_no(*reconnect, "enabled").value_or(false)) {
      throw reconnect->unsupported_attribute(
          "enabled", "Warren does not connect to a back end again that was lost; leave <reconnect> out");
    }
  }
}

void format_vhost_user_source(XmlWriter& writer, const Disk& disk) {
  writer.begin("source");
  writer.attribute("type", "unix");
  writer.attribute("path", disk.vhost_user);
  writer.end();
}

void refuse_what_others_decide(XmlElement& element, const DiskDriver& driver, std::string_view why) {
  for (const auto& [is_given, name] :
       {std::pair(driver.io.has_value(), "io"), std::pair(driver.error_policy.has_value(), "error_policy"),
        std::pair(driver.read_error_policy.has_value(), "rerror_policy"),
        std::pair(driver.copy_on_read == true, "copy_on_read"),
        std::pair(driver.iothread.has_value(), "iothread"), std::pair(driver.packed == true, "packed")})
    if (is_given) throw element.child("driver")->unsupported_attribute(name, why);
  if (!driver.iothreads.empty()) throw element.child("driver")->child("iothreads")->unsupported(why);
  for (const char* name :
       {"backingStore", "mirror", "blockio", "iotune", "shareable", "serial", "encryption"})
    if (XmlElement* child = element.child(name)) throw child->unsupported(why);
}

void check_vhost_user_disk(XmlElement& element, const Disk& disk) {
  if (disk.device != DiskDevice::disk)
    throw element.unsupported_attribute("device", "a vhostuser disk is device='disk'");
  if (disk.bus != DiskBus::virtio)
    throw element.child("target")->unsupported_attribute("bus", "vhostuser disk supports only virtio bus");
  constexpr std::string_view kWhy = "it has no effect on a vhostuser disk, which another program serves";
  const DiskDriver& driver = disk.driver;
  for (const auto& [is_given, name] :
       {std::pair(driver.format.value_or(DiskFormat::raw) != DiskFormat::raw, "type"),
        std::pair(driver.cache.has_value(), "cache"), std::pair(driver.discard.has_value(), "discard"),
        std::pair(driver.detect_zeroes.has_value(), "detect_zeroes")})
    if (is_given) throw element.child("driver")->unsupported_attribute(name, kWhy);
  if (XmlElement* child = element.child("readonly")) throw child->unsupported(kWhy);
  refuse_what_others_decide(element, driver, kWhy);
}

void check_shared_memory(XmlElement& root, const DomainDefinition& definition) {
  const auto is_shared = [](const GuestNumaCell& cell) { return cell.shared; };
  const bool all_cells =
      definition.cpu && !definition.cpu->numa.empty() && std::ranges::all_of(definition.cpu->numa, is_shared);
  if (definition.memory_backing.access == MemoryAccess::shared || all_cells) return;
  for (const Disk& disk : definition.devices.disks) {
    if (disk.is_own()) continue;
    throw root.unsupported(
        fmt::format("disk '{}': '{}' requires shared memory: "
                    "<memoryBacking><access mode='shared'/></memoryBacking>",
                    disk.target, disk.caged ? kCagedDriver : "vhostuser"));
  }
  for (const Interface& interface : definition.devices.interfaces) {
    if (interface.type != InterfaceType::vhostuser) continue;
    throw root.unsupported(
        fmt::format("interface with the socket '{}': 'vhostuser' requires shared memory: "
                    "<memoryBacking><access mode='shared'/></memoryBacking>",
                    interface.vhost_user.path));
  }
}

}  // namespace warren::driver::config
