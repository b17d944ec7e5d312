#include "driver/link/traffic_messages.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace warren::driver::link {

namespace {

constexpr std::uint64_t kKibibyte = 1024;
constexpr std::uint64_t kNanosecondsPerTick = 64;  // the kernel's PSCHED_SHIFT, fixed since 2.6.31
constexpr std::uint64_t kLargestFrame = 1600;
// What a guest's tap hands over at once: a whole segment of TSO. A policer drops what is longer than its
// burst.
constexpr std::uint64_t kLargestSegment = 68 * kKibibyte;
constexpr std::uint64_t kLeastQuantum = 1600, kMostQuantum = 200'000;
constexpr std::uint64_t kTurnsPerSecond = 10;  // HTB's r2q
constexpr std::uint32_t kIngressHandle = 0xffff'0000;
constexpr std::uint32_t kAddressFilterPriority = 2;
constexpr std::uint32_t kFirstTable = 0x8000'0000;  // of u32's hash tables: "800:"
constexpr int kTimeTable = 256;                     // entries of a struct tc_ratespec's table

std::uint64_t saturating_multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<std::uint64_t>::max() : product;
}

// The time that so many bytes take, as the kernel counts it.
std::uint32_t ticks(std::uint64_t bytes, std::uint64_t rate) {
  __extension__ using Wide = unsigned __int128;
  const Wide count = Wide{bytes} * 1'000'000'000 / kNanosecondsPerTick / std::max<std::uint64_t>(rate, 1);
  return count > std::numeric_limits<std::uint32_t>::max() ? std::numeric_limits<std::uint32_t>::max()
                                                           : static_cast<std::uint32_t>(count);
}

std::uint32_t low_rate(std::uint64_t rate) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(rate, std::numeric_limits<std::uint32_t>::max()));
}

tc_ratespec rate_specification(std::uint64_t rate) {
  // With the link layer said, HTB needs no table of times.
  return {.cell_log = 9, .linklayer = TC_LINKLAYER_ETHERNET, .cell_align = -1, .rate = low_rate(rate)};
}

tcmsg header_of(int link, std::uint32_t handle, std::uint32_t parent, std::uint32_t information = 0) {
  return {.tcm_family = AF_UNSPEC,
          .tcm_ifindex = link,
          .tcm_handle = handle,
          .tcm_parent = parent,
          .tcm_info = information};
}

std::uint32_t filter_information(std::uint32_t priority) {
  return (priority << 16) | htons(ETH_P_ALL);
}

// The selector of a u32 filter with its keys, which follow it without a gap.
template <std::size_t kKeys>
std::vector<std::uint8_t> selector_of(const std::array<tc_u32_key, kKeys>& keys) {
  tc_u32_sel head;
  std::memset(&head, 0, sizeof head);  // its last member is an array of none, which clang does not initialize
  head.flags = TC_U32_TERMINAL;
  head.nkeys = kKeys;
  std::vector<std::uint8_t> bytes(sizeof head + sizeof keys);
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, keys.data(), sizeof keys);
  return bytes;
}

}  // namespace

Rate rate_of(const config::BandwidthRate& rate) {
  return {.rate = saturating_multiply(rate.average, kKibibyte),
          .ceiling = saturating_multiply(rate.peak != 0 ? rate.peak : rate.average, kKibibyte),
          .burst = saturating_multiply(rate.burst, kKibibyte)};
}

Message add_shaper(int link, std::uint16_t default_class) {
  Message message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, header_of(link, kShaper, TC_H_ROOT));
  message.put(TCA_KIND, std::string("htb"));
  message.nest(TCA_OPTIONS, [&] {
    message.put_object(
        TCA_HTB_INIT,
        tc_htb_glob{.version = TC_HTB_PROTOVER, .rate2quantum = kTurnsPerSecond, .defcls = default_class});
  });
  return message;
}

Message remove_shaper(int link) {
  return {RTM_DELQDISC, 0, header_of(link, kShaper, TC_H_ROOT)};
}

Message set_class(int link, std::uint32_t parent, std::uint16_t id, const Rate& rate) {
  // Without a burst: what passes in a millisecond, the grain of a busy host's timers.
  const auto burst = [&](std::uint64_t of) { return std::max(rate.burst, of / 1000 + kLargestFrame); };
  tc_htb_opt options{.rate = rate_specification(rate.rate), .ceil = rate_specification(rate.ceiling)};
  options.buffer = ticks(burst(rate.rate), rate.rate);
  options.cbuffer = ticks(rate.ceiling / 1000 + kLargestFrame, rate.ceiling);
  options.quantum =
      static_cast<std::uint32_t>(std::clamp(rate.rate / kTurnsPerSecond, kLeastQuantum, kMostQuantum));
  Message message(RTM_NEWTCLASS, NLM_F_CREATE, header_of(link, shaper_class(id), parent));
  message.put(TCA_KIND, std::string("htb"));
  message.nest(TCA_OPTIONS, [&] {
    message.put_object(TCA_HTB_PARMS, options);
    if (rate.rate > low_rate(rate.rate)) message.put(TCA_HTB_RATE64, rate.rate);
    if (rate.ceiling > low_rate(rate.ceiling)) message.put(TCA_HTB_CEIL64, rate.ceiling);
  });
  return message;
}

