// The host's own vhost-vsock, where it has one, under a driver that is a test: what no fake shows.
#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "vmm-core/os/error.h"
#include "vmm-core/os/vhost_interface.h"
#include "vmm-core/virtio/fake_guest.h"
#include "vmm-core/virtio/vhost/vsock.h"
#include "vmm-core/virtio/vsock_packet.h"

namespace warren::vmm::virtio::vhost {
namespace {

class HostVsockTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kReceive = FakeGuest::kBuffers + 0x2'0000, kBufferBytes = 4096;

  void SetUp() override {
    FileDescriptor device(::open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC));
    if (!device) GTEST_SKIP() << "no /dev/vhost-vsock: " << std::strerror(errno);
    // One that nobody has.
    for (cid_ = 70'000; ::ioctl(device.get(), VHOST_VSOCK_SET_GUEST_CID, &cid_) != 0; ++cid_)
      ASSERT_EQ(errno, EADDRINUSE);
    guest_ = std::make_unique<FakeGuest>(
        std::make_unique<Vsock>("vsock0", cid_, kernel_of(std::move(device)), memory_, thread_), &memory_);
  }
  // Which buffer comes back is the oldest: the kernel takes them in order.
  void post(unsigned count) {
    for (unsigned i = 0; i < count; ++i)
      guest_->queue(0).offer({{kReceive + kBufferBytes * (posted_++ % 8), kBufferBytes, true}});
    guest_->kick(0);
  }
  bool receive(VsockHeader& header, std::string& data) {
    const auto used = guest_->wait_used(0, 5000);
    if (!used || used->length < sizeof(header)) return false;
    const std::uint64_t place = kReceive + kBufferBytes * (taken_++ % 8);
    header = memory_.read_object<VsockHeader>({place}).value();
    data.resize(header.length);
    const bool is_read =
        memory_.read({place + sizeof(header)}, std::as_writable_bytes(std::span(data.data(), data.size())));
    post(1);
    return is_read;
  }
  bool send(VsockHeader header, const std::string& data = {}) {
    header.length = static_cast<std::uint32_t>(data.size());
    header.buffer_bytes = 65536;
    const bool is_written =
        memory_.write_object({FakeGuest::kBuffers}, header) &&
        memory_.write({FakeGuest::kBuffers + 64}, std::as_bytes(std::span(data.data(), data.size())));
    std::vector<FakeBuffer> chain = {{FakeGuest::kBuffers, sizeof(header), false}};
    if (!data.empty()) chain.push_back({FakeGuest::kBuffers + 64, header.length, false});
    return is_written && guest_->request(1, chain).has_value();
  }
  static VsockHeader answer(const VsockHeader& to, std::uint16_t operation) {
    return {.source_cid = to.destination_cid,
            .destination_cid = to.source_cid,
            .source_port = to.destination_port,
            .destination_port = to.source_port,
            .type = to.type,
            .operation = operation};
  }
  static bool wait(const FileDescriptor& socket, short events) {
    pollfd wait{.fd = socket.get(), .events = events, .revents = 0};
    return ::poll(&wait, 1, 5000) == 1;
  }

  std::uint64_t cid_ = 0;
  EventThread thread_{"vhost-test"};
  GuestMemory memory_{FakeGuest::kLayout};
  std::unique_ptr<FakeGuest> guest_;
  unsigned posted_ = 0, taken_ = 0;
};

TEST_F(HostVsockTest, AProgramOfTheHostAndTheGuestTalk) {
  ASSERT_TRUE(guest_->start(kFeatureIndirect | kFeatureEventIndex));
  post(8);
  const FileDescriptor client(::socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(client);
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = static_cast<unsigned>(cid_);
  address.svm_port = 1000;
  // The sockets API takes every kind of address through the generic one.
  ASSERT_NE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(errno, EINPROGRESS);
  VsockHeader header;
  std::string data;
  ASSERT_TRUE(receive(header, data));
  EXPECT_EQ(header.operation, kVsockRequest);
  EXPECT_EQ(header.destination_cid, cid_);
  EXPECT_EQ(header.destination_port, 1000U);
  const VsockHeader request = header;
  ASSERT_TRUE(send(answer(request, kVsockResponse)));
  ASSERT_TRUE(wait(client, POLLOUT));
  ASSERT_EQ(::send(client.get(), "to the guest", 12, 0), 12);
  ASSERT_TRUE(receive(header, data));
  EXPECT_EQ(header.operation, kVsockData);
  EXPECT_EQ(data, "to the guest");
  // The queues go to the kernel again where they have come to.
  guest_->transport().pause();
  ASSERT_EQ(::send(client.get(), "meanwhile", 9, 0), 9);
  EXPECT_FALSE(guest_->wait_used(0, 100));
  guest_->transport().resume();
  ASSERT_TRUE(receive(header, data));
  EXPECT_EQ(data, "meanwhile");
  ASSERT_TRUE(send(answer(request, kVsockData), "to the host"));
  ASSERT_TRUE(wait(client, POLLIN));
  std::array<char, 32> heard{};
  EXPECT_EQ(::recv(client.get(), heard.data(), heard.size(), 0), 11);
  EXPECT_STREQ(heard.data(), "to the host");
  EXPECT_TRUE(FakeGuest::eventually([&] { return guest_->interrupt_line(); }));
  guest_->reset();
}

// T12: the second owner of a device that has one.
TEST_F(HostVsockTest, T12ADeviceThatIsOwnedIsRefused) {
  FileDescriptor device(::open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::ioctl(device.get(), VHOST_SET_OWNER, nullptr), 0);
  EXPECT_THROW(Vsock("vsock1", 70'001, kernel_of(std::move(device)), memory_, thread_), Error);
}

}  // namespace
}  // namespace warren::vmm::virtio::vhost
