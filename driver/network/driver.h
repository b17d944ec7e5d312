// The network driver of Warren: virtual networks of this host.
//
// One object for each daemon, on its loop's thread. Active networks outlive it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "driver/contract/networks.h"

namespace boost::asio {
class io_context;
}

namespace warren::driver::watch {
class HostWatch;
}

namespace warren::driver::network {

struct NetworkSettings {
  std::filesystem::path configuration_directory;  // /etc/warren/networks: NAME.xml
  std::filesystem::path runtime_directory;        // /run/warren/network: active networks, ports
  std::filesystem::path service_directory;        // /run/warren/dnsmasq: what dnsmasq reads, as nobody too
  std::filesystem::path state_directory;          // /var/lib/warren/network: leases
  // /var/lib/libvirt/dnsmasq: where guests' names are for the host's own name service; empty: nowhere.
  std::filesystem::path host_names_directory;
  std::function<void(std::string_view)> report = [](std::string_view) {};
  // Tells when a bridge or rules are removed by others, for them to be made again. Outlives the driver. Null:
  // nobody looks.
  watch::HostWatch* watch = nullptr;
};

class LocalNetworks : public NetworkDriver {
 public:
  // Finds the active networks of an earlier daemon again and, the first time since the host booted, starts
  // those marked for autostart. To be called once, before any front door opens. What fails is reported.
  virtual void load(Completion<void> completion) = 0;

  // Whether networks are active: their dnsmasq is watched, so the daemon does not end by its --timeout then.
  virtual bool is_busy() const = 0;
};

// Throws Error if a directory cannot be used.
std::unique_ptr<LocalNetworks> make_network_driver(boost::asio::io_context& loop, NetworkSettings settings);

}  // namespace warren::driver::network
