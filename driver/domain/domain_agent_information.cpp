// What guests tell of themselves, in the names of virDomainGetGuestInfo.
#include <algorithm>
#include <map>
#include <sstream>

#include <fmt/format.h>

#include "driver/domain/domain_agent.h"

namespace warren::driver::domain {

namespace {

using Definition = config::DomainDefinition;

struct GuestDisk {
  std::string target;  // of the domain's disk; empty when it is none of them
  std::optional<std::string> serial;
  std::optional<std::string> device;
};

struct Parameters {
  TypedParameters list;
  template <typename T>
  void add(std::string field, T value) {
    if (list.size() >= kMaximumGuestParameters) {
      throw internal_error(
          fmt::format("the guest agent tells more than the {} facts that fit", kMaximumGuestParameters));
    }
    list.push_back({std::move(field), std::move(value)});
  }
  void add_count(std::string field, std::size_t count) {
    add(std::move(field), static_cast<std::uint32_t>(count));
  }
  void add_if(std::string field, std::optional<std::string> value) {
    if (value) add(std::move(field), std::move(*value));
  }
};

// The guest names disks by the PCI address of their controller; a virtio disk is its own.
std::string target_of(const agent::Value& controller, const Definition& definition) {
  for (const config::Disk& disk : definition.devices.disks) {
    if (!disk.info.pci) continue;
    const config::PciAddress& place = *disk.info.pci;
    if (controller.number("domain") == place.segment && controller.number("bus") == place.bus &&
        controller.number("slot") == place.slot && controller.number("function") == place.function)
      return disk.target;
  }
  return {};
}

GuestDisk disk_of(const agent::Value& address, const Definition& definition) {
  GuestDisk disk;
  disk.serial = address.find_text("serial");
  disk.device = address.find_text("dev");
  if (auto controller = address.find("pci-controller")) disk.target = target_of(*controller, definition);
  return disk;
}

std::vector<GuestDisk> disks_of(const agent::Value& filesystem, const Definition& definition) {
  std::vector<GuestDisk> disks;
  for (const agent::Value& address : filesystem.member("disk").elements(kMaximumGuestFilesystems))
    disks.push_back(disk_of(address, definition));
  return disks;
}

void add_users(Parameters& to, const agent::Value& reply) {
  auto users = reply.elements(kMaximumGuestParameters);
  to.add_count("user.count", users.size());
  for (std::size_t i = 0; i < users.size(); ++i) {
    to.add(fmt::format("user.{}.name", i), users[i].text("user"));
    to.add_if(fmt::format("user.{}.domain", i), users[i].find_text("domain"));
    // Seconds with a fraction, told in milliseconds.
    const double time = users[i].real("login-time") * 1000;
    if (!(time >= 0 && time < 9e18)) throw internal_error("the guest agent tells a login-time out of range");
    to.add(fmt::format("user.{}.login-time", i), static_cast<std::uint64_t>(time));
  }
}

void add_system(Parameters& to, const agent::Value& reply) {
  for (const char* name : {"id", "name", "pretty-name", "version", "version-id", "machine", "variant",
                           "variant-id", "kernel-release", "kernel-version"})
    to.add_if(fmt::format("os.{}", name), reply.find_text(name));
}

void add_timezone(Parameters& to, const agent::Value& reply) {
  to.add_if("timezone.name", reply.find_text("zone"));
  const std::int64_t offset = reply.number("offset");
  if (offset < INT32_MIN || offset > INT32_MAX)
    throw internal_error("the guest agent tells a timezone offset out of range");
  to.add("timezone.offset", static_cast<std::int32_t>(offset));
}

void add_filesystems(Parameters& to, const agent::Value& reply, const Definition& definition) {
  auto entries = reply.elements(kMaximumGuestFilesystems);
  std::reverse(entries.begin(), entries.end());
  to.add_count("fs.count", entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const agent::Value& entry = entries[i];
    to.add(fmt::format("fs.{}.name", i), entry.text("name"));
    to.add(fmt::format("fs.{}.mountpoint", i), entry.text("mountpoint"));
    to.add(fmt::format("fs.{}.fstype", i), entry.text("type"));
    for (const char* size : {"total-bytes", "used-bytes"})
      if (entry.has(size)) to.add(fmt::format("fs.{}.{}", i, size), entry.unsigned_number(size));
    const auto disks = disks_of(entry, definition);
    to.add_count(fmt::format("fs.{}.disk.count", i), disks.size());
    for (std::size_t k = 0; k < disks.size(); ++k) {
      if (!disks[k].target.empty()) to.add(fmt::format("fs.{}.disk.{}.alias", i, k), disks[k].target);
      to.add_if(fmt::format("fs.{}.disk.{}.serial", i, k), disks[k].serial);
      to.add_if(fmt::format("fs.{}.disk.{}.device", i, k), disks[k].device);
    }
  }
}

void add_disks(Parameters& to, const agent::Value& reply, const Definition& definition) {
  auto entries = reply.elements(kMaximumGuestParameters);
  to.add_count("disk.count", entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const agent::Value& entry = entries[i];
    to.add(fmt::format("disk.{}.name", i), entry.text("name"));
    to.add(fmt::format("disk.{}.partition", i), entry.flag("partition"));
    // Older agents spell it otherwise.
    auto needs = entry.find("dependencies");
    if (!needs) needs = entry.find("dependents");
    if (needs) {
      const auto names = needs->elements(kMaximumGuestParameters);
      if (!names.empty()) to.add_count(fmt::format("disk.{}.dependency.count", i), names.size());
      for (std::size_t k = 0; k < names.size(); ++k)
        to.add(fmt::format("disk.{}.dependency.{}.name", i, k), names[k].as_text());
    }
    if (auto address = entry.find("address")) {
      const GuestDisk disk = disk_of(*address, definition);
      to.add_if(fmt::format("disk.{}.serial", i), disk.serial);
      if (!disk.target.empty()) to.add(fmt::format("disk.{}.alias", i), disk.target);
    }
    to.add_if(fmt::format("disk.{}.guest_alias", i), entry.find_text("alias"));
  }
}

void add_interfaces(Parameters& to, const agent::Value& reply) {
  const auto interfaces = interfaces_of(reply);
  to.add_count("if.count", interfaces.size());
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    to.add(fmt::format("if.{}.name", i), interfaces[i].name);
    to.add_if(fmt::format("if.{}.hwaddr", i), interfaces[i].hardware_address);
    const auto& addresses = interfaces[i].addresses;
    to.add_count(fmt::format("if.{}.addr.count", i), addresses.size());
    for (std::size_t k = 0; k < addresses.size(); ++k) {
      const std::string prefix = fmt::format("if.{}.addr.{}.", i, k);
      to.add(prefix + "type", std::string(addresses[k].type == VIR_IP_ADDR_TYPE_IPV4 ? "ipv4" : "ipv6"));
      to.add(prefix + "addr", addresses[k].address);
      to.add(prefix + "prefix", addresses[k].prefix);
    }
  }
}

void add_group(Parameters& to, unsigned int type, const agent::Value& reply, const Definition& definition) {
  switch (type) {
    case VIR_DOMAIN_GUEST_INFO_USERS:
      return add_users(to, reply);
    case VIR_DOMAIN_GUEST_INFO_OS:
      return add_system(to, reply);
    case VIR_DOMAIN_GUEST_INFO_TIMEZONE:
      return add_timezone(to, reply);
    case VIR_DOMAIN_GUEST_INFO_HOSTNAME:
      return to.add("hostname", reply.text("host-name"));
    case VIR_DOMAIN_GUEST_INFO_FILESYSTEM:
      return add_filesystems(to, reply, definition);
    case VIR_DOMAIN_GUEST_INFO_DISKS:
      return add_disks(to, reply, definition);
    default:
      return add_interfaces(to, reply);
  }
}

struct Group {
  unsigned int type;
  const char* command;
};
constexpr Group kGroups[] = {{VIR_DOMAIN_GUEST_INFO_USERS, "guest-get-users"},
                             {VIR_DOMAIN_GUEST_INFO_OS, "guest-get-osinfo"},
                             {VIR_DOMAIN_GUEST_INFO_TIMEZONE, "guest-get-timezone"},
                             {VIR_DOMAIN_GUEST_INFO_HOSTNAME, "guest-get-host-name"},
                             {VIR_DOMAIN_GUEST_INFO_FILESYSTEM, "guest-get-fsinfo"},
                             {VIR_DOMAIN_GUEST_INFO_DISKS, "guest-get-disks"},
                             {VIR_DOMAIN_GUEST_INFO_INTERFACES, "guest-network-get-interfaces"}};

}  // namespace

