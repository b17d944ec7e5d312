// Packets on a stream: whole, in pieces, and from a peer that is not to be believed (T29).
#include "vmm-core/net/stream.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::net {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::array<FileDescriptor, 2> make_pair(int type = SOCK_STREAM) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

Bytes frame_of(std::size_t size, std::uint8_t first = 0) {
  Bytes frame(size);
  std::iota(frame.begin(), frame.end(), first);
  return frame;
}

Bytes framed(const Bytes& frame) {
  const std::size_t size = frame.size();
  Bytes all{static_cast<std::uint8_t>(size >> 24), static_cast<std::uint8_t>(size >> 16),
            static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size)};
  all.insert(all.end(), frame.begin(), frame.end());
  return all;
}

class StreamTest : public testing::Test {
 protected:
  StreamTest() : ends_(make_pair()), stream_(std::move(ends_[0]), "net0") {}

  void say(const Bytes& bytes) {
    ASSERT_EQ(::write(ends_[1].get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // What one receive() gives: the frame, or the negative errno alone.
  std::ptrdiff_t receive(Bytes& frame, std::size_t room = Wire::kMaximumPacket) {
    Bytes head(5), rest(room - head.size());
    const std::array<iovec, 2> buffers{{{head.data(), head.size()}, {rest.data(), rest.size()}}};
    const std::ptrdiff_t got = stream_.receive(buffers);
    if (got < 0) return got;
    head.insert(head.end(), rest.begin(), rest.end());
    for (std::size_t i = 0; i < Wire::kHeaderSize; ++i)
      EXPECT_EQ(head[i], 0) << "nothing is said of a packet";
    frame.assign(head.begin() + Wire::kHeaderSize,
                 head.begin() + std::min<std::ptrdiff_t>(got, static_cast<std::ptrdiff_t>(room)));
    return got;
  }
  std::ptrdiff_t send(const Bytes& frame) {
    Bytes packet(Wire::kHeaderSize, 0xee);
    packet.insert(packet.end(), frame.begin(), frame.end());
    const std::array<iovec, 2> parts{{{packet.data(), 20}, {packet.data() + 20, packet.size() - 20}}};
    return stream_.send(parts);
  }
  Bytes heard(std::size_t most) {
    Bytes bytes(most);
    const ssize_t got = ::recv(ends_[1].get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return bytes;
  }

  std::array<FileDescriptor, 2> ends_;
  Stream stream_;
};

TEST_F(StreamTest, PacketsArriveOneByOne) {
  Bytes frame;
  EXPECT_EQ(receive(frame), -EAGAIN);
  say(framed(frame_of(60)));
  say(framed(frame_of(1514, 7)));
  ASSERT_EQ(receive(frame), 72);
  EXPECT_EQ(frame, frame_of(60));
  ASSERT_EQ(receive(frame), 1526);
  EXPECT_EQ(frame, frame_of(1514, 7));
  EXPECT_EQ(receive(frame), -EAGAIN);
}

TEST_F(StreamTest, APacketMayComeInPieces) {
  const Bytes all = framed(frame_of(300));
  Bytes frame;
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    say({all[i]});
    ASSERT_EQ(receive(frame), -EAGAIN) << i;
  }
  say({all.back()});
  ASSERT_EQ(receive(frame), 312);
  EXPECT_EQ(frame, frame_of(300));
}

TEST_F(StreamTest, ManyOfTheLongestPass) {
  Bytes frame;
  const Bytes longest = frame_of(Stream::kLongestFrame);
  for (int i = 0; i < 20; ++i) {
    say(framed(longest));
    ASSERT_EQ(receive(frame), static_cast<std::ptrdiff_t>(Wire::kMaximumPacket)) << i;
    ASSERT_EQ(frame, longest);
    say(framed(frame_of(61)));
    ASSERT_EQ(receive(frame), 73);
  }
}

TEST_F(StreamTest, WhatDoesNotFitIsLostAndTheNextOneIsWhole) {
  say(framed(frame_of(1000)));
  say(framed(frame_of(60)));
  Bytes frame;
  EXPECT_EQ(receive(frame, 100), 1012);
  EXPECT_EQ(frame.size(), 88u);
  ASSERT_EQ(receive(frame), 72);
  EXPECT_EQ(frame, frame_of(60));
}

TEST_F(StreamTest, ALengthThatNoPacketHasEndsIt) {
  for (const std::uint32_t length : {0u, 13u, std::uint32_t{Stream::kLongestFrame} + 1, 0x8000'0000u, ~0u}) {
    auto ends = make_pair();
    Stream stream(std::move(ends[0]), "net0");
    const Bytes prefix{static_cast<std::uint8_t>(length >> 24), static_cast<std::uint8_t>(length >> 16),
                       static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)};
    ASSERT_EQ(::write(ends[1].get(), prefix.data(), 4), 4);
    std::array<std::byte, 100> room{};
    const iovec buffer{room.data(), room.size()};
    EXPECT_EQ(stream.receive({&buffer, 1}), -EBADMSG) << length;
    EXPECT_TRUE(stream.is_lost());
    EXPECT_EQ(stream.receive({&buffer, 1}), -EBADMSG);
    EXPECT_TRUE(stream.flush()) << "nobody waits for it";
  }
}

TEST_F(StreamTest, WhatIsSentIsFramedAndLeavesAtOnce) {
  EXPECT_EQ(send(frame_of(60)), 72);
  EXPECT_EQ(send(frame_of(100, 3)), 112);
  EXPECT_TRUE(heard(1000).empty()) << "gathered until flush()";
  EXPECT_TRUE(stream_.flush());
  Bytes expected = framed(frame_of(60));
  const Bytes second = framed(frame_of(100, 3));
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_EQ(heard(1000), expected);
  EXPECT_EQ(send(frame_of(13)), -EMSGSIZE);
  EXPECT_EQ(send(frame_of(Stream::kLongestFrame + 1)), -EMSGSIZE);
}

TEST_F(StreamTest, AFullSocketLosesNothing) {
  std::size_t sent = 0, whole = 0;
  const Bytes frame = frame_of(9000);
  while (send(frame) > 0) ++sent;
  ASSERT_GT(sent, 10u);
  EXPECT_EQ(send(frame), -EAGAIN);
  EXPECT_FALSE(stream_.flush());
  Bytes all;
  for (;;) {
    const Bytes more = heard(100'000);
    if (more.empty() && stream_.flush() && heard(0).empty()) {
      const Bytes last = heard(100'000);
      if (last.empty()) break;
      all.insert(all.end(), last.begin(), last.end());
      continue;
    }
    all.insert(all.end(), more.begin(), more.end());
  }
  const Bytes one = framed(frame);
  ASSERT_EQ(all.size(), sent * one.size());
  for (; whole < sent; ++whole)
    ASSERT_EQ(std::memcmp(all.data() + whole * one.size(), one.data(), one.size()), 0) << whole;
}

TEST_F(StreamTest, TheEndIsSeenFromBothSidesAndMayBeTheBeginning) {
  ends_[1].reset();
  Bytes frame;
  EXPECT_EQ(receive(frame), -ECONNRESET);
  EXPECT_TRUE(stream_.is_lost());
  EXPECT_EQ(send(frame_of(60)), -ECONNRESET);
  auto other = make_pair();
  stream_.reconnect(Stream::ends_of(std::move(other[0]), "net0"));
  ends_[1] = std::move(other[1]);
  EXPECT_FALSE(stream_.is_lost());
  say(framed(frame_of(60)));
  EXPECT_EQ(receive(frame), 72);
  // By who sends alone.
  ends_[1].reset();
  EXPECT_EQ(send(frame_of(60)), 72);
  EXPECT_TRUE(stream_.flush());
  EXPECT_EQ(stream_.failure(), EPIPE);
}

TEST_F(StreamTest, OtherSocketsAreRefused) {
  EXPECT_THROW(Stream(make_pair(SOCK_SEQPACKET)[0].duplicate(), "net0"), Error);
  EXPECT_THROW(Stream(FileDescriptor(::dup(0)), "net0"), Error);
}

}  // namespace
}  // namespace warren::vmm::net
