#include "driver/network/dnsmasq_configuration.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/network/replace_file.h"

namespace warren::driver::network {

namespace {

constexpr std::size_t kLongestText = 255;      // one string of a TXT record (RFC 1035 §3.3)
constexpr std::uint64_t kMostLeases = 0xffff;  // of one range; those of IPv6 have no end
constexpr std::uint64_t kMostLeaseSeconds = 0x7fffffff;

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// Lines of one file, each from values that cannot break out of their place.
class Lines {
 public:
  explicit Lines(const NetworkDefinition& definition) : definition_(definition) {}

  template <typename... Words>
  void add(fmt::format_string<Words...> form, Words&&... words) {
    fmt::format_to(std::back_inserter(text_), form, std::forward<Words>(words)...);
    text_ += '\n';
  }
  std::string take() { return std::move(text_); }

  [[noreturn]] void refuse(std::string_view element, std::string_view value, std::string_view why) const {
    std::string shown(value.substr(0, 64));
    for (char& c : shown)
      if (is_control(c)) c = '?';
    throw Error(VIR_ERR_XML_ERROR,
                fmt::format("network {}: {}: '{}' cannot be told to dnsmasq: {}", definition_.name, element,
                            shown, why),
                VIR_FROM_NETWORK);
  }

  // Names of hosts, domains and devices, as they are: also those with letters beyond ASCII.
  const std::string& name(std::string_view element, const std::string& value) const {
    if (value.empty()) refuse(element, value, "it is empty");
    const bool fits = std::ranges::all_of(value, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
             c == '_' || c == '.' || static_cast<unsigned char>(c) >= 0x80;
    });
    if (!fits) refuse(element, value, "use letters, digits, '-', '_' and '.'");
    return value;
  }

  // Any text on one line, between quotes: commas, colons and '#' are text there.
  std::string quoted(std::string_view element, std::string_view value) const {
    std::string result = "\"";
    for (char c : value) {
      if (is_control(c)) refuse(element, value, "it has a control character");
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
    return result + '"';
  }

  void check_line(std::string_view element, std::string_view value) const {
    if (std::ranges::any_of(value, [](char c) { return is_control(c) && c != '\t'; }))
      refuse(element, value, "it is more than one line");
  }

 private:
  const NetworkDefinition& definition_;
  std::string text_;
};

// ",45m": nothing where nothing is said; dnsmasq's own default is an hour, and of IPv6 a day.
std::string lease_time(const Lines& lines, const std::optional<DhcpLeaseTime>& lease) {
  if (!lease) return {};
  if (lease->expiry == 0) return ",infinite";
  using Unit = DhcpLeaseTime::Unit;
  const std::uint64_t seconds = lease->unit == Unit::hours ? 3600 : lease->unit == Unit::minutes ? 60 : 1;
  if (lease->expiry > kMostLeaseSeconds / seconds)
    lines.refuse("<lease>", std::to_string(lease->expiry), "it is longer than 68 years; 0 is for ever");
  const char* suffix = lease->unit == Unit::hours ? "h" : lease->unit == Unit::minutes ? "m" : "";
  return fmt::format(",{}{}", lease->expiry, suffix);
}

const std::string& hardware(const Lines& lines, const std::string& mac) {
  if (!config::parse_mac_address(mac)) lines.refuse("<host mac>", mac, "it is no hardware address");
  return mac;
}

const std::string& client_id(const Lines& lines, const std::string& id) {
  if (id.find_first_not_of("0123456789abcdefABCDEF:") != std::string::npos)
    lines.refuse("<host id>", id, "it is no DUID: pairs of hexadecimal digits parted by colons");
  return id;
}

// Where a host's name stands, some words are no names (dnsmasq(8), --dhcp-host): times, addresses, and these.
const std::string& host_name(const Lines& lines, const std::string& name) {
  lines.name("<host name>", name);
  const bool is_time = name.find_first_not_of("0123456789") == std::string::npos ||
                       (name.find_first_not_of("0123456789") == name.size() - 1 && name.size() > 1 &&
                        std::string_view("smhdwSMHDW").find(name.back()) != std::string_view::npos);
  if (name == "ignore" || name == "infinite" || is_time || config::parse_ip_address(name))
    lines.refuse("<host name>", name, "it is not a name there: add a domain to it, or choose another one");
  return name;
}

void add_dhcp_host(Lines& lines, const DhcpHost& host) {
  std::string line;
  auto append = [&](const std::string& word) { line += (line.empty() ? "" : ",") + word; };
  if (host.mac) append(hardware(lines, *host.mac));
  if (!host.id.empty()) append("id:" + client_id(lines, host.id));
  // A name alone is what the guest calls itself; else it is the one it gets.
  if (!host.name.empty()) append(host_name(lines, host.name));
  if (host.ip) {
    const std::string address = config::format_ip_address(*host.ip);
    append(host.ip->is_ipv6 ? "[" + address + "]" : address);
  }
  if (line.empty()) lines.refuse("<host>", "", "it has neither mac, id nor name");
  lines.add("{}{}", line, lease_time(lines, host.lease));
}

// The number of addresses, at most kMostLeases.
std::uint64_t size_of(const AddressRange& range) {
  const unsigned length = range.begin.bits() / 8;
  std::uint64_t begin = 0, end = 0;
  for (unsigned i = 0; i < length; ++i) {
    // More than what the last four bytes differ in is more than anybody has.
    if (i + 4 < length && range.begin.bytes[i] != range.end.bytes[i]) return kMostLeases;
    begin = (begin << 8 | range.begin.bytes[i]) & 0xffffffff;
    end = (end << 8 | range.end.bytes[i]) & 0xffffffff;
  }
  return end < begin ? 0 : std::min(end - begin + 1, kMostLeases);
}

// The zone that has the reverse names of a subnet.
std::string reverse_zone(const Lines& lines, const NetworkAddress& address) {
  const unsigned prefix = address.effective_prefix(), step = address.address->is_ipv6 ? 4 : 8;
  if (prefix == 0 || prefix % step != 0)
    lines.refuse("<ip localPtr>", std::to_string(prefix),
                 fmt::format("its prefix must be a multiple of {}", step));
  std::string zone = address.address->is_ipv6 ? "ip6.arpa" : "in-addr.arpa";
  for (unsigned bit = 0; bit < prefix; bit += step) {
    const unsigned byte = address.address->bytes[bit / 8];
    if (step == 8)
      zone = fmt::format("{}.{}", byte, zone);
    else
      zone = fmt::format("{:x}.{}", bit % 8 == 0 ? byte >> 4 : byte & 15, zone);
  }
  return zone;
}

bool dns_enabled(const NetworkDefinition& definition) {
  return !definition.dns || definition.dns->enable.value_or(true);
}

// The configuration, part by part.
class Configuration {
 public:
  Configuration(const DnsmasqSettings& settings, const NetworkDefinition& definition)
      : settings_(settings), definition_(definition), lines_(definition) {}

