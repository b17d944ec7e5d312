// NetworkHost for the kernel of this host: links by netlink, rules by nft, DHCP and DNS by dnsmasq.
#include "driver/network/system_host.h"

#include <algorithm>
#include <ctime>
#include <filesystem>

#include <fmt/format.h>

#include "driver/link/address.h"
#include "driver/link/bridge.h"
#include "driver/link/link.h"
#include "driver/link/neighbour.h"
#include "driver/link/sysctl.h"
#include "driver/link/traffic_limit.h"
#include "driver/network/dnsmasq_leases.h"
#include "driver/network/firewall_zone.h"
#include "driver/network/foreign_drops.h"
#include "driver/network/network_rules.h"
#include "driver/network/network_table.h"

namespace warren::driver::network {

namespace {

constexpr std::uint32_t kRouteMetric =
    1;  // where a <route> says none; the kernel's own is 0, or 1024 of IPv6

bool has_family(const NetworkDefinition& definition, bool ipv6) {
  return std::ranges::any_of(definition.addresses, [ipv6](const NetworkAddress& address) {
    return address.address && address.address->is_ipv6 == ipv6;
  });
}

// Ports of several VLANs need a bridge that tells them apart.
bool needs_vlans(const NetworkDefinition& definition) {
  return definition.vlan.has_value() ||
         definition.bridge.mac_table_manager == config::MacTableManager::libvirt ||
         std::ranges::any_of(definition.port_groups,
                             [](const PortGroup& group) { return group.vlan.has_value(); });
}

void require_unused(const NetworkDefinition& definition) {
  const auto check = [&definition](const IpAddress& address, unsigned prefix) {
    const auto user =
        link::link_using(config::first_address(address, prefix), prefix, {definition.bridge.name});
    if (!user) return;
    throw network_error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("Network is already in use by interface {}: {}/{} of network '{}'", *user,
                                    config::format_ip_address(config::first_address(address, prefix)), prefix,
                                    definition.name));
  };
  for (const NetworkAddress& address : definition.addresses)
    if (address.address) check(*address.address, address.effective_prefix());
  for (const NetworkRoute& route : definition.routes) check(route.address, route.effective_prefix());
}

// IPv6 only for what has it: guests are not to reach the host by an address that nobody gave it.
void set_up_ipv6(const NetworkDefinition& definition) {
  const std::string& bridge = definition.bridge.name;
  if (!has_family(definition, true)) {
    link::write_link_setting(link::AddressFamily::ipv6, bridge, "disable_ipv6", "1");
    return;
  }
  link::write_link_setting(link::AddressFamily::ipv6, bridge, "disable_ipv6", "0");
  link::write_link_setting(link::AddressFamily::ipv6, bridge, "accept_ra", "0");
  link::write_link_setting(link::AddressFamily::ipv6, bridge, "autoconf", "0");
}

// What is there already stays.
void set_up_link(const NetworkDefinition& definition) {
  const std::string& bridge = definition.bridge.name;
  for (const NetworkAddress& address : definition.addresses)
    if (address.address) link::add_address(bridge, {*address.address, address.effective_prefix()});
  link::set_up(bridge);
  for (const NetworkRoute& route : definition.routes) {
    link::add_route({.network = config::first_address(route.address, route.effective_prefix()),
                     .prefix = route.effective_prefix(),
                     .gateway = route.gateway,
                     .link = bridge,
                     .metric = route.metric.value_or(kRouteMetric)});
  }
}

void start_forwarding(const NetworkDefinition& definition) {
  if (!definition.forward) return;
  if (has_family(definition, false)) link::start_forwarding(link::AddressFamily::ipv4);
  if (!has_family(definition, true)) return;
  if (const auto loser = link::link_losing_routes()) {
    throw network_error(
        VIR_ERR_INTERNAL_ERROR,
        fmt::format("Check the host setup: interface {} has kernel autoconfigured IPv6 routes and enabling "
                    "forwarding "
                    "without accept_ra set to 2 will cause the kernel to flush them, breaking networking.",
                    *loser));
  }
  link::start_forwarding(link::AddressFamily::ipv6);
}

// Takes away the rules of a network that does not come to be, and its place in a zone.
class HalfMadeRules {
 public:
  explicit HalfMadeRules(const NetworkDefinition& definition) : definition_(&definition) {}
  HalfMadeRules(const HalfMadeRules&) = delete;
  HalfMadeRules& operator=(const HalfMadeRules&) = delete;
  ~HalfMadeRules() {
    if (definition_ == nullptr) return;
    leave_zone(*definition_);
    try {
      remove_rules(*definition_);
    } catch (const Error&) {
      // Rules of a bridge that is not there do nothing, and go with the next change of all.
    }
  }
  void keep() noexcept { definition_ = nullptr; }

 private:
  const NetworkDefinition* definition_;
};

}  // namespace

SystemHost::SystemHost(boost::asio::io_context& loop, NameServiceSettings settings)
    : loop_(loop), settings_(std::move(settings)) {}

bool SystemHost::has_link(const std::string& name) {
  return link::exists(name);
}

