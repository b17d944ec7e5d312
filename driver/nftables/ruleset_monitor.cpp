#include "driver/nftables/ruleset_monitor.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "driver/contract/error.h"
#include "driver/nftables/generation.h"
#include "driver/nftables/message.h"

namespace warren::driver::nftables {

namespace {

constexpr std::size_t kLargestDatagram =
    64 * 1024;                               // NLMSG_GOODSIZE is 8 KiB at most; one object may be more
constexpr int kMostDatagrams = 1000;         // at a time, so that a storm does not hold its reader
constexpr int kQueueBytes = 4 << 20;         // a transaction of a thousand taps has thousands of messages
constexpr std::uint32_t kMostMissed = 1024;  // transactions that are asked about one by one

constexpr const char* kDoing = "cannot watch the host's packet filter";

vmm::FileDescriptor open_socket() {
  vmm::FileDescriptor socket(
      ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!socket) throw system_error(errno, kDoing);
  sockaddr_nl address{.nl_family = AF_NETLINK};
  // bind(2) takes every kind of address as a sockaddr.
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw system_error(errno, kDoing);
  const int group = NFNLGRP_NFTABLES;
  if (::setsockopt(socket.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    throw system_error(errno, kDoing);
  // Without CAP_NET_ADMIN it stays as it was, and more is missed and looked up.
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kQueueBytes, sizeof kQueueBytes);
  return socket;
}

}  // namespace

RulesetMonitor::RulesetMonitor(std::vector<std::string> tables)
    : tables_(std::move(tables)), socket_(open_socket()), last_(ruleset_generation()) {}

void RulesetMonitor::read() {
  alignas(nlmsghdr) std::array<std::uint8_t, kLargestDatagram> bytes;
  for (int datagram = 0; datagram < kMostDatagrams; ++datagram) {
    sockaddr_nl sender{};
    socklen_t sender_size = sizeof sender;
    const ssize_t count = ::recvfrom(socket_.get(), bytes.data(), bytes.size(), 0,
                                     reinterpret_cast<sockaddr*>(&sender), &sender_size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == ENOBUFS) {
      // What is in the queue still comes, but it may lack anything.
      if (!missed_from_) missed_from_ = last_.value_or(0);
      continue;
    }
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (count < 0) throw system_error(errno, "cannot hear of the host's packet filter");
    if (sender.nl_pid != 0) continue;  // not the kernel
    take(std::span(bytes).first(static_cast<std::size_t>(count)));
  }
}

void RulesetMonitor::take(std::span<const std::uint8_t> datagram) {
  for (RulesetMessage& message : ruleset_messages(datagram)) {
    // The kernel tells of a transaction's objects first, and then of its end.
    if (message.type != NFT_MSG_NEWGEN) {
      if (std::ranges::find(tables_, message.table) != tables_.end()) open_.insert(std::move(message.table));
      continue;
    }
    last_ = message.generation;
    if (!open_.empty()) changes_[message.generation].merge(std::exchange(open_, {}));
  }
}

std::set<std::string> RulesetMonitor::changed_by_others() {
  std::set<std::string> changed;
  std::erase_if(changes_, [&changed](const auto& entry) {
    const Author author = author_of(entry.first);
    if (author == Author::others) changed.insert(entry.second.begin(), entry.second.end());
    return author != Author::unknown;
  });
  if (missed_from_) look_at_missed(changed);
  return changed;
}

// Transactions that the kernel did not tell of may have been about any table.
void RulesetMonitor::look_at_missed(std::set<std::string>& changed) {
  const std::optional<std::uint32_t> now = ruleset_generation();
  bool is_others = !now || *now - *missed_from_ > kMostMissed;
  for (std::uint32_t each = *missed_from_; !is_others && each != *now;) {
    const Author author = author_of(++each);
    if (author == Author::unknown) return;
    is_others = author == Author::others;
  }
  if (is_others) changed.insert(tables_.begin(), tables_.end());
  if (now) last_ = now;
  missed_from_.reset();
}

}  // namespace warren::driver::nftables