  std::string make() {
    add_general();
    if (dns_enabled(definition_))
      add_dns();
    else
      lines_.add("port=0");
    add_dhcp();
    for (const std::string& option : definition_.dnsmasq_options) {
      lines_.check_line("<dnsmasq:option>", option);
      lines_.add("{}", option);
    }
    return lines_.take();
  }

 private:
  std::string path(const std::filesystem::path& file) const {
    return lines_.quoted("its path", file.native());
  }

  void add_general() {
    const DnsmasqFiles files = dnsmasq_files(settings_, definition_);
    lines_.add("# Written by Warren for the network {}: changes are lost.", one_line(definition_.name));
    lines_.add("strict-order");
    if (!settings_.user.empty()) lines_.add("user={}", lines_.name("its user", settings_.user));
    lines_.add("pid-file={}", path(files.process_id));
    lines_.add("except-interface=lo\nbind-dynamic");
    lines_.add("interface={}", lines_.name("<bridge name>", definition_.bridge.name));
    lines_.add("addn-hosts={}", path(files.dns_hosts));
    if (!definition_.domain_name.empty()) {
      const std::string& domain = lines_.name("<domain name>", definition_.domain_name);
      lines_.add("domain={}\nexpand-hosts", domain);
      if (definition_.domain_local_only.value_or(false)) lines_.add("local=/{}/", domain);
    }
  }

  static std::string one_line(std::string text) {
    for (char& c : text)
      if (is_control(c)) c = '?';
    return text;
  }

