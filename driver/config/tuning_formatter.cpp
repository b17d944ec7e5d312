// <cputune>, <memtune>, <blkiotune>, <numatune>, <iothreads>, <perf>.
#include <fmt/format.h>

#include "driver/config/domain_xml_parts.h"
#include "driver/config/tuning_names.h"

namespace warren::driver::config {

namespace {

template <typename Integer>
void format_number(XmlWriter& writer, std::string_view name, const std::optional<Integer>& value) {
  if (value) writer.element(name, fmt::format_int(*value).c_str());
}

void format_count(XmlWriter& writer, std::string_view name, std::uint64_t value) {
  if (value != 0) writer.element(name, fmt::format_int(value).c_str());
}

void format_cpu_bandwidth(XmlWriter& writer, const std::string& prefix, const CpuBandwidth& bandwidth) {
  format_number(writer, prefix + "period", bandwidth.period_us);
  format_number(writer, prefix + "quota", bandwidth.quota_us);
}

void format_limit(XmlWriter& writer, std::string_view name, const std::optional<std::uint64_t>& kib) {
  if (!kib) return;
  writer.begin(name);
  writer.attribute("unit", "KiB");
  writer.text(fmt::format_int(*kib).c_str());
  writer.end();
}

}  // namespace

void format_cpu_tuning(XmlWriter& writer, const CpuTuning& tuning) {
  if (tuning == CpuTuning{}) return;
  writer.begin("cputune");
  format_number(writer, "shares", tuning.shares);
  format_cpu_bandwidth(writer, "", tuning.vcpu);
  format_cpu_bandwidth(writer, "global_", tuning.global);
  format_cpu_bandwidth(writer, "emulator_", tuning.emulator);
  format_cpu_bandwidth(writer, "iothread_", tuning.iothread);
  const auto pin = [&writer](std::string_view name, std::string_view attribute, std::uint32_t number,
                             const CpuSet& set) {
    writer.begin(name);
    writer.attribute(attribute, number);
    writer.attribute("cpuset", set.to_string());
    writer.end();
  };
  for (const auto& [number, set] : tuning.vcpu_pins) pin("vcpupin", "vcpu", number, set);
  if (!tuning.emulator_pin.empty()) {
    writer.begin("emulatorpin");
    writer.attribute("cpuset", tuning.emulator_pin.to_string());
    writer.end();
  }
  for (const auto& [number, set] : tuning.iothread_pins) pin("iothreadpin", "iothread", number, set);
  writer.end();
}

void format_memory_tuning(XmlWriter& writer, const MemoryTuning& tuning) {
  if (tuning == MemoryTuning{}) return;
  writer.begin("memtune");
  format_limit(writer, "hard_limit", tuning.hard_limit_kib);
  format_limit(writer, "soft_limit", tuning.soft_limit_kib);
  format_limit(writer, "swap_hard_limit", tuning.swap_hard_limit_kib);
  writer.end();
}

void format_blkio_tuning(XmlWriter& writer, const BlkioTuning& tuning) {
  if (tuning == BlkioTuning{}) return;
  writer.begin("blkiotune");
  format_count(writer, "weight", tuning.weight);
  for (const BlkioDevice& device : tuning.devices) {
    writer.begin("device");
    writer.element("path", device.path);
    format_count(writer, "weight", device.weight);
    format_count(writer, "read_iops_sec", device.read_iops);
    format_count(writer, "write_iops_sec", device.write_iops);
    format_count(writer, "read_bytes_sec", device.read_bytes);
    format_count(writer, "write_bytes_sec", device.write_bytes);
    writer.end();
  }
  writer.end();
}

void format_numa_tuning(XmlWriter& writer, const NumaTuning& tuning) {
  if (!tuning.mode) return;
  writer.begin("numatune");
  writer.begin("memory");
  writer.attribute("mode", names::kNumaMode.name(*tuning.mode));
  if (!tuning.nodes.empty()) writer.attribute("nodeset", tuning.nodes.to_string());
  writer.end();
  writer.end();
}

void format_iothreads(XmlWriter& writer, const std::vector<IoThread>& threads) {
  if (threads.empty()) return;
  writer.element("iothreads", fmt::format_int(threads.size()).c_str());
  bool counted = true;
  for (std::size_t i = 0; i < threads.size(); ++i) counted = counted && threads[i].id == i + 1;
  if (counted) return;
  writer.begin("iothreadids");
  for (const IoThread& thread : threads) {
    writer.begin("iothread");
    writer.attribute("id", thread.id);
    writer.end();
  }
  writer.end();
}

void format_perf_events(XmlWriter& writer, const PerfEvents& events) {
  if (events.enabled.empty()) return;
  writer.begin("perf");
  for (const std::string_view name : names::kPerfEvents) {
    const auto found = events.enabled.find(std::string(name));
    if (found == events.enabled.end()) continue;
    writer.begin("event");
    writer.attribute("name", name);
    writer.attribute("enabled", found->second ? "yes" : "no");
    writer.end();
  }
  writer.end();
}

}  // namespace warren::driver::config
