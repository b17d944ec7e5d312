// Implementation header: requests to the kernel's rtnetlink (rtnetlink(7)), answers and errors.
//
// A message is built attribute by attribute, sent, and its answer waited for; the kernel answers at once. A
// `Netlink` belongs to the network name space of the thread that makes it, and to one thread at a time.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

struct nl_msg;
struct nl_sock;

namespace warren::driver::link {

// Attributes in an answer; a view. What is too short for what is asked of it is not there.
class Attributes {
 public:
  Attributes() = default;
  explicit Attributes(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  bool has(int type) const noexcept;
  std::span<const std::uint8_t> bytes(int type) const noexcept;
  Attributes nested(int type) const noexcept { return Attributes(bytes(type)); }
  std::string text(int type) const;  // up to its NUL
  template <class Number>
    requires std::is_trivially_copyable_v<Number>
  std::optional<Number> get(int type) const noexcept {
    const std::span<const std::uint8_t> data = bytes(type);
    if (data.size() < sizeof(Number)) return std::nullopt;
    Number number;
    std::memcpy(&number, data.data(), sizeof number);
    return number;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

// One message of an answer to a dump, or of a multicast group.
class Answer {
 public:
  Answer(int type, std::span<const std::uint8_t> payload)
      : type_(type), payload_(payload.begin(), payload.end()) {}

  int type() const noexcept { return type_; }
  // Its family header (ifinfomsg, …) and what follows; none if it is too short.
  template <class Header>
    requires std::is_trivially_copyable_v<Header>
  std::optional<Header> header() const noexcept {
    if (payload_.size() < sizeof(Header)) return std::nullopt;
    Header header;
    std::memcpy(&header, payload_.data(), sizeof header);
    return header;
  }
  template <class Header>
  Attributes attributes() const noexcept {
    constexpr std::size_t kBegin = (sizeof(Header) + 3) & ~std::size_t{3};  // NLMSG_ALIGN
    return payload_.size() < kBegin ? Attributes() : Attributes(std::span(payload_).subspan(kBegin));
  }

 private:
  int type_;
  std::vector<std::uint8_t> payload_;
};

class Message {
 public:
  template <class Header>
    requires std::is_trivially_copyable_v<Header>
  Message(int type, int flags, const Header& header) : Message(type, flags) {
    append(&header, sizeof header);
  }

  Message& put(int type, std::span<const std::uint8_t> data);
  template <std::integral Number>
  Message& put(int type, Number number) {
    return put_object(type, number);
  }
  template <class Object>
    requires std::is_trivially_copyable_v<Object>
  Message& put_object(int type, const Object& object) {
    return put_memory(type, &object, sizeof object);
  }
  Message& put(int type, const std::string& text) { return put_memory(type, text.c_str(), text.size() + 1); }
  template <std::invocable<> Fill>
  Message& nest(int type, Fill&& fill) {
    void* begin = begin_nest(type);
    std::forward<Fill>(fill)();
    end_nest(begin);
    return *this;
  }

  nl_msg* get() const noexcept { return message_.get(); }

 private:
  Message(int type, int flags);
  void append(const void* data, std::size_t size);
  Message& put_memory(int type, const void* data, std::size_t size);
  void* begin_nest(int type);
  void end_nest(void* begin);

  struct Free {
    void operator()(nl_msg* message) const noexcept;
  };
  std::unique_ptr<nl_msg, Free> message_;
};

class Netlink {
 public:
  Netlink();  // throws Error

  struct Result {
    int error = 0;      // an errno; 0: it was done
    std::string words;  // the kernel's own, if it had any
  };
  Result try_send(const Message& message);
  // A question about one object; its answer is added to `answers`.
  Result ask(const Message& message, std::vector<Answer>& answers);
  // Throws system_error() that begins with `doing` unless it is done.
  void send(const Message& message, std::string_view doing);
  // The answers to a message with NLM_F_DUMP: all of one state, or Error.
  std::vector<Answer> dump(const Message& message, std::string_view doing);

 private:
  std::optional<Result> take(std::uint32_t sequence, std::vector<Answer>& answers, bool& interrupted);
  Result exchange(const Message& message, int flags, std::vector<Answer>& answers, bool& interrupted);

  struct Free {
    void operator()(nl_sock* socket) const noexcept;
  };
  std::unique_ptr<nl_sock, Free> socket_;
};

[[noreturn]] void fail(const Netlink::Result& result, std::string_view doing);

}  // namespace warren::driver::link
