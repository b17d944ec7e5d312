// <cputune>, <memtune>, <blkiotune>, <numatune>, <iothreads>, <perf>.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "driver/config/domain_xml_parts.h"
#include "driver/config/tuning_names.h"

namespace warren::driver::config {

namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::optional<std::uint64_t> read_count(XmlElement& parent, std::string_view name) {
  XmlElement* element = parent.child(name);
  if (!element) return std::nullopt;
  const std::string_view text = trimmed(element->text());
  const auto value = parse_unsigned(text);
  if (!value) throw element->malformed(fmt::format("'{}' is not a number", text.substr(0, 64)));
  return value;
}

CpuSet require_set(XmlElement& element, std::string_view attribute) {
  const std::string text = require_text(element, attribute);
  auto set = CpuSet::parse(text);
  if (!set) {
    throw element.malformed_attribute(
        attribute, fmt::format("'{}' is not a list of CPUs or nodes like '0-3,^2'", text.substr(0, 64)));
  }
  return *std::move(set);
}

CpuBandwidth parse_cpu_bandwidth(XmlElement& cputune, const std::string& prefix) {
  CpuBandwidth bandwidth;
  bandwidth.period_us = read_count(cputune, prefix + "period");
  if (bandwidth.period_us == 0) bandwidth.period_us.reset();
  if (bandwidth.period_us && (*bandwidth.period_us < kMinimumPeriodMicroseconds ||
                              *bandwidth.period_us > kMaximumPeriodMicroseconds)) {
    throw cputune.child(prefix + "period")
        ->unsupported(fmt::format("a period is {} to {} microseconds", kMinimumPeriodMicroseconds,
                                  kMaximumPeriodMicroseconds));
  }
  XmlElement* quota = cputune.child(prefix + "quota");
  if (!quota) return bandwidth;
  const std::string_view text = trimmed(quota->text());
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size())
    throw quota->malformed(fmt::format("'{}' is not a number", text.substr(0, 64)));
  if (value > 0 && (value < kMinimumQuotaMicroseconds || value > kMaximumQuotaMicroseconds)) {
    throw quota->unsupported(fmt::format("a quota is {} to {} microseconds, or negative for none",
                                         kMinimumQuotaMicroseconds, kMaximumQuotaMicroseconds));
  }
  if (value != 0) bandwidth.quota_us = std::max<std::int64_t>(value, -1);
  return bandwidth;
}

void parse_pins(XmlElement& cputune, std::string_view name, std::string_view attribute,
                std::map<std::uint32_t, CpuSet>& pins) {
  for (XmlElement* element : cputune.children(name)) {
    const std::uint32_t number = require_number(*element, attribute, 0, kMaximumTuned);
    if (!pins.emplace(number, require_set(*element, "cpuset")).second)
      throw element->malformed(fmt::format("there are two for {} {}", attribute, number));
  }
}

std::optional<std::uint64_t> read_limit(XmlElement& memtune, std::string_view name) {
  XmlElement* element = memtune.child(name);
  if (!element) return std::nullopt;
  const std::uint64_t kib = read_memory_kib(*element);
  return kib < kUnlimitedKib ? std::optional(kib) : std::nullopt;
}

std::uint32_t read_small_count(XmlElement& parent, std::string_view name) {
  const auto value = read_count(parent, name).value_or(0);
  if (value > std::numeric_limits<std::uint32_t>::max())
    throw parent.child(name)->malformed(fmt::format("{} is too large", value));
  return static_cast<std::uint32_t>(value);
}

BlkioDevice parse_blkio_device(XmlElement& element) {
  BlkioDevice device;
  XmlElement* path = element.child("path");
  if (!path) throw element.malformed("<path> is missing");
  device.path = path->text();
  check_absolute_path(*path, device.path);
  device.weight = read_small_count(element, "weight");
  device.read_iops = read_small_count(element, "read_iops_sec");
  device.write_iops = read_small_count(element, "write_iops_sec");
  device.read_bytes = read_count(element, "read_bytes_sec").value_or(0);
  device.write_bytes = read_count(element, "write_bytes_sec").value_or(0);
  return device;
}

}  // namespace

