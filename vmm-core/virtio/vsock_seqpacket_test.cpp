// Sockets of messages (SOCK_SEQPACKET) between a driver and programs of the host.
#include <gtest/gtest.h>

#include "vmm-core/virtio/fake_vsock.h"

namespace warren::vmm::virtio {
namespace {

class VsockSeqpacketTest : public testing::Test {
 protected:
  void start(std::uint64_t features = Vsock::kFeatureStream | Vsock::kFeatureSeqpacket) {
    host_.forget_buffers();
    ASSERT_TRUE(guest_.start(features | kFeatureIndirect | kFeatureEventIndex));
  }
  VsockHeader packet(std::uint16_t operation, std::uint32_t flags = 0) const {
    return {.source_port = 1000,
            .destination_port = host_port_,
            .type = VsockType::seqpacket,
            .operation = operation,
            .flags = flags,
            .buffer_bytes = buffer_,
            .forwarded_bytes = read_};
  }
  bool send(std::uint16_t operation, std::string_view data = {}, std::uint32_t flags = 0) {
    return VsockHost::send(guest_, packet(operation, flags), data);
  }
  bool send_message(std::string_view data) { return send(kVsockData, data, kVsockEndOfMessage); }
  std::uint16_t next_operation(int milliseconds = 5000) {
    last_ = host_.receive(guest_, milliseconds).value_or(VsockHost::Packet{});
    return last_.header.operation;
  }
  FileDescriptor open_from_host() {
    FileDescriptor client = host_.connect(VsockType::seqpacket);
    EXPECT_TRUE(VsockHost::say(client, "CONNECT 1000\n"));
    EXPECT_EQ(next_operation(), kVsockRequest);
    EXPECT_EQ(last_.header.type, VsockType::seqpacket);
    host_port_ = last_.header.source_port;
    EXPECT_TRUE(send(kVsockResponse));
    EXPECT_EQ(VsockHost::hear(client), "OK " + std::to_string(host_port_) + "\n");
    return client;
  }

  VsockHost host_;
  FakeGuest guest_{host_.make_device()};
  VsockHost::Packet last_;
  std::uint32_t host_port_ = 0, read_ = 0, buffer_ = 256 * 1024;
};

TEST_F(VsockSeqpacketTest, MessagesKeepTheirBoundariesBothWays) {
  start();
  const FileDescriptor client = open_from_host();
  for (const char* text : {"one", "two"}) ASSERT_TRUE(VsockHost::say(client, text));
  for (const char* text : {"one", "two"}) {
    ASSERT_EQ(next_operation(), kVsockData);
    EXPECT_EQ(last_.data, text);
    EXPECT_EQ(last_.header.flags, kVsockEndOfMessage);
  }
  ASSERT_TRUE(send_message("three"));
  ASSERT_TRUE(send(kVsockData, "fo"));
  ASSERT_TRUE(send_message("ur"));
  EXPECT_EQ(VsockHost::hear(client), "three");
  EXPECT_EQ(VsockHost::hear(client), "four");
}

TEST_F(VsockSeqpacketTest, AnEndInAPacketOfItsOwnEndsTheMessage) {
  start();
  const FileDescriptor client = open_from_host();
  ASSERT_TRUE(send(kVsockData, "whole"));
  EXPECT_EQ(VsockHost::hear(client, 50), "") << "not before its end";
  ASSERT_TRUE(send_message(""));
  ASSERT_TRUE(send_message("")) << "an empty one is none";
  EXPECT_EQ(VsockHost::hear(client), "whole");
  ASSERT_TRUE(send_message("more"));
  EXPECT_EQ(VsockHost::hear(client), "more");
}

TEST_F(VsockSeqpacketTest, ALongMessageOfTheHostGoesInPieces) {
  start();
  const FileDescriptor client = open_from_host();
  std::string text(100'000, 'x');
  text.back() = 'y';
  ASSERT_TRUE(VsockHost::say(client, text));
  ASSERT_TRUE(VsockHost::say(client, "next"));
  std::string got;
  while (next_operation() == kVsockData) {
    got += last_.data;
    if (last_.header.flags == kVsockEndOfMessage) break;
  }
  EXPECT_EQ(got, text);
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data, "next");
}

// T8: the guest's credit is kept within a message, too.
TEST_F(VsockSeqpacketTest, T8AMessageWaitsForTheGuestsCredit) {
  buffer_ = 5000;
  start();
  const FileDescriptor client = open_from_host();
  const std::string first(3000, 'a'), second(4000, 'b');
  ASSERT_TRUE(VsockHost::say(client, first));
  ASSERT_TRUE(VsockHost::say(client, second));
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data, first);
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data.size(), 2000U);
  EXPECT_EQ(last_.header.flags, 0U);
  EXPECT_EQ(next_operation(), kVsockCreditRequest);
  EXPECT_EQ(next_operation(50), 0U);
  read_ = 5000;
  ASSERT_TRUE(send(kVsockCreditUpdate));
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data.size(), 2000U);
  EXPECT_EQ(last_.header.flags, kVsockEndOfMessage);
}

