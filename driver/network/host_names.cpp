#include "driver/network/host_names.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <map>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/network/replace_file.h"

namespace warren::driver::network {

namespace {

namespace json = boost::json;
using Path = std::filesystem::path;

constexpr std::string_view kPrefix = "warren-", kLeases = ".status", kCards = ".macs";
// The modules take a lease that ends before now for none, and know no lease for ever: the end of the year
// 9999.
constexpr std::int64_t kForEver = 253'402'300'799;

Path file(const Path& directory, const std::string& bridge, std::string_view suffix) {
  return directory / fmt::format("{}{}{}", kPrefix, bridge, suffix);
}

}  // namespace

// A number they do not know, or a lease without a MAC address, is the end of the whole file for the modules.
std::string lease_document(std::span<const DhcpLease> leases) {
  json::array document;
  for (const DhcpLease& lease : leases) {
    json::object entry;
    entry["ip-address"] = lease.address;
    entry["mac-address"] = lease.mac.value_or("");
    if (lease.host_name) entry["hostname"] = *lease.host_name;
    if (lease.client_id) entry["client-id"] = *lease.client_id;
    entry["expiry-time"] = lease.expiry_time == 0 ? kForEver : lease.expiry_time;
    document.push_back(std::move(entry));
  }
  return json::serialize(document) + "\n";
}

std::string card_document(std::span<const GuestCard> cards) {
  std::map<std::string, json::array> domains;
  for (const GuestCard& card : cards) domains[card.domain].push_back(json::value(card.mac));
  json::array document;
  for (auto& [domain, macs] : domains) {
    json::object entry;
    entry["domain"] = domain;
    entry["macs"] = std::move(macs);
    document.push_back(std::move(entry));
  }
  return json::serialize(document) + "\n";
}

void write_host_names(const Path& directory, const std::string& bridge, std::span<const DhcpLease> leases,
                      std::span<const GuestCard> cards) {
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  if (failed)
    throw system_error(failed.value(), fmt::format("cannot make the directory {}", directory.native()));
  replace_if_changed(file(directory, bridge, kLeases), lease_document(leases));
  replace_if_changed(file(directory, bridge, kCards), card_document(cards));
}

void keep_host_names(const Path& directory, const std::set<std::string>& active) noexcept {
  std::error_code failed;
  std::vector<Path> stale;
  for (std::filesystem::directory_iterator entry(directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename().native();
    for (const std::string_view suffix : {kLeases, kCards}) {
      if (!name.starts_with(kPrefix) || !name.ends_with(suffix) ||
          name.size() < kPrefix.size() + suffix.size())
        continue;
      if (!active.contains(name.substr(kPrefix.size(), name.size() - kPrefix.size() - suffix.size())))
        stale.push_back(entry->path());
    }
  }
  for (const Path& path : stale) std::filesystem::remove(path, failed);
}

void remove_host_names(const Path& directory, const std::string& bridge) noexcept {
  std::error_code ignored;
  for (const std::string_view suffix : {kLeases, kCards})
    std::filesystem::remove(file(directory, bridge, suffix), ignored);
}

}  // namespace warren::driver::network