Message remove_class(int link, std::uint16_t id) {
  return {RTM_DELTCLASS, 0, header_of(link, shaper_class(id), 0)};
}

Message add_address_filter(int link, std::uint16_t id, const config::MacAddress& mac) {
  Message message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL,
                  header_of(link, kFirstTable | id, kShaper, filter_information(kAddressFilterPriority)));
  std::uint32_t first = 0, last = 0;
  std::array<std::uint8_t, 4> beginning{0, 0, mac[0], mac[1]};
  std::memcpy(&first, beginning.data(), sizeof first);
  std::memcpy(&last, mac.data() + 2, sizeof last);
  // Offsets count from the network header, which is 14 bytes into the frame.
  const std::array<tc_u32_key, 2> keys{tc_u32_key{.mask = htonl(0xffff), .val = first, .off = -16},
                                       tc_u32_key{.mask = 0xffff'ffff, .val = last, .off = -12}};
  message.put(TCA_KIND, std::string("u32"));
  message.nest(TCA_OPTIONS, [&] {
    message.put(TCA_U32_CLASSID, shaper_class(id));
    message.put(TCA_U32_SEL, selector_of(keys));
  });
  return message;
}

Message remove_address_filter(int link, std::uint16_t id) {
  return {RTM_DELTFILTER, 0,
          header_of(link, kFirstTable | id, kShaper, filter_information(kAddressFilterPriority))};
}

Message add_ingress(int link) {
  Message message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, header_of(link, kIngressHandle, TC_H_INGRESS));
  message.put(TCA_KIND, std::string("ingress"));
  return message;
}

Message remove_ingress(int link) {
  return {RTM_DELQDISC, 0, header_of(link, kIngressHandle, TC_H_INGRESS)};
}

Message add_police(int link, const Rate& rate) {
  const std::uint64_t burst = std::max(rate.burst != 0 ? rate.burst : rate.rate, kLargestSegment);
  tc_police police{.action = TC_POLICE_SHOT,
                   .burst = ticks(burst, rate.rate),
                   .mtu = std::numeric_limits<std::uint32_t>::max(),
                   .rate = rate_specification(rate.rate)};
  std::array<std::uint32_t, kTimeTable> times{};
  for (std::size_t i = 0; i < times.size(); ++i) times[i] = ticks((i + 1) << police.rate.cell_log, rate.rate);
  Message message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL,
                  header_of(link, 0, kIngressHandle, filter_information(1)));
  message.put(TCA_KIND, std::string("u32"));
  message.nest(TCA_OPTIONS, [&] {
    message.put(TCA_U32_CLASSID, std::uint32_t{1});
    message.put(TCA_U32_SEL, selector_of(std::array<tc_u32_key, 1>{}));  // a mask of 0: all
    message.nest(TCA_U32_POLICE, [&] {
      message.put_object(TCA_POLICE_TBF, police);
      message.put_object(TCA_POLICE_RATE, times);
      if (rate.rate > low_rate(rate.rate)) message.put(TCA_POLICE_RATE64, rate.rate);
    });
  });
  return message;
}

std::vector<ShaperClass> list_classes(Netlink& netlink, int link) {
  std::vector<ShaperClass> classes;
  for (const Answer& answer :
       netlink.dump(Message(RTM_GETTCLASS, 0, header_of(link, 0, 0)), "list classes of traffic")) {
    const auto header = answer.header<tcmsg>();
    if (!header || header->tcm_ifindex != link || (header->tcm_handle & 0xffff'0000) != kShaper) continue;
    const Attributes attributes = answer.attributes<tcmsg>();
    const Attributes options = attributes.nested(TCA_OPTIONS);
    const auto parameters = options.get<tc_htb_opt>(TCA_HTB_PARMS);
    if (attributes.text(TCA_KIND) != "htb" || !parameters) continue;
    classes.push_back({static_cast<std::uint16_t>(header->tcm_handle & 0xffff),
                       options.get<std::uint64_t>(TCA_HTB_RATE64).value_or(parameters->rate.rate),
                       options.get<std::uint64_t>(TCA_HTB_CEIL64).value_or(parameters->ceil.rate)});
  }
  std::ranges::sort(classes, {}, &ShaperClass::id);
  return classes;
}

}  // namespace warren::driver::link
