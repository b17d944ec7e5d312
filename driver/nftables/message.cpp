#include "driver/nftables/message.h"

#include <cstring>
#include <optional>

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

namespace warren::driver::nftables {

namespace {

// Every object of a table names it in its first attribute: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE
// …
constexpr int kTableAttribute = 1;
static_assert(NFTA_TABLE_NAME == kTableAttribute && NFTA_CHAIN_TABLE == kTableAttribute &&
              NFTA_RULE_TABLE == kTableAttribute && NFTA_SET_TABLE == kTableAttribute &&
              NFTA_SET_ELEM_LIST_TABLE == kTableAttribute && NFTA_OBJ_TABLE == kTableAttribute);
constexpr int kGenerationAttribute = NFTA_GEN_ID;

template <typename Object>
std::optional<Object> read(std::span<const std::uint8_t> bytes) {
  Object object;
  if (bytes.size() < sizeof object) return std::nullopt;
  std::memcpy(&object, bytes.data(), sizeof object);
  return object;
}

std::span<const std::uint8_t> rest(std::span<const std::uint8_t> bytes, std::size_t used) {
  // NLMSG_ALIGNTO and NLA_ALIGNTO are the same 4 bytes.
  const std::size_t aligned = (used + 3) & ~std::size_t{3};
  return aligned >= bytes.size() ? std::span<const std::uint8_t>() : bytes.subspan(aligned);
}

std::span<const std::uint8_t> attribute(std::span<const std::uint8_t> bytes, int wanted) {
  while (const auto header = read<nlattr>(bytes)) {
    if (header->nla_len < sizeof(nlattr) || header->nla_len > bytes.size()) break;
    if ((header->nla_type & NLA_TYPE_MASK) == wanted)
      return bytes.subspan(sizeof(nlattr), header->nla_len - sizeof(nlattr));
    bytes = rest(bytes, header->nla_len);
  }
  return {};
}

const char* family_name(std::uint8_t family) {
  switch (family) {
    case NFPROTO_INET:
      return "inet";
    case NFPROTO_IPV4:
      return "ip";
    case NFPROTO_IPV6:
      return "ip6";
    case NFPROTO_ARP:
      return "arp";
    case NFPROTO_BRIDGE:
      return "bridge";
    case NFPROTO_NETDEV:
      return "netdev";
    default:
      return nullptr;
  }
}

std::optional<RulesetMessage> message_of(int type, std::span<const std::uint8_t> payload) {
  if (type >> 8 != NFNL_SUBSYS_NFTABLES) return std::nullopt;
  const auto header = read<nfgenmsg>(payload);
  if (!header) return std::nullopt;
  RulesetMessage message{.type = type & 0xff, .table = {}};
  const std::span<const std::uint8_t> attributes = rest(payload, sizeof(nfgenmsg));
  if (message.type == NFT_MSG_NEWGEN) {
    const auto number = read<std::uint32_t>(attribute(attributes, kGenerationAttribute));
    if (!number) return std::nullopt;
    message.generation = ntohl(*number);
    return message;
  }
  const std::span<const std::uint8_t> name = attribute(attributes, kTableAttribute);
  const char* family = family_name(header->nfgen_family);
  if (family == nullptr || name.empty()) return message;
  // Bytes of the kernel; text up to its NUL.
  const auto* text = reinterpret_cast<const char*>(name.data());
  message.table = std::string(family) + " " + std::string(text, ::strnlen(text, name.size()));
  return message;
}

}  // namespace

std::vector<RulesetMessage> ruleset_messages(std::span<const std::uint8_t> datagram) {
  std::vector<RulesetMessage> messages;
  while (const auto header = read<nlmsghdr>(datagram)) {
    if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > datagram.size()) break;
    const auto payload = datagram.subspan(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr));
    if (auto message = message_of(header->nlmsg_type, payload)) messages.push_back(std::move(*message));
    datagram = rest(datagram, header->nlmsg_len);
  }
  return messages;
}

}  // namespace warren::driver::nftables
