#include "driver/nftables/generation.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "driver/nftables/message.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::nftables {

namespace {

// More than come between a change and its reader, who is told of each.
constexpr std::size_t kMostRemembered = 4096;

struct Ours {
  std::mutex transaction;  // held by the one that is under way
  std::mutex mutex;        // of what follows
  std::deque<std::uint32_t> generations;
  bool is_under_way = false;
  std::optional<std::uint32_t> before;  // of the one that is under way
};

Ours& ours() {
  static Ours instance;
  return instance;
}

// Serial numbers that wrap around (RFC 1982).
bool is_after(std::uint32_t one, std::uint32_t other) {
  return static_cast<std::int32_t>(one - other) > 0;
}

}  // namespace

std::optional<std::uint32_t> ruleset_generation() noexcept {
  const vmm::FileDescriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket) return std::nullopt;
  // The kernel answers before send() returns; this is for one that does not.
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
    return std::nullopt;
  struct {
    nlmsghdr header;
    nfgenmsg family;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.family.nfgen_family = AF_UNSPEC;
  request.family.version = NFNETLINK_V0;
  if (::send(socket.get(), &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request))
    return std::nullopt;
  alignas(nlmsghdr) std::array<std::uint8_t, 8192> answer;
  ssize_t size = -1;
  do {
    size = ::recv(socket.get(), answer.data(), answer.size(), 0);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) return std::nullopt;
  for (const RulesetMessage& message :
       ruleset_messages(std::span(answer).first(static_cast<std::size_t>(size))))
    if (message.type == NFT_MSG_NEWGEN) return message.generation;
  return std::nullopt;
}

Author author_of(std::uint32_t generation) noexcept {
  Ours& known = ours();
  const std::lock_guard lock(known.mutex);
  if (std::ranges::find(known.generations, generation) != known.generations.end()) return Author::ours;
  if (known.is_under_way && known.before && is_after(generation, *known.before)) return Author::unknown;
  return Author::others;
}

OwnTransaction::OwnTransaction() {
  Ours& known = ours();
  known.transaction.lock();
  const std::optional<std::uint32_t> before = ruleset_generation();
  const std::lock_guard lock(known.mutex);
  // Numbers that begin anew are of another name space, or of a host that has wrapped around.
  if (before && !known.generations.empty() && is_after(known.generations.back(), *before))
    known.generations.clear();
  known.is_under_way = true;
  known.before = before;
}

OwnTransaction::~OwnTransaction() {
  Ours& known = ours();
  const std::optional<std::uint32_t> after = is_applied_ ? ruleset_generation() : std::nullopt;
  {
    const std::lock_guard lock(known.mutex);
    // Where somebody else's came in between, ours is not told from it: both are taken for theirs.
    if (after && known.before && *after == *known.before + 1) known.generations.push_back(*after);
    if (known.generations.size() > kMostRemembered) known.generations.pop_front();
    known.is_under_way = false;
  }
  known.transaction.unlock();
}

}  // namespace warren::driver::nftables