CpuTuning parse_cpu_tuning(XmlElement* element) {
  CpuTuning tuning;
  if (!element) return tuning;
  tuning.shares = read_count(*element, "shares");
  tuning.vcpu = parse_cpu_bandwidth(*element, "");
  tuning.global = parse_cpu_bandwidth(*element, "global_");
  tuning.emulator = parse_cpu_bandwidth(*element, "emulator_");
  tuning.iothread = parse_cpu_bandwidth(*element, "iothread_");
  parse_pins(*element, "vcpupin", "vcpu", tuning.vcpu_pins);
  parse_pins(*element, "iothreadpin", "iothread", tuning.iothread_pins);
  if (XmlElement* pin = element->child("emulatorpin")) tuning.emulator_pin = require_set(*pin, "cpuset");
  return tuning;
}

MemoryTuning parse_memory_tuning(XmlElement* element) {
  if (!element) return {};
  return {.hard_limit_kib = read_limit(*element, "hard_limit"),
          .soft_limit_kib = read_limit(*element, "soft_limit"),
          .swap_hard_limit_kib = read_limit(*element, "swap_hard_limit")};
}

BlkioTuning parse_blkio_tuning(XmlElement* element) {
  BlkioTuning tuning;
  if (!element) return tuning;
  tuning.weight = read_small_count(*element, "weight");
  for (XmlElement* child : element->children("device")) {
    BlkioDevice device = parse_blkio_device(*child);
    for (const BlkioDevice& other : tuning.devices)
      if (other.path == device.path)
        throw child->malformed(fmt::format("there are two devices '{}'", device.path.substr(0, 256)));
    tuning.devices.push_back(std::move(device));
  }
  return tuning;
}

NumaTuning parse_numa_tuning(XmlElement* element) {
  NumaTuning tuning;
  XmlElement* memory = element ? element->child("memory") : nullptr;
  if (!memory) return tuning;
  tuning.mode = read_enum(*memory, "mode", names::kNumaMode);
  accept_only(*memory, "placement", "static");
  tuning.nodes = require_set(*memory, "nodeset");
  if (!tuning.mode) tuning.mode = NumaMemoryMode::strict;
  return tuning;
}

std::vector<IoThread> parse_iothreads(XmlElement& root) {
  std::vector<IoThread> threads;
  XmlElement* ids = root.child("iothreadids");
  for (XmlElement* child : ids ? ids->children("iothread") : std::vector<XmlElement*>{}) {
    const IoThread thread{.id = require_number(*child, "id", 1, kMaximumTuned)};
    if (std::find(threads.begin(), threads.end(), thread) != threads.end())
      throw child->malformed(fmt::format("there are two IOThreads {}", thread.id));
    threads.push_back(thread);
  }
  const auto count = read_count(root, "iothreads").value_or(0);
  if (count > kMaximumIoThreads || threads.size() > kMaximumIoThreads)
    throw(count > kMaximumIoThreads ? root.child("iothreads") : ids)
        ->unsupported(fmt::format("a domain has at most {} IOThreads", kMaximumIoThreads));
  // Those that were only counted take the lowest numbers that are free.
  for (std::uint32_t id = 1; threads.size() < count; ++id)
    if (std::find(threads.begin(), threads.end(), IoThread{id}) == threads.end()) threads.push_back({id});
  return threads;
}

PerfEvents parse_perf_events(XmlElement* element) {
  PerfEvents events;
  for (XmlElement* child : element ? element->children("event") : std::vector<XmlElement*>{}) {
    const std::string name = require_text(*child, "name");
    if (std::find(names::kPerfEvents.begin(), names::kPerfEvents.end(), name) == names::kPerfEvents.end())
      throw child->malformed_attribute("name", fmt::format("there is no event '{}'", name.substr(0, 64)));
    const auto enabled = read_yes_no(*child, "enabled");
    if (!enabled) throw child->malformed_attribute("enabled", "it is missing");
    if (!events.enabled.emplace(name, *enabled).second)
      throw child->malformed(fmt::format("the event '{}' is there more than once", name));
  }
  return events;
}

}  // namespace warren::driver::config
