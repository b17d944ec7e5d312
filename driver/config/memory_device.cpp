#include "driver/config/memory_device.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "driver/config/domain_definition.h"
#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

constexpr std::uint64_t kModuleUnit = 2048;               // KiB: what libvirt rounds sizes to
constexpr std::uint64_t kSmallestBlock = 2048;            // KiB: a transparent huge page of x86
constexpr std::uint32_t kMaximumSlots = 128;              // what the guest's firmware tables have room for
constexpr std::uint64_t kHugePages[] = {2048, 1u << 20};  // KiB

Error refused(std::string message) {
  return {VIR_ERR_CONFIG_UNSUPPORTED, std::move(message)};
}

std::uint64_t child_kib(XmlElement& element, std::string_view name) {
  XmlElement* child = element.child(name);
  return child ? read_memory_kib(*child) : 0;
}

void parse_source(XmlElement& source, MemoryDevice& device) {
  if (XmlElement* nodes = source.child("nodemask")) {
    const auto set = CpuSet::parse(nodes->text());
    if (!set) throw nodes->malformed(fmt::format("'{}' is not a list of nodes", nodes->text().substr(0, 64)));
    device.source_nodes = *set;
  }
  if (XmlElement* page = source.child("pagesize")) {
    device.page_kib = read_memory_kib(*page);
    if (device.page_kib != 4 && std::ranges::find(kHugePages, device.page_kib) == std::end(kHugePages))
      throw page->unsupported(
          fmt::format("x86 has pages of 4 KiB, 2 MiB and 1 GiB, not of {} KiB", device.page_kib));
  }
}

void check_virtio_target(const XmlElement& target, const MemoryDevice& device) {
  if (device.requested_kib > device.size_kib)
    throw target.malformed(
        fmt::format("requested size must be smaller than or equal to @size ({}KiB)", device.size_kib));
  if (!std::has_single_bit(device.block_kib)) throw target.malformed("block size must be a power of two");
  if (device.block_kib < kSmallestBlock)
    throw target.malformed(fmt::format("block size too small, must be at least {}KiB", kSmallestBlock));
  if (device.requested_kib % device.block_kib != 0)
    throw target.malformed("requested size must be an integer multiple of block size");
  if (device.size_kib % device.block_kib != 0)
    throw target.malformed("size must be an integer multiple of block size");
}

void parse_target(XmlElement& target, MemoryDevice& device, bool inactive) {
  XmlElement* size = target.child("size");
  device.size_kib = size ? read_memory_kib(*size) : 0;
  if (device.size_kib == 0) throw target.malformed("<size> is missing or 0");
  if (device.size_kib > std::uint64_t{1} << 40)
    throw size->unsupported("it is more than Warren gives a guest");
  device.size_kib = (device.size_kib + kModuleUnit - 1) / kModuleUnit * kModuleUnit;
  if (XmlElement* node = target.child("node")) {
    const auto number = parse_unsigned(node->text());
    if (!number || *number > 1023) throw node->malformed("invalid value of memory device node");
    device.node = static_cast<std::uint32_t>(*number);
  }
  if (device.model != MemoryModel::virtio_mem) return;
  device.block_kib = child_kib(target, "block");
  device.requested_kib = child_kib(target, "requested");
  // Output only; what a daemon wrote of a running domain is read back.
  const std::uint64_t current = child_kib(target, "current");
  if (!inactive) device.current_kib = std::min(current, device.size_kib);
  check_virtio_target(target, device);
}

void parse_dimm_address(XmlElement& element, MemoryDevice& device) {
  XmlElement* address = element.child("address");
  if (!address) return;
  if (require_text(*address, "type") != "dimm")
    throw address->unsupported_attribute("type",
                                         "only 'dimm' addresses are supported for the pc-dimm device");
  DimmAddress& dimm = device.dimm.emplace();
  dimm.slot = read_number(*address, "slot", 0, 255).value_or(0);
  if (const auto base = address->attribute("base")) {
    const auto value = parse_unsigned(*base);
    if (!value || *value % (kModuleUnit * 1024) != 0)
      throw address->malformed_attribute(
          "base", fmt::format("'{}' is not an address in multiples of 2 MiB", base->substr(0, 64)));
    dimm.base = *value;
  }
}

