// Guests' names on the host: files that the modules of the name service switch that libvirt brings
// (libnss-libvirt: `libvirt` and `libvirt_guest` in nsswitch.conf(5)) read, unchanged, in the directory they
// look in.
//
// BRIDGE.status has the leases, by which a guest's own name gives its addresses; BRIDGE.macs the cards of
// each domain, by which the domain's name does. Both begin with `warren-`, so that they are never another
// daemon's. A lease's name is the guest's word: `files` is to stand before these modules, as it does by
// default.
#pragma once

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "driver/contract/networks.h"

namespace warren::driver::network {

struct GuestCard {
  std::string domain, mac;  // the MAC address in lower case
};

// The two documents. Pure.
std::string lease_document(std::span<const DhcpLease> leases);
std::string card_document(std::span<const GuestCard> cards);

// These block: a pool thread.

// Each file is replaced as a whole, if it differs; the directory is made. Throws Error.
void write_host_names(const std::filesystem::path& directory, const std::string& bridge,
                      std::span<const DhcpLease> leases, std::span<const GuestCard> cards);
// Those of all bridges but `active`: of networks that ended while nobody looked, too.
void keep_host_names(const std::filesystem::path& directory, const std::set<std::string>& active) noexcept;
void remove_host_names(const std::filesystem::path& directory, const std::string& bridge) noexcept;

}  // namespace warren::driver::network
