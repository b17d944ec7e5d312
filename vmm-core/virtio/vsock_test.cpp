// The virtio socket device between a driver and programs of the host.
#include <gtest/gtest.h>

#include "vmm-core/virtio/fake_vsock.h"

namespace warren::vmm::virtio {
namespace {

class VsockTest : public testing::Test {
 protected:
  void start() {
    host_.forget_buffers();
    ASSERT_TRUE(guest_.start(Vsock::kFeatureStream | kFeatureIndirect | kFeatureEventIndex));
  }
  // Of the guest's port 1000 on what the host calls `host_port`.
  VsockHeader packet(std::uint16_t operation) const {
    return {.source_port = 1000,
            .destination_port = host_port_,
            .operation = operation,
            .buffer_bytes = 4096,
            .forwarded_bytes = read_};
  }
  bool send(std::uint16_t operation, std::string_view data = {}) {
    return VsockHost::send(guest_, packet(operation), data);
  }
  std::uint16_t next_operation(int milliseconds = 5000) {
    last_ = host_.receive(guest_, milliseconds).value_or(VsockHost::Packet{});
    return last_.header.operation;
  }
  // A host program that the guest has accepted.
  FileDescriptor open_from_host() {
    FileDescriptor client = host_.connect_to(1000);
    EXPECT_EQ(next_operation(), kVsockRequest);
    EXPECT_EQ(last_.header.destination_port, 1000U);
    EXPECT_EQ(last_.header.destination_cid, VsockHost::kCid);
    EXPECT_EQ(last_.header.source_cid, 2U);
    EXPECT_EQ(last_.header.buffer_bytes, Vsock::kBufferBytes);
    host_port_ = last_.header.source_port;
    EXPECT_TRUE(send(kVsockResponse));
    EXPECT_EQ(VsockHost::hear(client), "OK " + std::to_string(host_port_) + "\n");
    return client;
  }
  // The guest connects to port 80 of the host; the program's end of the connection.
  FileDescriptor open_from_guest() {
    host_port_ = 80;
    EXPECT_TRUE(send(kVsockRequest));
    std::optional<VsockQuestion> asked;
    EXPECT_TRUE(FakeGuest::eventually([&] { return (asked = host_.take_asked()).has_value(); }));
    EXPECT_EQ(asked->port, 80U);
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    host_.device().answer(asked->request, FileDescriptor(ends[0]));
    EXPECT_EQ(next_operation(), kVsockResponse);
    return FileDescriptor(ends[1]);
  }

  VsockHost host_;
  FakeGuest guest_{host_.make_device()};
  VsockHost::Packet last_;
  std::uint32_t host_port_ = 0, read_ = 0;
};

TEST_F(VsockTest, TheGuestLearnsItsCid) {
  start();
  EXPECT_EQ(guest_.get<std::uint64_t>(FakeGuest::kDevice), VsockHost::kCid);
}

TEST_F(VsockTest, AProgramOfTheHostTalksToTheGuest) {
  start();
  const FileDescriptor client = open_from_host();
  ASSERT_TRUE(VsockHost::say(client, "hello guest"));
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data, "hello guest");
  ASSERT_TRUE(send(kVsockData, "hello host"));
  EXPECT_EQ(VsockHost::hear(client), "hello host");
}

TEST_F(VsockTest, WhatComesBehindTheGreetingIsTheGuests) {
  start();
  const FileDescriptor client = host_.connect();
  ASSERT_TRUE(VsockHost::say(client, "CONN"));
  EXPECT_EQ(next_operation(50), 0U);
  ASSERT_TRUE(VsockHost::say(client, "ECT 1000\nearly"));
  ASSERT_EQ(next_operation(), kVsockRequest);
  host_port_ = last_.header.source_port;
  EXPECT_EQ(next_operation(50), 0U) << "nothing before the guest has accepted";
  ASSERT_TRUE(send(kVsockResponse));
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data, "early");
}

TEST_F(VsockTest, AGreetingThatIsNoneEndsTheConnection) {
  start();
  for (const char* greeting : {"GET / HTTP/1.1\n", "CONNECT \n", "CONNECT 4294967296\n", "CONNECT -1\n",
                               "CONNECT 1000 \n", "CONNECT 000000000000000000000000000000000000001\n"}) {
    const FileDescriptor client = host_.connect();
    VsockHost::say(client, greeting);
    EXPECT_EQ(VsockHost::hear(client), "EOF") << greeting;
  }
}

