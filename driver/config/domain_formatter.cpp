#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/domain_xml.h"
#include "driver/config/domain_xml_parts.h"

namespace warren::driver::config {

namespace {

void format_identity(XmlWriter& writer, const DomainDefinition& definition) {
  writer.element("name", definition.name);
  if (definition.uuid) writer.element("uuid", definition.uuid->to_string());
  if (definition.generation_id)
    writer.element("genid", definition.generation_id->id ? definition.generation_id->id->to_string() : "");
  if (!definition.title.empty()) writer.element("title", definition.title);
  if (!definition.description.empty()) writer.element("description", definition.description);
  if (definition.metadata.empty()) return;
  writer.begin("metadata");
  for (const MetadataElement& element : definition.metadata) writer.verbatim(element.xml);
  writer.end();
}

void format_memory(XmlWriter& writer, std::string_view name, std::uint64_t kib) {
  writer.begin(name);
  writer.attribute("unit", "KiB");
  writer.text(fmt::format_int(kib).c_str());
  writer.end();
}

void format_vcpu(XmlWriter& writer, const VcpuCount& vcpu) {
  writer.begin("vcpu");
  writer.attribute("placement", "static");
  if (!vcpu.cpuset.empty()) writer.attribute("cpuset", vcpu.cpuset.to_string());
  if (vcpu.current != vcpu.maximum) writer.attribute("current", vcpu.current);
  writer.text(fmt::format_int(vcpu.maximum).c_str());
  writer.end();
  if (vcpu.each.empty()) return;
  writer.begin("vcpus");
  for (std::size_t i = 0; i < vcpu.each.size(); ++i) {
    writer.begin("vcpu");
    writer.attribute("id", i);
    writer.attribute("enabled", vcpu.each[i].online ? "yes" : "no");
    writer.attribute("hotpluggable", vcpu.each[i].hot_pluggable ? "yes" : "no");
    if (vcpu.each[i].order != 0) writer.attribute("order", vcpu.each[i].order);
    writer.end();
  }
  writer.end();
}

void format_action(XmlWriter& writer, std::string_view name, const std::optional<LifecycleAction>& action) {
  if (action) writer.element(name, names::kLifecycle.name(*action));
}

}  // namespace

std::string format_domain(const DomainDefinition& definition, const FormatOptions& options) {
  const FormatContext context{.live = !options.inactive && !options.migratable && definition.id.has_value()};
  XmlWriter writer;
  writer.begin("domain");
  writer.attribute("type", "kvm");
  if (context.live) writer.attribute("id", *definition.id);
  format_identity(writer, definition);
  if (definition.memory.limit_kib != 0) {
    writer.begin("maxMemory");
    writer.attribute("slots", definition.memory.slots);
    writer.attribute("unit", "KiB");
    writer.text(fmt::format_int(definition.memory.limit_kib).c_str());
    writer.end();
  }
  format_memory(writer, "memory", definition.memory.maximum_kib);
  format_memory(writer, "currentMemory", definition.memory.current_kib);
  format_blkio_tuning(writer, definition.blkio_tuning);
  format_memory_tuning(writer, definition.memory_tuning);
  format_memory_backing(writer, definition.memory_backing);
  format_vcpu(writer, definition.vcpu);
  format_iothreads(writer, definition.iothreads);
  format_cpu_tuning(writer, definition.cpu_tuning);
  format_numa_tuning(writer, definition.numa_tuning);
  if (definition.sysinfo) format_system_information(writer, *definition.sysinfo);
  format_operating_system(writer, definition.os);
  format_features(writer, definition.features);
  if (definition.cpu) format_cpu(writer, *definition.cpu);
  format_clock(writer, definition.clock);
  format_action(writer, "on_poweroff", definition.lifecycle.on_poweroff);
  format_action(writer, "on_reboot", definition.lifecycle.on_reboot);
  format_action(writer, "on_crash", definition.lifecycle.on_crash);
  format_power_management(writer, definition.pm);
  format_perf_events(writer, definition.perf);
  format_devices(writer, definition.devices, context);
  if (definition.seclabel_none) {
    writer.begin("seclabel");
    writer.attribute("type", "none");
    writer.attribute("model", "none");
    writer.end();
  }
  writer.end();
  return writer.take();
}

}  // namespace warren::driver::config