  void add_dns() {
    const Dns dns = definition_.dns.value_or(Dns{});
    // Neither names without dots nor those of the empty domain leave the host.
    if (!dns.forward_plain_names.value_or(true)) lines_.add("domain-needed\nlocal=//");
    // Guests of an isolated network ask nobody outside, by way of the host either.
    bool alone = definition_.mode() == ForwardMode::none;
    for (const DnsForwarder& forwarder : dns.forwarders) {
      const std::string address = forwarder.address ? config::format_ip_address(*forwarder.address) : "#";
      if (forwarder.domain.empty()) {
        if (!forwarder.address) lines_.refuse("<forwarder>", "", "it has neither addr nor domain");
        alone = true;  // with whom is said here
        lines_.add("server={}", address);
      } else {
        lines_.add("server=/{}/{}", lines_.name("<forwarder domain>", forwarder.domain), address);
      }
    }
    if (alone) lines_.add("no-resolv");
    for (const DnsText& text : dns.texts) add_text(text);
    for (const DnsService& service : dns.services) add_service(service);
    for (const NetworkAddress& address : definition_.addresses) {
      if (address.local_ptr && address.address) lines_.add("local=/{}/", reverse_zone(lines_, address));
    }
  }

  void add_text(const DnsText& text) {
    if (text.value.size() > kLongestText)
      lines_.refuse("<txt value>", text.value, fmt::format("it is longer than {} bytes", kLongestText));
    lines_.add("txt-record={},{}", lines_.name("<txt name>", text.name),
               lines_.quoted("<txt value>", text.value));
  }

  void add_service(const DnsService& service) {
    std::string line = fmt::format("srv-host=_{}._{}", lines_.name("<srv service>", service.service),
                                   lines_.name("<srv protocol>", service.protocol));
    if (!service.domain.empty()) line += "." + lines_.name("<srv domain>", service.domain);
    if (!service.target.empty()) {
      line += "," + lines_.name("<srv target>", service.target);
      // What stands before one that is given has to be said: dnsmasq's own defaults.
      if (service.port || service.priority || service.weight)
        line += fmt::format(",{}", service.port.value_or(1));
      if (service.priority || service.weight) line += fmt::format(",{}", service.priority.value_or(0));
      if (service.weight) line += fmt::format(",{}", *service.weight);
    }
    lines_.add("{}", line);
  }

  void add_dhcp() {
    std::uint64_t leases = 0;
    bool ipv4 = false, ipv6 = false;
    for (const NetworkAddress& address : definition_.addresses) {
      if (!address.address) continue;
      if (!address.tftp_root.empty())
        lines_.add("enable-tftp\ntftp-root={}", lines_.quoted("<tftp root>", address.tftp_root));
      if (!address.has_dhcp()) continue;
      (address.address->is_ipv6 ? ipv6 : ipv4) = true;
      leases += add_ranges(address);
      if (!address.boot_file.empty()) add_boot_file(address);
    }
    if (ipv4) {
      lines_.add("dhcp-no-override\ndhcp-authoritative");
      // No router where there is nothing to be reached by it.
      if (definition_.mode() == ForwardMode::none) lines_.add("dhcp-option=3");
      if (definition_.mtu) lines_.add("dhcp-option=26,{}", *definition_.mtu);
    }
    if (ipv4 || ipv6) {
      const DnsmasqFiles files = dnsmasq_files(settings_, definition_);
      lines_.add("dhcp-leasefile={}\ndhcp-hostsfile={}", path(files.leases), path(files.dhcp_hosts));
      lines_.add("dhcp-lease-max={}", leases);
    }
    add_router_advertisements(ipv6);
  }

  // Returns how many leases there can be.
  std::uint64_t add_ranges(const NetworkAddress& address) {
    const unsigned prefix = address.effective_prefix();
    const bool six = address.address->is_ipv6;
    const std::string mask =
        six ? std::to_string(prefix) : config::format_ip_address(config::netmask_of_prefix(false, prefix));
    std::uint64_t leases = 0;
    for (const DhcpRange& range : address.ranges) {
      leases += size_of(range.addresses);
      lines_.add("dhcp-range={},{},{}{}", config::format_ip_address(range.addresses.begin),
                 config::format_ip_address(range.addresses.end), mask, lease_time(lines_, range.lease));
    }
    // A host beyond them may be any of the subnet: its number of addresses, so that more hosts are no new
    // limit.
    const bool beyond = std::ranges::any_of(address.hosts, [&](const DhcpHost& host) {
      return std::ranges::none_of(address.ranges, [&](const DhcpRange& range) {
        return !host.ip || (*host.ip >= range.addresses.begin && *host.ip <= range.addresses.end);
      });
    });
    if (beyond)
      leases = size_of(
          {config::first_address(*address.address, prefix), config::last_address(*address.address, prefix)});
    // Those that are named get an address, and nobody else.
    if (address.ranges.empty())
      lines_.add("dhcp-range={},static,{}", config::format_ip_address(*address.address), mask);
    return leases;
  }