TEST_F(VsockTest, AGuestThatRefusesEndsTheConnection) {
  start();
  const FileDescriptor client = host_.connect_to(1000);
  ASSERT_EQ(next_operation(), kVsockRequest);
  host_port_ = last_.header.source_port;
  ASSERT_TRUE(send(kVsockReset));
  EXPECT_EQ(VsockHost::hear(client), "EOF");
}

TEST_F(VsockTest, TheGuestTalksToAProgramOfTheHost) {
  start();
  const FileDescriptor program = open_from_guest();
  EXPECT_EQ(last_.header.source_port, 80U);
  EXPECT_EQ(last_.header.destination_port, 1000U);
  ASSERT_TRUE(send(kVsockData, "ping"));
  EXPECT_EQ(VsockHost::hear(program), "ping");
  ASSERT_TRUE(VsockHost::say(program, "pong"));
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data, "pong");
}

TEST_F(VsockTest, AHostThatRefusesResetsTheConnection) {
  start();
  host_port_ = 81;
  ASSERT_TRUE(send(kVsockRequest));
  std::optional<VsockQuestion> asked;
  ASSERT_TRUE(FakeGuest::eventually([&] { return (asked = host_.take_asked()).has_value(); }));
  host_.device().answer(asked->request, {});
  EXPECT_EQ(next_operation(), kVsockReset);
  host_.device().answer(asked->request, {});  // once too often
  host_.device().answer(12345, {});
  EXPECT_EQ(next_operation(50), 0U);
}

