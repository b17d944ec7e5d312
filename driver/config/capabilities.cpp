#include "driver/config/capabilities.h"

#include <fmt/format.h>

#include "driver/config/cpu_features.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/config/xml_writer.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

const CpuidLeaf* find_leaf(const std::vector<CpuidLeaf>& leaves, std::uint32_t number) {
  for (const CpuidLeaf& leaf : leaves)
    if (leaf.leaf == number && leaf.subleaf == 0) return &leaf;
  return nullptr;
}

// <name key='value' …/>
void leaf_element(XmlWriter& writer, std::string_view name,
                  std::initializer_list<std::pair<std::string_view, std::string>> attributes) {
  writer.begin(name);
  for (const auto& [key, value] : attributes) writer.attribute(key, value);
  writer.end();
}

std::string number(std::uint64_t value) {
  return fmt::format_int(value).str();
}

void format_signature(XmlWriter& writer, const HostFacts& facts) {
  const CpuidLeaf* leaf = find_leaf(facts.host_cpuid, 1);
  if (!leaf) return;
  std::uint32_t family = leaf->eax >> 8 & 15;
  std::uint32_t model = leaf->eax >> 4 & 15;
  // The extended fields count for these families only (Intel SDM volume 2A, CPUID, figure 3-6).
  if (family == 6 || family == 15) model |= leaf->eax >> 12 & 0xf0;
  if (family == 15) family += leaf->eax >> 20 & 0xff;
  leaf_element(writer, "signature",
               {{"family", number(family)}, {"model", number(model)}, {"stepping", number(leaf->eax & 15)}});
}

void format_host_cpu(XmlWriter& writer, const HostFacts& facts) {
  writer.begin("cpu");
  writer.element("arch", facts.architecture);
  const HostCpuModel cpu = describe_host_cpu(facts.host_cpuid, true);
  if (!cpu.name.empty()) writer.element("model", cpu.name);
  if (!cpu.vendor.empty() && !cpu.name.empty()) writer.element("vendor", cpu.vendor);
  if (facts.microcode != 0) leaf_element(writer, "microcode", {{"version", number(facts.microcode)}});
  format_signature(writer, facts);
  if (facts.tsc_frequency_hz != 0) {
    leaf_element(writer, "counter",
                 {{"name", "tsc"},
                  {"frequency", number(facts.tsc_frequency_hz)},
                  {"scaling", facts.tsc_scaling ? "yes" : "no"}});
  }
  leaf_element(writer, "topology",
               {{"sockets", number(facts.sockets)},
                {"dies", number(facts.dies)},
                {"cores", number(facts.cores)},
                {"threads", number(facts.threads)}});
  if (const CpuidLeaf* leaf = find_leaf(facts.host_cpuid, 0x80000008))
    leaf_element(writer, "maxphysaddr", {{"mode", "emulate"}, {"bits", number(leaf->eax & 0xff)}});
  if (!cpu.name.empty())
    for (const CpuFeature& feature : cpu.features) leaf_element(writer, "feature", {{"name", feature.name}});
  for (const HostPages& pages : facts.cells.empty() ? std::vector<HostPages>{{}} : facts.cells.front().pages)
    leaf_element(writer, "pages", {{"unit", "KiB"}, {"size", number(pages.size_kib)}});
  writer.end();
}

void format_cell(XmlWriter& writer, const HostFacts& facts, const NumaCell& cell) {
  writer.begin("cell");
  writer.attribute("id", cell.id);
  writer.begin("memory");
  writer.attribute("unit", "KiB");
  writer.text(number(cell.memory_kib));
  writer.end();
  for (const HostPages& pages : cell.pages) {
    writer.begin("pages");
    writer.attribute("unit", "KiB");
    writer.attribute("size", pages.size_kib);
    writer.text(number(pages.count));
    writer.end();
  }
  if (!cell.distances.empty() && cell.distances.size() == facts.cells.size()) {
    writer.begin("distances");
    for (std::size_t i = 0; i < cell.distances.size(); ++i)
      leaf_element(writer, "sibling",
                   {{"id", number(facts.cells[i].id)}, {"value", number(cell.distances[i])}});
    writer.end();
  }
  writer.begin("cpus");
  writer.attribute("num", cell.cpus.size());
  for (const HostCpu& cpu : cell.cpus) {
    leaf_element(writer, "cpu",
                 {{"id", number(cpu.id)},
                  {"socket_id", number(cpu.socket)},
                  {"die_id", number(cpu.die)},
                  {"core_id", number(cpu.core)},
                  {"siblings", cpu.siblings}});
  }
  writer.end();
  writer.end();
}