void check_device(const DomainDefinition& definition, const MemoryDevice& device) {
  const std::size_t cells = definition.cpu ? definition.cpu->numa.size() : 0;
  if (device.node && cells == 0)
    throw Error(VIR_ERR_XML_DETAIL, "can't add memory backend as guest has no NUMA nodes configured");
  if (device.node && *device.node >= cells) {
    throw Error(VIR_ERR_XML_DETAIL, fmt::format("can't add memory backend for guest node '{}' as the guest "
                                                "has only '{}' NUMA nodes configured",
                                                *device.node, cells));
  }
  if (!device.node && cells != 0) throw refused("target NUMA node needs to be specified for memory device");
  if (device.dimm && device.dimm->slot >= definition.memory.slots) {
    throw refused(fmt::format("memory device slot '{}' exceeds slots count '{}'", device.dimm->slot,
                              definition.memory.slots));
  }
  const std::uint64_t page =
      device.page_kib != 0 ? device.page_kib : huge_page_kib(definition.memory_backing);
  if (page > 4 && (device.size_kib % page != 0 || device.block_kib % page != 0))
    throw refused(fmt::format(
        "memory device is not a whole number of its pages of {} KiB, or its blocks are not", page));
}

void check_dimm_conflict(const MemoryDevice& one, const MemoryDevice& other) {
  if (!one.dimm || !other.dimm) return;
  if (one.dimm->slot == other.dimm->slot)
    throw refused(fmt::format("memory device slot '{}' is already being used by another memory device",
                              one.dimm->slot));
  if (one.dimm->base != 0 && one.dimm->base == other.dimm->base)
    throw refused(fmt::format("memory device base '0x{:x}' is already being used by another memory device",
                              one.dimm->base));
}

void format_kib(XmlWriter& writer, std::string_view name, std::uint64_t kib) {
  writer.begin(name);
  writer.attribute("unit", "KiB");
  writer.text(fmt::format_int(kib).c_str());
  writer.end();
}

}  // namespace

std::string_view model_name(MemoryModel model) {
  return names::kMemoryModel.name(model);
}

std::uint64_t initial_memory_kib(const DomainDefinition& definition) {
  std::uint64_t kib = definition.memory.maximum_kib;
  for (const MemoryDevice& device : definition.devices.memories) kib -= std::min(kib, device.size_kib);
  return kib;
}

std::uint64_t virtio_memory_kib(const DomainDefinition& definition) {
  std::uint64_t kib = 0;
  for (const MemoryDevice& device : definition.devices.memories)
    if (device.model == MemoryModel::virtio_mem) kib += device.size_kib;
  return kib;
}

std::uint64_t current_virtio_memory_kib(const DomainDefinition& definition) {
  std::uint64_t kib = 0;
  for (const MemoryDevice& device : definition.devices.memories)
    if (device.model == MemoryModel::virtio_mem) kib += device.current_kib;
  return kib;
}

MemoryDevice parse_memory_device(XmlElement& element, bool inactive) {
  MemoryDevice device;
  device.model = require_enum(element, "model", names::kMemoryModel);
  device.shared = read_enum(element, "access", names::kMemoryAccess).has_value();
  device.discard = read_yes_no(element, "discard");
  if (XmlElement* source = element.child("source")) parse_source(*source, device);
  XmlElement* target = element.child("target");
  if (!target) throw element.malformed("missing <target> element for <memory> device");
  parse_target(*target, device, inactive);
  const bool is_dimm = device.model == MemoryModel::dimm;
  if (is_dimm) parse_dimm_address(element, device);
  device.info = parse_device_info(element, inactive, !is_dimm, false);
  return device;
}