// T8: the host's bytes go as far as the guest's buffer, and on when it has been read.
TEST_F(VsockTest, T8TheGuestsCreditIsKept) {
  start();
  const FileDescriptor client = open_from_host();
  ASSERT_TRUE(VsockHost::say(client, std::string(10'000, 'x')));
  std::size_t got = 0;
  while (next_operation(500) == kVsockData) got += last_.data.size();
  EXPECT_EQ(got, 4096U) << "as much as the guest said it takes";
  EXPECT_EQ(last_.header.operation, kVsockCreditRequest);
  EXPECT_EQ(next_operation(50), 0U) << "asked once";
  read_ = 4096;
  ASSERT_TRUE(send(kVsockCreditUpdate));
  while (next_operation(500) == kVsockData) got += last_.data.size();
  EXPECT_EQ(got, 8192U);
  read_ = 8192;
  ASSERT_TRUE(send(kVsockCreditUpdate));
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(got + last_.data.size(), 10'000U);
}

// T8: what the host does not read is kept, as much as was promised, and not one byte of it is lost.
TEST_F(VsockTest, T8ASlowProgramLosesNothingAndTheGuestWaits) {
  start();
  const FileDescriptor client = open_from_host();
  std::string sent, heard;
  std::uint32_t forwarded = 0, total = 0;
  // As long as the driver has credit; it is told of more while the socket takes it.
  while (total - forwarded + 8000 <= Vsock::kBufferBytes && total < 4'000'000) {
    const std::string piece(8000, static_cast<char>('a' + total / 8000 % 26));
    ASSERT_TRUE(send(kVsockData, piece));
    sent += piece;
    total += 8000;
    while (next_operation(2) == kVsockCreditUpdate) forwarded = last_.header.forwarded_bytes;
  }
  ASSERT_LT(total, 4'000'000U) << "the socket took all of it: nothing was shown";
  while (heard.size() < sent.size()) {
    const std::string more = VsockHost::hear(client);
    ASSERT_FALSE(more.empty() || more == "EOF");
    heard += more;
  }
  EXPECT_EQ(heard, sent);
  while (next_operation(100) == kVsockCreditUpdate) forwarded = last_.header.forwarded_bytes;
  EXPECT_GE(forwarded + Vsock::kBufferBytes / 2, total);
}

TEST_F(VsockTest, T8AGuestThatSendsWithoutCreditIsReset) {
  start();
  const FileDescriptor client = open_from_host();
  std::uint16_t told = 0;
  for (int i = 0; i < 1000 && told != kVsockReset; ++i) {
    ASSERT_TRUE(send(kVsockData, std::string(16'000, 'x')));
    while ((told = next_operation(2)) == kVsockCreditUpdate) continue;
  }
  EXPECT_EQ(told, kVsockReset);
}

TEST_F(VsockTest, TheProgramsEndOfFileReachesTheGuestBehindItsBytes) {
  start();
  FileDescriptor client = open_from_host();
  ASSERT_TRUE(VsockHost::say(client, "last words"));
  ::shutdown(client.get(), SHUT_WR);
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data, "last words");
  ASSERT_EQ(next_operation(), kVsockShutdown);
  EXPECT_EQ(last_.header.flags, kVsockNoSend);
  ASSERT_TRUE(send(kVsockData, "answer"));
  EXPECT_EQ(VsockHost::hear(client), "answer") << "the other direction goes on";
  client.reset();
  ASSERT_EQ(next_operation(), kVsockShutdown);
  EXPECT_EQ(last_.header.flags, kVsockNoSend | kVsockNoReceive);
  ASSERT_TRUE(send(kVsockReset));
  EXPECT_EQ(next_operation(50), 0U);
}

TEST_F(VsockTest, AProgramThatEndsLeavesItsBytes) {
  start();
  FileDescriptor client = open_from_host();
  ASSERT_TRUE(VsockHost::say(client, "last words"));
  client.reset();
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data, "last words");
  ASSERT_EQ(next_operation(), kVsockShutdown);
  EXPECT_EQ(last_.header.flags, kVsockNoSend | kVsockNoReceive);
  ASSERT_TRUE(send(kVsockShutdown));
}

TEST_F(VsockTest, TheGuestsEndOfFileReachesTheProgram) {
  start();
  const FileDescriptor client = open_from_host();
  ASSERT_TRUE(send(kVsockData, "all"));
  VsockHeader end = packet(kVsockShutdown);
  end.flags = kVsockNoSend;
  ASSERT_TRUE(VsockHost::send(guest_, end));
  EXPECT_EQ(VsockHost::hear(client), "all");
  EXPECT_EQ(VsockHost::hear(client), "EOF");
  ASSERT_TRUE(VsockHost::say(client, "and back"));
  ASSERT_EQ(next_operation(), kVsockData);
  end.flags = kVsockNoReceive;
  ASSERT_TRUE(VsockHost::send(guest_, end));
  EXPECT_EQ(next_operation(), kVsockReset) << "both ways: the connection is over";
  EXPECT_FALSE(VsockHost::say(client, "more"));
}

// T16 in the guest's way: packets that make no sense are answered, or dropped, and the device goes on.
TEST_F(VsockTest, T1HostilePacketsAreRefused) {
  start();
  const FileDescriptor client = open_from_host();
  const auto refused = [&](VsockHeader header) {
    EXPECT_TRUE(VsockHost::send(guest_, header));
    return next_operation(500) == kVsockReset;
  };
  VsockHeader stray = packet(kVsockData);
  stray.source_port = 4;
  EXPECT_TRUE(refused(stray));
  EXPECT_EQ(last_.header.destination_port, 4U);
  stray.destination_cid = 3;
  EXPECT_TRUE(refused(stray)) << "there is nobody but the host";
  EXPECT_EQ(last_.header.source_cid, 3U);
  stray.destination_cid = 2;
  stray.type = VsockType::seqpacket;
  EXPECT_TRUE(refused(stray)) << "the driver has accepted streams only";
  stray.type = VsockType{77};
  EXPECT_TRUE(refused(stray));
  stray.type = VsockType::stream;
  stray.operation = kVsockReset;
  EXPECT_FALSE(refused(stray)) << "an RST is not answered";
  stray.operation = kVsockData;
  stray.source_cid = 5;
  EXPECT_FALSE(refused(stray)) << "in another guest's name";
  VsockHeader longer = packet(kVsockData);
  longer.length = 0xffff'ffff;
  EXPECT_FALSE(refused(longer)) << "it says that it is longer than it is";
  ASSERT_TRUE(send(kVsockData, "still there"));
  EXPECT_EQ(VsockHost::hear(client), "still there");
  EXPECT_TRUE(refused(packet(99)));
  EXPECT_EQ(VsockHost::hear(client), "EOF");
}

// A driver that gives no buffers for answers is not worked for, and loses none of them.
TEST_F(VsockTest, T8RefusalsWaitForBuffers) {
  start();
  for (std::uint32_t i = 0; i < 200; ++i) {
    VsockHeader stray = packet(kVsockData);
    stray.source_port = 100 + i;
    stray = VsockHost::complete(stray);
    static_cast<void>(guest_.memory().write_object({FakeGuest::kBuffers + 64 * i}, stray));
  }
  std::uint32_t given = 0, answered = 0, taken = 0;
  const auto give = [&] {
    while (given < 200 && given - taken < 8) {
      guest_.queue(1).offer({{FakeGuest::kBuffers + 64 * given++, sizeof(VsockHeader), false}});
    }
    guest_.kick(1);
  };
  for (int idle = 0; given < 200 && idle < 100;) {
    give();
    if (guest_.wait_used(1, 5)) {
      ++taken;
      idle = 0;
    } else {
      ++idle;
    }
  }
  EXPECT_EQ(taken, 64U) << "no more than there is room to answer";
  while (answered < 200) {
    ASSERT_EQ(next_operation(), kVsockReset) << answered;
    EXPECT_EQ(last_.header.destination_port, 100 + answered);
    ++answered;
    while (guest_.wait_used(1, 0)) ++taken;
    give();
  }
}

TEST_F(VsockTest, ManyConnectionsAndNoMoreThanThereMayBe) {
  start();
  std::vector<FileDescriptor> clients;
  for (std::size_t i = 0; i < Vsock::kMaximumConnections; ++i) clients.push_back(open_from_host());
  const FileDescriptor one_more = host_.connect_to(1000);
  EXPECT_EQ(next_operation(100), 0U) << "it waits";
  VsockHeader request = packet(kVsockRequest);
  request.destination_port = 80;
  ASSERT_TRUE(VsockHost::send(guest_, request));
  EXPECT_EQ(next_operation(), kVsockReset);
  ASSERT_TRUE(send(kVsockReset)) << "the last one ends";
  EXPECT_EQ(VsockHost::hear(clients.back()), "EOF");
  EXPECT_EQ(next_operation(), kVsockRequest);
}

TEST_F(VsockTest, T8ConnectionsThatNobodyAnswersAreFew) {
  start();
  for (std::uint32_t i = 0; i < Vsock::kMaximumAsked; ++i) {
    host_port_ = 100 + i;
    ASSERT_TRUE(send(kVsockRequest));
  }
  EXPECT_EQ(next_operation(50), 0U);
  host_port_ = 100;
  ASSERT_TRUE(send(kVsockReset)) << "the question stands: a guest that asks and gives up in turn is not free";
  host_port_ = 99;
  ASSERT_TRUE(send(kVsockRequest));
  EXPECT_EQ(next_operation(), kVsockReset);
  host_.device().answer(host_.take_asked()->request, {});
  ASSERT_TRUE(send(kVsockRequest));
  EXPECT_EQ(next_operation(50), 0U);
}

TEST_F(VsockTest, PausingKeepsConnections) {
  start();
  const FileDescriptor client = open_from_host();
  guest_.transport().pause();
  ASSERT_TRUE(VsockHost::say(client, "meanwhile"));
  EXPECT_EQ(next_operation(50), 0U);
  guest_.transport().resume();
  ASSERT_EQ(next_operation(), kVsockData);
  EXPECT_EQ(last_.data, "meanwhile");
}

TEST_F(VsockTest, T7AResetEndsConnections) {
  start();
  const FileDescriptor client = open_from_host();
  guest_.reset();
  EXPECT_EQ(VsockHost::hear(client), "EOF");
  start();
  const FileDescriptor other = open_from_host();
  ASSERT_TRUE(VsockHost::say(other, "again"));
  EXPECT_EQ(next_operation(), kVsockData);
}

TEST_F(VsockTest, ARestoredMachineIsToldThatItsConnectionsAreGone) {
  start();
  guest_.transport().pause();
  host_.device().tell_transport_reset();
  guest_.transport().resume();
  static_cast<void>(guest_.memory().write_object({FakeGuest::kTables}, std::uint32_t{0xffff}));
  const auto used = guest_.request(2, {{FakeGuest::kTables, 4, true}});
  ASSERT_TRUE(used);
  EXPECT_EQ(used->length, 4U);
  EXPECT_EQ(guest_.memory().read_object<std::uint32_t>({FakeGuest::kTables}), std::uint32_t{0});
  guest_.queue(2).offer({{FakeGuest::kTables, 4, true}});
  guest_.kick(2);
  EXPECT_FALSE(guest_.wait_used(2, 30)) << "once";
}

// T7: unplugged in the middle of everything.
TEST_F(VsockTest, T7TheDeviceGoesWithItsConnections) {
  start();
  const FileDescriptor client = open_from_host();
  ASSERT_TRUE(VsockHost::say(client, std::string(100'000, 'x')));
  guest_.plug(host_.make_device());
  std::string heard;
  while ((heard = VsockHost::hear(client)) == "") continue;
  EXPECT_EQ(heard, "EOF");
}

}  // namespace
}  // namespace warren::vmm::virtio
