// The host that the daemon runs on. Implementation header (Asio).
#pragma once

#include <map>

#include <boost/asio/thread_pool.hpp>

#include "driver/network/name_service.h"
#include "driver/network/network_host.h"

namespace warren::driver::network {

class SystemHost final : public NetworkHost {
 public:
  SystemHost(boost::asio::io_context& loop, NameServiceSettings settings);

  bool has_link(const std::string& name) override;
  std::vector<config::PciAddress> virtual_functions(const std::string& link) override;
  std::vector<std::string> start(const NetworkDefinition& definition) override;
  void stop(const NetworkDefinition& definition) override;
  bool adopt(const NetworkDefinition& definition) override;
  void apply_rules(const NetworkDefinition& definition) override;
  bool reapply_rules() override;
  void set_port_bandwidth(const NetworkDefinition& definition, const config::NetworkPort& port) override;
  void remove_port_bandwidth(const NetworkDefinition& definition, const config::NetworkPort& port) override;
  void forget(const NetworkDefinition& definition) override;
  std::vector<DhcpLease> leases(const NetworkDefinition& definition) override;
  loop::Task<std::unique_ptr<NameService>> serve(NetworkDefinition definition, bool was_there) override;

 private:
  boost::asio::io_context& loop_;
  const NameServiceSettings settings_;
  // The thread's of those that block: by bridge, whose rules are in force.
  std::map<std::string, NetworkDefinition> with_rules_;
  boost::asio::thread_pool service_threads_{2};
};

}  // namespace warren::driver::network
