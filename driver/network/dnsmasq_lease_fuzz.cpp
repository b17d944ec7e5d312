// Whatever is in a lease file (T29): what comes out is text that clients can be shown.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "driver/network/dnsmasq_leases.h"

using namespace warren::driver;

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  network::NetworkDefinition definition;
  definition.bridge.name = "virbr0";
  definition.addresses = {{.address = config::parse_ip_address("192.168.122.1"), .prefix = 24},
                          {.address = config::parse_ip_address("2001:db8::1"), .prefix = 64}};
  auto check = [](std::string_view text) {
    const bool fits =
        text.size() <= 1024 && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
    if (!fits) __builtin_trap();
  };
  // Bytes of the fuzzer's as text.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const DhcpLease& lease : network::parse_leases(text, definition, 1000)) {
    check(lease.address);
    check(lease.mac.value_or(""));
    check(lease.iaid.value_or(""));
    check(lease.host_name.value_or(""));
    check(lease.client_id.value_or(""));
    const bool six = lease.type == VIR_IP_ADDR_TYPE_IPV6;
    if (lease.prefix > (six ? 128u : 32u) || !config::parse_ip_address(lease.address)) __builtin_trap();
    if (lease.expiry_time != 0 && lease.expiry_time <= 1000) __builtin_trap();
  }
  return 0;
}
