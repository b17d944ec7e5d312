#include "vmm-core/control/message_channel.h"

#include <array>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/control/protocol.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {
namespace {

class MessageChannelTest : public testing::Test {
 protected:
  MessageChannelTest() {
    int pair[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    left_fd_.reset(pair[0]);
    right_fd_.reset(pair[1]);
  }

  void send_raw(std::string_view bytes) {
    ASSERT_EQ(::send(left_fd_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }

  FileDescriptor left_fd_, right_fd_;
};

TEST_F(MessageChannelTest, LinesArriveWholeHoweverTheyAreCut) {
  MessageChannel right(right_fd_.get());
  send_raw("{\"a\":");
  EXPECT_THAT(*right.receive(), testing::IsEmpty());
  send_raw("1}\n{}\n{\"b\"");
  EXPECT_THAT(*right.receive(), testing::ElementsAre("{\"a\":1}", "{}"));
  send_raw(":2}\n");
  EXPECT_THAT(*right.receive(), testing::ElementsAre("{\"b\":2}"));
  left_fd_.reset();
  EXPECT_EQ(right.receive(), std::nullopt);
}

TEST_F(MessageChannelTest, DescriptorsTravelWithTheirMessage) {
  MessageChannel left(left_fd_.get());
  MessageChannel right(right_fd_.get());
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  FileDescriptor read_end(pipe_ends[0]);
  std::vector<FileDescriptor> sent;
  sent.emplace_back(pipe_ends[1]);
  left.send("{}", std::move(sent));
  EXPECT_THAT(*right.receive(), testing::ElementsAre("{}"));
  auto taken = right.take_descriptors(1);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(::write(taken[0].get(), "x", 1), 1);
  char got = 0;
  EXPECT_EQ(::read(read_end.get(), &got, 1), 1);
  EXPECT_EQ(got, 'x');
  // The sender kept no copy: with the receiver's gone the pipe ends.
  taken.clear();
  EXPECT_EQ(::read(read_end.get(), &got, 1), 0);
}

TEST_F(MessageChannelTest, T16MoreDescriptorsNamedThanSentAreRefused) {
  MessageChannel right(right_fd_.get());
  EXPECT_THROW(right.take_descriptors(1), Error);
}

TEST_F(MessageChannelTest, T16ALineWithoutEndIsRefused) {
  MessageChannel right(right_fd_.get());
  const std::string chunk(65536, 'x');
  bool refused = false;
  for (std::size_t sent = 0; sent < 2 * kMaximumMessageBytes && !refused; sent += chunk.size()) {
    send_raw(chunk);
    try {
      right.receive();
    } catch (const Error& error) {
      refused = error.code() == std::errc::message_size;
    }
  }
  EXPECT_TRUE(refused);
}

TEST_F(MessageChannelTest, T27APeerThatDoesNotReadCostsABoundedQueue) {
  MessageChannel left(left_fd_.get());
  const std::string text(std::size_t{1} << 20, 'x');
  std::size_t sent = 0;
  try {
    while (sent < 64) {
      left.send(text, {});
      ++sent;
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), std::errc::no_buffer_space);
  }
  EXPECT_LT(sent, 20u);
  EXPECT_TRUE(left.has_unsent());
}

TEST_F(MessageChannelTest, WhatTheSocketDidNotTakeFollowsLater) {
  MessageChannel left(left_fd_.get());
  MessageChannel right(right_fd_.get());
  const std::string text(std::size_t{1} << 20, 'y');
  left.send(text, {});
  left.send("{}", {});
  std::vector<std::string> got;
  for (int i = 0; i < 1000 && got.size() < 2; ++i) {
    const auto lines = right.receive().value();
    got.insert(got.end(), lines.begin(), lines.end());
    left.flush();
  }
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0], text);
  EXPECT_FALSE(left.has_unsent());
}

}  // namespace
}  // namespace warren::vmm::control
