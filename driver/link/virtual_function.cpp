#include "driver/link/virtual_function.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "driver/contract/error.h"
#include "driver/link/link.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kHeader = sizeof(nlattr), kAlignment = 4;  // netlink(7)

// The attributes of a nest, of which several may be of one type.
template <typename Visit>
void for_each_attribute(Bytes bytes, Visit visit) {
  while (bytes.size() >= kHeader) {
    nlattr header;
    std::memcpy(&header, bytes.data(), kHeader);
    const std::size_t length = header.nla_len;
    if (length < kHeader || length > bytes.size()) return;
    const int type = header.nla_type & static_cast<std::uint16_t>(NLA_TYPE_MASK);
    visit(type, bytes.subspan(kHeader, length - kHeader));
    const std::size_t next = (length + kAlignment - 1) / kAlignment * kAlignment;
    bytes = bytes.subspan(std::min(next, bytes.size()));
  }
}

template <typename T>
std::optional<T> read(Bytes bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

void read_function_part(int type, Bytes bytes, std::optional<std::uint32_t>& index,
                        FunctionSettings& settings) {
  if (type == IFLA_VF_MAC) {
    const auto mac = read<ifla_vf_mac>(bytes);
    if (!mac) return;
    index = mac->vf;
    std::copy_n(std::begin(mac->mac), settings.mac.size(), settings.mac.begin());
  } else if (type == IFLA_VF_VLAN) {
    const auto vlan = read<ifla_vf_vlan>(bytes);
    if (!vlan) return;
    settings.vlan = static_cast<std::uint16_t>(vlan->vlan & 0xfff);
    settings.priority = vlan->qos;
  }
}

template <typename Object>
void tell(const Link& device, std::uint32_t index, int type, const Object& object, const std::string& doing) {
  ifinfomsg header{};
  header.ifi_index = device.index;
  Message message(RTM_SETLINK, 0, header);
  message.nest(IFLA_VFINFO_LIST,
               [&] { message.nest(IFLA_VF_INFO, [&] { message.put_object(type, object); }); });
  const Netlink::Result result = Netlink().try_send(message);
  if (result.error == 0) return;
  const std::string what =
      fmt::format("link {}: cannot {} of its virtual function {}", device.name, doing, index);
  if (result.error == EOPNOTSUPP)
    throw operation_unsupported(fmt::format("{}: its driver cannot do that", what));
  fail(result, what);
}

}  // namespace

std::map<std::uint32_t, FunctionSettings> parse_functions(Bytes list) {
  std::map<std::uint32_t, FunctionSettings> functions;
  for_each_attribute(list, [&](int type, Bytes function) {
    if (type != IFLA_VF_INFO) return;
    FunctionSettings settings;
    std::optional<std::uint32_t> index;
    for_each_attribute(function,
                       [&](int part, Bytes bytes) { read_function_part(part, bytes, index, settings); });
    if (index) functions[*index] = settings;
  });
  return functions;
}

FunctionSettings read_function(const std::string& device, std::uint32_t index) {
  require_link(device);
  Message message(RTM_GETLINK, 0, ifinfomsg{});
  message.put(IFLA_IFNAME, device);
  message.put(IFLA_EXT_MASK, std::uint32_t{RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS});
  std::vector<Answer> answers;
  const Netlink::Result result = Netlink().ask(message, answers);
  if (result.error != 0) fail(result, fmt::format("link {}: cannot look at its virtual functions", device));
  for (const Answer& answer : answers) {
    const auto functions = parse_functions(answer.attributes<ifinfomsg>().bytes(IFLA_VFINFO_LIST));
    if (const auto found = functions.find(index); found != functions.end()) return found->second;
  }
  throw operation_unsupported(
      fmt::format("link {}: its driver tells nothing of virtual function {}", device, index));
}

void set_function(const std::string& device, std::uint32_t index, const FunctionSettings& settings) {
  const Link link = require_link(device);
  const FunctionSettings before = read_function(device, index);
  if (before.vlan != settings.vlan || (settings.vlan != 0 && before.priority != settings.priority)) {
    const ifla_vf_vlan vlan{.vf = index, .vlan = settings.vlan, .qos = settings.priority};
    tell(link, index, IFLA_VF_VLAN, vlan, fmt::format("set VLAN {}", settings.vlan));
  }
  ifla_vf_mac mac{};
  mac.vf = index;
  std::ranges::copy(settings.mac, std::begin(mac.mac));
  tell(link, index, IFLA_VF_MAC, mac,
       fmt::format("set the MAC address {}", config::format_mac_address(settings.mac)));
}

}  // namespace warren::driver::link
