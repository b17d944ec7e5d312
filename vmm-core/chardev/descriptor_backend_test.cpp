// Back ends on sockets: clients come, leave with words unread, and make room for the next.
#include "vmm-core/chardev/descriptor_backend.h"

#include <csignal>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace warren::vmm {
namespace {

class Listener final : public CharacterListener, public PeerListener {
 public:
  std::size_t receive_capacity() noexcept override { return room; }
  void receive(std::span<const std::byte> bytes) noexcept override {
    room -= bytes.size();
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());  // bytes are characters here
  }
  void output_ready() noexcept override { ++ready; }
  void peer_changed(bool present) noexcept override { peers += present ? "+" : "-"; }

  std::size_t room = 1000;
  std::string text, peers;
  int ready = 0;
};

// An address of no file: "" and a name (unix(7)).
sockaddr_un address() {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string name = "warren-test-" + std::to_string(::getpid());
  name.copy(address.sun_path + 1, sizeof(address.sun_path) - 2);
  return address;
}

class SocketTest : public testing::Test {
 protected:
  void SetUp() override {
    const sockaddr_un where = address();
    // The way of sockets.
    ASSERT_EQ(::bind(listening_, reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
    ASSERT_EQ(::listen(listening_, 4), 0);
    std::signal(SIGPIPE, SIG_IGN);
    backend_.set_listener(&listener_);
    EXPECT_FALSE(backend_.watch_peer(&listener_));
  }
  FileDescriptor connect() {
    FileDescriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_un where = address();
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
    return client;
  }
  static void say(const FileDescriptor& client, const std::string& text) {
    ASSERT_EQ(::write(client.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  static std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

  int listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  Listener listener_;
  DescriptorBackend backend_{DescriptorBackend::Kind::listener, FileDescriptor(listening_), {}, {}};
};

TEST_F(SocketTest, ClientsComeOneAfterTheOther) {
  EXPECT_EQ(backend_.write(bytes("nobody")), 6U) << "dropped";
  FileDescriptor first = connect(), second = connect();
  say(first, "one");
  backend_.on_event();
  EXPECT_EQ(listener_.text, "one");
  EXPECT_EQ(backend_.write(bytes("hello")), 5U);
  std::array<char, 16> got{};
  EXPECT_EQ(::read(first.get(), got.data(), got.size()), 5);
  say(second, "two");
  backend_.on_event();
  EXPECT_EQ(listener_.text, "one") << "the second waits";
  first.reset();
  backend_.on_event();
  EXPECT_EQ(listener_.peers, "+-");
  backend_.on_event();
  EXPECT_EQ(listener_.text, "onetwo");
  EXPECT_EQ(listener_.peers, "+-+");
}

// What a client said before it left is read when there is room, unless another one comes first.
TEST_F(SocketTest, AClientThatLeavesBlocksNobody) {
  FileDescriptor first = connect();
  say(first, "words");
  listener_.room = 0;
  backend_.on_event();
  EXPECT_FALSE(backend_.wait().input);
  EXPECT_TRUE(backend_.wait().hang_up);
  first.reset();
  backend_.on_event();
  EXPECT_EQ(listener_.peers, "+-");
  EXPECT_TRUE(backend_.wait().input) << "for the next one";
  listener_.room = 3;
  backend_.resume_input();
  backend_.on_event();
  EXPECT_EQ(listener_.text, "wor");
  FileDescriptor second = connect();
  say(second, "new");
  listener_.room = 10;
  backend_.on_event();
  EXPECT_EQ(listener_.text, "wornew");
}

TEST_F(SocketTest, APeerThatIsGoneIsNoSignal) {
  FileDescriptor client = connect();
  backend_.on_event();
  client.reset();
  EXPECT_EQ(backend_.write(bytes("lost")), 4U);
  backend_.on_event();
  EXPECT_EQ(listener_.peers, "+-");
}

}  // namespace
}  // namespace warren::vmm