void format_memory_device(XmlWriter& writer, const MemoryDevice& device, const FormatContext& context) {
  writer.begin("memory");
  writer.attribute("model", model_name(device.model));
  if (device.shared) writer.attribute("access", "shared");
  if (device.discard) writer.attribute("discard", *device.discard ? "yes" : "no");
  if (!device.source_nodes.empty() || device.page_kib != 0) {
    writer.begin("source");
    if (!device.source_nodes.empty()) writer.element("nodemask", device.source_nodes.to_string());
    if (device.page_kib != 0) format_kib(writer, "pagesize", device.page_kib);
    writer.end();
  }
  writer.begin("target");
  format_kib(writer, "size", device.size_kib);
  if (device.node) writer.element("node", fmt::format_int(*device.node).c_str());
  if (device.model == MemoryModel::virtio_mem) {
    format_kib(writer, "block", device.block_kib);
    format_kib(writer, "requested", device.requested_kib);
    if (context.live) format_kib(writer, "current", device.current_kib);
  }
  writer.end();
  format_device_info(writer, device.info, context);
  if (device.dimm) {
    writer.begin("address");
    writer.attribute("type", "dimm");
    writer.attribute("slot", device.dimm->slot);
    if (device.dimm->base != 0) writer.attribute("base", fmt::format("0x{:x}", device.dimm->base));
    writer.end();
  }
  writer.end();
}

void parse_maximum_memory(XmlElement& root, Memory& memory) {
  XmlElement* element = root.child("maxMemory");
  if (!element) return;
  memory.limit_kib = read_memory_kib(*element);
  memory.slots = require_number(*element, "slots", 0, 0xffff'ffff);
  if ((memory.limit_kib == 0) != (memory.slots == 0))
    throw element->malformed("both maximum memory size and memory slot count must be specified");
  if (memory.slots > kMaximumSlots) {
    throw element->unsupported_attribute(
        "slots", fmt::format("{} are more than the {} Warren gives a guest", memory.slots, kMaximumSlots));
  }
}

void check_memory_devices(const DomainDefinition& definition, const MemoryDevice* added) {
  const auto& devices = definition.devices.memories;
  const Memory& memory = definition.memory;
  std::size_t count = devices.size();
  std::uint64_t total = 0;
  if (added != nullptr) {
    ++count;
    total = added->size_kib;
    check_device(definition, *added);
  }
  if (memory.limit_kib == 0) {
    if (count == 0) return;
    throw refused("cannot use/hotplug a memory device when domain 'maxMemory' is not defined");
  }
  if (!definition.cpu || definition.cpu->numa.empty())
    throw refused("At least one numa node has to be configured when enabling memory hotplug");
  if (count > memory.slots) {
    throw refused(fmt::format("memory device count '{}' exceeds slots count '{}'", count, memory.slots));
  }
  for (std::size_t i = 0; i < devices.size(); ++i) {
    total += devices[i].size_kib;
    if (added == nullptr) check_device(definition, devices[i]);
    if (added != nullptr) check_dimm_conflict(*added, devices[i]);
    for (std::size_t j = 0; j < i; ++j) check_dimm_conflict(devices[i], devices[j]);
  }
  const std::uint64_t initial = initial_memory_kib(definition);
  if (memory.limit_kib < initial || total > memory.limit_kib - initial)
    throw refused("memory device total size exceeds hotplug space");
}

void assign_dimm_slot(const DomainDefinition& definition, MemoryDevice& device) {
  if (device.model != MemoryModel::dimm || device.dimm) return;
  for (std::uint32_t slot = 0; slot < definition.memory.slots; ++slot) {
    const bool is_taken = std::ranges::any_of(definition.devices.memories, [&](const MemoryDevice& other) {
      return other.dimm && other.dimm->slot == slot;
    });
    if (is_taken) continue;
    device.dimm = DimmAddress{.slot = slot};
    return;
  }
  throw refused("no free memory device slot available");
}

}  // namespace warren::driver::config
