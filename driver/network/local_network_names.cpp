// What the host itself is told of guests' names.
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "driver/network/host_names.h"
#include "driver/network/local_network.h"

namespace warren::driver::network {

namespace {

constexpr std::string_view kLeaseFileSuffix = ".leases";  // as dnsmasq_configuration.cpp calls it

}  // namespace

void LocalNetworkDriver::watch_leases() {
  if (settings_.host_names_directory.empty()) return;
  try {
    lease_watch_ =
        std::make_unique<LeaseWatch>(loop_, settings_.state_directory, [this](const std::string& file) {
          for (const NetworkPointer& network : table_.all())
            if (network->is_active &&
                file == fmt::format("{}{}", network->definition.bridge.name, kLeaseFileSuffix))
              publish_names(*network);
        });
  } catch (const Error& error) {
    settings_.report(fmt::format("guests' names will not be known on the host: {}", error.message()));
  }
}

// Jobs of the host's thread are done in their order: the last one published stands.
void LocalNetworkDriver::publish_names(const Network& network) {
  if (!lease_watch_ || !network.definition.owns_bridge()) return;
  std::vector<GuestCard> cards;
  for (const auto& [uuid, port] : network.ports)
    cards.push_back({port.owner_name, config::format_mac_address(port.mac)});
  boost::asio::post(host_thread_, [this, definition = network.definition, cards = std::move(cards)] {
    try {
      write_host_names(settings_.host_names_directory, definition.bridge.name, host_->leases(definition),
                       cards);
      names_failed_ = false;
    } catch (const std::exception& error) {
      // Once: leases come and go all day.
      if (std::exchange(names_failed_, true)) return;
      boost::asio::post(
          loop_, [report = settings_.report, text = fmt::format("guests' names are not known on the host: {}",
                                                                error.what())] { report(text); });
    }
  });
}

void LocalNetworkDriver::withdraw_names(const Network& network) {
  if (!lease_watch_ || !network.definition.owns_bridge()) return;
  boost::asio::post(host_thread_, [this, bridge = network.definition.bridge.name] {
    remove_host_names(settings_.host_names_directory, bridge);
  });
}

void LocalNetworkDriver::withdraw_stale_names() {
  if (!lease_watch_) return;
  std::set<std::string> bridges;
  for (const NetworkPointer& network : table_.all())
    if (network->is_active) bridges.insert(network->definition.bridge.name);
  boost::asio::post(host_thread_, [this, bridges = std::move(bridges)] {
    keep_host_names(settings_.host_names_directory, bridges);
  });
}

}  // namespace warren::driver::network
