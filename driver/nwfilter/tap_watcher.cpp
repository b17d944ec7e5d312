#include "driver/nwfilter/tap_watcher.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/nwfilter/address_observation.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/os/netlink_listener.h"

namespace warren::driver::nwfilter {

namespace {

using vmm::FileDescriptor;

constexpr std::uint64_t kLinks = 0, kStop = 1, kFirstTap = 2;  // what an event of epoll is of
constexpr int kFramesAtOnce = 32;
constexpr int kFramesPerSecond = 200, kDhcpFramesPerSecond = 20;  // of one tap
constexpr std::size_t kMostAddresses = 32;                        // of one guest
constexpr std::size_t kFrameBytes = 2048;

constexpr sock_filter instruction(unsigned code, std::uint32_t k, std::uint8_t yes = 0, std::uint8_t no = 0) {
  return {static_cast<std::uint16_t>(code), yes, no, k};
}
constexpr std::uint32_t kVlanPresent = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT);

// ARP and IPv4 without a VLAN tag.
constexpr std::array kAnyProgram = {
    instruction(BPF_LD | BPF_B | BPF_ABS, kVlanPresent),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
    instruction(BPF_LD | BPF_H | BPF_ABS, 12),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 0x0806, 2, 0),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 0x0800, 1, 0),
    instruction(BPF_RET | BPF_K, 0),
    instruction(BPF_RET | BPF_K, kFrameBytes),
};
// UDP over IPv4, not a later fragment, from port 67 to 68 or back.
constexpr std::array kDhcpProgram = {
    instruction(BPF_LD | BPF_B | BPF_ABS, kVlanPresent),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 14),
    instruction(BPF_LD | BPF_H | BPF_ABS, 12),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 0x0800, 0, 12),
    instruction(BPF_LD | BPF_B | BPF_ABS, 23),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 10),
    instruction(BPF_LD | BPF_H | BPF_ABS, 20),
    instruction(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 8, 0),
    instruction(BPF_LDX | BPF_B | BPF_MSH, 14),
    instruction(BPF_LD | BPF_H | BPF_IND, 14),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 67, 2, 0),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 68, 0, 4),
    instruction(BPF_JMP | BPF_JA, 0),
    instruction(BPF_LD | BPF_H | BPF_IND, 16),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 68, 2, 0),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 67, 1, 0),
    instruction(BPF_RET | BPF_K, 0),
    instruction(BPF_RET | BPF_K, kFrameBytes),
};

[[noreturn]] void fail(std::string_view doing) {
  throw Error(VIR_ERR_SYSTEM_ERROR, fmt::format("network filters: {}: {}", doing, std::strerror(errno)),
              VIR_FROM_NWFILTER);
}

vmm::NetlinkListener listen_for_links() {
  auto listener = vmm::NetlinkListener::open(NETLINK_ROUTE, {RTNLGRP_LINK});
  if (!listener) throw system_error(listener.error(), "network filters: listen for links");
  return *std::move(listener);
}

template <std::size_t Size>
bool attach(int fd, const std::array<sock_filter, Size>& program) {
  // The kernel copies the program and does not write it.
  const sock_fprog filter{.len = Size, .filter = const_cast<sock_filter*>(program.data())};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0;
}

// Bound only once it is filtered, so that it has nothing else in its queue. Invalid: errno says why.
FileDescriptor open_tap(const std::string& tap, Learning learning) {
  const unsigned index = ::if_nametoindex(tap.c_str());
  if (index == 0) return {};
  FileDescriptor fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return {};
  if (!(learning == Learning::any ? attach(fd.get(), kAnyProgram) : attach(fd.get(), kDhcpProgram)))
    return {};
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(index);
  // The socket interface's way of passing addresses.
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

struct Watch {
  WatchedTap tap;
  unsigned index = 0;  // of the link that has the name; 0: none
  FileDescriptor socket;
  std::int64_t second = 0;  // of the count
  int frames = 0;           // in that second
  bool is_paused = false;   // for the rest of it
};

struct Notice {
  std::string tap;
  std::uint64_t number = 0;
  bool is_gone = false;
  std::vector<LearnedAddress> addresses;
};

}  // namespace

std::int64_t boot_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec;
}

