#include "driver/link/sysctl.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/link/link.h"
#include "driver/link/netlink.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::link {

namespace {

constexpr std::string_view kBlanks = " \t\n";

std::string directory_of(AddressFamily family) {
  return family == AddressFamily::ipv4 ? "/proc/sys/net/ipv4" : "/proc/sys/net/ipv6";
}

std::string setting_path(AddressFamily family, std::string_view link, std::string_view setting) {
  // A link of such a name has no directory of its own there.
  if (!is_link_name(link) || link == "all" || link == "default")
    throw invalid_argument(fmt::format("'{}' is no link that can have settings of its own", link));
  if (!is_link_name(setting.substr(0, 15)) || setting.find('/') != std::string_view::npos)
    throw invalid_argument(fmt::format("link {}: '{}' is no setting", link, setting));
  return fmt::format("{}/conf/{}/{}", directory_of(family), link, setting);
}

std::string forwarding_path(AddressFamily family) {
  return directory_of(family) + (family == AddressFamily::ipv4 ? "/ip_forward" : "/conf/all/forwarding");
}

std::optional<std::string> read_file(const std::string& path) {
  const vmm::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::nullopt;
  std::array<char, 256> bytes{};
  const ssize_t count = file ? ::read(file.get(), bytes.data(), bytes.size()) : -1;
  if (count < 0) throw system_error(errno, fmt::format("cannot read {}", path));
  std::string text(bytes.data(), static_cast<std::size_t>(count));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

bool write_file(const std::string& path, std::string_view value) {
  const std::optional<std::string> now = read_file(path);
  if (!now) return false;
  if (*now == value) return true;
  const vmm::FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
    throw system_error(errno, fmt::format("cannot write {} to {}", value, path));
  return true;
}

void require_there(std::string_view link, AddressFamily family, std::string_view setting) {
  if (exists(link)) return;
  throw Error(VIR_ERR_NO_INTERFACE,
              fmt::format("there is no link '{}' whose {} setting {} could be reached", link,
                          family == AddressFamily::ipv4 ? "IPv4" : "IPv6", setting),
              VIR_FROM_INTERFACE);
}

}  // namespace

std::optional<std::string> read_link_setting(AddressFamily family, std::string_view link,
                                             std::string_view setting) {
  std::optional<std::string> value = read_file(setting_path(family, link, setting));
  if (!value) require_there(link, family, setting);
  return value;
}

bool write_link_setting(AddressFamily family, std::string_view link, std::string_view setting,
                        std::string_view value) {
  const bool written = write_file(setting_path(family, link, setting), value);
  if (!written) require_there(link, family, setting);
  return written;
}

bool is_forwarding(AddressFamily family) {
  return read_file(forwarding_path(family)).value_or("0") != "0";
}

void start_forwarding(AddressFamily family) {
  if (!write_file(forwarding_path(family), "1"))
    throw operation_unsupported(fmt::format("this kernel cannot forward {}: it has no {}",
                                            family == AddressFamily::ipv4 ? "IPv4" : "IPv6",
                                            forwarding_path(family)));
}

std::optional<std::string> link_losing_routes() {
  if (is_forwarding(AddressFamily::ipv6)) return std::nullopt;
  const std::vector<Link> links = list_links();
  const Message request(RTM_GETROUTE, 0, rtmsg{.rtm_family = AF_INET6});
  for (const Answer& answer : Netlink().dump(request, "list the IPv6 routes")) {
    const auto header = answer.header<rtmsg>();
    if (!header || header->rtm_family != AF_INET6 || header->rtm_protocol != RTPROT_RA) continue;
    const auto index = answer.attributes<rtmsg>().get<int>(RTA_OIF);
    for (const Link& link : links)
      if (link.index == index && read_link_setting(AddressFamily::ipv6, link.name, "accept_ra") == "1")
        return link.name;
  }
  return std::nullopt;
}

}  // namespace warren::driver::link
