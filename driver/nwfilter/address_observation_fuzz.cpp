// Hostile frames: whatever is seen in one is an address a host can have.

#include <cstdlib>

#include "driver/nwfilter/address_observation.h"

using namespace warren::driver;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const config::MacAddress guest = {0x52, 0x54, 0, 0, 0, 1};
  const auto seen = nwfilter::observe_address({data + 1, size - 1}, guest, (data[0] & 1) != 0);
  if (!seen) return 0;
  if (seen->address.is_ipv6 || config::is_unspecified(seen->address) || config::is_multicast(seen->address))
    std::abort();
  if (((data[0] & 1) != 0) != (seen->kind == nwfilter::AddressObservation::Kind::leased)) std::abort();
  return 0;
}
