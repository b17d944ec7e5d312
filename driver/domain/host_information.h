// The host side of the hypervisor connection: HostDriver's answers, from facts gathered at start and from
// sysfs.
#pragma once

#include <string>

#include "driver/config/host_facts.h"
#include "driver/contract/host.h"

namespace warren::driver::domain {

class HostInformation {
 public:
  explicit HostInformation(const config::HostFacts& facts) : facts_(facts) {}

  static std::string type(UriFlavour flavour);
  static std::uint64_t hypervisor_version(UriFlavour flavour);
  static std::uint64_t library_version();
  static std::string hostname();
  int maximum_vcpus(const std::optional<std::string>& type) const;
  NodeInfo node_info() const;
  static NodeCpuMap node_cpu_map();
  static std::uint64_t free_memory_bytes();
  const std::string& capabilities_xml() const;
  std::string domain_capabilities_xml(const DomainCapabilitiesQuery& query) const;

 private:
  const config::HostFacts& facts_;
  mutable std::string capabilities_;  // formatted once
};

// The bits of a kernel CPU list ("0-3,8"), bit n of byte n/8, with room for at least `cpus`.
std::vector<std::uint8_t> parse_cpu_list(const std::string& list, std::size_t cpus);

}  // namespace warren::driver::domain
