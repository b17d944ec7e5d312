#include "driver/domain/nbd_socket.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {
namespace {

using testing::HasSubstr;
using vmm::FileDescriptor;

std::string refusal(const config::NbdServer& server,
                    std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  try {
    connect_to_nbd(server, "disk vda", limit);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_SYSTEM_ERROR);
    return error.message();
  }
  return "connected";
}

// A listener on 127.0.0.1, and its port.
FileDescriptor listen_tcp(std::uint16_t& port) {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  // The sockets interface wants the general type.
  auto* general = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(socket.get(), general, size), 0);
  EXPECT_EQ(::listen(socket.get(), 4), 0);
  EXPECT_EQ(::getsockname(socket.get(), general, &size), 0);
  port = ntohs(address.sin_port);
  return socket;
}

TEST(NbdSocket, ReachesAServerByTcp) {
  std::uint16_t port = 0;
  FileDescriptor listener = listen_tcp(port);
  const FileDescriptor socket = connect_to_nbd({.host = "127.0.0.1", .port = port, .socket = {}}, "disk vda");
  EXPECT_TRUE(FileDescriptor(::accept(listener.get(), nullptr, nullptr)).valid());
  EXPECT_TRUE(socket.valid());
  listener.reset();
  EXPECT_THAT(refusal({.host = "127.0.0.1", .port = port, .socket = {}}),
              testing::AllOf(HasSubstr("disk vda: cannot connect to the NBD server '127.0.0.1:"),
                             HasSubstr("Connection refused")));
}

TEST(NbdSocket, ReachesAServerByItsSocket) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("warren-nbd-socket-" + std::to_string(::getpid()));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
  const FileDescriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // The sockets interface wants the general type.
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(listener.get(), 0), 0);
  const config::NbdServer server{.host = {}, .port = {}, .socket = path};
  const FileDescriptor first = connect_to_nbd(server, "disk vda");
  EXPECT_TRUE(first.valid());
  // Its queue is full, and nobody empties it.
  EXPECT_THAT(refusal(server, std::chrono::milliseconds(100)), HasSubstr("timed out"));
  std::filesystem::remove(path);
  EXPECT_THAT(refusal(server), HasSubstr("No such file or directory"));
}

TEST(NbdSocket, SaysWhichServerIsNotKnown) {
  EXPECT_THAT(refusal({.host = "no-such-host.invalid", .port = {}, .socket = {}}),
              HasSubstr("'no-such-host.invalid:10809'"));
}

}  // namespace
}  // namespace warren::driver::domain
