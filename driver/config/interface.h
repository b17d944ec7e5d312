// <interface>: a virtio network device on a link of the host, or a network device of the host itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "driver/config/device_address.h"
#include "driver/config/filter_reference.h"
#include "driver/config/identity.h"
#include "driver/config/interface_backend.h"
#include "driver/config/network_port.h"
#include "driver/config/tuning.h"
#include "driver/config/virtual_port.h"
#include "driver/config/vlan.h"

namespace warren::driver::config {

enum class InterfaceType {
  bridge,     // the tap is put into `source_bridge`
  ethernet,   // the tap is left to the administrator
  network,    // a port of the virtual network `source_network` says where it is plugged in
  direct,     // a macvtap on a link of the host
  hostdev,    // an SR-IOV virtual function of the host, which the guest has for its own
  user,       // `user`: a passt on the host's own sockets
  vhostuser,  // `vhost_user`: another program
};

// Of a running domain's interface of type network: its port, and where that is plugged in.
struct InterfacePort {
  Uuid id{};
  std::variant<std::monostate, BridgePlug, DirectPlug, HostDevicePlug> plug;
  bool operator==(const InterfacePort&) const = default;
};

// Who moves the packets between the guest and its tap.
//
// DEVNOTE: where nothing is said it is the worker, though libvirt takes vhost-net wherever the host has it.
// The guest writes the rings, and whoever reads them is exposed to it: the worker is in a cage, the kernel is
// not. The worker also filters what the guest does not want, counts what it moves, and has packed rings.
enum class PacketMover { worker, vhost };

// <driver> below an interface.
struct InterfaceDriver {
  std::optional<PacketMover> name;
  std::optional<std::uint32_t> queues;         // queue pairs, 1..256
  std::optional<std::uint32_t> rx_queue_size;  // powers of two, 256..1024
  std::optional<std::uint32_t> tx_queue_size;
  std::optional<bool> packed;
  // txmode='iothread', ioeventfd='on', event_idx='on': given, and as it always is.
  bool in_thread = false, by_ioeventfd = false, has_event_index = false;
  bool operator==(const InterfaceDriver&) const = default;
};

struct Interface {
  InterfaceType type = InterfaceType::bridge;
  std::optional<MacAddress> mac;  // always set after fill_defaults
  std::string source_bridge;      // type bridge
  std::string source_network;     // type network
  std::string portgroup;          // type network; empty: the network's default one
  DirectPlug source_direct;       // type direct
  HostDevicePlug source_device;   // type hostdev
  UserNetwork user;               // type user
  VhostUserSource vhost_user;     // type vhostuser
  InterfaceBackend backend;
  std::optional<InterfacePort> port;   // live; what it takes over of its network is in the members below then
  std::string target;                  // name of the tap; empty: chosen at start
  std::optional<bool> target_managed;  // type ethernet: "no" when the tap exists already and is not ours
  bool model_virtio = false;           // model was given or filled in
  InterfaceDriver driver;
  std::optional<bool> link_up;
  std::optional<std::uint32_t> mtu;  // 68..65535
  std::optional<Bandwidth> bandwidth;
  std::optional<FilterReference> filter;
  std::optional<Vlan> vlan;
  std::optional<VirtualPort> virtual_port;
  std::optional<bool> isolated;  // from other isolated ports of its bridge
  std::optional<bool> trust_guest_rx_filters;
  DeviceInfo info;
  bool operator==(const Interface&) const = default;
};

// The bridge that its tap belongs into: its own, or that of its network while it runs; empty: none.
std::string bridge_of(const Interface& interface);
// Whether its packets go by a tap or macvtap of the host.
bool has_link(const Interface& interface);
// The link its macvtap is on, and how; null where it has none.
const DirectPlug* direct_plug_of(const Interface& interface);
// The device of the host that it is; null where it is none. Its guest sees no virtio device then.
const HostDevicePlug* device_plug_of(const Interface& interface);
// Whether the bridge that its tap belongs into is Open vSwitch's.
bool is_on_open_vswitch(const Interface& interface);

}  // namespace warren::driver::config
