// <domainCapabilities>: what the parser takes, found out by asking it.
//
// Nothing here is a list of what Warren can do: each value that libvirt knows is put into a definition, and
// named if that would be defined. So the document cannot disagree with the parser.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "driver/config/capabilities.h"
#include "driver/config/cpu_features.h"
#include "driver/config/domain_defaults.h"
#include "driver/config/domain_names.h"
#include "driver/config/domain_xml.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/config/xml_writer.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

// The places of a definition that a probe fills.
struct Probe {
  std::string devices;
  std::string features;
  std::string os;             // in place of the kernel to boot
  std::string os_attributes;  // of <os>
  std::string more;           // elsewhere in <domain>
};

class Parser {
 public:
  explicit Parser(const HostFacts& facts) : facts_(facts) {}

  bool takes(const Probe& probe) const {
    const std::string xml = fmt::format(
        "<domain type='kvm'><name>probe</name><memory>65536</memory>{}<os {}>"
        "<type arch='x86_64' "
        "machine='q35'>hvm</type>{}</os><features>{}</features><devices>{}</devices></domain>",
        probe.more, probe.os_attributes, probe.os.empty() ? "<kernel>/k</kernel>" : probe.os, probe.features,
        probe.devices);
    try {
      DomainDefinition definition = parse_domain(xml, {.inactive = true});
      fill_defaults(definition, facts_,
                    [](std::span<std::uint8_t> bytes) { std::fill(bytes.begin(), bytes.end(), 0x42); });
      return true;
    } catch (const Error&) {
      return false;
    }
  }
  bool takes_device(std::string xml) const { return takes({.devices = std::move(xml)}); }

 private:
  const HostFacts& facts_;
};

using Values = std::vector<std::string_view>;

// <enum name=…> of an element.
struct Enumeration {
  std::string_view name;
  Values values;
};

// Those of `candidates` that `takes`.
template <typename Takes>
Values taken(std::initializer_list<std::string_view> candidates, Takes takes) {
  Values values;
  std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(values), takes);
  return values;
}

void format_enumeration(XmlWriter& writer, const Enumeration& enumeration) {
  writer.begin("enum");
  writer.attribute("name", enumeration.name);
  for (const std::string_view value : enumeration.values) writer.element("value", value);
  writer.end();
}

// <name supported='yes'> with its enumerations; 'no', and nothing else, if the first of them is empty.
void format_element(XmlWriter& writer, std::string_view name, const std::vector<Enumeration>& enumerations) {
  const bool supported = !enumerations.empty() && !enumerations.front().values.empty();
  writer.begin(name);
  writer.attribute("supported", supported ? "yes" : "no");
  if (supported)
    for (const Enumeration& enumeration : enumerations) format_enumeration(writer, enumeration);
  writer.end();
}

void format_switch(XmlWriter& writer, std::string_view name, bool supported) {
  writer.begin(name);
  writer.attribute("supported", supported ? "yes" : "no");
  writer.end();
}

std::string disk(std::string_view device, std::string_view bus, std::string_view attributes = "") {
  const std::string_view target = bus == "virtio" ? "vda"
                                  : bus == "fdc"  ? "fda"
                                  : bus == "ide"  ? "hda"
                                                  : "sda";
  return fmt::format("<disk type='{}' device='{}' {}><source {}='/p'/><target dev='{}' bus='{}'/>{}</disk>",
                     device == "lun" ? "block" : "file", device, attributes, device == "lun" ? "dev" : "file",
                     target, bus, device == "cdrom" ? "<readonly/>" : "");
}

void format_disks(XmlWriter& writer, const Parser& parser) {
  constexpr std::array<std::string_view, 4> kDevices = {"disk", "cdrom", "floppy", "lun"};
  constexpr std::array<std::string_view, 6> kBuses = {"ide", "fdc", "scsi", "virtio", "usb", "sata"};
  Values devices, buses;
  for (const std::string_view device : kDevices) {
    if (std::any_of(kBuses.begin(), kBuses.end(),
                    [&](std::string_view bus) { return parser.takes_device(disk(device, bus)); }))
      devices.push_back(device);
  }
  for (const std::string_view bus : kBuses) {
    if (std::any_of(kDevices.begin(), kDevices.end(),
                    [&](std::string_view device) { return parser.takes_device(disk(device, bus)); }))
      buses.push_back(bus);
  }
  const Values models =
      taken({"virtio", "virtio-transitional", "virtio-non-transitional"}, [&](std::string_view model) {
        return parser.takes_device(disk("disk", "virtio", fmt::format("model='{}'", model)));
      });
  format_element(writer, "disk", {{"diskDevice", devices}, {"bus", buses}, {"model", models}});
}

