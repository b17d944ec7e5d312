// The NameService that is a dnsmasq. Implementation header (Asio).
#pragma once

#include <functional>
#include <string_view>

#include "driver/network/dnsmasq_configuration.h"
#include "driver/network/network_host.h"

namespace warren::driver::network {

struct NameServiceSettings {
  DnsmasqSettings files;
  std::function<void(std::string_view)> report;  // on the loop: that it died, and what came of it
};

// Started for `definition`, or of `was_there` found again and told what has changed; null where there is
// nothing to serve. `pool` outlives it. Throws Error.
loop::Task<std::unique_ptr<NameService>> serve_names(loop::asio::io_context& loop,
                                                     loop::asio::thread_pool& pool,
                                                     NameServiceSettings settings,
                                                     NetworkDefinition definition, bool was_there);

}  // namespace warren::driver::network