Task<TypedParameters> read_guest_information(AgentSession& session, unsigned int types,
                                             std::shared_ptr<const Definition> definition) {
  unsigned int known = 0;
  for (const Group& group : kGroups) known |= group.type;
  if ((types & ~known) != 0)
    throw invalid_argument(fmt::format("unsupported guest information types '{:#x}'", types & ~known));
  Parameters parameters;
  for (const Group& group : kGroups) {
    if (types != 0 && (types & group.type) == 0) continue;
    agent::Request request(group.command);
    std::optional<agent::Value> reply;
    if (types == 0) {
      reply = co_await session.ask_if_known(std::move(request));
    } else {
      reply = co_await session.ask(std::move(request));
    }
    if (reply) add_group(parameters, group.type, *reply, *definition);
  }
  co_return std::move(parameters.list);
}

std::vector<GuestFilesystem> filesystems_of(const agent::Value& reply, const Definition& definition) {
  std::vector<GuestFilesystem> result;
  auto entries = reply.elements(kMaximumGuestFilesystems);
  std::reverse(entries.begin(), entries.end());
  for (const agent::Value& entry : entries) {
    GuestFilesystem filesystem{entry.text("mountpoint"), entry.text("name"), entry.text("type"), {}};
    for (const GuestDisk& disk : disks_of(entry, definition))
      if (!disk.target.empty()) filesystem.disks.push_back(disk.target);
    result.push_back(std::move(filesystem));
  }
  return result;
}

