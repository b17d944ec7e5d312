#include "driver/link/traffic_limit.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/link/link.h"
#include "driver/link/netlink.h"
#include "driver/link/traffic_messages.h"

namespace warren::driver::link {

namespace {

constexpr std::uint64_t kKibibyte = 1024;
constexpr std::uint16_t kRoot = 1;
constexpr std::uint16_t kRest = 2;  // of a bridge: whoever has no guarantee

void require_average(const Link& link, const config::BandwidthRate& rate, std::string_view direction) {
  if (rate.average == 0)
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("link {}: <{}> needs an average above 0", link.name, direction));
}

void remove_if_there(Netlink& netlink, const Message& message, const std::string& doing) {
  const Netlink::Result result = netlink.try_send(message);
  // ENOENT and EINVAL are how the kernel says that there is no such thing on this link.
  if (result.error != 0 && result.error != ENOENT && result.error != EINVAL) fail(result, doing);
}

void make(Netlink& netlink, const Message& message, const std::string& doing, std::string_view module) {
  const Netlink::Result result = netlink.try_send(message);
  if (result.error == 0) return;
  if (result.error == ENOENT)
    throw operation_unsupported(fmt::format(
        "{}: this kernel lacks what does it; load its module {} (modprobe {})", doing, module, module));
  fail(result, doing);
}

void end_shaping(Netlink& netlink, const Link& link) {
  remove_if_there(netlink, remove_shaper(link.index), fmt::format("link {}: cannot end shaping", link.name));
}

void end_policing(Netlink& netlink, const Link& link) {
  remove_if_there(netlink, remove_ingress(link.index),
                  fmt::format("link {}: cannot end policing", link.name));
}

void police(Netlink& netlink, const Link& link, const config::BandwidthRate& rate) {
  const std::string doing = fmt::format("link {}: cannot limit what its guests send", link.name);
  make(netlink, add_ingress(link.index), doing, "sch_ingress");
  try {
    make(netlink, add_police(link.index, rate_of(rate)), doing, "act_police");
  } catch (...) {
    (void)netlink.try_send(remove_ingress(link.index));
    throw;
  }
}

void shape(Netlink& netlink, const Link& link, const config::BandwidthRate& rate) {
  const std::string doing = fmt::format("link {}: cannot limit what its guest receives", link.name);
  make(netlink, add_shaper(link.index, kRoot), doing, "sch_htb");
  try {
    netlink.send(set_class(link.index, kShaper, kRoot, rate_of(rate)), doing);
  } catch (...) {
    (void)netlink.try_send(remove_shaper(link.index));
    throw;
  }
}

// What is guaranteed to others than class `except`, in bytes a second.
std::uint64_t guaranteed(const std::vector<ShaperClass>& classes, std::uint16_t except) {
  std::uint64_t sum = 0;
  for (const ShaperClass& each : classes)
    if (each.id >= kFirstClass && each.id != except) sum += each.rate;
  return sum;
}

const ShaperClass* root_of(const std::vector<ShaperClass>& classes) {
  const auto found = std::ranges::find(classes, kRoot, &ShaperClass::id);
  return found == classes.end() ? nullptr : &*found;
}

Error overcommitted(const Link& link, std::uint64_t wanted, std::uint64_t there) {
  return operation_invalid(
      fmt::format("bridge {}: guarantees (floor) of {} KiB/s are more than the {} KiB/s that the network has "
                  "inbound (peak, or average where there is none); raise that, or lower them",
                  link.name, wanted / kKibibyte, there / kKibibyte));
}

// The rest gets what nobody was promised of the average, and may borrow all that nobody uses.
Message rest_class(const Link& link, std::uint64_t rate, std::uint64_t ceiling, std::uint64_t promised) {
  return set_class(link.index, shaper_class(kRoot), kRest,
                   {.rate = std::max(rate - std::min(rate, promised), kKibibyte), .ceiling = ceiling});
}

void share(Netlink& netlink, const Link& link, const config::BandwidthRate& inbound) {
  const std::string doing = fmt::format("bridge {}: cannot limit what its guests receive", link.name);
  const std::vector<ShaperClass> classes = list_classes(netlink, link.index);
  const Rate rate = rate_of(inbound);
  const std::uint64_t promised = guaranteed(classes, 0);
  if (promised > rate.ceiling) throw overcommitted(link, promised, rate.ceiling);
  const bool is_new = root_of(classes) == nullptr;
  if (is_new) make(netlink, add_shaper(link.index, kRest), doing, "sch_htb");
  try {
    netlink.send(set_class(link.index, kShaper, kRoot, rate), doing);
    netlink.send(rest_class(link, rate.rate, rate.ceiling, promised), doing);
    for (const ShaperClass& each : classes) {
      if (each.id >= kFirstClass)
        netlink.send(set_class(link.index, shaper_class(kRoot), each.id, {each.rate, rate.ceiling, 0}),
                     doing);
    }
  } catch (...) {
    if (is_new) (void)netlink.try_send(remove_shaper(link.index));
    throw;
  }
}

void check_class(const Link& link, std::uint16_t class_id) {
  if (class_id < kFirstClass || class_id > kLastClass)
    throw invalid_argument(fmt::format("bridge {}: there is no class {} of traffic; they are {} to {}",
                                       link.name, class_id, kFirstClass, kLastClass));
}

}  // namespace

