#include "driver/nftables/ruleset_monitor.h"

#include <algorithm>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "driver/contract/error.h"
#include "driver/nftables/generation.h"
#include "driver/nftables/message.h"

namespace warren::driver::nftables {

namespace {

constexpr int kQueueBytes = 4 << 20;         // a transaction of a thousand taps has thousands of messages
constexpr std::uint32_t kMostMissed = 1024;  // transactions that are asked about one by one

vmm::NetlinkListener listen() {
  auto listener = vmm::NetlinkListener::open(NETLINK_NETFILTER, {NFNLGRP_NFTABLES});
  if (!listener) throw system_error(listener.error(), "cannot watch the host's packet filter");
  // Where it stays as it was, more is missed and looked up.
  listener->keep_bytes(kQueueBytes);
  return *std::move(listener);
}

}  // namespace

RulesetMonitor::RulesetMonitor(std::vector<std::string> tables)
    : tables_(std::move(tables)), listener_(listen()), last_(ruleset_generation()) {}

void RulesetMonitor::read() {
  const auto outcome = listener_.read([this](std::span<const std::uint8_t> datagram) { take(datagram); },
                                      [this] {
                                        // What is in the queue still comes, but it may lack anything.
                                        if (!missed_from_) missed_from_ = last_.value_or(0);
                                      });
  if (!outcome) throw system_error(outcome.error(), "cannot hear of the host's packet filter");
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
