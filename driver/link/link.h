// Links (network interfaces) of the name space that the calling thread is in: which there are, and what is
// the same for every kind of them.
//
// Blocks briefly; any thread. Throws Error that names the link and what to do: VIR_ERR_NO_INTERFACE where
// there is none of that name, VIR_ERR_INVALID_ARG for what cannot be a link's name, else
// VIR_ERR_SYSTEM_ERROR.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/identity.h"

namespace warren::driver::link {

using config::MacAddress;

// RFC 2863 §3.1.14, as the kernel numbers it.
enum class OperationalState { unknown, not_present, down, lower_layer_down, testing, dormant, up };

struct Link {
  int index = 0;
  std::string name;
  std::string kind;               // "bridge", "tun", "vlan", …; empty for hardware and loopback
  std::optional<MacAddress> mac;  // of links that have one of six bytes
  std::uint32_t mtu = 0;
  bool up = false;  // IFF_UP: as the administrator wants it
  bool has_carrier = false;
  bool is_loopback = false;
  OperationalState state = OperationalState::unknown;
  int master = 0;  // index of the bridge or bond that it is in, 0: none
  int lower = 0;   // index of the link that it stands on (a VLAN's, a macvtap's), 0: none
};

std::vector<Link> list_links();  // by index
std::optional<Link> find_link(std::string_view name);
Link require_link(std::string_view name);
bool exists(std::string_view name);

void set_up(const std::string& name);
void set_down(const std::string& name);
void set_mtu(const std::string& name, std::uint32_t mtu);
void set_mac(const std::string& name, const MacAddress& mac);
// One that is not there is deleted already. The kernel refuses to delete hardware.
void delete_link(const std::string& name);

// 1 to 15 bytes without '/', ':' and white space, and neither "." nor ".." (the kernel's dev_valid_name()).
bool is_link_name(std::string_view name);

// The first name of `pattern` ("vnet%d") that no link has, with `make(name)` called; a name that somebody
// takes meanwhile (`make` returned false) is followed by the next. Throws when there is no end to it.
std::string make_with_free_name(std::string_view pattern,
                                const std::function<bool(const std::string&)>& make);

// Deletes a link unless it is kept: a link that is half made.
class HalfMadeLink {
 public:
  explicit HalfMadeLink(std::string name) : name_(std::move(name)) {}
  HalfMadeLink(const HalfMadeLink&) = delete;
  HalfMadeLink& operator=(const HalfMadeLink&) = delete;
  ~HalfMadeLink();
  void keep() noexcept { name_.clear(); }

 private:
  std::string name_;
};

}  // namespace warren::driver::link