void format_topology(XmlWriter& writer, const HostFacts& facts) {
  if (facts.cells.empty()) return;
  writer.begin("topology");
  writer.begin("cells");
  writer.attribute("num", facts.cells.size());
  for (const NumaCell& cell : facts.cells) format_cell(writer, facts, cell);
  writer.end();
  writer.end();
}

void format_caches(XmlWriter& writer, const HostFacts& facts) {
  if (facts.caches.empty()) return;
  writer.begin("cache");
  for (const HostCache& cache : facts.caches) {
    const bool mib = cache.size_kib % 1024 == 0;
    leaf_element(writer, "bank",
                 {{"id", number(cache.id)},
                  {"level", number(cache.level)},
                  {"type", std::string(cache.type)},
                  {"size", number(mib ? cache.size_kib / 1024 : cache.size_kib)},
                  {"unit", mib ? "MiB" : "KiB"},
                  {"cpus", cache.cpus}});
  }
  writer.end();
}

void format_guest(XmlWriter& writer, const HostFacts& facts) {
  writer.begin("guest");
  writer.element("os_type", "hvm");
  writer.begin("arch");
  writer.attribute("name", "x86_64");
  writer.element("wordsize", "64");
  if (!facts.emulator.empty()) writer.element("emulator", facts.emulator);
  writer.begin("machine");
  writer.attribute("maxCpus", kMaximumVcpus);
  writer.text("q35");
  writer.end();
  writer.begin("machine");
  writer.attribute("canonical", "q35");
  writer.attribute("maxCpus", kMaximumVcpus);
  writer.text("pc");
  writer.end();
  leaf_element(writer, "domain", {{"type", "kvm"}});
  writer.end();
  writer.begin("features");
  leaf_element(writer, "acpi", {{"default", "on"}, {"toggle", "no"}});
  leaf_element(writer, "apic", {{"default", "on"}, {"toggle", "no"}});
  writer.empty("cpuselection");
  writer.end();
  writer.end();
}

}  // namespace

std::string format_capabilities(const HostFacts& facts) {
  XmlWriter writer;
  writer.begin("capabilities");
  writer.blank_line();
  writer.begin("host");
  if (facts.uuid) writer.element("uuid", facts.uuid->to_string());
  format_host_cpu(writer, facts);
  writer.empty("power_management");
  leaf_element(writer, "iommu", {{"support", facts.iommu ? "yes" : "no"}});
  format_topology(writer, facts);
  format_caches(writer, facts);
  writer.begin("secmodel");
  writer.element("model", "none");
  writer.element("doi", "0");
  writer.end();
  writer.end();
  writer.blank_line();
  // Without KVM there is nothing Warren can run.
  if (facts.kvm) {
    format_guest(writer, facts);
    writer.blank_line();
  }
  writer.end();
  return writer.take();
}

void check_capabilities_query(const HostFacts& facts, std::string_view emulator,
                              std::string_view architecture, std::string_view machine,
                              std::string_view virtualization) {
  if (!emulator.empty() && !facts.emulator.empty() && emulator != facts.emulator)
    throw invalid_argument(
        fmt::format("'{}' is not Warren's worker, which is '{}'", emulator, facts.emulator));
  if (!architecture.empty() && architecture != "x86_64")
    throw invalid_argument(fmt::format("Warren runs x86_64 guests only, not '{}'", architecture));
  if (!machine.empty() && !runs_as_q35(machine))
    throw invalid_argument(fmt::format("Warren has no machine '{}'; it has 'q35'", machine));
  if (!virtualization.empty() && virtualization != "kvm")
    throw invalid_argument(fmt::format("Warren has domains of type 'kvm' only, not '{}'", virtualization));
}

}  // namespace warren::driver::config
