#include <algorithm>

#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/domain_xml.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/config/vcpus.h"
#include "driver/config/vhost_user_disk.h"

namespace warren::driver::config {

namespace {

void parse_identity(XmlElement& root, DomainDefinition& definition, bool inactive) {
  if (const auto id = root.attribute("id"); id && !inactive) {
    const auto value = parse_unsigned(*id);
    if (!value || *value > 0x7fffffff)
      throw root.malformed_attribute("id", fmt::format("'{}' is not the id of a domain", *id));
    definition.id = static_cast<std::int32_t>(*value);
  }
  XmlElement* name = root.child("name");
  if (!name || name->text().empty()) throw root.malformed("<name> is missing or empty");
  definition.name = name->text();
  if (definition.name.find_first_of("/\n") != std::string::npos)
    throw name->malformed("a name cannot have '/' or a line break in it");
  if (definition.name.size() > kMaximumNameBytes)
    throw name->malformed(fmt::format("a name cannot be longer than {} bytes", kMaximumNameBytes));
  if (XmlElement* uuid = root.child("uuid")) {
    definition.uuid = Uuid::parse(uuid->text());
    if (!definition.uuid)
      throw uuid->malformed(fmt::format("'{}' is not a UUID", uuid->text().substr(0, 64)));
  }
  if (XmlElement* generation = root.child("genid")) {
    GenerationId& id = definition.generation_id.emplace();
    if (!generation->text().empty()) {
      id.id = Uuid::parse(generation->text());
      if (!id.id)
        throw generation->malformed(fmt::format("'{}' is not a UUID", generation->text().substr(0, 64)));
    }
  }
  if (XmlElement* title = root.child("title")) {
    definition.title = title->text();
    if (definition.title.find('\n') != std::string::npos)
      throw title->malformed("a title cannot have a line break in it");
  }
  if (XmlElement* description = root.child("description")) definition.description = description->text();
}

void parse_metadata(XmlDocument& document, DomainDefinition& definition) {
  XmlElement* element = document.root().child("metadata");
  if (!element) return;
  definition.metadata = std::move(document.metadata());
  for (std::size_t i = 0; i < definition.metadata.size(); ++i) {
    if (definition.metadata[i].namespace_uri.empty())
      throw element->malformed("every element in it has to be in a namespace");
    for (std::size_t j = 0; j < i; ++j)
      if (definition.metadata[j].namespace_uri == definition.metadata[i].namespace_uri) {
        throw element->malformed(fmt::format("there are two elements of the namespace '{}'",
                                             definition.metadata[i].namespace_uri.substr(0, 256)));
      }
  }
}

void parse_memory(XmlElement& root, DomainDefinition& definition) {
  XmlElement* memory = root.child("memory");
  if (!memory) throw root.malformed("<memory> is missing");
  definition.memory.maximum_kib = read_memory_kib(*memory);
  if (definition.memory.maximum_kib == 0) throw memory->malformed("a domain needs memory");
  definition.memory.current_kib = definition.memory.maximum_kib;
  if (XmlElement* current = root.child("currentMemory")) {
    const std::uint64_t kib = read_memory_kib(*current);
    // libvirt takes more than there is, and 0, to mean all there is.
    if (kib != 0 && kib < definition.memory.maximum_kib) definition.memory.current_kib = kib;
  }
  parse_maximum_memory(root, definition.memory);
}

// What <memory> says is all there is, devices and all.
void check_memory(XmlElement& root, const DomainDefinition& definition) {
  std::uint64_t devices = 0;
  for (const MemoryDevice& device : definition.devices.memories) devices += device.size_kib;
  const Memory& memory = definition.memory;
  if (devices >= memory.maximum_kib && devices != 0)
    throw root.malformed("Total size of memory devices exceeds the total memory size");
  if (memory.limit_kib != 0 && memory.limit_kib < memory.maximum_kib)
    throw root.malformed("maximum memory size must be equal or greater than the actual memory size");
}

void check_pages(XmlElement& root, const DomainDefinition& definition) {
  const std::uint64_t page = huge_page_kib(definition.memory_backing), kib = initial_memory_kib(definition);
  if (page != 0 && kib % page != 0) {
    throw root.child("memoryBacking")
        ->unsupported(
            fmt::format("the guest's {} KiB of memory are not a multiple of its pages of {} KiB", kib, page));
  }
}

void parse_vcpu(XmlElement& root, DomainDefinition& definition) {
  XmlElement* vcpu = root.child("vcpu");
  if (!vcpu) return;
  accept_only(*vcpu, "placement", "static");
  std::string_view text = vcpu->text();
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos)
    text = text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
  const auto maximum = text.empty() ? std::optional<std::uint64_t>(1) : parse_unsigned(text);
  if (!maximum || *maximum == 0)
    throw vcpu->malformed(fmt::format("'{}' is not a number of vCPUs", text.substr(0, 64)));
  if (*maximum > kMaximumVcpus)
    throw vcpu->unsupported(
        fmt::format("{} vCPUs are more than the {} Warren gives a guest", *maximum, kMaximumVcpus));
  definition.vcpu.maximum = static_cast<std::uint32_t>(*maximum);
  definition.vcpu.current =
      read_number(*vcpu, "current", 1, definition.vcpu.maximum).value_or(definition.vcpu.maximum);
  if (const auto cpuset = vcpu->attribute("cpuset")) {
    const auto set = CpuSet::parse(*cpuset);
    if (!set)
      throw vcpu->malformed_attribute("cpuset",
                                      fmt::format("'{}' is not a list of CPUs", cpuset->substr(0, 64)));
    definition.vcpu.cpuset = *set;
  }
}

// What is said of each one is what counts, as libvirt has it; those that are left out are offline.
void parse_each_vcpu(XmlElement& root, VcpuCount& vcpus) {
  XmlElement* list = root.child("vcpus");
  if (!list) return;
  std::vector<Vcpu> each(vcpus.maximum);
  std::vector<bool> seen(vcpus.maximum);
  CpuSet orders;
  for (XmlElement* element : list->children("vcpu")) {
    const std::uint32_t id = require_number(*element, "id", 0, vcpus.maximum - 1);
    if (seen[id]) throw element->malformed(fmt::format("vCPU {} is there twice", id));
    seen[id] = true;
    Vcpu& vcpu = each[id];
    require_text(*element, "enabled");
    vcpu.online = read_yes_no(*element, "enabled").value_or(false);
    vcpu.hot_pluggable = read_yes_no(*element, "hotpluggable").value_or(!vcpu.online);
    vcpu.order = read_number(*element, "order", 1, vcpus.maximum).value_or(0);
    if (!vcpu.online && !vcpu.hot_pluggable)
      throw element->unsupported(fmt::format("vCPU {} is both offline and not hot pluggable", id));
    if (vcpu.order == 0) continue;
    if (orders.contains(vcpu.order))
      throw element->malformed(fmt::format("two vCPUs have the order {}", vcpu.order));
    orders.insert(vcpu.order);
  }
  if (!each.front().online) throw list->unsupported("vCPU 0 must be enabled");
  if (each.front().hot_pluggable) throw list->unsupported("vCPU 0 cannot be hot pluggable");
  vcpus.each = std::move(each);
  vcpus.current = static_cast<std::uint32_t>(online_vcpus(vcpus).size());
}

bool parse_seclabel(XmlElement& root) {
  XmlElement* seclabel = root.child("seclabel");
  if (!seclabel) return false;
  require_text(*seclabel, "type");
  accept_only(*seclabel, "type", "none");
  accept_only(*seclabel, "model", "none");
  return true;
}

void check_topology(XmlElement& root, const DomainDefinition& definition) {
  if (!definition.cpu || !definition.cpu->topology) return;
  const CpuTopology& topology = *definition.cpu->topology;
  // Each level is at most 255, so the product fits.
  const std::uint64_t product =
      std::uint64_t{topology.sockets} * topology.dies * topology.cores * topology.threads;
  if (product != definition.vcpu.maximum) {
    throw root.child("cpu")->unsupported(fmt::format(
        "the topology is of {} CPUs, but the domain has {} vCPUs", product, definition.vcpu.maximum));
  }
}

void check_iothreads(XmlElement& root, const DomainDefinition& definition) {
  for (const Disk& disk : definition.devices.disks) {
    for (const std::uint32_t id : iothreads_of(disk.driver)) {
      if (std::ranges::find(definition.iothreads, IoThread{id}) != definition.iothreads.end()) continue;
      throw root.unsupported(
          fmt::format("disk '{}' is to be served by IOThread {}, which there is not", disk.target, id));
    }
  }
  for (const Controller& controller : definition.devices.controllers) {
    const auto wanted = controller.driver.iothread;
    if (wanted && std::ranges::find(definition.iothreads, IoThread{*wanted}) == definition.iothreads.end()) {
      throw root.unsupported(
          fmt::format("SCSI controller {} is to be served by IOThread {}, which there is not",
                      controller.index.value_or(0), *wanted));
    }
  }
}

void check_boot_order(XmlElement& root, const DomainDefinition& definition) {
  std::vector<std::uint32_t> orders;
  const auto add = [&](const DeviceInfo& info) {
    if (!info.boot_order) return;
    for (const std::uint32_t other : orders)
      if (other == *info.boot_order)
        throw root.malformed(fmt::format("two devices have the boot order {}", other));
    orders.push_back(*info.boot_order);
  };
  for (const Disk& disk : definition.devices.disks) add(disk.info);
  for (const Interface& interface : definition.devices.interfaces) add(interface.info);
  for (const HostDevice& device : definition.devices.host_devices) add(device.info);
  if (!orders.empty() && !definition.os.boot_devices.empty())
    throw root.malformed("<boot> below <os> and <boot> below a device exclude each other");
}

}  // namespace