  void add_boot_file(const NetworkAddress& address) {
    const std::string file = lines_.quoted("<bootp file>", address.boot_file);
    if (address.boot_server)
      lines_.add("dhcp-boot={},,{}", file, config::format_ip_address(*address.boot_server));
    else
      lines_.add("dhcp-boot={}", file);
  }

  // With DHCPv6 guests learn of the router beside their address; without they make their own address.
  void add_router_advertisements(bool dhcp) {
    // A lifetime of 0: who asks learns of the prefix, and not of a router (RFC 4861 §4.2).
    const bool is_ipv6 = std::ranges::any_of(definition_.addresses, [](const NetworkAddress& address) {
      return address.address && address.address->is_ipv6;
    });
    if (is_ipv6 && definition_.mode() == ForwardMode::none) lines_.add("ra-param=*,0,0");
    if (dhcp) {
      lines_.add("enable-ra");
      return;
    }
    for (const NetworkAddress& address : definition_.addresses) {
      if (address.address && address.address->is_ipv6)
        lines_.add("dhcp-range={},ra-only", config::format_ip_address(*address.address));
    }
  }

  const DnsmasqSettings& settings_;
  const NetworkDefinition& definition_;
  Lines lines_;
};

// Whatever the umask says, dnsmasq gets to its files when it is no longer root.
void make_directory(const std::filesystem::path& path) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  if (!failed) std::filesystem::permissions(path, std::filesystem::perms(0755), failed);
  if (failed) throw system_error(failed.value(), fmt::format("cannot make the directory {}", path.native()));
}

}  // namespace

DnsmasqFiles dnsmasq_files(const DnsmasqSettings& settings, const NetworkDefinition& definition) {
  const Lines lines(definition);
  const std::string& name = lines.name("<bridge name>", definition.bridge.name);
  auto file = [&](const char* what) { return settings.run_directory / (name + what); };
  return {file(".dnsmasq.conf"), file(".dhcp-hosts"), file(".dns-hosts"), file(".dnsmasq.pid"),
          settings.lease_directory / (name + ".leases")};
}

DnsmasqTexts dnsmasq_texts(const DnsmasqSettings& settings, const NetworkDefinition& definition) {
  DnsmasqTexts texts{Configuration(settings, definition).make(), {}, {}};
  Lines dhcp(definition), dns(definition);
  for (const NetworkAddress& address : definition.addresses)
    for (const DhcpHost& host : address.hosts) add_dhcp_host(dhcp, host);
  if (definition.dns) {
    for (const DnsHost& host : definition.dns->hosts) {
      std::string line = config::format_ip_address(host.ip);
      for (const std::string& name : host.names) line += "\t" + dns.name("<hostname>", name);
      dns.add("{}", line);
    }
  }
  texts.dhcp_hosts = dhcp.take();
  texts.dns_hosts = dns.take();
  return texts;
}

bool needs_dnsmasq(const NetworkDefinition& definition) {
  if (!definition.owns_bridge()) return false;
  return std::ranges::any_of(definition.addresses, [&](const NetworkAddress& address) {
    return address.address && (dns_enabled(definition) || address.has_dhcp() || address.address->is_ipv6 ||
                               !address.tftp_root.empty());
  });
}

DnsmasqChange write_dnsmasq_files(const DnsmasqSettings& settings, const NetworkDefinition& definition) {
  const DnsmasqTexts texts = dnsmasq_texts(settings, definition);
  const DnsmasqFiles files = dnsmasq_files(settings, definition);
  make_directory(settings.run_directory);
  make_directory(settings.lease_directory);
  const bool dhcp = replace_if_changed(files.dhcp_hosts, texts.dhcp_hosts);
  const bool dns = replace_if_changed(files.dns_hosts, texts.dns_hosts);
  if (replace_if_changed(files.configuration, texts.configuration)) return DnsmasqChange::restart;
  return dhcp || dns ? DnsmasqChange::reload : DnsmasqChange::none;
}

void remove_dnsmasq_files(const DnsmasqFiles& files) noexcept {
  for (const auto* file : {&files.configuration, &files.dhcp_hosts, &files.dns_hosts, &files.process_id})
    ::unlink(file->c_str());
}

}  // namespace warren::driver::network
