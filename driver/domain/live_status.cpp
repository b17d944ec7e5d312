#include "driver/domain/live_status.h"

#include <charconv>
#include <concepts>

#include <fmt/format.h>

#include "driver/config/domain_xml.h"
#include "driver/config/xml_tree.h"
#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"
#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace {

constexpr std::string_view kEnd = "</domstatus>\n";
constexpr std::string_view kPrivateEnd = "</private>\n";

using Stage = BlockJobStage;
constexpr config::EnumName<Stage> kStageNames[] = {{"running", Stage::running},
                                                   {"ready", Stage::ready},
                                                   {"pivoting", Stage::pivoting},
                                                   {"aborting", Stage::aborting}};
constexpr config::EnumTable<Stage> kStage{kStageNames, {}};

// The first line is ours alone and holds only numbers and two words: no XML parser is needed to read it.
std::string_view attribute(std::string_view line, std::string_view name) {
  std::string key = fmt::format(" {}='", name);
  std::size_t place = line.find(key);
  if (place == std::string_view::npos)
    throw internal_error(fmt::format("domstatus has no attribute '{}'", name));
  place += key.size();
  std::size_t end = line.find('\'', place);
  if (end == std::string_view::npos) throw internal_error(fmt::format("domstatus: '{}' is not closed", name));
  return line.substr(place, end - place);
}

template <std::integral T>
T number(std::string_view line, std::string_view name) {
  std::string_view text = attribute(line, name);
  T value{};
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size()) {
    throw internal_error(fmt::format("domstatus: '{}' is not a number that fits", name));
  }
  return value;
}

void format_volume(config::XmlWriter& writer, const config::Disk& disk) {
  writer.begin("volume");
  writer.attribute("disk", disk.target);
  writer.attribute("type", disk.source_type == config::DiskSourceType::file ? "file" : "block");
  writer.attribute("path", disk.source);
  writer.end();
}

void format_job(config::XmlWriter& writer, const BlockJobRecord& job) {
  writer.begin("blockjob");
  writer.attribute("disk", job.disk);
  writer.attribute("type", job.type);
  writer.attribute("stage", kStage.name(job.stage));
  writer.attribute("top", job.top);
  if (job.base) writer.attribute("base", *job.base);
  if (job.deletes_images) writer.attribute("delete", "yes");
  if (job.holds_guest) writer.attribute("holds-guest", "yes");
  writer.end();
}

std::string format_private(const LiveStatus& status) {
  config::XmlWriter writer(512);
  writer.begin("private");
  bool is_empty = status.block_jobs.empty();
  for (const config::Disk& disk : status.live.devices.disks) {
    if (!disk.volume || disk.source.empty()) continue;
    format_volume(writer, disk);
    is_empty = false;
  }
  for (const BlockJobRecord& job : status.block_jobs) format_job(writer, job);
  writer.end();
  return is_empty ? std::string() : writer.take();
}

config::Disk& disk_of(config::DomainDefinition& live, const std::string& target) {
  for (config::Disk& disk : live.devices.disks)
    if (disk.target == target) return disk;
  throw internal_error(fmt::format("domstatus: there is no disk '{}'", target));
}

BlockJobRecord parse_job(config::XmlElement& element, config::DomainDefinition& live) {
  BlockJobRecord job;
  job.disk = config::require_text(element, "disk");
  const auto images = static_cast<std::uint32_t>(disk_of(live, job.disk).backing.size());
  job.type =
      static_cast<int>(config::require_number(element, "type", 1, VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT));
  job.stage = config::require_enum(element, "stage", kStage);
  job.top = config::require_number(element, "top", 0, images);
  if (element.attribute("base")) job.base = config::require_number(element, "base", 1, images);
  job.deletes_images = element.attribute("delete") == "yes";
  job.holds_guest = element.attribute("holds-guest") == "yes";
  return job;
}

void parse_private(std::string_view text, LiveStatus& status) {
  config::XmlDocument document(text, "domstatus");
  for (config::XmlElement* volume : document.root().children("volume")) {
    config::Disk& disk = disk_of(status.live, config::require_text(*volume, "disk"));
    disk.source_type =
        volume->attribute("type") == "block" ? config::DiskSourceType::block : config::DiskSourceType::file;
    disk.source = config::require_text(*volume, "path");
  }
  for (config::XmlElement* job : document.root().children("blockjob"))
    status.block_jobs.push_back(parse_job(*job, status.live));
}

}  // namespace

std::string format_status(const LiveStatus& status) {
  const std::string bound = status.bound_devices.empty()
                                ? std::string()
                                : fmt::format(" host-devices='{}'", format_bound(status.bound_devices));
  return fmt::format(
      "<domstatus version='1' phase='{}' pid='{}' start-time='{}' state='{}' reason='{}' resets='{}' "
      "reboot='{}' started='{}' agent-timeout='{}'{}>\n{}{}{}",
      status.phase == LiveStatus::Phase::starting ? "starting" : "running", status.pid, status.start_time,
      status.state, status.reason, status.resets, status.reboot_requested ? 1 : 0, status.started,
      status.agent_timeout, bound, format_private(status),
      config::format_domain(status.live, {.inactive = false, .secure = true}), kEnd);
}

LiveStatus parse_status(std::string_view text) {
  std::size_t line_end = text.find('\n');
  if (!text.starts_with("<domstatus ") || line_end == std::string_view::npos || !text.ends_with(kEnd)) {
    throw internal_error("not a <domstatus> document");
  }
  std::string_view line = text.substr(0, line_end);
  if (number<int>(line, "version") != 1) throw internal_error("domstatus of an unknown version");
  LiveStatus status;
  status.phase =
      attribute(line, "phase") == "running" ? LiveStatus::Phase::running : LiveStatus::Phase::starting;
  status.pid = number<pid_t>(line, "pid");
  status.start_time = number<std::uint64_t>(line, "start-time");
  status.state = number<int>(line, "state");
  status.reason = number<int>(line, "reason");
  status.resets = number<std::uint64_t>(line, "resets");
  status.reboot_requested = number<int>(line, "reboot") != 0;
  status.started = number<std::int64_t>(line, "started");
  // An earlier daemon's has none.
  if (line.find(" agent-timeout='") != std::string_view::npos)
    status.agent_timeout = number<int>(line, "agent-timeout");
  if (line.find(" host-devices='") != std::string_view::npos)
    status.bound_devices = parse_bound(attribute(line, "host-devices"));
  std::string_view domain = text.substr(line_end + 1, text.size() - line_end - 1 - kEnd.size());
  std::string_view details;
  if (domain.starts_with("<private>")) {
    const std::size_t end = domain.find(kPrivateEnd);
    if (end == std::string_view::npos) throw internal_error("domstatus: <private> has no end");
    details = domain.substr(0, end + kPrivateEnd.size());
    domain.remove_prefix(details.size());
  }
  status.live = config::parse_domain(domain, {.inactive = false});
  if (!details.empty()) parse_private(details, status);
  if (!status.live.uuid) throw internal_error("domstatus without a uuid");
  return status;
}

}  // namespace warren::driver::domain
