// For tests: an NBD server on a socket pair that does what it is told, right or wrong.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::block::nbd {

// Big-endian bytes, as the protocol has all its numbers.
class Bytes {
 public:
  template <typename Number>
  Bytes& add(Number number) {
    for (int shift = (static_cast<int>(sizeof(Number)) - 1) * 8; shift >= 0; shift -= 8)
      bytes_.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(number) >> shift));
    return *this;
  }
  std::span<const std::uint8_t> view() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

class FakeServer {
 public:
  enum Flags : std::uint16_t {
    kHasFlags = 1,
    kReadOnly = 2,
    kSendFlush = 4,
    kSendFua = 8,
    kSendTrim = 32,
    kSendZeroes = 64,
  };
  enum Command : std::uint16_t { kRead = 0, kWrite = 1, kDisconnect = 2, kFlush = 3, kTrim = 4, kZeroes = 6 };

  struct Asked {
    std::uint16_t flags = 0, command = 0;
    std::uint64_t cookie = 0, offset = 0;
    std::uint32_t length = 0;
  };
  struct Export {
    std::uint64_t size = 1 << 20;
    std::uint16_t flags = kHasFlags | kSendFlush | kSendFua | kSendTrim | kSendZeroes;
    std::uint32_t minimum = 0, maximum = 0;  // 0: no block sizes are said
    // What becomes of a request, other than to be served: false ends the connection.
    std::function<bool(FakeServer&, const Asked&)> instead;
  };

  // A server of `what`.
  explicit FakeServer(Export what) : FakeServer() {
    export_ = std::move(what);
    data_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(export_.size, 1 << 24)));
    thread_ = std::thread([this] {
      if (shake_hands()) serve();
      ::shutdown(server_.get(), SHUT_RDWR);
    });
  }
  // One that does something else from the start.
  explicit FakeServer(std::function<void(FakeServer&)> script) : FakeServer() {
    thread_ = std::thread([this, script = std::move(script)] {
      script(*this);
      ::shutdown(server_.get(), SHUT_RDWR);
    });
  }
  ~FakeServer() {
    ::shutdown(server_.get(), SHUT_RDWR);
    thread_.join();
  }

  FileDescriptor take_socket() { return std::move(client_); }
  // Of the server's thread, or when that has ended.
  std::vector<std::uint8_t>& data() { return data_; }
  const std::vector<Asked>& asked() const { return asked_; }

  bool send(std::span<const std::uint8_t> bytes) {
    while (!bytes.empty()) {
      const ssize_t done = ::send(server_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (done <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(done));
    }
    return true;
  }
  bool receive(std::span<std::uint8_t> bytes) {
    while (!bytes.empty()) {
      const ssize_t got = ::recv(server_.get(), bytes.data(), bytes.size(), 0);
      if (got <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
    return true;
  }
  bool answer(const Asked& asked, std::uint32_t error) {
    return send(Bytes().add(std::uint32_t{0x67446698}).add(error).add(asked.cookie).view());
  }
  bool greet() {
    return send(Bytes()
                    .add(std::uint64_t{0x4e42444d41474943})
                    .add(std::uint64_t{0x49484156454f5054})
                    .add(std::uint16_t{3})
                    .view());
  }
  // Says of an export what may be said of it, and never that this was all; the end of the client ends it.
  void inform_for_ever() {
    if (!take_options()) return;
    // The shortest there are: to read one takes longer than to send it.
    Bytes many;
    for (int i = 0; i < 1500; ++i) {
      many.add(std::uint64_t{0x3e889045565a9}).add(kGo).add(std::uint32_t{3}).add(std::uint32_t{2});
      many.add(std::uint16_t{0x7777});
    }
    // Without sleep: there is always something to read.
    const auto bytes = many.view();
    ssize_t done = 0;
    do {
      done = ::send(server_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (done == static_cast<ssize_t>(bytes.size()) || (done < 0 && errno == EAGAIN));
  }
  // Waits for what no server of today needs to wait for: the end of the client.
  void wait_for_end() {
    std::uint8_t byte = 0;
    while (receive({&byte, 1})) continue;
  }

 private:
  FakeServer() {
    int pair[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) std::abort();
    client_ = FileDescriptor(pair[0]);
    server_ = FileDescriptor(pair[1]);
  }

  static constexpr std::uint32_t kGo = 7;  // NBD_OPT_GO

  template <typename Number>
  bool get(Number& number) {
    std::uint8_t bytes[sizeof(Number)];
    if (!receive(bytes)) return false;
    std::uint64_t value = 0;
    for (const std::uint8_t byte : bytes) value = value << 8 | byte;
    number = static_cast<Number>(value);
    return true;
  }

  bool reply(std::uint32_t option, std::uint32_t type, const Bytes& content) {
    return send(Bytes()
                    .add(std::uint64_t{0x3e889045565a9})
                    .add(option)
                    .add(type)
                    .add(static_cast<std::uint32_t>(content.view().size()))
                    .view()) &&
           send(content.view());
  }

  // Up to NBD_OPT_GO, which is answered by who calls it.
  bool take_options() {
    std::uint32_t client_flags = 0, option = 0, length = 0;
    std::uint64_t magic = 0;
    if (!greet() || !get(client_flags)) return false;
    for (;;) {
      if (!get(magic) || !get(option) || !get(length)) return false;
      std::vector<std::uint8_t> content(length);
      if (!receive(content)) return false;
      if (option == kGo) return true;
      if (!reply(option, std::uint32_t{1} << 31 | 1, {})) return false;  // NBD_REP_ERR_UNSUP
    }
  }

  bool shake_hands() {
    if (!take_options()) return false;
    if (!reply(kGo, 3, Bytes().add(std::uint16_t{0}).add(export_.size).add(export_.flags))) return false;
    if (export_.maximum != 0) {
      const Bytes sizes = Bytes()
                              .add(std::uint16_t{3})
                              .add(export_.minimum)
                              .add(std::max<std::uint32_t>(4096, export_.minimum))
                              .add(export_.maximum);
      if (!reply(kGo, 3, sizes)) return false;
    }
    return reply(kGo, 1, {});
  }

  void serve() {
    for (;;) {
      Asked asked;
      std::uint32_t magic = 0;
      if (!get(magic) || !get(asked.flags) || !get(asked.command) || !get(asked.cookie) ||
          !get(asked.offset) || !get(asked.length) || asked.command == kDisconnect)
        return;
      asked_.push_back(asked);
      if (export_.instead) {
        if (!export_.instead(*this, asked)) return;
      } else if (!do_as_asked(asked)) {
        return;
      }
    }
  }

 public:
  bool do_as_asked(const Asked& asked) {
    const bool fits = asked.offset <= data_.size() && asked.length <= data_.size() - asked.offset;
    const auto place = std::span(data_).subspan(fits ? asked.offset : 0, fits ? asked.length : 0);
    switch (asked.command) {
      case kRead:
        return answer(asked, fits ? 0 : 22) && send(place);
      case kWrite:
        return fits && receive(place) && answer(asked, 0);
      case kZeroes:
        if (fits) std::memset(place.data(), 0, place.size());
        return answer(asked, fits ? 0 : 22);
      case kTrim:
        if (fits) std::memset(place.data(), 0x99, place.size());
        return answer(asked, fits ? 0 : 22);
      default:
        return answer(asked, 0);
    }
  }

 private:
  FileDescriptor client_, server_;
  Export export_;
  std::vector<std::uint8_t> data_;
  std::vector<Asked> asked_;
  std::thread thread_;
};

}  // namespace warren::vmm::block::nbd
