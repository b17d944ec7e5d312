// <os>, <features>, <clock>, <on_*>, <pm> and <cpu>.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "driver/config/cpu_features.h"
#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"

namespace warren::driver::config {

bool runs_as_q35(std::string_view machine) {
  if (machine == "q35" || machine == "pc") return true;
  return machine.starts_with("pc-i440fx-") || machine.starts_with("pc-q35-") ||
         machine.starts_with("pc-0.") || machine.starts_with("pc-1.");
}

namespace {

std::string canonical_machine(XmlElement& type) {
  const std::string_view machine = type.attribute("machine").value_or("q35");
  if (runs_as_q35(machine)) return "q35";
  throw type.unsupported_attribute(
      "machine",
      fmt::format("Warren has no machine '{}'; it has 'q35' and runs 'pc' as 'q35'", machine.substr(0, 64)));
}

std::string read_boot_file(XmlElement& os, std::string_view name) {
  XmlElement* element = os.child(name);
  if (!element) return {};
  const std::string_view path = element->text();
  check_absolute_path(*element, path);
  return std::string(path);
}

}  // namespace

OperatingSystem parse_operating_system(XmlElement& root) {
  XmlElement* os = root.child("os");
  if (!os) throw root.malformed("<os> is missing");
  XmlElement* type = os->child("type");
  if (!type) throw os->malformed("<type> is missing; it is <type>hvm</type>");
  if (const auto arch = type->attribute("arch"); arch && *arch != "x86_64") {
    throw type->unsupported_attribute("arch", fmt::format("Warren runs x86_64 guests only, not '{}'", *arch));
  }
  if (type->text() != "hvm")
    throw type->unsupported(
        fmt::format("Warren runs 'hvm' guests only, not '{}'", type->text().substr(0, 64)));

  OperatingSystem result;
  result.machine = canonical_machine(*type);
  for (const char* firmware : {"loader", "nvram", "firmware", "bios"})
    if (XmlElement* element = os->child(firmware)) {
      throw element->unsupported(
          "Warren does not boot from firmware yet; name the guest's kernel in <kernel> and leave this out");
    }
  if (os->attribute("firmware")) {
    throw os->unsupported_attribute(
        "firmware", "Warren does not boot from firmware yet; name the guest's kernel in <kernel>");
  }
  result.kernel = read_boot_file(*os, "kernel");
  if (result.kernel.empty()) {
    throw os->unsupported(
        "a <kernel> is needed: Warren boots kernels directly and does not boot from firmware yet");
  }
  result.initrd = read_boot_file(*os, "initrd");
  if (XmlElement* cmdline = os->child("cmdline")) {
    result.command_line = cmdline->text();
    if (result.command_line.size() > kMaximumCommandLineBytes)
      throw cmdline->unsupported(fmt::format("the command line has {} bytes; a kernel takes {}",
                                             result.command_line.size(), kMaximumCommandLineBytes));
  }
  for (XmlElement* boot : os->children("boot"))
    result.boot_devices.push_back(require_enum(*boot, "dev", names::kBootDevice));
  if (XmlElement* smbios = os->child("smbios"))
    result.smbios = require_enum(*smbios, "mode", names::kSmbiosMode);
  if (result.boot_devices.size() > 4) throw os->malformed("there are more than 4 <boot> elements");
  return result;
}

namespace {

std::optional<bool> read_off(XmlElement& features, std::string_view name) {
  XmlElement* element = features.child(name);
  if (!element) return std::nullopt;
  if (read_on_off(*element, "state").value_or(true))
    throw element->unsupported(fmt::format("Warren has no {}; its state can only be 'off'", name));
  return false;
}

}  // namespace

Features parse_features(XmlElement* features) {
  Features result;
  if (!features) return result;
  result.acpi = features->child("acpi") != nullptr;
  if (XmlElement* apic = features->child("apic")) {
    result.apic = true;
    result.apic_eoi = read_on_off(*apic, "eoi");
    if (result.apic_eoi == false)
      throw apic->unsupported_attribute("eoi", "KVM always offers it; it can only be 'on'");
  }
  result.pae = features->child("pae") != nullptr;
  result.vmport = read_off(*features, "vmport");
  result.smm = read_off(*features, "smm");
  if (XmlElement* ioapic = features->child("ioapic"))
    result.ioapic_kvm = accept_only(*ioapic, "driver", "kvm");
  result.hyperv = parse_hyperv(features->child("hyperv"));
  return result;
}

namespace {

Timer parse_timer(XmlElement& element) {
  Timer timer;
  timer.name = require_enum(element, "name", names::kTimer);
  timer.present = read_yes_no(element, "present");
  timer.tick_policy = read_enum(element, "tickpolicy", names::kTickPolicy);
  const std::string_view name = names::kTimer.name(timer.name);
  switch (timer.name) {
    case TimerName::hpet:
      if (timer.present.value_or(true))
        throw element.unsupported(fmt::format("Warren has no {}; it can only be present='no'", name));
      break;
    case TimerName::rtc:
    case TimerName::pit:
      if (!timer.present.value_or(true))
        throw element.unsupported_attribute("present", fmt::format("Warren always has the {}", name));
      break;
    case TimerName::kvmclock:
    case TimerName::hypervclock:  // whether the host has it is seen later
      break;
  }
  if (timer.tick_policy && timer.name != TimerName::rtc && timer.name != TimerName::pit)
    throw element.unsupported_attribute("tickpolicy", fmt::format("there is none for {}", name));
  // As libvirt's qemu driver has it.
  if ((timer.name == TimerName::rtc && timer.tick_policy == TimerTickPolicy::discard) ||
      (timer.name == TimerName::pit && timer.tick_policy == TimerTickPolicy::catchup)) {
    throw element.unsupported_attribute("tickpolicy",
                                        fmt::format("the {} does not have it; it has 'delay' and '{}'", name,
                                                    timer.name == TimerName::rtc ? "catchup" : "discard"));
  }
  return timer;
}

std::int64_t parse_adjustment(XmlElement& clock) {
  const auto text = clock.attribute("adjustment");
  if (!text) return 0;
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (failure != std::errc() || end != text->data() + text->size())
    throw clock.malformed_attribute("adjustment", fmt::format("'{}' is not a number of seconds", *text));
  // A century either way; the RTC counts no further.
  constexpr std::int64_t kCentury = std::int64_t{100} * 366 * 86400;
  if (value > kCentury || value < -kCentury)
    throw clock.malformed_attribute("adjustment", fmt::format("{} seconds is more than a century", *text));
  return value;
}

std::uint64_t parse_start(XmlElement& clock) {
  const std::string text = require_text(clock, "start");
  const auto value = parse_unsigned(text);
  // The last second of 9999, which is as far as an RTC with a century counts.
  constexpr std::uint64_t kLast = 253'402'300'799;
  if (!value || *value > kLast)
    throw clock.malformed_attribute(
        "start",
        fmt::format("'{}' is not a number of seconds since 1970 before the year 10000", text.substr(0, 64)));
  return *value;
}

}  // namespace

Clock parse_clock(XmlElement* element) {
  Clock clock;
  if (!element) return clock;
  clock.offset = require_enum(*element, "offset", names::kClockOffset);
  if (clock.offset == ClockOffset::variable) {
    clock.adjustment_seconds = parse_adjustment(*element);
    clock.basis = read_enum(*element, "basis", names::kClockBasis);
  }
  if (clock.offset == ClockOffset::absolute) clock.start_seconds = parse_start(*element);
  if (clock.offset == ClockOffset::timezone) {
    clock.timezone = require_text(*element, "timezone");
    const bool strange = std::any_of(clock.timezone.begin(), clock.timezone.end(), [](char c) {
      return !std::isalnum(static_cast<unsigned char>(c)) &&
             std::string_view("/_+-").find(c) == std::string_view::npos;
    });
    if (strange || clock.timezone.size() > 64 || clock.timezone.front() == '/')
      throw element->malformed_attribute("timezone", "it is not the name of a time zone");
  }
  for (XmlElement* child : element->children("timer")) {
    const Timer timer = parse_timer(*child);
    for (const Timer& other : clock.timers)
      if (other.name == timer.name) throw child->malformed("there is another <timer> of this name");
    clock.timers.push_back(timer);
  }
  return clock;
}

namespace {

std::optional<LifecycleAction> parse_action(XmlElement& root, std::string_view name) {
  XmlElement* element = root.child(name);
  if (!element) return std::nullopt;
  const std::string_view text = element->text();
  if (const auto action = names::kLifecycle.find(text)) return action;
  const bool known = names::kLifecycle.refuses(text);
  const std::string detail =
      fmt::format("'{}' is not {}; it is one of: {}", text.substr(0, 64),
                  known ? "supported by Warren" : "a value it can have", names::kLifecycle.names());
  throw known ? element->unsupported(detail) : element->malformed(detail);
}

std::optional<bool> parse_sleep_state(XmlElement& pm, std::string_view name) {
  XmlElement* element = pm.child(name);
  if (!element) return std::nullopt;
  return read_yes_no(*element, "enabled");
}

}  // namespace

LifecycleActions parse_lifecycle(XmlElement& root) {
  LifecycleActions actions{.on_poweroff = parse_action(root, "on_poweroff"),
                           .on_reboot = parse_action(root, "on_reboot"),
                           .on_crash = parse_action(root, "on_crash")};
  // What ended in order leaves nothing worth preserving; libvirt's qemu driver takes it for a crash only,
  // too.
  for (const auto& [name, action] :
       {std::pair("on_poweroff", actions.on_poweroff), std::pair("on_reboot", actions.on_reboot)}) {
    if (action && *action != LifecycleAction::destroy && *action != LifecycleAction::restart)
      throw root.child(name)->unsupported(
          fmt::format("only <on_crash> can be '{}'", names::kLifecycle.name(*action)));
  }
  return actions;
}

PowerManagement parse_power_management(XmlElement* pm) {
  if (!pm) return {};
  return {.suspend_to_mem = parse_sleep_state(*pm, "suspend-to-mem"),
          .suspend_to_disk = parse_sleep_state(*pm, "suspend-to-disk")};
}

namespace {

void parse_cpu_model(XmlElement& element, Cpu& cpu) {
  XmlElement* model = element.child("model");
  if (!model) {
    if (cpu.mode == CpuMode::custom)
      throw element.malformed("a <model> is missing, which mode 'custom' needs");
    return;
  }
  if (!cpu.mode) cpu.mode = CpuMode::custom;
  cpu.fallback = read_enum(*model, "fallback", names::kCpuFallback);
  if (const auto vendor_id = model->attribute("vendor_id")) {
    if (vendor_id->size() != 12 || vendor_id->find(',') != std::string_view::npos ||
        std::any_of(vendor_id->begin(), vendor_id->end(), [](char c) { return c < 0x20 || c > 0x7e; }))
      throw model->malformed_attribute("vendor_id", "it is not 12 characters of ASCII without a comma");
    cpu.vendor_id = *vendor_id;
  }
  cpu.model = model->text();
  if (cpu.mode != CpuMode::custom) {
    if (!cpu.model.empty()) throw model->malformed("a model can only be named with mode 'custom'");
    return;
  }
  if (!find_cpu_model(cpu.model))
    throw model->unsupported(fmt::format("there is no CPU model '{}'", cpu.model.substr(0, 64)));
}

void parse_cpu_features(XmlElement& element, Cpu& cpu) {
  for (XmlElement* child : element.children("feature")) {
    CpuFeature feature;
    feature.name = require_text(*child, "name");
    feature.policy = read_enum(*child, "policy", names::kCpuPolicy).value_or(CpuFeaturePolicy::require);
    if (!find_cpu_feature(feature.name)) {
      throw child->unsupported_attribute(
          "name", fmt::format("there is no CPU feature '{}'", feature.name.substr(0, 64)));
    }
    for (const CpuFeature& other : cpu.features)
      if (other.name == feature.name)
        throw child->malformed(fmt::format("the feature '{}' is there more than once", feature.name));
    cpu.features.push_back(std::move(feature));
  }
}

}  // namespace

std::optional<Cpu> parse_cpu(XmlElement* element) {
  if (!element) return std::nullopt;
  Cpu cpu;
  cpu.mode = read_enum(*element, "mode", names::kCpuMode);
  cpu.match = read_enum(*element, "match", names::kCpuMatch);
  cpu.check = read_enum(*element, "check", names::kCpuCheck);
  if (const auto migratable = read_on_off(*element, "migratable")) {
    if (!cpu.mode || !is_host_cpu(*cpu.mode))
      throw element->malformed_attribute("migratable",
                                         "it can only be given with mode 'host-passthrough' or 'maximum'");
    cpu.migratable = migratable;
  }
  parse_cpu_model(*element, cpu);
  if (cpu.match && cpu.mode != CpuMode::custom)
    throw element->malformed_attribute("match", "it can only be given with mode 'custom'");
  if (XmlElement* vendor = element->child("vendor")) {
    cpu.vendor = vendor->text();
    if (cpu.vendor != "Intel" && cpu.vendor != "AMD" && cpu.vendor != "Hygon")
      throw vendor->malformed(fmt::format("there is no vendor '{}'", cpu.vendor.substr(0, 64)));
    if (cpu.mode != CpuMode::custom) throw vendor->malformed("it can only be given with mode 'custom'");
  }
  if (XmlElement* topology = element->child("topology")) {
    CpuTopology& levels = cpu.topology.emplace();
    levels.sockets = require_number(*topology, "sockets", 1, kMaximumVcpus);
    levels.dies = read_number(*topology, "dies", 1, kMaximumVcpus).value_or(1);
    levels.cores = require_number(*topology, "cores", 1, kMaximumVcpus);
    levels.threads = require_number(*topology, "threads", 1, kMaximumVcpus);
  }
  parse_cpu_features(*element, cpu);
  cpu.numa = parse_guest_numa(element->child("numa"));
  return cpu;
}

}  // namespace warren::driver::config
