// Settings of links in /proc/sys/net (the kernel's ip-sysctl), of the name space that the calling thread is
// in.
//
// Reached as files, never by sysctl's dotted names: a link's name may have dots. Blocks briefly; any thread.
// Throws Error that names link and setting.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace warren::driver::link {

enum class AddressFamily { ipv4, ipv6 };

// Below /proc/sys/net/ipv4/conf/<link>/ or …/ipv6/conf/<link>/: "disable_ipv6", "accept_ra", "autoconf",
// "forwarding", "arp_ignore", … Nothing where the kernel has no such setting (one without IPv6).
std::optional<std::string> read_link_setting(AddressFamily family, std::string_view link,
                                             std::string_view setting);
// False where the kernel has no such setting, and nothing is written then. Written only if it is another
// value: /proc/sys may be read-only.
bool write_link_setting(AddressFamily family, std::string_view link, std::string_view setting,
                        std::string_view value);

// Of the whole host: ip_forward, and ipv6/conf/all/forwarding, which also has it take no more router
// advertisements where accept_ra is not 2.
bool is_forwarding(AddressFamily family);
void start_forwarding(AddressFamily family);

// A link whose IPv6 routes came by router advertisements and would go when IPv6 forwarding starts: its
// accept_ra is 1 (ip-sysctl: 2 takes them with forwarding too). Nothing when there is none, or the host
// forwards already.
std::optional<std::string> link_losing_routes();

}  // namespace warren::driver::link
