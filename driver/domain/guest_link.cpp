#include "driver/domain/guest_link.h"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/domain/character_file.h"
#include "driver/link/link.h"
#include "driver/link/macvtap.h"
#include "driver/link/tap.h"

namespace warren::driver::domain {

namespace {

// A bridge whose table of addresses is kept by us has each guest's there, and neither learns nor floods.
bool keeps_addresses(const config::Interface& interface) {
  const auto* plug = interface.port ? std::get_if<config::BridgePlug>(&interface.port->plug) : nullptr;
  return plug != nullptr && plug->mac_table_manager == config::MacTableManager::libvirt;
}

// That of its bridge, where nothing else was said: the bridge would take the smallest of its ports'.
std::optional<std::uint32_t> mtu_of(const config::Interface& interface, const std::string& bridge) {
  if (interface.mtu || bridge.empty()) return interface.mtu;
  const auto link = link::find_link(bridge);
  return link ? std::optional(link->mtu) : std::nullopt;
}

link::TapSettings tap_of(const config::Interface& interface, bool is_switched) {
  const std::string bridge = config::bridge_of(interface);
  const bool keeps = !is_switched && keeps_addresses(interface);
  // Open vSwitch gets it once it has its name (domain_switches.cpp), and has all of this for its own.
  link::PortFlags flags{.isolated = is_switched ? std::nullopt : interface.isolated};
  if (keeps) flags.learning = flags.unicast_flood = false;
  return {.name = interface.target,
          .ours = interface.target_managed.value_or(true),
          .queues = interface.driver.queues.value_or(1),
          .guest_mac = interface.mac,
          .mtu = mtu_of(interface, bridge),
          .bridge = is_switched ? std::string() : bridge,
          .port = flags,
          .vlan = is_switched ? std::nullopt : interface.vlan,
          .fixed_address = keeps,
          .up = !interface.filter};
}

// Switches that nobody here tells of ports, and what Open vSwitch's ports have no place for.
void check_virtual_port(const config::Interface& interface, bool is_switched) {
  const auto refuse = [&interface](std::string_view detail) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("interface {}: {}", config::format_mac_address(interface.mac.value()), detail));
  };
  if (is_switched && interface.bandwidth)
    refuse("<bandwidth> cannot be on a port of Open vSwitch, which keeps its ports' limits (ovs-vsctl: QoS)");
  if (is_switched || !interface.virtual_port) return;
  switch (interface.virtual_port->type) {
    case config::VirtualPortType::none:
      return;
    case config::VirtualPortType::openvswitch:
      refuse("<virtualport type='openvswitch'> needs a network with a bridge of Open vSwitch");
      return;
    case config::VirtualPortType::vepa_8021qbg:
    case config::VirtualPortType::vnlink_8021qbh:
      refuse("Warren does not speak 802.1Qbg or 802.1Qbh to switches; leave <virtualport> out");
      return;
    case config::VirtualPortType::midonet:
      refuse("Warren does not tell MidoNet of ports; use <virtualport type='openvswitch'>");
      return;
  }
}

// The worker opens nothing: it has one for each queue pair, and makes them its own.
std::vector<vmm::FileDescriptor> open_vhost(const config::Interface& interface, const LinkAccess& access) {
  std::vector<vmm::FileDescriptor> result;
  if (interface.driver.name != config::PacketMover::vhost) return result;
  const std::string path =
      interface.backend.vhost.empty() ? access.vhost_net.string() : interface.backend.vhost;
  for (std::uint32_t pair = 0; pair < interface.driver.queues.value_or(1); ++pair) {
    result.emplace_back(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (result.back()) continue;
    throw system_error(
        errno,
        fmt::format("interface {}: cannot open '{}', which <driver name='vhost'/> asks for (the kernel "
                    "module is vhost_net; without it leave the name out)",
                    config::format_mac_address(interface.mac.value()), path));
  }
  return result;
}

vmm::FileDescriptor connect_vhost_user(const config::Interface& interface) {
  try {
    return connect_character_socket(interface.vhost_user.path);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("interface {}: {}",
                                          config::format_mac_address(interface.mac.value()), error.detail()));
  }
}

GuestLink connected(vmm::FileDescriptor connection) {
  GuestLink link;
  link.connection = std::move(connection);
  return link;
}

}  // namespace

GuestLink open_guest_link(const config::Interface& interface, const LinkAccess& access) {
  if (interface.type == config::InterfaceType::user) return connected(start_passt(interface, access.passt));
  if (interface.type == config::InterfaceType::vhostuser) return connected(connect_vhost_user(interface));
  const bool is_switched = config::is_on_open_vswitch(interface);
  check_virtual_port(interface, is_switched);
  // Before there is a link that would have to go again.
  std::vector<vmm::FileDescriptor> vhost = open_vhost(interface, access);
  const bool has_scaling = interface.driver.receive_scaling == true;
  if (const config::DirectPlug* direct = config::direct_plug_of(interface)) {
    if (has_scaling) {
      throw Error(
          VIR_ERR_CONFIG_UNSUPPORTED,
          fmt::format(
              "interface {}: <driver rss='on'/> is not for the macvtap that network '{}' makes of it, "
              "which chooses queues by itself",
              config::format_mac_address(interface.mac.value()), interface.source_network));
    }
    link::Macvtap macvtap = link::create_macvtap({.name = interface.target,
                                                  .device = direct->device,
                                                  .mode = direct->mode,
                                                  .guest_mac = interface.mac.value(),
                                                  .mtu = interface.mtu,
                                                  .queues = interface.driver.queues.value_or(1)});
    auto half_made = std::make_shared<link::HalfMadeLink>(macvtap.name);
    return {
        std::move(macvtap.name), std::move(macvtap.queues), std::move(half_made), std::move(vhost), {}, {}};
  }
  link::Tap tap = link::open_tap(tap_of(interface, is_switched));
  GuestLink result{std::move(tap.name), std::move(tap.queues), nullptr, std::move(vhost), {}, {}};
  if (has_scaling) result.steering = link::make_steering();
  return result;
}

void set_guest_link_up(const config::Interface& interface) {
  if (interface.target_managed.value_or(true)) link::set_up(interface.target);
}

bool plug_guest_link(const config::Interface& interface) {
  if (config::direct_plug_of(interface) != nullptr || interface.target.empty() ||
      config::is_on_open_vswitch(interface)) {
    return false;
  }
  return link::plug_tap(tap_of(interface, false));
}

}  // namespace warren::driver::domain