std::vector<GuestInterface> interfaces_of(const agent::Value& reply) {
  std::vector<GuestInterface> result;
  std::map<std::string, std::size_t, std::less<>> places;
  for (const agent::Value& entry : reply.elements(kMaximumGuestInterfaces)) {
    // "eth0:1" is another name of eth0, with more addresses.
    std::string name = entry.text("name");
    name.resize(std::min(name.size(), name.find(':')));
    auto [place, is_new] = places.emplace(name, result.size());
    if (is_new) result.push_back({name, entry.find_text("hardware-address"), {}});
    auto addresses = entry.find("ip-addresses");
    if (!addresses) continue;
    auto& to = result[place->second].addresses;
    for (const agent::Value& address : addresses->elements(kMaximumGuestAddresses - to.size())) {
      const std::string type = address.text("ip-address-type");
      if (type != "ipv4" && type != "ipv6")
        throw internal_error("the guest agent tells an address of a type that is neither ipv4 nor ipv6");
      to.push_back({type == "ipv4" ? VIR_IP_ADDR_TYPE_IPV4 : VIR_IP_ADDR_TYPE_IPV6,
                    address.text("ip-address"), address.index_number("prefix")});
    }
  }
  return result;
}

std::vector<GuestInterface> arp_addresses(const Definition& definition, std::string_view table) {
  std::multimap<std::string, std::string> by_mac;
  std::istringstream lines{std::string(table)};
  std::string line;
  std::getline(lines, line);  // names of the columns
  while (std::getline(lines, line)) {
    std::istringstream columns(line);
    std::string address, type, flags, mac;
    // Flags 0x0: asked for and not answered.
    if (columns >> address >> type >> flags >> mac && flags != "0x0") by_mac.emplace(mac, address);
  }
  std::vector<GuestInterface> result;
  for (const config::Interface& interface : definition.devices.interfaces) {
    if (!interface.mac) continue;
    const std::string mac = config::format_mac_address(*interface.mac);
    GuestInterface found{interface.target, mac, {}};
    auto [first, last] = by_mac.equal_range(mac);
    for (; first != last; ++first) found.addresses.push_back({VIR_IP_ADDR_TYPE_IPV4, first->second, 0});
    if (!found.addresses.empty()) result.push_back(std::move(found));
  }
  return result;
}

}  // namespace warren::driver::domain
