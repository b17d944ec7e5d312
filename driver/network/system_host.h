// The host that the daemon runs on.
#pragma once

#include <filesystem>

#include "driver/network/driver.h"
#include "driver/network/network_host.h"

namespace warren::driver::network {

struct SystemHostSettings {
  std::filesystem::path runtime_directory;  // configurations and pid files of dnsmasq
  std::filesystem::path lease_directory;    // which outlive a stop of their network
  std::function<void(std::string_view)> report;
};

class SystemHost final : public NetworkHost {
 public:
  SystemHost(boost::asio::io_context& loop, SystemHostSettings settings);

  bool has_link(const std::string& name) override;
  std::vector<config::PciAddress> virtual_functions(const std::string& link) override;
  std::vector<std::string> start(const NetworkDefinition& definition) override;
  void stop(const NetworkDefinition& definition) override;
  bool adopt(const NetworkDefinition& definition) override;
  void apply_rules(const NetworkDefinition& definition) override;
  void set_port_bandwidth(const NetworkDefinition& definition, const config::NetworkPort& port) override;
  void remove_port_bandwidth(const NetworkDefinition& definition, const config::NetworkPort& port) override;
  std::vector<DhcpLease> leases(const NetworkDefinition& definition) override;
  std::unique_ptr<NameService> serve(const NetworkDefinition& definition, bool was_there) override;

 private:
  boost::asio::io_context& loop_;
  const SystemHostSettings settings_;
};

}  // namespace warren::driver::network
