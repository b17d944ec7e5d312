#include "driver/openvswitch/switch_port.h"

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/tool/tool.h"

namespace warren::driver::openvswitch {

namespace {

constexpr const char* kOwner = "virtwarrend";
constexpr int kPatience = 10;  // seconds, for the switch to do what it was told

using Words = std::vector<std::string>;

// A string of the database's (ovsdb(7): as JSON has them), which ends where it is to.
std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      result += fmt::format("\\u{:04x}", c);
      continue;
    }
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

void require_name(std::string_view name, std::string_view what) {
  if (name.empty() || name.front() == '-' || name.find_first_of("\"\\=, ") != std::string_view::npos)
    throw Error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("'{}' cannot be the name of {} of Open vSwitch: it begins with '-', or holds a quote, "
                    "backslash, comma, '=' or blank",
                    name, what));
}

Words call(const std::string& database, Words words) {
  Words all = {"--db=" + database, fmt::format("--timeout={}", kPatience)};
  all.insert(all.end(), std::make_move_iterator(words.begin()), std::make_move_iterator(words.end()));
  return all;
}

ToolResult run(const std::string& database, Words words) {
  return run_tool({.name = "ovs-vsctl",
                   .arguments = call(database, std::move(words)),
                   .deadline = std::chrono::seconds(2 * kPatience)});
}

// What it said, on one line, or that nothing answered it: SIGALRM ends it after its --timeout.
std::string reason(const ToolResult& result) {
  constexpr int kAlarm = 128 + 14;
  if (result.status == kAlarm)
    return fmt::format("ovs-vswitchd did not do it within {} seconds; is it running?", kPatience);
  std::string text = result.errors;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return text.empty() ? fmt::format("ovs-vsctl ended with status {}", result.status) : text.substr(0, 1024);
}

// ovs-vswitchd.conf.db(5), table Port: tag, trunks, vlan_mode.
void add_vlan(Words& words, const config::Vlan& vlan) {
  if (vlan.native_mode) {
    const bool is_tagged = *vlan.native_mode == config::NativeVlanMode::tagged;
    words.emplace_back(is_tagged ? "vlan_mode=native-tagged" : "vlan_mode=native-untagged");
    words.push_back(fmt::format("tag={}", vlan.native_tag));
  }
  if (!vlan.trunk) {
    words.push_back(fmt::format("tag={}", vlan.tags.at(0)));
    return;
  }
  std::string trunks;
  for (const std::uint16_t tag : vlan.tags) trunks += fmt::format("{}{}", trunks.empty() ? "" : ",", tag);
  words.push_back("trunks=" + trunks);
  if (!vlan.native_mode) words.emplace_back("vlan_mode=trunk");
}

// One transaction: nobody sees a port that is in no VLAN yet, or without its name.
Words addition(const SwitchPort& port) {
  Words words = {"--", "--if-exists", "del-port", port.link, "--", "add-port", port.bridge, port.link};
  if (port.vlan) add_vlan(words, *port.vlan);
  if (port.isolated) words.emplace_back("protected=true");
  const auto set = [&](std::string_view key, std::string_view value) {
    words.push_back(fmt::format("external-ids:{}={}", key, quoted(value)));
  };
  words.insert(words.end(), {"--", "set", "Interface", port.link});
  set("attached-mac", config::format_mac_address(port.guest_mac));
  if (port.interface_id) set("iface-id", port.interface_id->to_string());
  set("vm-id", port.machine.to_string());
  if (!port.profile_id.empty()) set("port-profile", port.profile_id);
  set("iface-status", "active");
  set("attached-by", kOwner);
  if (port.mtu) words.push_back(fmt::format("mtu_request={}", *port.mtu));
  return words;
}

// Of a table's row, "" where there is no such row or key.
std::string external_id(const std::string& database, const std::string& link, std::string_view key) {
  const ToolResult result = run(
      database, {"--no-wait", "--if-exists", "get", "Interface", link, fmt::format("external_ids:{}", key)});
  if (result.status != 0)
    throw internal_error(fmt::format("Unable to look up port {} in Open vSwitch: {}", link, reason(result)));
  std::string text = result.output;
  std::erase_if(text, [](char c) { return c == '"' || c == '\n'; });
  return text;
}

void delete_port(const std::string& database, const std::string& link) {
  const ToolResult result = run(database, {"--no-wait", "--", "--if-exists", "del-port", link});
  if (result.status != 0)
    throw internal_error(fmt::format("Unable to delete port {} from OVS: {}", link, reason(result)));
}

}  // namespace

void add_port(const std::string& database, const SwitchPort& port) {
  require_name(port.bridge, "a bridge");
  require_name(port.link, "a port");
  const ToolResult result = run(database, addition(port));
  // A port that the switch could not open is in its database all the same, and said with status 0.
  const bool is_broken = result.errors.find("Error detected while setting up") != std::string::npos;
  if (result.status == 0 && !is_broken) return;
  const Error failed = internal_error(
      fmt::format("Unable to add port {} to OVS bridge {}: {}", port.link, port.bridge, reason(result)));
  try {
    remove_port(database, port.link, port.machine);
  } catch (const Error&) {
    // What went wrong first is what counts.
  }
  throw failed;
}

void remove_port(const std::string& database, const std::string& link, const Uuid& machine) {
  require_name(link, "a port");
  if (external_id(database, link, "vm-id") == machine.to_string()) delete_port(database, link);
}

std::vector<OwnedPort> list_ports(const std::string& database) {
  std::vector<OwnedPort> ports;
  constexpr std::string_view kUnix = "unix:";
  std::error_code none;
  const bool is_file = database.starts_with(kUnix);
  if (is_file && !std::filesystem::exists(database.substr(kUnix.size()), none)) return ports;
  if (find_tool("ovs-vsctl").empty()) return ports;
  const ToolResult result = run(database, {"--no-wait", "--bare", "--columns=name", "find", "Interface",
                                           fmt::format("external_ids:attached-by={}", kOwner)});
  if (result.status != 0)
    throw internal_error(fmt::format("Unable to list the ports of Open vSwitch: {}", reason(result)));
  for (const std::string_view line : split_lines(result.output)) {
    if (line.empty()) continue;
    const std::string link(line);
    if (const auto machine = Uuid::parse(external_id(database, link, "vm-id")))
      ports.push_back({link, *machine});
  }
  return ports;
}

}  // namespace warren::driver::openvswitch
