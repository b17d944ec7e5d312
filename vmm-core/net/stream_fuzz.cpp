// A program at the other end of a stream that sends anything, in pieces of any size (T29), while the guest
// sends: what is delivered is what a reader of the whole would find, and what the guest sent comes out as it
// went in.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <span>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/net/stream.h"

namespace warren::vmm::net {
namespace {

using Bytes = std::vector<std::uint8_t>;

void require(bool holds) {
  if (!holds) std::abort();
}

// The frame that `all` has at `at`, which moves behind it; empty when it is not whole or none.
Bytes next_frame(const Bytes& all, std::size_t& at, bool& is_bad) {
  if (all.size() - at < 4) return {};
  const std::size_t length = std::size_t{all[at]} << 24 | std::size_t{all[at + 1]} << 16 |
                             std::size_t{all[at + 2]} << 8 | std::size_t{all[at + 3]};
  is_bad = length < Stream::kShortestFrame || length > Stream::kLongestFrame;
  if (is_bad || all.size() - at - 4 < length) return {};
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(at + 4);
  at += 4 + length;
  return {first, first + static_cast<std::ptrdiff_t>(length)};
}

class Exchange {
 public:
  Exchange() {
    std::array<int, 2> ends{-1, -1};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0);
    far_ = FileDescriptor(ends[0]);
    stream_.emplace(FileDescriptor(ends[1]), "net0");
  }

  void say(std::span<const std::uint8_t> piece) {
    const ssize_t written = ::write(far_.get(), piece.data(), piece.size());
    if (written > 0) said_.insert(said_.end(), piece.begin(), piece.begin() + written);
  }

  // Buffers of `room` bytes, of which the first has `head`.
  void receive(std::size_t head, std::size_t room) {
    Bytes first(head), rest(room);
    const std::array<iovec, 2> buffers{{{first.data(), first.size()}, {rest.data(), rest.size()}}};
    const std::ptrdiff_t got = stream_->receive(buffers);
    bool is_bad = false;
    const bool was_lost = is_lost_;
    const Bytes expected = was_lost ? Bytes{} : next_frame(said_, delivered_, is_bad);
    is_lost_ = is_lost_ || is_bad;
    require(is_lost_ == stream_->is_lost());
    if (got < 0) return require(expected.empty() && (is_lost_ || got == -EAGAIN));
    require(got == static_cast<std::ptrdiff_t>(Wire::kHeaderSize + expected.size()) && !expected.empty());
    Bytes whole(Wire::kHeaderSize);
    whole.insert(whole.end(), expected.begin(), expected.end());
    whole.resize(std::max(whole.size(), head + room));
    first.insert(first.end(), rest.begin(), rest.end());
    require(std::equal(first.begin(), first.end(), whole.begin()));
  }

  void send(std::size_t head, std::size_t size, std::uint8_t with) {
    Bytes packet(size, with);
    head = std::min(head, size);
    const std::array<iovec, 2> parts{{{packet.data(), head}, {packet.data() + head, size - head}}};
    const std::ptrdiff_t sent = stream_->send(parts);
    if (sent < 0) return;
    require(sent == static_cast<std::ptrdiff_t>(size) && size >= Wire::kHeaderSize + Stream::kShortestFrame);
    const std::size_t length = size - Wire::kHeaderSize;
    for (const int shift : {24, 16, 8, 0}) sent_.push_back(static_cast<std::uint8_t>(length >> shift));
    sent_.insert(sent_.end(), length, with);
  }

  // Some of what waits is taken.
  void listen(std::size_t most) {
    Bytes bytes(most);
    const ssize_t count = ::recv(far_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count <= 0) return;
    bytes.resize(static_cast<std::size_t>(count));
    require(sent_.size() - heard_ >= bytes.size() &&
            std::equal(bytes.begin(), bytes.end(), sent_.begin() + static_cast<std::ptrdiff_t>(heard_)));
    heard_ += bytes.size();
  }
  void flush() { stream_->flush(); }

 private:
  FileDescriptor far_;
  std::optional<Stream> stream_;
  Bytes said_, sent_;
  std::size_t delivered_ = 0, heard_ = 0;
  bool is_lost_ = false;
};

}  // namespace
}  // namespace warren::vmm::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  warren::vmm::net::Exchange exchange;
  std::span<const std::uint8_t> left(data, size);
  // A step, and two numbers for it.
  while (left.size() >= 4) {
    const std::size_t one = left[1], two = std::size_t{left[2]} << 8 | left[3];
    const int step = left[0] % 5;
    left = left.subspan(4);
    if (step == 0) {
      const std::size_t bytes = std::min(left.size(), two % 512);
      exchange.say(left.first(bytes));
      left = left.subspan(bytes);
    }
    if (step == 1) exchange.receive(one, two);
    if (step == 2) exchange.send(one, two + one, static_cast<std::uint8_t>(two));
    if (step == 3) exchange.listen(two);
    if (step == 4) exchange.flush();
  }
  return 0;
}