// An element whose type, model or the like is all that is asked.
Values taken_devices(const Parser& parser, fmt::format_string<std::string_view&> form,
                     std::initializer_list<std::string_view> candidates) {
  return taken(candidates,
               [&](std::string_view value) { return parser.takes_device(fmt::format(form, value)); });
}

void format_host_devices(XmlWriter& writer, const Parser& parser, const HostFacts& facts) {
  const auto source = [](std::string_view type) -> std::string_view {
    if (type == "usb") return "<vendor id='0x1234'/><product id='0xbeef'/>";
    if (type == "scsi") return "<adapter name='scsi_host0'/><address bus='0' target='0' unit='0'/>";
    return "<address domain='0' bus='1' slot='5' function='0'/>";
  };
  const Values types = taken({"usb", "pci", "scsi"}, [&](std::string_view type) {
    return parser.takes_device(
        fmt::format("<hostdev mode='subsystem' type='{}' managed='yes'><source>{}</source></hostdev>", type,
                    source(type)));
  });
  if (types.empty()) return format_element(writer, "hostdev", {});
  const bool pci = std::find(types.begin(), types.end(), "pci") != types.end();
  format_element(writer, "hostdev",
                 {{"mode", {"subsystem"}},
                  {"startupPolicy", {"default"}},
                  {"subsysType", types},
                  {"capsType", {}},
                  {"pciBackend", pci && facts.iommu ? Values{"vfio"} : Values{}}});
}

void format_devices(XmlWriter& writer, const Parser& parser, const HostFacts& facts) {
  writer.begin("devices");
  format_disks(writer, parser);
  format_element(writer, "graphics",
                 {{"type", taken_devices(parser, "<graphics type='{}'/>",
                                         {"sdl", "vnc", "spice", "egl-headless", "dbus"})}});
  format_element(
      writer, "video",
      {{"modelType", taken_devices(parser, "<video><model type='{}'/></video>",
                                   {"vga", "cirrus", "vmvga", "qxl", "virtio", "none", "bochs", "ramfb"})}});
  format_host_devices(writer, parser, facts);
  format_element(
      writer, "rng",
      {{"model", taken_devices(parser, "<rng model='{}'><backend model='random'>/dev/urandom</backend></rng>",
                               {"virtio", "virtio-transitional", "virtio-non-transitional"})},
       {"backendModel", taken({"random", "egd", "builtin"}, [&](std::string_view model) {
          return parser.takes_device(
              fmt::format("<rng model='virtio'><backend model='{}'{}</rng>", model,
                          model == "random" ? ">/dev/urandom</backend>"
                          : model == "egd"  ? " type='unix'><source mode='connect' path='/s'/></backend>"
                                            : "/>"));
        })}});
  format_element(
      writer, "filesystem",
      {{"driverType", taken_devices(parser,
                                    "<filesystem type='mount'><driver type='{}'/><source dir='/d'/>"
                                    "<target dir='t'/></filesystem>",
                                    {"path", "handle", "virtiofs"})}});
  const auto tpm = [&](std::string_view model, std::string_view backend, std::string_view version) {
    return parser.takes_device(fmt::format("<tpm model='{}'><backend type='{}' {}>{}</backend></tpm>", model,
                                           backend,
                                           version.empty() ? "" : fmt::format("version='{}'", version),
                                           backend == "passthrough" ? "<device path='/dev/tpm0'/>" : ""));
  };
  const Values models = taken({"tpm-tis", "tpm-crb"}, [&](std::string_view model) {
    return tpm(model, "emulator", "2.0") || tpm(model, "passthrough", "");
  });
  const std::string_view model = models.empty() ? "tpm-crb" : models.front();
  format_element(writer, "tpm",
                 {{"model", models},
                  {"backendModel", taken({"passthrough", "emulator"},
                                         [&](std::string_view backend) { return tpm(model, backend, ""); })},
                  {"backendVersion", taken({"1.2", "2.0"}, [&](std::string_view version) {
                     return tpm(model, "emulator", version);
                   })}});
  format_element(writer, "redirdev",
                 {{"bus", taken_devices(parser, "<redirdev bus='{}' type='spicevmc'/>", {"usb"})}});
  format_element(
      writer, "channel",
      {{"type",
        taken({"pty", "unix", "file", "null", "spicevmc", "qemu-vdagent"}, [&](std::string_view type) {
          return parser.takes_device(
              fmt::format("<channel type='{}'>{}<target type='virtio' name='org.probe.0'/></channel>", type,
                          type == "file" ? "<source path='/f'/>" : ""));
        })}});
  writer.end();
}

