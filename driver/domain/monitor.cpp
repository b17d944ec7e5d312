#include "driver/domain/monitor.h"

#include <array>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <libvirt/libvirt.h>

#include "driver/contract/error.h"
#include "driver/domain/monitor_input.h"
#include "driver/domain/worker_threads.h"

namespace warren::driver::domain {

namespace {

namespace json = boost::json;

// The QEMU whose language this is: the version that connections of its flavour are shown.
constexpr unsigned int kMajor = 7, kMinor = 2, kMicro = 0;

const char* status_of(const Snapshot& domain) {
  switch (domain.state.state) {
    case VIR_DOMAIN_RUNNING:
      return "running";
    case VIR_DOMAIN_PMSUSPENDED:
      return "suspended";
    case VIR_DOMAIN_PAUSED:
      if (domain.state.reason == VIR_DOMAIN_PAUSED_IOERROR) return "io-error";
      return domain.state.reason == VIR_DOMAIN_PAUSED_WATCHDOG ? "watchdog" : "paused";
    case VIR_DOMAIN_CRASHED:
      return "guest-panicked";
    default:
      return "shutdown";
  }
}

json::value query_status(const Snapshot& domain) {
  return {{"status", status_of(domain)},
          {"singlestep", false},
          {"running", domain.state.state == VIR_DOMAIN_RUNNING}};
}

json::value query_version(const Snapshot&) {
  return {{"qemu", {{"major", kMajor}, {"minor", kMinor}, {"micro", kMicro}}}, {"package", "Warren"}};
}

json::value query_name(const Snapshot& domain) {
  return {{"name", domain.handle.name}};
}

json::value query_uuid(const Snapshot& domain) {
  return {{"UUID", domain.handle.uuid.to_string()}};
}

json::value query_kvm(const Snapshot&) {
  return {{"enabled", true}, {"present", true}};
}

json::value query_machines(const Snapshot&) {
  return json::array{{{"name", "q35"}, {"is-default", true}, {"cpu-max", 255}, {"deprecated", false}}};
}

std::string device_path(const config::DeviceInfo& info) {
  return "/machine/peripheral/" + info.alias;
}

json::value query_block(const Snapshot& domain) {
  json::array all;
  for (const config::Disk& disk : domain.live->devices.disks) {
    json::object inserted{{"file", disk.source},
                          {"ro", disk.read_only},
                          {"drv", disk.driver.format == config::DiskFormat::qcow2 ? "qcow2" : "raw"},
                          {"encrypted", false},
                          {"backing_file_depth", disk.backing.size()}};
    all.push_back({{"device", "drive-" + disk.info.alias},
                   {"qdev", device_path(disk.info)},
                   {"type", "unknown"},
                   {"removable", disk.device == config::DiskDevice::cdrom},
                   {"locked", false},
                   {"io-status", "ok"}});
    json::object& told = all.back().as_object();
    if (disk.device == config::DiskDevice::cdrom) told["tray_open"] = disk.tray_open;
    if (disk.has_source()) told["inserted"] = std::move(inserted);
  }
  return all;
}

json::value query_blockstats(const Snapshot& domain) {
  json::array all;
  const auto& disks = domain.live->devices.disks;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const BlockFigures figures =
        domain.counters ? domain.counters->disk(disks[i].info.alias) : BlockFigures{};
    all.push_back({{"device", "drive-" + disks[i].info.alias},
                   {"qdev", device_path(disks[i].info)},
                   {"stats",
                    {{"rd_operations", figures.read_requests},
                     {"rd_bytes", figures.read_bytes},
                     {"rd_total_time_ns", figures.read_nanoseconds},
                     {"wr_operations", figures.write_requests},
                     {"wr_bytes", figures.write_bytes},
                     {"wr_total_time_ns", figures.write_nanoseconds},
                     {"flush_operations", figures.flush_requests},
                     {"flush_total_time_ns", figures.flush_nanoseconds}}}});
  }
  return all;
}

json::value query_cpus_fast(const Snapshot& domain) {
  json::array all;
  const auto topology = domain.live->cpu && domain.live->cpu->topology
                            ? *domain.live->cpu->topology
                            : config::CpuTopology{.sockets = domain.live->vcpu.maximum};
  for (const auto& [number, thread] : threads_of(domain.pid).vcpus) {
    const std::uint32_t core = number / topology.threads;
    all.push_back({{"cpu-index", number},
                   {"thread-id", thread},
                   {"qom-path", fmt::format("/machine/unattached/device[{}]", number)},
                   {"target", "x86_64"},
                   {"props",
                    {{"thread-id", number % topology.threads},
                     {"core-id", core % topology.cores},
                     {"die-id", core / topology.cores % topology.dies},
                     {"socket-id", core / topology.cores / topology.dies}}}});
  }
  return all;
}

json::value query_iothreads(const Snapshot& domain) {
  json::array all;
  for (const auto& [id, thread] : threads_of(domain.pid).iothreads)
    all.push_back({{"id", fmt::format("iothread{}", id)}, {"thread-id", thread}});
  return all;
}

json::value query_chardev(const Snapshot& domain) {
  json::array all;
  const auto add = [&all](const config::DeviceInfo& info, const config::CharacterBackend& backend) {
    std::string name = "null";
    if (backend.type == config::CharacterBackendType::pty) name = "pty:" + backend.path;
    if (backend.type == config::CharacterBackendType::file) name = "file";
    all.push_back({{"label", "char" + info.alias}, {"filename", name}, {"frontend-open", true}});
  };
  for (const config::SerialPort& serial : domain.live->devices.serials) add(serial.info, serial.backend);
  for (const config::Console& console : domain.live->devices.consoles)
    if (console.target == config::ConsoleTarget::virtio) add(console.info, console.backend);
  return all;
}

json::value query_memory_size_summary(const Snapshot& domain) {
  const config::DomainDefinition& live = *domain.live;
  const std::uint64_t base = config::initial_memory_kib(live);
  const std::uint64_t plugged = live.memory.maximum_kib - base - config::virtio_memory_kib(live) +
                                config::current_virtio_memory_kib(live);
  return {{"base-memory", base * 1024}, {"plugged-memory", plugged * 1024}};
}

json::value query_commands(const Snapshot& domain);

struct Command {
  std::string_view name;
  json::value (*answer)(const Snapshot& domain);
};

// null: there is none.
json::value query_balloon(const Snapshot& domain) {
  if (domain.live->devices.balloon() == nullptr || !domain.counters) return nullptr;
  return {{"actual", domain.counters->balloon().actual_bytes}};
}

constexpr auto kCommands = std::to_array<Command>({
    {"query-balloon", query_balloon},
    {"query-block", query_block},
    {"query-blockstats", query_blockstats},
    {"query-chardev", query_chardev},
    {"query-commands", query_commands},
    {"query-cpus-fast", query_cpus_fast},
    {"query-iothreads", query_iothreads},
    {"query-kvm", query_kvm},
    {"query-machines", query_machines},
    {"query-memory-size-summary", query_memory_size_summary},
    {"query-name", query_name},
    {"query-status", query_status},
    {"query-uuid", query_uuid},
    {"query-version", query_version},
});

json::value query_commands(const Snapshot&) {
  json::array all;
  for (const Command& command : kCommands) all.push_back(json::object{{"name", json::string(command.name)}});
  for (const std::string_view name : kMonitorInputCommands)
    all.push_back(json::object{{"name", json::string(name)}});
  return all;
}

json::object failure(const char* error_class, std::string text) {
  return {{"error", {{"class", error_class}, {"desc", std::move(text)}}}};
}

json::object execute(const Snapshot& domain, const json::value& request) {
  const auto* object = request.if_object();
  const auto* member = object == nullptr ? nullptr : object->if_contains("execute");
  const auto* name = member == nullptr ? nullptr : member->if_string();
  if (name == nullptr) return failure("GenericError", "QMP input lacks member 'execute'");
  for (const auto& [key, ignored] : *object) {
    if (key != "execute" && key != "arguments" && key != "id")
      return failure("GenericError",
                     fmt::format("QMP input member '{}' is unexpected", std::string_view(key)));
  }
  const auto* arguments = object->if_contains("arguments");
  for (const Command& command : kCommands) {
    if (std::string_view(*name) != command.name) continue;
    // None of them takes any.
    if (arguments != nullptr && (!arguments->is_object() || !arguments->get_object().empty()))
      return failure("GenericError", "QMP input member 'arguments' is unexpected");
    json::value answer = command.answer(domain);
    if (answer.is_null()) return failure("DeviceNotActive", "No balloon device has been activated");
    return {{"return", std::move(answer)}};
  }
  return failure("CommandNotFound",
                 fmt::format("The command {} has not been found", std::string_view(*name)));
}

std::string describe_blocks(const Snapshot& domain) {
  std::string text;
  for (const config::Disk& disk : domain.live->devices.disks)
    text += fmt::format("drive-{}: {}\r\n    Attached to:      {}\r\n", disk.info.alias,
                        !disk.has_source()
                            ? "[not inserted]"
                            : fmt::format("{} (raw{})", disk.source, disk.read_only ? ", read-only" : ""),
                        device_path(disk.info));
  return text;
}

std::string describe_cpus(const Snapshot& domain) {
  std::string text;
  for (const auto& [number, thread] : threads_of(domain.pid).vcpus)
    text += fmt::format("{} CPU #{}: thread_id={}\r\n", number == 0 ? '*' : ' ', number, thread);
  return text;
}

std::string information(const Snapshot& domain, std::string_view topic) {
  if (topic == "status") {
    const std::string_view status = status_of(domain);
    return fmt::format("VM status: {}{}\r\n", domain.state.state == VIR_DOMAIN_RUNNING ? "" : "paused",
                       domain.state.state == VIR_DOMAIN_RUNNING ? std::string(status)
                       : status == "paused"                     ? std::string()
                                                                : fmt::format(" ({})", status));
  }
  if (topic == "name") return domain.handle.name + "\r\n";
  if (topic == "uuid") return domain.handle.uuid.to_string() + "\r\n";
  if (topic == "version") return fmt::format("{}.{}.{} (Warren)\r\n", kMajor, kMinor, kMicro);
  if (topic == "kvm") return "kvm support: enabled\r\n";
  if (topic == "block") return describe_blocks(domain);
  if (topic == "cpus") return describe_cpus(domain);
  return fmt::format("unknown command: 'info {}'\r\n", topic);
}

}  // namespace

std::string answer_qmp(const Snapshot& domain, const std::string& request) {
  json::error_code failed;
  const json::value parsed = json::parse(request, failed);
  if (failed)
    throw internal_error(fmt::format("cannot parse json {}: {}", request.substr(0, 256), failed.message()));
  json::object answer = execute(domain, parsed);
  const auto* object = parsed.if_object();
  const auto* id = object == nullptr ? nullptr : object->if_contains("id");
  answer["id"] = id != nullptr ? *id : json::value("libvirt-1");
  return json::serialize(answer);
}

std::string answer_human_monitor(const Snapshot& domain, const std::string& line) {
  std::string_view text = line;
  const auto take_word = [&text] {
    const std::size_t first = std::min(text.find_first_not_of(" \t\r\n"), text.size());
    text.remove_prefix(first);
    const std::size_t end = std::min(text.find_first_of(" \t\r\n"), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(end);
    return word;
  };
  const std::string_view command = take_word();
  if (command.empty()) return "";
  if (command == "info") return information(domain, take_word());
  if (command == "help") {
    return "info block|cpus|kvm|name|status|uuid|version -- show what is asked\r\n";
  }
  return fmt::format("unknown command: '{}'\r\n", command);
}

}  // namespace warren::driver::domain
