// What dnsmasq is told of one network: its configuration, and the hosts it reads again when it gets SIGHUP.
//
// dnsmasq(8) reads lines of words parted by commas: whatever comes from the definition is checked for what
// would make it mean something else, and an Error (VIR_FROM_NETWORK) names the element. The lines of
// <dnsmasq:options> alone go in as they are; who may define networks decides about that.
//
// Routes are not told to guests, as libvirt does not: they are the host's own.
#pragma once

#include <filesystem>
#include <string>

#include "driver/network/network_definition.h"

namespace warren::driver::network {

// Directories of their own, which become 0755: dnsmasq reads the hosts again when it is somebody else, so
// everybody has to get to them through those above, too.
struct DnsmasqSettings {
  std::filesystem::path run_directory;    // gone after a reboot
  std::filesystem::path lease_directory;  // not gone
  std::string user;                       // that it becomes; empty: as it was built
};

// Called after the network's bridge, of which there is one of that name.
struct DnsmasqFiles {
  std::filesystem::path configuration;
  std::filesystem::path dhcp_hosts, dns_hosts;  // read again at SIGHUP
  std::filesystem::path process_id;             // dnsmasq writes it
  std::filesystem::path leases;                 // and this
};
DnsmasqFiles dnsmasq_files(const DnsmasqSettings& settings, const NetworkDefinition& definition);

struct DnsmasqTexts {
  std::string configuration, dhcp_hosts, dns_hosts;
};
// Pure. Throws Error.
DnsmasqTexts dnsmasq_texts(const DnsmasqSettings& settings, const NetworkDefinition& definition);

// Whether there is anything for it to do: names, addresses, router advertisements, boot files.
bool needs_dnsmasq(const NetworkDefinition& definition);

// What has to be done to a dnsmasq that runs.
enum class DnsmasqChange { none, reload, restart };
// Each file that differs is replaced as a whole; its directories are made. Blocks: a pool thread. Throws
// Error before anything is written if a value cannot go in, and if a file cannot be written.
DnsmasqChange write_dnsmasq_files(const DnsmasqSettings& settings, const NetworkDefinition& definition);
// All but the leases, which outlive the network's stop. No error where there are none.
void remove_dnsmasq_files(const DnsmasqFiles& files) noexcept;

}  // namespace warren::driver::network
