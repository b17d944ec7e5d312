// <cpu><numa>.
#include "driver/config/guest_numa.h"

#include <fmt/format.h>

#include "driver/config/domain_xml_parts.h"
#include "driver/config/xml_values.h"

namespace warren::driver::config {

namespace {

constexpr std::uint32_t kMaximumCells = 64;
constexpr std::uint8_t kLocalDistance = 10, kRemoteDistance = 20;

void parse_distances(XmlElement& element, std::size_t index, std::size_t count, GuestNumaCell& cell) {
  XmlElement* distances = element.child("distances");
  if (!distances) return;
  cell.distances.assign(count, 0);
  for (XmlElement* sibling : distances->children("sibling")) {
    const std::uint32_t id = require_number(*sibling, "id", 0, static_cast<std::uint32_t>(count - 1));
    const std::uint32_t value = require_number(*sibling, "value", kLocalDistance, 255);
    if (id == index && value != kLocalDistance)
      throw sibling->malformed_attribute("value", "a cell is at distance 10 from itself");
    if (cell.distances[id] != 0)
      throw sibling->malformed(fmt::format("there is another distance to cell {}", id));
    cell.distances[id] = static_cast<std::uint8_t>(value);
  }
}

std::uint64_t parse_memory(XmlElement& element) {
  const std::string text = require_text(element, "memory");
  const auto number = parse_unsigned(text);
  const auto unit = unit_bytes(element.attribute("unit").value_or("KiB"));
  if (!unit) throw element.malformed_attribute("unit", "it is not a unit of size");
  const auto kib = number ? scale_to_kib(*number, *unit) : std::nullopt;
  if (!kib)
    throw element.malformed_attribute("memory", fmt::format("'{}' is not a size", text.substr(0, 64)));
  return *kib;
}

GuestNumaCell parse_cell(XmlElement& element, std::size_t index, std::size_t count) {
  GuestNumaCell cell;
  if (const auto cpus = element.attribute("cpus")) {
    const auto set = CpuSet::parse(*cpus);
    if (!set)
      throw element.malformed_attribute("cpus",
                                        fmt::format("'{}' is not a list of CPUs", cpus->substr(0, 64)));
    cell.cpus = *set;
  }
  cell.memory_kib = parse_memory(element);
  cell.shared = accept_only(element, "memAccess", "shared");
  cell.discard = read_yes_no(element, "discard").value_or(false);
  parse_distances(element, index, count, cell);
  return cell;
}

}  // namespace

std::vector<GuestNumaCell> parse_guest_numa(XmlElement* numa) {
  std::vector<GuestNumaCell> cells;
  if (!numa) return cells;
  const auto elements = numa->children("cell");
  if (elements.empty()) throw numa->malformed("it has no <cell>");
  if (elements.size() > kMaximumCells)
    throw numa->unsupported(fmt::format("more than {} cells", kMaximumCells));
  std::vector<bool> seen(elements.size());
  cells.resize(elements.size());
  for (std::size_t i = 0; i < elements.size(); ++i) {
    XmlElement& element = *elements[i];
    const std::uint32_t id = read_number(element, "id", 0, static_cast<std::uint32_t>(elements.size() - 1))
                                 .value_or(static_cast<std::uint32_t>(i));
    if (seen[id]) throw element.malformed_attribute("id", fmt::format("there is another cell {}", id));
    seen[id] = true;
    cells[id] = parse_cell(element, id, elements.size());
  }
  return cells;
}

void check_guest_numa(XmlElement& root, DomainDefinition& definition) {
  if (!definition.cpu || definition.cpu->numa.empty()) return;
  auto& cells = definition.cpu->numa;
  XmlElement& element = *root.child("cpu")->child("numa");
  CpuSet taken;
  std::uint64_t memory_kib = 0;
  for (const GuestNumaCell& cell : cells) {
    for (const std::uint32_t vcpu : cell.cpus.members()) {
      if (vcpu >= definition.vcpu.maximum)
        throw element.malformed(
            fmt::format("vCPU {} is in a cell, but the domain has {}", vcpu, definition.vcpu.maximum));
      if (taken.contains(vcpu)) throw element.malformed(fmt::format("vCPU {} is in two cells", vcpu));
      taken.insert(vcpu);
    }
    if (__builtin_add_overflow(memory_kib, cell.memory_kib, &memory_kib))
      throw element.malformed("the cells have more memory than can be counted");
    if (const auto page = huge_page_kib(definition.memory_backing); page != 0 && cell.memory_kib % page != 0)
      throw element.unsupported(
          fmt::format("a cell's memory is not a multiple of its pages of {} KiB", page));
    if (cell.memory_kib % 4 != 0) throw element.unsupported("a cell's memory is not a multiple of 4 KiB");
  }
  if (memory_kib == 0) throw element.malformed("its cells have no memory");
  // As libvirt has it: the first cell takes the vCPUs nobody has, and the cells say how much memory there is.
  for (std::uint32_t vcpu = 0; vcpu < definition.vcpu.maximum; ++vcpu)
    if (!taken.contains(vcpu)) cells.front().cpus.insert(vcpu);
  for (const MemoryDevice& device : definition.devices.memories) {
    if (__builtin_add_overflow(memory_kib, device.size_kib, &memory_kib))
      throw element.malformed("the domain has more memory than can be counted");
  }
  const bool all = definition.memory.current_kib == definition.memory.maximum_kib;
  definition.memory.maximum_kib = memory_kib;
  if (all || definition.memory.current_kib > memory_kib) definition.memory.current_kib = memory_kib;
}

void format_guest_numa(XmlWriter& writer, const std::vector<GuestNumaCell>& cells) {
  if (cells.empty()) return;
  writer.begin("numa");
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const GuestNumaCell& cell = cells[i];
    writer.begin("cell");
    writer.attribute("id", i);
    if (!cell.cpus.empty()) writer.attribute("cpus", cell.cpus.to_string());
    writer.attribute("memory", cell.memory_kib);
    writer.attribute("unit", "KiB");
    if (cell.shared) writer.attribute("memAccess", "shared");
    if (cell.discard) writer.attribute("discard", "yes");
    if (!cell.distances.empty()) {
      writer.begin("distances");
      for (std::size_t to = 0; to < cell.distances.size(); ++to) {
        if (cell.distances[to] == 0) continue;
        writer.begin("sibling");
        writer.attribute("id", to);
        writer.attribute("value", std::uint32_t{cell.distances[to]});
        writer.end();
      }
      writer.end();
    }
    writer.end();
  }
  writer.end();
}

std::uint8_t numa_distance(const std::vector<GuestNumaCell>& cells, std::size_t from, std::size_t to) {
  if (from == to) return kLocalDistance;
  const auto given = [&](std::size_t a, std::size_t b) {
    return b < cells[a].distances.size() ? cells[a].distances[b] : std::uint8_t{0};
  };
  // What is told of one direction only is true of both.
  if (given(from, to) != 0) return given(from, to);
  return given(to, from) != 0 ? given(to, from) : kRemoteDistance;
}

}  // namespace warren::driver::config
