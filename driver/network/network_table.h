// The networks of one daemon, as they are known. Implementation header (Asio).
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/network_port.h"
#include "driver/loop/turn.h"
#include "driver/network/network_definition.h"
#include "driver/network/network_host.h"

namespace warren::driver::network {

struct Network {
  explicit Network(boost::asio::io_context& loop) : turn(loop) {}

  NetworkDefinition definition;
  std::optional<NetworkDefinition> next;  // of the next start, where it was defined anew while active
  bool is_active = false;
  bool is_starting = false;
  bool is_persistent = false;
  bool autostart = false;
  std::map<Uuid, config::NetworkPort> ports;
  std::vector<config::PciAddress> functions;  // of its <pf>, as they were when somebody last looked
  std::unique_ptr<NameService> name_service;  // while active, where it has addresses to serve
  loop::Turn turn;                            // of every change
  std::deque<std::chrono::steady_clock::time_point> repairs;  // of the last minute

  // What a definition is changed to, and what is stored.
  const NetworkDefinition& stored() const { return next ? *next : definition; }
  LiveFigures figures() const;
};

using NetworkPointer = std::shared_ptr<Network>;

Error network_error(virErrorNumber code, std::string detail);

class NetworkTable {
 public:
  // They throw NO_NETWORK.
  NetworkPointer by_uuid(const Uuid& uuid) const;
  NetworkPointer by_name(const std::string& name) const;
  NetworkPointer find(const Uuid& uuid) const noexcept;
  NetworkPointer find_by_bridge(const std::string& bridge) const;  // that is active or starts, or null
  // Ordered by name.
  std::vector<NetworkPointer> all() const;

  void add(const NetworkPointer& network) { networks_[network->definition.uuid] = network; }
  void remove(const Uuid& uuid) { networks_.erase(uuid); }

  // The network that `definition` would be, or null for a new one. Throws OPERATION_FAILED if its name or
  // UUID is another's, INTERNAL_ERROR if its bridge is, OPERATION_INVALID if it is to be started and runs.
  NetworkPointer check_new(const NetworkDefinition& definition, bool is_to_start) const;
  // Whether a network other than `except` has, or is to have, the bridge.
  bool has_bridge(const std::string& bridge, const Uuid& except) const;

 private:
  std::map<Uuid, NetworkPointer> networks_;
};

}  // namespace warren::driver::network
