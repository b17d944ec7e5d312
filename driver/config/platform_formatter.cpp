// <os>, <features>, <cpu>, <clock> and <pm>.
#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"

namespace warren::driver::config {

namespace {

void format_switch(XmlWriter& writer, std::string_view name, std::string_view attribute,
                   const std::optional<bool>& value, std::string_view yes, std::string_view no) {
  if (!value) return;
  writer.begin(name);
  writer.attribute(attribute, *value ? yes : no);
  writer.end();
}

}  // namespace

void format_operating_system(XmlWriter& writer, const OperatingSystem& os) {
  writer.begin("os");
  writer.begin("type");
  writer.attribute("arch", "x86_64");
  writer.attribute("machine", os.machine);
  writer.text("hvm");
  writer.end();
  writer.element("kernel", os.kernel);
  if (!os.initrd.empty()) writer.element("initrd", os.initrd);
  if (!os.command_line.empty()) writer.element("cmdline", os.command_line);
  for (const BootDevice device : os.boot_devices) {
    writer.begin("boot");
    writer.attribute("dev", names::kBootDevice.name(device));
    writer.end();
  }
  if (os.smbios) {
    writer.begin("smbios");
    writer.attribute("mode", names::kSmbiosMode.name(*os.smbios));
    writer.end();
  }
  writer.end();
}

void format_features(XmlWriter& writer, const Features& features) {
  if (features == Features{}) return;
  writer.begin("features");
  if (features.acpi) writer.empty("acpi");
  if (features.apic) {
    writer.begin("apic");
    if (features.apic_eoi) writer.attribute("eoi", *features.apic_eoi ? "on" : "off");
    writer.end();
  }
  if (features.pae) writer.empty("pae");
  if (features.hyperv) format_hyperv(writer, *features.hyperv);
  format_switch(writer, "vmport", "state", features.vmport, "on", "off");
  format_switch(writer, "smm", "state", features.smm, "on", "off");
  if (features.ioapic_kvm) {
    writer.begin("ioapic");
    writer.attribute("driver", "kvm");
    writer.end();
  }
  writer.end();
}

void format_cpu(XmlWriter& writer, const Cpu& cpu) {
  writer.begin("cpu");
  if (cpu.mode) writer.attribute("mode", names::kCpuMode.name(*cpu.mode));
  if (cpu.match) writer.attribute("match", names::kCpuMatch.name(*cpu.match));
  if (cpu.check) writer.attribute("check", names::kCpuCheck.name(*cpu.check));
  if (cpu.migratable) writer.attribute("migratable", *cpu.migratable ? "on" : "off");
  if (!cpu.model.empty() || cpu.fallback || !cpu.vendor_id.empty()) {
    writer.begin("model");
    if (cpu.fallback) writer.attribute("fallback", names::kCpuFallback.name(*cpu.fallback));
    if (!cpu.vendor_id.empty()) writer.attribute("vendor_id", cpu.vendor_id);
    writer.text(cpu.model);
    writer.end();
  }
  if (!cpu.vendor.empty()) writer.element("vendor", cpu.vendor);
  if (cpu.topology) {
    writer.begin("topology");
    writer.attribute("sockets", cpu.topology->sockets);
    writer.attribute("dies", cpu.topology->dies);
    writer.attribute("cores", cpu.topology->cores);
    writer.attribute("threads", cpu.topology->threads);
    writer.end();
  }
  for (const CpuFeature& feature : cpu.features) {
    writer.begin("feature");
    writer.attribute("policy", names::kCpuPolicy.name(feature.policy));
    writer.attribute("name", feature.name);
    writer.end();
  }
  format_guest_numa(writer, cpu.numa);
  writer.end();
}

void format_clock(XmlWriter& writer, const Clock& clock) {
  writer.begin("clock");
  writer.attribute("offset", names::kClockOffset.name(clock.offset));
  if (clock.offset == ClockOffset::timezone) writer.attribute("timezone", clock.timezone);
  if (clock.offset == ClockOffset::absolute) writer.attribute("start", clock.start_seconds);
  if (clock.offset == ClockOffset::variable) {
    writer.attribute("adjustment", clock.adjustment_seconds);
    if (clock.basis) writer.attribute("basis", names::kClockBasis.name(*clock.basis));
  }
  for (const Timer& timer : clock.timers) {
    writer.begin("timer");
    writer.attribute("name", names::kTimer.name(timer.name));
    if (timer.present) writer.attribute("present", *timer.present ? "yes" : "no");
    if (timer.tick_policy) writer.attribute("tickpolicy", names::kTickPolicy.name(*timer.tick_policy));
    writer.end();
  }
  writer.end();
}

void format_power_management(XmlWriter& writer, const PowerManagement& pm) {
  if (pm == PowerManagement{}) return;
  writer.begin("pm");
  format_switch(writer, "suspend-to-mem", "enabled", pm.suspend_to_mem, "yes", "no");
  format_switch(writer, "suspend-to-disk", "enabled", pm.suspend_to_disk, "yes", "no");
  writer.end();
}

}  // namespace warren::driver::config
