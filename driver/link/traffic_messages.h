// Implementation header: messages about queueing disciplines, classes and filters (tc(8)'s, in the kernel's
// pkt_sched.h and pkt_cls.h), and the arithmetic of rates.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "driver/config/identity.h"
#include "driver/config/tuning.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

// Bytes a second and bytes.
struct Rate {
  std::uint64_t rate = 0;
  std::uint64_t ceiling = 0;
  std::uint64_t burst = 0;
};
// Of libvirt's KiB; saturates. The ceiling is the peak where there is one.
Rate rate_of(const config::BandwidthRate& rate);

inline constexpr std::uint32_t kShaper = 1 << 16;  // "1:"
inline constexpr std::uint32_t shaper_class(std::uint16_t id) {
  return kShaper | id;
}

// `default_class`: of what no filter sends elsewhere.
Message add_shaper(int link, std::uint16_t default_class);
Message remove_shaper(int link);
Message set_class(int link, std::uint32_t parent, std::uint16_t id, const Rate& rate);
Message remove_class(int link, std::uint16_t id);
// What is for `mac` goes to class `id`.
Message add_address_filter(int link, std::uint16_t id, const config::MacAddress& mac);
Message remove_address_filter(int link, std::uint16_t id);

Message add_ingress(int link);
Message remove_ingress(int link);
// Of all that comes in; what is beyond is dropped.
Message add_police(int link, const Rate& rate);

struct ShaperClass {
  std::uint16_t id = 0;
  std::uint64_t rate = 0, ceiling = 0;  // bytes a second
};
// Of the shaper that add_shaper() made, by id.
std::vector<ShaperClass> list_classes(Netlink& netlink, int link);

}  // namespace warren::driver::link
