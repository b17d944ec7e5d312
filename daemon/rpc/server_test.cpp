// The server on real sockets, with a client that speaks in raw frames.

#include "daemon/rpc/server.h"

#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/rpc/codec.h"
#include "daemon/rpc/fake_host.h"
#include "daemon/rpc/fake_hypervisor.h"
#include "daemon/rpc/protocol/connect.h"
#include "daemon/rpc/protocol/domain.h"
#include "vmm-core/os/error.h"

namespace warren::daemon::rpc {
namespace {

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/warren-rpc-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ / "sock";
  }
  void TearDown() override {
    if (thread_.joinable()) {
      boost::asio::post(loop_, [this] { server_->stop(); });
      thread_.join();
    }
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  void start(ServerSettings settings = {}) {
    server_ =
        std::make_unique<Server>(loop_, SessionServices{.hypervisor = hypervisor_, .host = host_}, settings);
    server_->listen(path_, false);
    thread_ = std::thread([this] { loop_.run(); });
  }

  FileDescriptor connect() const {
    FileDescriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.native().size());
    // sockaddr_un is passed as sockaddr, as the socket API has it
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return client;
  }

  template <class Arguments>
  static std::vector<std::byte> frame_of(std::uint32_t procedure, std::uint32_t serial,
                                         const Arguments& arguments, MessageType type = MessageType::call,
                                         std::uint32_t descriptors = 0) {
    std::vector<std::byte> frame;
    begin_frame(
        frame,
        {.program = kRemoteProgram, .version = 1, .procedure = procedure, .type = type, .serial = serial},
        descriptors);
    Encoder encoder(frame);
    encode(encoder, arguments);
    EXPECT_TRUE(finish_frame(frame));
    return frame;
  }

  static void send(const FileDescriptor& client, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      ssize_t sent = ::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
  }

  // The header of the next frame; program 0 at the end of the connection.
  static Header receive(const FileDescriptor& client, std::size_t* payload = nullptr) {
    std::vector<std::byte> bytes(kSmallestFrame);
    if (!read_all(client, bytes)) return {};
    Decoder words(bytes);
    std::size_t length = words.word();
    Header header;
    header.program = words.word();
    header.version = words.word();
    header.procedure = words.word();
    header.type = static_cast<MessageType>(words.word());
    header.serial = words.word();
    header.status = static_cast<MessageStatus>(words.word());
    bytes.resize(length - kSmallestFrame);
    EXPECT_TRUE(read_all(client, bytes));
    if (payload != nullptr) *payload = bytes.size();
    return header;
  }

  static bool read_all(const FileDescriptor& client, std::span<std::byte> into) {
    while (!into.empty()) {
      ssize_t size = ::recv(client.get(), into.data(), into.size(), 0);
      if (size <= 0) return false;
      into = into.subspan(static_cast<std::size_t>(size));
    }
    return true;
  }

  void open(const FileDescriptor& client) {
    send(client, frame_of(1, 0, protocol::ConnectOpenArgs{.name = "warren:///system"}));
    EXPECT_EQ(receive(client).status, MessageStatus::ok);
  }

  protocol::Domain handle() const { return {.name = "demo", .uuid = hypervisor_.domain.uuid.bytes, .id = 7}; }

  FakeHypervisor hypervisor_;
  FakeHost host_;
  boost::asio::io_context loop_{1};
  std::filesystem::path directory_;
  std::filesystem::path path_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

TEST_F(ServerTest, ServesSeveralRequestsFromOneWrite) {
  start();
  FileDescriptor client = connect();
  open(client);
  std::vector<std::byte> many;
  for (std::uint32_t serial = 1; serial <= 100; ++serial) {
    std::vector<std::byte> frame = frame_of(16, serial, protocol::DomainGetInfoArgs{handle()});
    many.insert(many.end(), frame.begin(), frame.end());
  }
  send(client, many);
  for (std::uint32_t serial = 1; serial <= 100; ++serial) EXPECT_EQ(receive(client).serial, serial);
}

TEST_F(ServerTest, SocketsAreRootsAloneAndGoWithTheServer) {  // T20
  start();
  struct stat status{};
  ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  boost::asio::post(loop_, [this] { server_->stop(); });
  thread_.join();
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ServerTest, ASocketInUseIsNotTakenAwayAndAStaleOneIs) {
  start();
  Server second(loop_, SessionServices{.hypervisor = hypervisor_, .host = host_},
                {.keepalive_interval = std::chrono::seconds(0)});
  std::string error;
  try {
    second.listen(path_, false);
  } catch (const vmm::Error& refused) {
    error = refused.what();
  }
  EXPECT_NE(error.find(path_.native() + " is served by another daemon"), std::string::npos) << error;
  FileDescriptor client = connect();
  open(client);
}

TEST_F(ServerTest, AHalfClosedClientGetsWhatItIsOwed) {
  start();
  FileDescriptor client = connect();
  open(client);
  hypervisor_.xml_text.assign(3 << 20, 'x');  // more than the socket's buffer
  send(client, frame_of(14, 1, protocol::DomainGetXmlDescArgs{.dom = handle()}));
  ASSERT_EQ(::shutdown(client.get(), SHUT_WR), 0);
  std::size_t payload = 0;
  EXPECT_EQ(receive(client, &payload).procedure, 14U);
  EXPECT_EQ(payload, 4U + (3 << 20));
  EXPECT_EQ(receive(client).program, 0U);  // and then the end
}

TEST_F(ServerTest, AMalformedPacketEndsItsConnectionAndNoOther) {  // T16
  start();
  FileDescriptor other = connect();
  open(other);
  FileDescriptor client = connect();
  const std::byte garbage[8] = {std::byte{0xff}, std::byte{0xff}};
  send(client, garbage);
  EXPECT_EQ(receive(client).program, 0U);
  send(other, frame_of(16, 1, protocol::DomainGetInfoArgs{handle()}));
  EXPECT_EQ(receive(other).procedure, 16U);
}

TEST_F(ServerTest, DescriptorsArriveWithTheirCall) {
  start();
  FileDescriptor client = connect();
  open(client);
  send(client,
       frame_of(310, 1, protocol::DomainCreateWithFilesArgs{.dom = handle()}, MessageType::call_with_fds, 1));
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  char marker = 0;
  iovec part{&marker, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  int number = STDERR_FILENO;
  std::memcpy(CMSG_DATA(rights), &number, sizeof number);
  ASSERT_EQ(::sendmsg(client.get(), &message, 0), 1);
  Header reply = receive(client);
  EXPECT_EQ(reply.procedure, 310U);
  EXPECT_EQ(reply.status, MessageStatus::error);  // a virtual machine takes none: they did arrive
  send(client, frame_of(16, 2, protocol::DomainGetInfoArgs{handle()}));
  EXPECT_EQ(receive(client).serial, 2U);
}

TEST_F(ServerTest, ACrowdThatDoesNotOpenIsTurnedAway) {  // T8
  start({.max_anonymous_clients = 3});
  std::vector<FileDescriptor> crowd;
  for (int i = 0; i < 3; ++i) {
    crowd.push_back(connect());
    send(crowd.back(), frame_of(66, 1, std::uint32_t{0}));
    EXPECT_EQ(receive(crowd.back()).procedure, 66U);
  }
  FileDescriptor late = connect();
  EXPECT_EQ(receive(late).program, 0U);
  open(crowd.front());
  FileDescriptor next = connect();
  open(next);
}

}  // namespace
}  // namespace warren::daemon::rpc