struct TapWatcher::State {
  explicit State(TapEvents taken) : events(std::move(taken)), links(listen_for_links()) {
    epoll = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
    stop = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!epoll || !stop) fail("open the watcher's descriptors");
    if (!add(links.descriptor(), kLinks) || !add(stop.get(), kStop)) fail("watch sockets");
  }

  bool add(int fd, std::uint64_t id) const {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
    return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  // With the lock held, all of these.
  void tell_known(const Watch& watch) {
    notices.push_back({.tap = watch.tap.tap, .number = watch.tap.number, .addresses = watch.tap.known});
  }
  void tell_gone(const Watch& watch) {
    notices.push_back({.tap = watch.tap.tap, .number = watch.tap.number, .is_gone = true});
  }

  void listen(std::uint64_t id, Watch& watch) const {
    if (watch.tap.learning == Learning::none || watch.socket) return;
    if (watch.tap.learning == Learning::any && !watch.tap.known.empty()) return;
    watch.socket = open_tap(watch.tap.tap, watch.tap.learning);
    if (watch.socket ? !add(watch.socket.get(), id) : errno != ENODEV)
      events.report(
          fmt::format("{}: the guest's address cannot be learned: {}", watch.tap.tap, std::strerror(errno)));
  }

  // A socket of a link that is gone hears nothing of the next one of its name.
  void leave(Watch& watch) {
    watch.index = 0;
    watch.socket.reset();
    watch.is_paused = false;
    if (watch.tap.learning != Learning::any || watch.tap.known.empty()) return;
    watch.tap.known.clear();
    tell_known(watch);
  }

  // Turns to the link that has the name now.
  void follow(std::uint64_t id, Watch& watch) {
    const unsigned index = ::if_nametoindex(watch.tap.tap.c_str());
    if (watch.index != 0 && watch.index != index) leave(watch);
    watch.index = index;
    if (index != 0) listen(id, watch);
  }

  bool trusts(const Watch& watch, const config::IpAddress& server) const {
    const auto& servers = watch.tap.servers;
    return servers.empty() || std::ranges::find(servers, config::format_ip_address(server)) != servers.end();
  }

  // Whether it changed what is known.
  bool take(Watch& watch, const AddressObservation& seen) const {
    std::vector<LearnedAddress>& known = watch.tap.known;
    const auto found = std::ranges::find(known, seen.address, &LearnedAddress::address);
    if (seen.kind == AddressObservation::Kind::leased && !trusts(watch, seen.server)) return false;
    if (watch.tap.learning == Learning::any) {
      if (seen.kind == AddressObservation::Kind::released || !known.empty()) return false;
      known.push_back({seen.address, std::nullopt});
      watch.socket.reset();
      return true;
    }
    if (seen.kind == AddressObservation::Kind::released) {
      if (found == known.end()) return false;
      known.erase(found);
      return true;
    }
    if (seen.kind != AddressObservation::Kind::leased) return false;
    std::optional<std::int64_t> expires;
    if (seen.lease_s != kInfiniteLease) expires = boot_seconds() + seen.lease_s;
    if (found != known.end()) {
      // A client renews at half of its time (RFC 2131 §4.4.5); one that asks on and on writes no files.
      const bool is_near = found->expires_s && expires && *expires >= *found->expires_s &&
                           *expires - *found->expires_s < seen.lease_s / 16;
      if (found->expires_s == expires || is_near) return false;
      found->expires_s = expires;
      return true;
    }
    if (known.size() >= kMostAddresses) return false;
    known.push_back({seen.address, expires});
    return true;
  }

  void pause(Watch& watch) const {
    watch.is_paused = true;
    ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, watch.socket.get(), nullptr);
  }

  void receive(Watch& watch) {
    const std::int64_t now = boot_seconds();
    if (watch.second != now) {
      watch.second = now;
      watch.frames = 0;
    }
    std::array<std::uint8_t, kFrameBytes> frame;
    bool changed = false;
    for (int i = 0; i < kFramesAtOnce && watch.socket; ++i) {
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      // The socket interface's way of passing addresses.
      const ssize_t size = ::recvfrom(watch.socket.get(), frame.data(), frame.size(), MSG_DONTWAIT,
                                      reinterpret_cast<sockaddr*>(&from), &length);
      if (size < 0) {
        // The error of a link that went down is read once, and the next frame comes when it is up again.
        break;
      }
      if (++watch.frames > (watch.tap.learning == Learning::dhcp ? kDhcpFramesPerSecond : kFramesPerSecond)) {
        pause(watch);
        break;
      }
      const auto seen = observe_address(std::span(frame).first(static_cast<std::size_t>(size)), watch.tap.mac,
                                        from.sll_pkttype == PACKET_OUTGOING);
      if (seen && take(watch, *seen)) changed = true;
    }
    if (changed) tell_known(watch);
  }

  void receive_links() {
    const auto outcome = links.read(
        [this](std::span<const std::uint8_t> datagram) {
          auto left = static_cast<unsigned>(datagram.size());
          // It is aligned for it, and netlink's macros check the lengths of messages.
          for (const auto* header = reinterpret_cast<const nlmsghdr*>(datagram.data());
               NLMSG_OK(header, left); header = NLMSG_NEXT(header, left))
            take_link(header);
        },
        [this] { check_links(); });
    if (outcome) return;
    ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, links.descriptor(), nullptr);
    events.report(
        fmt::format("taps that come and go are not noticed any more: {}", std::strerror(outcome.error())));
  }