// sysfs: /sys/class/net/LINK/device/virtfnN is a link to …/0000:03:10.0 (the kernel's sysfs-bus-pci).
std::vector<config::PciAddress> SystemHost::virtual_functions(const std::string& name) {
  link::require_link(name);
  const std::filesystem::path device = std::filesystem::path("/sys/class/net") / name / "device";
  std::vector<config::PciAddress> functions;
  for (unsigned i = 0;; ++i) {
    std::error_code failed;
    const auto target = std::filesystem::read_symlink(device / fmt::format("virtfn{}", i), failed);
    if (failed) break;
    if (const auto address = config::parse_pci_address(target.filename().string()))
      functions.push_back(*address);
  }
  if (functions.empty()) {
    throw network_error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("no virtual functions: interface {} has none; write their number to "
                                    "{}/sriov_numvfs",
                                    name, device.string()));
  }
  return functions;
}

std::vector<std::string> SystemHost::start(const NetworkDefinition& definition) {
  const std::string& bridge = definition.bridge.name;
  require_unused(definition);
  link::create_bridge({.name = bridge,
                       .mac = definition.mac,
                       .stp = definition.bridge.stp,
                       .delay_s = definition.bridge.delay_s,
                       .mtu = definition.mtu,
                       .vlan_filtering = needs_vlans(definition)});
  link::HalfMadeLink made(bridge);
  set_up_ipv6(definition);
  // Before anybody can use it.
  network::apply_rules(definition);
  HalfMadeRules rules(definition);
  enter_zone(definition);
  set_up_link(definition);
  start_forwarding(definition);
  if (definition.bandwidth) link::limit_network(bridge, definition.bandwidth);
  std::vector<std::string> obstacles;
  for (const ForeignDrop& drop : find_foreign_drops(definition)) obstacles.push_back(describe(drop));
  rules.keep();
  made.keep();
  with_rules_.insert_or_assign(bridge, definition);
  return obstacles;
}

void SystemHost::stop(const NetworkDefinition& definition) {
  leave_zone(definition);
  remove_rules(definition);
  with_rules_.erase(definition.bridge.name);
  link::delete_bridge(definition.bridge.name);
}

bool SystemHost::adopt(const NetworkDefinition& definition) {
  // First: rules of a network of which it cannot be told stay, and are put in place with the others'.
  with_rules_.insert_or_assign(definition.bridge.name, definition);
  if (!link::is_bridge(definition.bridge.name)) {
    remove_rules(definition);
    with_rules_.erase(definition.bridge.name);
    return false;
  }
  set_up_link(definition);  // the start may have been interrupted
  start_forwarding(definition);
  return true;
}

void SystemHost::apply_rules(const NetworkDefinition& definition) {
  network::apply_rules(definition);
  with_rules_.insert_or_assign(definition.bridge.name, definition);
}

bool SystemHost::reapply_rules() {
  if (with_rules_.empty()) return false;
  std::vector<const NetworkDefinition*> all;
  for (const auto& [bridge, definition] : with_rules_) all.push_back(&definition);
  apply_all_rules(all);
  return true;
}

void SystemHost::set_port_bandwidth(const NetworkDefinition& definition, const config::NetworkPort& port) {
  link::guarantee(definition.bridge.name, {.class_id = static_cast<std::uint16_t>(port.class_id),
                                           .mac = port.mac,
                                           .floor = port.bandwidth.value().inbound.value().floor});
}

void SystemHost::remove_port_bandwidth(const NetworkDefinition& definition, const config::NetworkPort& port) {
  link::end_guarantee(definition.bridge.name, static_cast<std::uint16_t>(port.class_id));
}

void SystemHost::forget(const NetworkDefinition& definition) {
  if (!definition.owns_bridge()) return;
  const std::filesystem::path leases = dnsmasq_files(settings_.files, definition).leases;
  std::error_code failed;
  std::filesystem::remove(leases, failed);
  if (failed) throw system_error(failed.value(), fmt::format("cannot remove '{}'", leases.string()));
}

std::vector<DhcpLease> SystemHost::leases(const NetworkDefinition& definition) {
  std::vector<DhcpLease> leases =
      read_leases(dnsmasq_files(settings_.files, definition).leases, definition, std::time(nullptr));
  const auto is_known = [](const DhcpLease& lease) { return lease.mac.has_value(); };
  if (std::ranges::all_of(leases, is_known)) return leases;
  // Of IPv6 it is in the guest's identifier at best; else the kernel knows it of who has spoken lately.
  for (const link::Neighbour& neighbour : link::list_neighbours(definition.bridge.name))
    for (DhcpLease& lease : leases)
      if (!lease.mac && lease.address == config::format_ip_address(neighbour.address))
        lease.mac = config::format_mac_address(neighbour.mac);
  return leases;
}

loop::Task<std::unique_ptr<NameService>> SystemHost::serve(NetworkDefinition definition, bool was_there) {
  co_return co_await serve_names(loop_, service_threads_, settings_, std::move(definition), was_there);
}

}  // namespace warren::driver::network
