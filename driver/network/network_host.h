// What networks are made of on the host: bridges, addresses, routes, rules and a DHCP and DNS server.
//
// An interface, so that the driver's own logic is tested without a host's links. Implementation header
// (Asio).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/network_port.h"
#include "driver/loop/task.h"
#include "driver/network/network_definition.h"

namespace warren::driver::network {

// The DHCP and DNS server of one network. The loop's thread; destroying it leaves the server running.
class NameService {
 public:
  virtual ~NameService() = default;
  // With the definition as it is now: what can change without a restart does. Throws Error.
  virtual loop::Task<> update(NetworkDefinition definition) = 0;
  // It has ended, and its files are gone but for its leases. Throws Error.
  virtual loop::Task<> stop() = 0;
};

class NetworkHost {
 public:
  virtual ~NetworkHost() = default;

  // These block, and are called from one thread of their own. They throw Error.

  virtual bool has_link(const std::string& name) = 0;
  // The virtual functions of a link, as PCI devices.
  virtual std::vector<config::PciAddress> virtual_functions(const std::string& link) = 0;

  // Of a network that has a bridge of its own: made with its addresses, routes, rules and limits. What was
  // begun is undone when it fails.
  // Lines for the log: what else on the host stands in its way.
  virtual std::vector<std::string> start(const NetworkDefinition& definition) = 0;
  // All of it goes, as far as it is there.
  virtual void stop(const NetworkDefinition& definition) = 0;
  // Of a network that was started by an earlier daemon. False: its bridge is no more. Its rules are
  // reapply_rules()'s.
  virtual bool adopt(const NetworkDefinition& definition) = 0;
  // Rules as `definition` has them, in place of those there are.
  virtual void apply_rules(const NetworkDefinition& definition) = 0;
  // Those of all networks that have some, at once: somebody else has changed or flushed them. False: there
  // are none.
  virtual bool reapply_rules() = 0;

  // The share of a port with a floor in its network's bandwidth (tc class `port.class_id`).
  virtual void set_port_bandwidth(const NetworkDefinition& definition, const config::NetworkPort& port) = 0;
  virtual void remove_port_bandwidth(const NetworkDefinition& definition,
                                     const config::NetworkPort& port) = 0;

  // What outlives a network that is stopped goes with one that is no more: its leases.
  virtual void forget(const NetworkDefinition& definition) = 0;

  virtual std::vector<DhcpLease> leases(const NetworkDefinition& definition) = 0;

  // On the loop's thread: the server of a network whose bridge is there, of `was_there` found again if it
  // still runs. Null where there is nothing to serve.
  virtual loop::Task<std::unique_ptr<NameService>> serve(NetworkDefinition definition, bool was_there) = 0;
};

}  // namespace warren::driver::network
