#include "driver/storage/backend/iscsi_backend.h"

#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "driver/storage/backend/block_device.h"
#include "driver/storage/backend/scsi_backend.h"
#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

Tool iscsiadm(std::vector<std::string> arguments) {
  return {.name = "iscsiadm", .arguments = std::move(arguments), .deadline = std::chrono::seconds(120)};
}

std::string portal_of(const SourceHost& host) {
  const bool is_address6 = host.name.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_address6 ? "[" : "", host.name, is_address6 ? "]" : "",
                     host.port == 0 ? 3260 : host.port);
}

// "10.0.0.1:3260,1 iqn.2012-07.…": what a target portal offers.
std::vector<std::string> discover(const std::string& portal) {
  std::vector<std::string> names;
  const std::string output =
      require_tool(iscsiadm({"--mode", "discovery", "--type", "sendtargets", "--portal", portal}));
  for (std::string_view line : split_lines(output)) {
    const std::size_t blank = line.find(' ');
    if (blank != std::string_view::npos) names.emplace_back(line.substr(blank + 1));
  }
  return names;
}

}  // namespace

std::string IscsiBackend::portal() const {
  return portal_of(pool_.source.hosts.at(0));
}

std::string IscsiBackend::session() const {
  // 21: iscsiadm(8), "no records found".
  const ToolResult result = run_tool(iscsiadm({"--mode", "session"}));
  if (result.status == 21) return {};
  for (std::string_view line : split_lines(result.output)) {
    // "tcp: [1] 10.0.0.1:3260,1 iqn.2012-07.… (non-flash)"
    const auto fields = split_fields(line, ' ');
    if (fields.size() >= 4 && fields[3] == target_name() && fields[1].size() > 2)
      return std::string(fields[1].substr(1, fields[1].size() - 2));
  }
  return {};
}

bool IscsiBackend::is_there() {
  return !session().empty();
}

void IscsiBackend::set_node(const std::string& name, const std::string& value) {
  require_tool(iscsiadm({"--mode", "node", "--portal", portal(), "--target", target_name(), "--op", "update",
                         "--name", name, "--value", value}));
}

std::vector<std::string> IscsiBackend::interface_arguments() {
  const std::string& name = pool_.source.initiator;
  if (name.empty()) return {};
  // An initiator name of one's own belongs to an interface record; ours is named after it.
  std::string interface = "warren-iface-";
  for (const char c : name) interface += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  run_tool(iscsiadm({"--mode", "iface", "--interface", interface, "--op", "new"}));  // it may be there
  require_tool(iscsiadm({"--mode", "iface", "--interface", interface, "--op", "update", "--name",
                         "iface.initiatorname", "--value", name}));
  require_tool(iscsiadm(
      {"--mode", "discovery", "--type", "sendtargets", "--interface", interface, "--portal", portal()}));
  return {"--interface", interface};
}

void IscsiBackend::start() {
  if (is_there()) return;
  std::vector<std::string> interface = interface_arguments();
  if (interface.empty()) discover(portal());
  // The pool logs in, not the host at its start.
  set_node("node.startup", "manual");
  if (pool_.source.authentication.type == "chap") {
    set_node("node.session.auth.authmethod", "CHAP");
    set_node("node.session.auth.username", pool_.source.authentication.username);
    set_node("node.session.auth.password", request_.secret);
  }
  std::vector<std::string> arguments{"--mode",       "node",        "--portal", portal(),
                                     "--targetname", target_name(), "--login"};
  arguments.insert(arguments.end(), interface.begin(), interface.end());
  require_tool(iscsiadm(std::move(arguments)));
  settle_devices();
}

void IscsiBackend::stop() {
  if (!is_there()) return;
  require_tool(iscsiadm({"--mode", "node", "--portal", portal(), "--targetname", target_name(), "--logout"}));
}

unsigned IscsiBackend::host_of_session() const {
  const std::string number = session();
  if (number.empty())
    throw storage_error(VIR_ERR_INTERNAL_ERROR, "cannot find iscsi session of the pool's target");
  const std::filesystem::path device = fmt::format("/sys/class/iscsi_session/session{}/device", number);
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(device, failed)) {
    const std::string name = entry.path().filename().native();
    if (!name.starts_with("target")) continue;  // targetH:B:T
    unsigned host = 0;
    std::from_chars(name.data() + 6, name.data() + name.size(), host);
    return host;
  }
  throw storage_error(
      VIR_ERR_INTERNAL_ERROR,
      fmt::format("Failed to get host number for iSCSI session with path '{}'", device.native()));
}

void IscsiBackend::refresh(Reporter& reporter) {
  require_tool(iscsiadm({"--mode", "session", "-r", session(), "-R"}));
  settle_devices();
  report_units(units_of_host(host_of_session(), pool_.target_path), pool_, reporter);
}

std::vector<PoolSource> IscsiBackend::find_sources() {
  if (request_.specification.empty() || pool_.source.hosts.size() != 1)
    throw storage_error(VIR_ERR_INVALID_ARG, "hostname and device path must be specified for iscsi sources");
  std::vector<PoolSource> sources;
  for (const std::string& name : discover(portal())) {
    PoolSource& found = sources.emplace_back();
    found.hosts = pool_.source.hosts;
    found.devices.push_back({.path = name});
    found.initiator = pool_.source.initiator;
  }
  return sources;
}

VolumeDefinition IscsiBackend::inspect(const VolumeDefinition& volume) {
  for (VolumeDefinition& found : units_of_host(host_of_session(), pool_.target_path))
    if (found.name == volume.name) return found;
  throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                      fmt::format("no storage vol with matching name '{}'", volume.name));
}

vmm::FileDescriptor IscsiBackend::open_data(const VolumeDefinition& volume, int access) {
  return open_device(inspect(volume).target.path, access);
}

}  // namespace warren::driver::storage::backend