void format_features(XmlWriter& writer, const Parser& parser, const HostFacts& facts) {
  const auto feature = [&](std::string_view xml) { return parser.takes({.features = std::string(xml)}); };
  Values hyperv;
  for (std::size_t i = 0; i < kHypervFeatures; ++i) {
    const auto one = static_cast<HypervFeature>(i);
    // Timers need the clock they count by.
    if (host_has(facts, one) && (one != HypervFeature::stimer || host_has_hyperv_time(facts)))
      hyperv.emplace_back(name_of(one));
  }
  writer.begin("features");
  format_switch(writer, "gic", false);  // of ARM
  format_switch(writer, "vmcoreinfo", feature("<vmcoreinfo state='on'/>"));
  format_switch(writer, "genid", parser.takes({.more = "<genid/>"}));
  format_switch(
      writer, "backingStoreInput",
      parser.takes_device("<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
                          "<source file='/p'/><backingStore type='file'><format type='raw'/>"
                          "<source file='/b'/></backingStore><target dev='vda' bus='virtio'/></disk>"));
  format_switch(writer, "backup", false);
  format_switch(writer, "sev", false);
  format_switch(writer, "sgx", false);
  format_element(writer, "hyperv", {{"features", hyperv}});
  writer.end();
}

void format_os(XmlWriter& writer, const Parser& parser) {
  constexpr std::string_view kLoader =
      "<loader readonly='yes' type='{}'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>";
  writer.begin("os");
  writer.attribute("supported", "yes");
  format_enumeration(
      writer, {"firmware", taken({"bios", "efi"}, [&](std::string_view firmware) {
                 return parser.takes({.os = " ", .os_attributes = fmt::format("firmware='{}'", firmware)});
               })});
  const Values types = taken({"rom", "pflash"}, [&](std::string_view type) {
    return parser.takes({.os = fmt::format(fmt::runtime(kLoader), type)});
  });
  format_element(writer, "loader", {{"type", types}, {"readonly", {"yes", "no"}}, {"secure", {"no"}}});
  writer.end();
}

void begin_mode(XmlWriter& writer, CpuMode mode, bool supported) {
  writer.begin("mode");
  writer.attribute("name", names::kCpuMode.name(mode));
  writer.attribute("supported", supported ? "yes" : "no");
}

void format_host_model(XmlWriter& writer, const HostFacts& facts) {
  const HostCpuModel model = describe_host_cpu(facts.kvm_cpuid, false);
  begin_mode(writer, CpuMode::host_model, !model.name.empty());
  if (!model.name.empty()) {
    writer.begin("model");
    writer.attribute("fallback", "forbid");
    writer.text(model.name);
    writer.end();
    if (!model.vendor.empty()) writer.element("vendor", model.vendor);
    for (const CpuFeature& feature : model.features) {
      writer.begin("feature");
      writer.attribute("policy", names::kCpuPolicy.name(feature.policy));
      writer.attribute("name", feature.name);
      writer.end();
    }
  }
  writer.end();
}

void format_cpu_modes(XmlWriter& writer, const HostFacts& facts) {
  writer.begin("cpu");
  begin_mode(writer, CpuMode::host_passthrough, true);
  format_enumeration(writer, {"hostPassthroughMigratable", {"on", "off"}});
  writer.end();
  begin_mode(writer, CpuMode::maximum, true);
  format_enumeration(writer, {"maximumMigratable", {"on", "off"}});
  writer.end();
  format_host_model(writer, facts);
  begin_mode(writer, CpuMode::custom, true);
  for (const CpuModel& model : cpu_models()) {
    writer.begin("model");
    writer.attribute("usable", missing_features(model, facts).empty() ? "yes" : "no");
    writer.attribute("vendor", model.vendor.empty() ? "unknown" : model.vendor);
    writer.text(model.name);
    writer.end();
  }
  writer.end();
  writer.end();
}

}  // namespace

std::string format_domain_capabilities(const HostFacts& facts, std::string_view emulator,
                                       std::string_view architecture, std::string_view machine,
                                       std::string_view virtualization) {
  check_capabilities_query(facts, emulator, architecture, machine, virtualization);
  const Parser parser(facts);
  XmlWriter writer;
  writer.begin("domainCapabilities");
  writer.element("path", facts.emulator);
  writer.element("domain", "kvm");
  writer.element("machine", "q35");
  writer.element("arch", "x86_64");
  writer.begin("vcpu");
  writer.attribute(
      "max", facts.kvm_maximum_vcpus == 0 ? kMaximumVcpus : std::min(kMaximumVcpus, facts.kvm_maximum_vcpus));
  writer.end();
  format_switch(writer, "iothreads", parser.takes({.more = "<iothreads>1</iothreads>"}));
  format_os(writer, parser);
  format_cpu_modes(writer, facts);
  format_element(writer, "memoryBacking",
                 {{"sourceType", taken({"file", "anonymous", "memfd"}, [&](std::string_view source) {
                     return parser.takes(
                         {.more = fmt::format("<memoryBacking><source type='{}'/></memoryBacking>", source)});
                   })}});
  format_devices(writer, parser, facts);
  format_features(writer, parser, facts);
  writer.end();
  return writer.take();
}

}  // namespace warren::driver::config
