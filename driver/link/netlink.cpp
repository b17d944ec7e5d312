#include "driver/link/netlink.h"

#include <cerrno>
#include <cstdlib>
#include <new>

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include "driver/contract/error.h"

namespace warren::driver::link {

namespace {

constexpr int kMostAttempts = 10;  // of a dump while what it lists changes

const nlattr* find(std::span<const std::uint8_t> bytes, int type) noexcept {
  if (bytes.empty()) return nullptr;
  // Attributes are what the kernel wrote, aligned to 4.
  return nla_find(reinterpret_cast<const nlattr*>(bytes.data()), static_cast<int>(bytes.size()), type);
}

Error library_error(int code, std::string_view doing) {
  return internal_error(fmt::format("{}: netlink: {}", doing, nl_geterror(code)));
}

std::span<const std::uint8_t> payload_of(const nlmsghdr* header) {
  const auto length = static_cast<std::size_t>(nlmsg_datalen(header));
  return {static_cast<const std::uint8_t*>(nlmsg_data(header)), length};
}

// NLMSG_ERROR, also with error 0: done. The attributes after the failed request hold the kernel's words.
Netlink::Result result_of(const nlmsghdr* header) {
  Netlink::Result result;
  const std::span<const std::uint8_t> payload = payload_of(header);
  nlmsgerr error{};
  if (payload.size() < sizeof error) return {EBADMSG, {}};
  std::memcpy(&error, payload.data(), sizeof error);
  result.error = -error.error;
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return result;
  std::size_t begin = sizeof error;
  if ((header->nlmsg_flags & NLM_F_CAPPED) == 0 && error.msg.nlmsg_len > NLMSG_HDRLEN)
    begin += NLMSG_ALIGN(error.msg.nlmsg_len) - NLMSG_HDRLEN;
  if (begin < payload.size()) result.words = Attributes(payload.subspan(begin)).text(NLMSGERR_ATTR_MSG);
  return result;
}

}  // namespace

bool Attributes::has(int type) const noexcept {
  return find(bytes_, type) != nullptr;
}

std::span<const std::uint8_t> Attributes::bytes(int type) const noexcept {
  const nlattr* attribute = find(bytes_, type);
  if (attribute == nullptr) return {};
  return {static_cast<const std::uint8_t*>(nla_data(attribute)),
          static_cast<std::size_t>(nla_len(attribute))};
}

std::string Attributes::text(int type) const {
  const std::span<const std::uint8_t> data = bytes(type);
  std::string text(data.begin(), data.end());
  return text.substr(0, text.find('\0'));
}

Message::Message(int type, int flags) : message_(nlmsg_alloc_simple(type, flags)) {
  if (message_ == nullptr) throw std::bad_alloc();
}

void Message::Free::operator()(nl_msg* message) const noexcept {
  nlmsg_free(message);
}

void Message::append(const void* data, std::size_t size) {
  // libnl copies from it only.
  if (nlmsg_append(message_.get(), const_cast<void*>(data), size, NLMSG_ALIGNTO) < 0) throw std::bad_alloc();
}

Message& Message::put_memory(int type, const void* data, std::size_t size) {
  if (nla_put(message_.get(), type, static_cast<int>(size), data) < 0) throw std::bad_alloc();
  return *this;
}

Message& Message::put(int type, std::span<const std::uint8_t> data) {
  return put_memory(type, data.data(), data.size());
}

void* Message::begin_nest(int type) {
  nlattr* begin = nla_nest_start(message_.get(), type | NLA_F_NESTED);
  if (begin == nullptr) throw std::bad_alloc();
  return begin;
}

void Message::end_nest(void* begin) {
  // An empty one says something too (IFLA_INFO_DATA of a link that takes none): libnl's usual end drops it.
  nla_nest_end_keep_empty(message_.get(), static_cast<nlattr*>(begin));
}

void Netlink::Free::operator()(nl_sock* socket) const noexcept {
  nl_socket_free(socket);
}

Netlink::Netlink() : socket_(nl_socket_alloc()) {
  if (socket_ == nullptr) throw std::bad_alloc();
  if (const int failed = nl_connect(socket_.get(), NETLINK_ROUTE); failed < 0)
    throw library_error(failed, "cannot talk to the kernel about links");
  // Kernels without these words still have their error numbers.
  const int on = 1;
  (void)::setsockopt(nl_socket_get_fd(socket_.get()), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
}

std::optional<Netlink::Result> Netlink::take(std::uint32_t sequence, std::vector<Answer>& answers,
                                             bool& interrupted) {
  unsigned char* bytes = nullptr;
  sockaddr_nl sender{};
  int length = nl_recv(socket_.get(), &sender, &bytes, nullptr);
  const std::unique_ptr<unsigned char, decltype(&std::free)> owned(length > 0 ? bytes : nullptr, &std::free);
  if (length < 0) return Result{EIO, nl_geterror(length)};
  if (length == 0) return Result{ECONNRESET, {}};
  if (sender.nl_pid != 0) return std::nullopt;  // not the kernel
  // libnl's buffer is aligned for any object.
  for (auto* header = reinterpret_cast<nlmsghdr*>(bytes); nlmsg_ok(header, length) != 0;
       header = nlmsg_next(header, &length)) {
    if (header->nlmsg_seq != sequence) continue;
    if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
    if (header->nlmsg_type == NLMSG_ERROR) return result_of(header);
    if (header->nlmsg_type == NLMSG_DONE) {
      const std::optional<std::int32_t> error = Answer(NLMSG_DONE, payload_of(header)).header<std::int32_t>();
      return Result{error && *error < 0 ? -*error : 0, {}};
    }
    answers.emplace_back(header->nlmsg_type, payload_of(header));
  }
  return std::nullopt;
}

Netlink::Result Netlink::exchange(const Message& message, int flags, std::vector<Answer>& answers,
                                  bool& interrupted) {
  nlmsghdr* header = nlmsg_hdr(message.get());
  header->nlmsg_flags = static_cast<std::uint16_t>(header->nlmsg_flags | flags);
  header->nlmsg_seq = NL_AUTO_SEQ;
  if (const int failed = nl_send_auto(socket_.get(), message.get()); failed < 0)
    return {EIO, nl_geterror(failed)};
  for (;;) {
    if (std::optional<Result> result = take(header->nlmsg_seq, answers, interrupted); result) return *result;
  }
}

Netlink::Result Netlink::try_send(const Message& message) {
  std::vector<Answer> answers;
  return ask(message, answers);
}

Netlink::Result Netlink::ask(const Message& message, std::vector<Answer>& answers) {
  bool interrupted = false;
  // The acknowledgement comes after the answer, and ends it.
  return exchange(message, NLM_F_ACK, answers, interrupted);
}

void Netlink::send(const Message& message, std::string_view doing) {
  if (const Result result = try_send(message); result.error != 0) fail(result, doing);
}

std::vector<Answer> Netlink::dump(const Message& message, std::string_view doing) {
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    std::vector<Answer> answers;
    bool interrupted = false;
    const Result result = exchange(message, NLM_F_DUMP, answers, interrupted);
    if (result.error != 0) fail(result, doing);
    if (!interrupted) return answers;
  }
  throw Error(VIR_ERR_OPERATION_FAILED,
              fmt::format("{}: it changed {} times while it was read; try again", doing, kMostAttempts));
}

void fail(const Netlink::Result& result, std::string_view doing) {
  if (result.words.empty()) throw system_error(result.error, doing);
  throw system_error(result.error, fmt::format("{} ({})", doing, result.words));
}

}  // namespace warren::driver::link
