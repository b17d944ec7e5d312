#include "driver/domain/guest_link.h"

#include <fmt/format.h>

#include "driver/contract/error.h"
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

link::TapSettings tap_of(const config::Interface& interface) {
  const std::string bridge = config::bridge_of(interface);
  const bool keeps = keeps_addresses(interface);
  link::PortFlags flags{.isolated = interface.isolated};
  if (keeps) flags.learning = flags.unicast_flood = false;
  return {.name = interface.target,
          .ours = interface.target_managed.value_or(true),
          .queues = interface.driver.queues.value_or(1),
          .guest_mac = interface.mac,
          .mtu = mtu_of(interface, bridge),
          .bridge = bridge,
          .port = flags,
          .vlan = interface.vlan,
          .fixed_address = keeps,
          .up = !interface.filter};
}

}  // namespace

GuestLink open_guest_link(const config::Interface& interface) {
  if (interface.virtual_port && interface.virtual_port->type != config::VirtualPortType::none) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("interface of network '{}': Warren does not tell switches of <virtualport>s yet",
                            interface.source_network));
  }
  if (const config::DirectPlug* direct = config::direct_plug_of(interface)) {
    link::Macvtap macvtap = link::create_macvtap({.name = interface.target,
                                                  .device = direct->device,
                                                  .mode = direct->mode,
                                                  .guest_mac = interface.mac.value(),
                                                  .mtu = interface.mtu,
                                                  .queues = interface.driver.queues.value_or(1)});
    auto half_made = std::make_shared<link::HalfMadeLink>(macvtap.name);
    return {std::move(macvtap.name), std::move(macvtap.queues), std::move(half_made)};
  }
  link::Tap tap = link::open_tap(tap_of(interface));
  return {std::move(tap.name), std::move(tap.queues), nullptr};
}

void set_guest_link_up(const config::Interface& interface) {
  if (interface.target_managed.value_or(true)) link::set_up(interface.target);
}

bool plug_guest_link(const config::Interface& interface) {
  if (config::direct_plug_of(interface) != nullptr || interface.target.empty()) return false;
  return link::plug_tap(tap_of(interface));
}

}  // namespace warren::driver::domain
