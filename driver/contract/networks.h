// Virtual networks and their ports (virNetwork*, virNetworkPort*).
//
// Flags, states, errors and events are those of libvirt's network driver. Everything is called on the loop's
// thread. Getters answer at once from what is known; whatever touches links, rules, files or other programs
// completes later. Domains get their place in a network as any client does: through a port.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <libvirt/libvirt.h>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/typed_parameter.h"
#include "driver/contract/uuid.h"

namespace warren::driver {

// Looked up by its UUID alone.
struct NetworkHandle {
  std::string name;
  Uuid uuid;

  friend bool operator==(const NetworkHandle&, const NetworkHandle&) = default;
};

// Looked up by the UUIDs of network and port.
struct NetworkPortHandle {
  NetworkHandle network;
  Uuid uuid;

  friend bool operator==(const NetworkPortHandle&, const NetworkPortHandle&) = default;
};

struct NetworkEvent {
  NetworkHandle network;
  int event = VIR_NETWORK_EVENT_DEFINED;  // virNetworkEventLifecycleType
  int detail = 0;
};

// virNetworkDHCPLease
struct DhcpLease {
  std::string interface;         // the bridge
  std::int64_t expiry_time = 0;  // seconds since 1970; 0: never
  int type = VIR_IP_ADDR_TYPE_IPV4;
  std::optional<std::string> mac, iaid;
  std::string address;
  std::uint32_t prefix = 0;
  std::optional<std::string> host_name, client_id;

  friend bool operator==(const DhcpLease&, const DhcpLease&) = default;
};

// virNetworkUpdate: a change of one section of a definition.
struct NetworkUpdate {
  unsigned int command = VIR_NETWORK_UPDATE_COMMAND_NONE;  // virNetworkUpdateCommand
  unsigned int section = VIR_NETWORK_SECTION_NONE;         // virNetworkUpdateSection
  int parent_index = -1;
  std::string xml;
};

class NetworkDriver {
 public:
  virtual ~NetworkDriver() = default;

  // `flags` are VIR_CONNECT_LIST_NETWORKS_*. Ordered by name.
  virtual std::vector<NetworkHandle> list_networks(const Caller& caller, unsigned int flags) const = 0;
  // They throw VIR_ERR_NO_NETWORK, as do all that follow for a UUID that is not known.
  virtual NetworkHandle network_by_name(const Caller& caller, const std::string& name) const = 0;
  virtual NetworkHandle network_by_uuid(const Caller& caller, const Uuid& uuid) const = 0;
  virtual std::string network_xml(const Caller& caller, const Uuid& network, unsigned int flags) const = 0;
  virtual std::string network_bridge(const Caller& caller, const Uuid& network) const = 0;
  virtual bool network_is_active(const Caller& caller, const Uuid& network) const = 0;
  virtual bool network_is_persistent(const Caller& caller, const Uuid& network) const = 0;
  virtual bool network_autostart(const Caller& caller, const Uuid& network) const = 0;

  // `flags` are VIR_NETWORK_CREATE_* and VIR_NETWORK_DEFINE_*.
  virtual void create_network(const Caller& caller, std::string xml, unsigned int flags,
                              Completion<NetworkHandle> completion) = 0;
  virtual void define_network(const Caller& caller, std::string xml, unsigned int flags,
                              Completion<NetworkHandle> completion) = 0;
  virtual void undefine_network(const Caller& caller, const Uuid& network, Completion<void> completion) = 0;
  virtual void start_network(const Caller& caller, const Uuid& network, Completion<void> completion) = 0;
  virtual void stop_network(const Caller& caller, const Uuid& network, Completion<void> completion) = 0;
  virtual void set_network_autostart(const Caller& caller, const Uuid& network, bool autostart,
                                     Completion<void> completion) = 0;
  // `flags` are VIR_NETWORK_UPDATE_AFFECT_*.
  virtual void update_network(const Caller& caller, const Uuid& network, NetworkUpdate update,
                              unsigned int flags, Completion<void> completion) = 0;
  // Of all, or of one hardware address.
  virtual void dhcp_leases(const Caller& caller, const Uuid& network, std::optional<std::string> mac,
                           unsigned int flags, Completion<std::vector<DhcpLease>> completion) = 0;

  virtual std::vector<NetworkPortHandle> list_ports(const Caller& caller, const Uuid& network,
                                                    unsigned int flags) const = 0;
  // They throw VIR_ERR_NO_NETWORK_PORT, as do all that follow for a port that is not known.
  virtual NetworkPortHandle port_by_uuid(const Caller& caller, const Uuid& network,
                                         const Uuid& port) const = 0;
  virtual std::string port_xml(const Caller& caller, const Uuid& network, const Uuid& port,
                               unsigned int flags) const = 0;
  // VIR_NETWORK_PORT_BANDWIDTH_*
  virtual TypedParameters port_parameters(const Caller& caller, const Uuid& network, const Uuid& port,
                                          unsigned int flags) const = 0;
  // `flags` are VIR_NETWORK_PORT_CREATE_*.
  virtual void create_port(const Caller& caller, const Uuid& network, std::string xml, unsigned int flags,
                           Completion<NetworkPortHandle> completion) = 0;
  virtual void set_port_parameters(const Caller& caller, const Uuid& network, const Uuid& port,
                                   TypedParameters parameters, unsigned int flags,
                                   Completion<void> completion) = 0;
  virtual void delete_port(const Caller& caller, const Uuid& network, const Uuid& port, unsigned int flags,
                           Completion<void> completion) = 0;

  using Handler = std::function<void(const NetworkEvent&)>;
  using SubscriptionId = std::uint64_t;
  // Lifecycle events, of all networks or of one. Delivered from the loop, after the state they tell of can be
  // read. An id there is none of (virNetworkEventID) throws VIR_ERR_INVALID_ARG.
  virtual SubscriptionId subscribe(int event_id, std::optional<Uuid> network, Handler handler) = 0;
  // No call of the handler begins after this returns. An unknown id is ignored.
  virtual void unsubscribe(SubscriptionId id) noexcept = 0;
};

}  // namespace warren::driver