DomainDefinition parse_domain(std::string_view xml, const ParseOptions& options) {
  if (options.validate) validate_domain_schema(xml);
  // The images of a disk's chain stand within each other.
  XmlDocument document(xml, "domain_definition",
                       {.bytes = kMaximumDocumentBytes,
                        .depth = kMaximumDocumentDepth + kMaximumBackingImages,
                        .nodes = kMaximumDocumentNodes});
  XmlElement& root = document.root();
  if (root.name() != "domain")
    throw root.malformed(fmt::format("the document is to be <domain>, not <{}>", root.name().substr(0, 64)));
  const auto type = root.attribute("type");
  if (!type) throw root.malformed_attribute("type", "it is missing; it is 'kvm'");
  accept_only(root, "type", "kvm");

  DomainDefinition definition;
  parse_identity(root, definition, options.inactive);
  parse_metadata(document, definition);
  parse_memory(root, definition);
  definition.memory_backing = parse_memory_backing(root.child("memoryBacking"));
  parse_vcpu(root, definition);
  parse_each_vcpu(root, definition.vcpu);
  definition.sysinfo = parse_system_information(root, definition.uuid);
  definition.blkio_tuning = parse_blkio_tuning(root.child("blkiotune"));
  definition.memory_tuning = parse_memory_tuning(root.child("memtune"));
  definition.cpu_tuning = parse_cpu_tuning(root.child("cputune"));
  definition.numa_tuning = parse_numa_tuning(root.child("numatune"));
  definition.iothreads = parse_iothreads(root);
  definition.perf = parse_perf_events(root.child("perf"));
  definition.os = parse_operating_system(root);
  definition.features = parse_features(root.child("features"));
  definition.cpu = parse_cpu(root.child("cpu"));
  definition.clock = parse_clock(root.child("clock"));
  definition.lifecycle = parse_lifecycle(root);
  definition.pm = parse_power_management(root.child("pm"));
  // What has no id does not run, whatever else it says.
  definition.devices = parse_devices(root.child("devices"), options.inactive || !definition.id);
  definition.seclabel_none = parse_seclabel(root);
  root.refuse_unread();
  if (definition.os.smbios == SmbiosMode::sysinfo && !definition.sysinfo)
    throw root.child("os")->malformed("<smbios mode='sysinfo'/> needs a <sysinfo>");
  check_guest_numa(root, definition);
  check_memory(root, definition);
  check_pages(root, definition);
  check_topology(root, definition);
  check_iothreads(root, definition);
  check_boot_order(root, definition);
  check_shared_memory(root, definition);
  // Escaping makes text longer: what could not be read back, or sent, is not taken.
  constexpr std::size_t kSmall = 256u << 10;
  if (xml.size() > kSmall && format_domain(definition).size() > kMaximumDocumentBytes / 2)
    throw root.malformed("the definition is too long");
  return definition;
}

void check_readable(const DomainDefinition& definition) {
  static_cast<void>(parse_domain(format_domain(definition, {.inactive = true})));
}

}  // namespace warren::driver::config