// The macros of netlink's headers are C.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
  void take_link(const nlmsghdr* header) {
    if (header->nlmsg_type != RTM_DELLINK && header->nlmsg_type != RTM_NEWLINK) return;
    if (header->nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg))) return;
    const auto* link = static_cast<const ifinfomsg*>(NLMSG_DATA(header));
    // A port that leaves its bridge is told as the end of a link of that family.
    if (link->ifi_family != AF_UNSPEC) return;
    auto left = static_cast<unsigned>(IFLA_PAYLOAD(header));
    for (const rtattr* attribute = IFLA_RTA(link); RTA_OK(attribute, left);
         attribute = RTA_NEXT(attribute, left)) {
      if (attribute->rta_type != IFLA_IFNAME) continue;
      const auto* text = static_cast<const char*>(RTA_DATA(attribute));
      const std::string name(text, ::strnlen(text, RTA_PAYLOAD(attribute)));
      const auto found = ids.find(name);
      if (found == ids.end()) return;
      Watch& watch = watches.at(found->second);
      if (header->nlmsg_type == RTM_NEWLINK) {
        follow(found->second, watch);
      } else {
        tell_gone(watch);
        if (watch.index == static_cast<unsigned>(link->ifi_index)) leave(watch);
      }
      return;
    }
  }

#pragma GCC diagnostic pop

  // After messages were lost.
  void check_links() {
    for (const auto& [name, id] : ids) {
      Watch& watch = watches.at(id);
      follow(id, watch);
      if (watch.index == 0) tell_gone(watch);
    }
  }

  void end_leases(std::int64_t now) {
    for (auto& [id, watch] : watches) {
      if (watch.is_paused && watch.second != now && watch.socket) {
        watch.is_paused = false;
        add(watch.socket.get(), id);
      }
      const auto ended = [now](const LearnedAddress& known) {
        return known.expires_s && *known.expires_s <= now;
      };
      if (std::erase_if(watch.tap.known, ended) != 0) tell_known(watch);
    }
  }

  int timeout_ms(std::int64_t now) const {
    std::int64_t seconds = 3600;
    for (const auto& [id, watch] : watches) {
      if (watch.is_paused) seconds = std::min<std::int64_t>(seconds, 1);
      for (const LearnedAddress& known : watch.tap.known)
        if (known.expires_s) seconds = std::min(seconds, std::max<std::int64_t>(*known.expires_s - now, 0));
    }
    return static_cast<int>(seconds * 1000);
  }

  void run() {
    std::array<epoll_event, 64> ready;
    while (true) {
      int timeout = 0;
      {
        const std::lock_guard lock(mutex);
        timeout = timeout_ms(boot_seconds());
      }
      const int count = ::epoll_wait(epoll.get(), ready.data(), static_cast<int>(ready.size()), timeout);
      std::vector<Notice> told;
      {
        const std::lock_guard lock(mutex);
        if (is_stopping) return;
        std::uint64_t woken = 0;
        if (::read(stop.get(), &woken, sizeof woken) < 0) woken = 0;  // nobody woke it
        for (int i = 0; i < count; ++i) {
          const std::uint64_t id = ready[static_cast<std::size_t>(i)].data.u64;
          if (id == kLinks) receive_links();
          if (const auto found = watches.find(id); found != watches.end()) receive(found->second);
        }
        end_leases(boot_seconds());
        told = std::exchange(notices, {});
      }
      for (const Notice& notice : told)
        notice.is_gone ? events.gone(notice.tap, notice.number)
                       : events.learned(notice.tap, notice.number, notice.addresses);
    }
  }

  void wake() const {
    const std::uint64_t one = 1;
    if (::write(stop.get(), &one, sizeof one) < 0) return;  // it is awake already
  }

  void forget(const std::string& tap) {
    if (const auto found = ids.find(tap); found != ids.end()) {
      watches.erase(found->second);
      ids.erase(found);
    }
  }

  TapEvents events;
  std::mutex mutex;
  FileDescriptor epoll, stop;
  vmm::NetlinkListener links;
  std::map<std::uint64_t, Watch> watches;
  std::map<std::string, std::uint64_t> ids;
  std::uint64_t next_id = kFirstTap;
  std::vector<Notice> notices;
  bool is_stopping = false;
  std::thread thread;
};

TapWatcher::TapWatcher(TapEvents events) : state_(std::make_unique<State>(std::move(events))) {
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

TapWatcher::~TapWatcher() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_stopping = true;
  }
  state_->wake();
  state_->thread.join();
}

void TapWatcher::watch(WatchedTap tap) {
  {
    const std::lock_guard lock(state_->mutex);
    if (const auto found = state_->ids.find(tap.tap); found != state_->ids.end()) {
      const WatchedTap& old = state_->watches.at(found->second).tap;
      // It knows more than who asks for it may know yet.
      if (old.number == tap.number && old.mac == tap.mac && old.learning == tap.learning &&
          old.servers == tap.servers)
        return;
    }
    state_->forget(tap.tap);
    const std::uint64_t id = state_->next_id++;
    state_->ids[tap.tap] = id;
    Watch& watch = state_->watches[id];
    watch.tap = std::move(tap);
    state_->follow(id, watch);
  }
  state_->wake();  // leases of its own may end sooner than what it waits for
}

void TapWatcher::forget(const std::string& tap) {
  const std::lock_guard lock(state_->mutex);
  state_->forget(tap);
}

}  // namespace warren::driver::nwfilter