TEST_F(VsockSeqpacketTest, AMessageThatCanNeverArriveEndsItsConnection) {
  buffer_ = 5000;
  start();
  const FileDescriptor client = open_from_host();
  ASSERT_TRUE(VsockHost::say(client, std::string(5001, 'x')));
  EXPECT_EQ(next_operation(), kVsockReset);
  EXPECT_EQ(VsockHost::hear(client), "EOF");
  buffer_ = 1 << 20;
  const FileDescriptor other = open_from_host();
  ASSERT_TRUE(VsockHost::say(other, std::string(Vsock::kBufferBytes + 1, 'x')));
  EXPECT_EQ(next_operation(), kVsockReset);
}

// T8: what the program does not read is kept, message by message, around the end of the buffer and back.
TEST_F(VsockSeqpacketTest, T8ASlowProgramGetsEveryMessageWhole) {
  start();
  const FileDescriptor client = open_from_host();
  std::uint32_t forwarded = 0, total = 0;
  std::vector<std::string> sent;
  std::size_t heard = 0;
  for (int round = 0; round < 4; ++round) {
    for (std::uint32_t i = 0; total - forwarded + 7000 <= Vsock::kBufferBytes && i < 400; ++i) {
      sent.emplace_back(1 + (i * 977 + 13) % 7000, static_cast<char>('a' + i % 26));
      total += static_cast<std::uint32_t>(sent.back().size());
      const auto half = sent.back().size() / 2;
      if (half != 0) {
        ASSERT_TRUE(send(kVsockData, std::string_view(sent.back()).substr(0, half)));
      }
      ASSERT_TRUE(send_message(std::string_view(sent.back()).substr(half)));
      while (next_operation(1) == kVsockCreditUpdate) forwarded = last_.header.forwarded_bytes;
    }
    for (; heard < sent.size(); ++heard) ASSERT_EQ(VsockHost::hear(client), sent[heard]) << heard;
    while (next_operation(20) == kVsockCreditUpdate) forwarded = last_.header.forwarded_bytes;
  }
  EXPECT_GT(total, 2 * Vsock::kBufferBytes);
}

// T8: messages of one byte, as many as there is credit for.
TEST_F(VsockSeqpacketTest, T8ManyShortMessagesAreKept) {
  start();
  const FileDescriptor client = open_from_host();
  constexpr int kMany = 3000;
  for (int i = 0; i < kMany; ++i) ASSERT_TRUE(send_message(std::string(1, static_cast<char>('a' + i % 26))));
  for (int i = 0; i < kMany; ++i)
    ASSERT_EQ(VsockHost::hear(client), std::string(1, static_cast<char>('a' + i % 26))) << i;
}

TEST_F(VsockSeqpacketTest, TheGuestTalksToAProgramOfTheHost) {
  start();
  host_port_ = 80;
  ASSERT_TRUE(send(kVsockRequest));
  std::optional<VsockQuestion> asked;
  ASSERT_TRUE(FakeGuest::eventually([&] { return (asked = host_.take_asked()).has_value(); }));
  EXPECT_EQ(asked->type, VsockType::seqpacket);
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  host_.device().answer(asked->request, FileDescriptor(ends[0]));
  const FileDescriptor program(ends[1]);
  EXPECT_EQ(next_operation(), kVsockResponse);
  EXPECT_EQ(last_.header.type, VsockType::seqpacket);
  ASSERT_TRUE(send_message("ping"));
  EXPECT_EQ(VsockHost::hear(program), "ping");
}

TEST_F(VsockSeqpacketTest, TheProgramsEndComesBehindItsMessages) {
  start();
  FileDescriptor client = open_from_host();
  ASSERT_TRUE(VsockHost::say(client, "last"));
  client.reset();
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data, "last");
  ASSERT_EQ(next_operation(), kVsockShutdown);
  EXPECT_EQ(last_.header.flags, kVsockNoSend | kVsockNoReceive);
}

TEST_F(VsockSeqpacketTest, ADriverThatKnowsNoneIsNotAsked) {
  start(Vsock::kFeatureStream);
  const FileDescriptor client = host_.connect(VsockType::seqpacket);
  ASSERT_TRUE(VsockHost::say(client, "CONNECT 1000"));
  EXPECT_EQ(VsockHost::hear(client), "EOF");
  host_port_ = 80;
  ASSERT_TRUE(send(kVsockRequest));
  EXPECT_EQ(next_operation(), kVsockReset);
}

// T1: a packet of the other type is of no connection there is.
TEST_F(VsockSeqpacketTest, T1TypesAreNotMixed) {
  start();
  const FileDescriptor client = open_from_host();
  VsockHeader other = packet(kVsockData);
  other.type = VsockType::stream;
  ASSERT_TRUE(VsockHost::send(guest_, other, "x"));
  EXPECT_EQ(next_operation(), kVsockReset);
  EXPECT_EQ(last_.header.type, VsockType::stream);
  ASSERT_TRUE(send_message("still there"));
  EXPECT_EQ(VsockHost::hear(client), "still there");
}

}  // namespace
}  // namespace warren::vmm::virtio