void limit_traffic(const std::string& name, const std::optional<config::Bandwidth>& bandwidth) {
  const Link link = require_link(name);
  if (bandwidth && bandwidth->inbound) require_average(link, *bandwidth->inbound, "inbound");
  if (bandwidth && bandwidth->outbound) require_average(link, *bandwidth->outbound, "outbound");
  Netlink netlink;
  end_shaping(netlink, link);
  end_policing(netlink, link);
  if (!bandwidth) return;
  if (bandwidth->inbound) shape(netlink, link, *bandwidth->inbound);
  if (bandwidth->outbound) police(netlink, link, *bandwidth->outbound);
}

void limit_network(const std::string& bridge, const std::optional<config::Bandwidth>& bandwidth) {
  const Link link = require_link(bridge);
  if (bandwidth && bandwidth->inbound) require_average(link, *bandwidth->inbound, "inbound");
  if (bandwidth && bandwidth->outbound) require_average(link, *bandwidth->outbound, "outbound");
  Netlink netlink;
  if (bandwidth && bandwidth->inbound) {
    share(netlink, link, *bandwidth->inbound);
  } else {
    if (const std::uint64_t promised = guaranteed(list_classes(netlink, link.index), 0); promised != 0)
      throw overcommitted(link, promised, 0);
    end_shaping(netlink, link);
  }
  end_policing(netlink, link);
  if (bandwidth && bandwidth->outbound) police(netlink, link, *bandwidth->outbound);
}

void guarantee(const std::string& bridge, const Guarantee& guarantee) {
  const Link link = require_link(bridge);
  check_class(link, guarantee.class_id);
  Netlink netlink;
  const std::vector<ShaperClass> classes = list_classes(netlink, link.index);
  const ShaperClass* root = root_of(classes);
  const Rate floor = rate_of({.average = guarantee.floor});
  if (root == nullptr || floor.rate == 0)
    throw operation_invalid(
        fmt::format("bridge {}: a guarantee (floor) above 0 needs an average inbound rate of "
                    "the network to be a part of",
                    link.name));
  const std::uint64_t others = guaranteed(classes, guarantee.class_id);
  if (others > root->ceiling || floor.rate > root->ceiling - others)
    throw overcommitted(link, others + std::min(floor.rate, ~others), root->ceiling);
  const std::string doing = fmt::format("bridge {}: cannot guarantee {} KiB/s to {}", bridge, guarantee.floor,
                                        config::format_mac_address(guarantee.mac));
  // Less for the rest first, so that the promises never add up to more than there is.
  netlink.send(rest_class(link, root->rate, root->ceiling, others + floor.rate), doing);
  netlink.send(set_class(link.index, shaper_class(kRoot), guarantee.class_id, {floor.rate, root->ceiling, 0}),
               doing);
  // A filter's address cannot be changed.
  (void)netlink.try_send(remove_address_filter(link.index, guarantee.class_id));
  make(netlink, add_address_filter(link.index, guarantee.class_id, guarantee.mac), doing, "cls_u32");
}

void end_guarantee(const std::string& bridge, std::uint16_t class_id) {
  const Link link = require_link(bridge);
  check_class(link, class_id);
  Netlink netlink;
  const std::string doing = fmt::format("bridge {}: cannot end the guarantee of class {}", bridge, class_id);
  remove_if_there(netlink, remove_address_filter(link.index, class_id), doing);
  remove_if_there(netlink, remove_class(link.index, class_id), doing);
  const std::vector<ShaperClass> classes = list_classes(netlink, link.index);
  const ShaperClass* root = root_of(classes);
  if (root != nullptr)
    netlink.send(rest_class(link, root->rate, root->ceiling, guaranteed(classes, 0)), doing);
}

}  // namespace warren::driver::link
