// Receive-side scaling, as a driver sets it up: it is checked, and packets go by it.
#include "vmm-core/virtio/net_scaling.h"

#include <vector>

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <net/ethernet.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/fake_devices.h"

namespace warren::vmm::virtio {
namespace {

using namespace net_layout;

constexpr std::uint64_t kBuffers = FakeGuest::kBuffers, kCommand = kBuffers + 0x8'0000;
constexpr std::size_t kControl = 4;  // behind two pairs

// A command that sets up two entries, a key of 40 bytes and so many pairs to send on.
std::vector<std::uint8_t> scaling_command(std::uint8_t hash_types, std::vector<std::uint8_t> entries,
                                          std::uint8_t unclassified = 0, std::uint8_t transmit = 2,
                                          std::uint8_t key_bytes = 40) {
  std::vector<std::uint8_t> bytes = {
      4, 1, hash_types, 0, 0, 0, static_cast<std::uint8_t>(entries.size() - 1), 0, unclassified, 0};
  for (const std::uint8_t entry : entries) bytes.insert(bytes.end(), {entry, 0});
  bytes.insert(bytes.end(), {transmit, 0, key_bytes});
  bytes.resize(bytes.size() + key_bytes, 0x5a);
  return bytes;
}

// Chooses the second queue, whatever the table says: which queue a hash chooses is for driver/link's tests.
FileDescriptor second_queue() {
  const std::array<bpf_insn, 2> instructions = {
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 1},
      bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = reinterpret_cast<std::uintptr_t>(instructions.data());
  attributes.insn_cnt = instructions.size();
  attributes.license = reinterpret_cast<std::uintptr_t>("GPL");
  return FileDescriptor(static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes))));
}

class NetScalingTest : public testing::Test {
 protected:
  void SetUp() override {
    try {
      host_ = std::make_unique<NetHost>(2);
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    host_->set_control_queue(kControl);
    FileDescriptor program = second_queue();
    ASSERT_TRUE(program) << "eBPF: " << std::strerror(errno);
    table_ = FileDescriptor(::memfd_create("table", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(table_.get(), sizeof(SteeringTable)), 0);
    host_->set_steering(std::move(program), table_.duplicate());
    guest_ = std::make_unique<FakeGuest>(host_->make_device());
    ASSERT_TRUE(guest_->start(NetHost::kFeatures | kMultiQueue | kReceiveScaling));
  }
  SteeringTable table() const {
    SteeringTable table;
    EXPECT_EQ(::pread(table_.get(), &table, sizeof(table), 0), static_cast<ssize_t>(sizeof(table)));
    return table;
  }
  Net& device() { return dynamic_cast<Net&>(guest_->transport().device()); }
  // Whether it was done.
  bool command(const std::vector<std::uint8_t>& bytes) {
    static_cast<void>(guest_->memory().write(GuestAddress{kCommand}, std::as_bytes(std::span(bytes))));
    static_cast<void>(guest_->memory().write_object({kCommand + 0x1000}, std::uint8_t{0xff}));
    const auto size = static_cast<std::uint32_t>(bytes.size());
    EXPECT_TRUE(guest_->request(kControl, {{kCommand, size, false}, {kCommand + 0x1000, 1, true}}));
    const auto answer = guest_->memory().read_object<std::uint8_t>({kCommand + 0x1000}).value();
    EXPECT_LE(answer, 1U);
    return answer == 0;
  }
  // A frame to the guest arrives on this queue.
  void expect_frame_on(std::size_t queue) {
    for (const std::size_t each : {0U, 2U}) {
      guest_->queue(each).offer({{kBuffers + 0x1000 * (each + offered_ * 4), 2048, true}});
      guest_->kick(each);
    }
    ++offered_;
    const FileDescriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    ifreq request{};
    host_->interface().copy(request.ifr_name, IFNAMSIZ - 1);
    ASSERT_EQ(::ioctl(socket.get(), SIOCGIFINDEX, &request), 0);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = request.ifr_ifindex;
    request.ifr_flags = IFF_UP;
    ASSERT_EQ(::ioctl(socket.get(), SIOCSIFFLAGS, &request), 0);
    const std::vector<std::uint8_t> frame(60, 2);
    ASSERT_EQ(::sendto(socket.get(), frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                       sizeof(to)),
              60);
    EXPECT_TRUE(guest_->wait_used(queue)) << queue;
  }

  std::unique_ptr<NetHost> host_;
  std::unique_ptr<FakeGuest> guest_;
  FileDescriptor table_;
  std::uint64_t offered_ = 0;
};

TEST_F(NetScalingTest, TheConfigurationSaysWhatThereIs) {
  EXPECT_NE(guest_->offered() & kReceiveScaling, 0U);
  EXPECT_EQ(guest_->get<std::uint8_t>(FakeGuest::kDevice + 17), 40);
  EXPECT_EQ(guest_->get<std::uint16_t>(FakeGuest::kDevice + 18), 128);
  EXPECT_EQ(guest_->get<std::uint32_t>(FakeGuest::kDevice + 20), 0x3fU);
}

TEST_F(NetScalingTest, PacketsGoByItUntilTheDriverHasEnough) {
  ASSERT_TRUE(command(scaling_command(0x3f, {0, 1})));
  EXPECT_EQ(device().save().pairs, 2U);
  EXPECT_EQ(table().mask, 1U);
  EXPECT_EQ(table().entries[1], 1U);
  EXPECT_EQ(table().hash_types, 0x3fU);
  EXPECT_NE(table().shares[35][1], 0U);
  expect_frame_on(2);
  ASSERT_TRUE(command({4, 0, 1, 0})) << "one pair, which the device steers to";
  EXPECT_FALSE(device().save().scaling);
  expect_frame_on(0);
}

TEST_F(NetScalingTest, IsSavedAndForgottenAtAReset) {
  ASSERT_TRUE(command(scaling_command(5, {1, 0, 1, 1}, 1, 1)));
  const NetState state = device().save();
  ASSERT_TRUE(state.scaling);
  EXPECT_EQ(state.scaling->count, 4U);
  EXPECT_EQ(state.scaling->unclassified, 1U);
  EXPECT_EQ(state.pairs, 2U);
  guest_->reset();
  EXPECT_FALSE(device().save().scaling);
  device().restore(state);
  EXPECT_TRUE(device().save().scaling);
  NetState foreign = state;
  foreign.scaling->entries[3] = 2;
  EXPECT_THROW(device().restore(foreign), Error);
  foreign = state;
  foreign.scaling->count = 3;
  EXPECT_THROW(device().restore(foreign), Error);
  foreign.scaling->count = 0;
  EXPECT_THROW(device().restore(foreign), Error);
}

TEST_F(NetScalingTest, T1CommandsThatAreNoneAreRefused) {
  EXPECT_FALSE(command(scaling_command(0x40, {0, 1}))) << "a hash that was not offered";
  EXPECT_FALSE(command(scaling_command(1, {0, 2}))) << "a queue that is not there";
  EXPECT_FALSE(command(scaling_command(1, {0, 1}, 2)));
  EXPECT_FALSE(command(scaling_command(1, {0, 1, 1}))) << "no power of two";
  EXPECT_FALSE(command(scaling_command(1, std::vector<std::uint8_t>(256, 0)))) << "more than was offered";
  EXPECT_FALSE(command(scaling_command(1, {0, 1}, 0, 0)));
  EXPECT_FALSE(command(scaling_command(1, {0, 1}, 0, 3)));
  EXPECT_FALSE(command(scaling_command(1, {0, 1}, 0, 2, 41))) << "a key that is too long";
  std::vector<std::uint8_t> whole = scaling_command(1, {0, 1});
  whole[6] = whole[7] = 0xff;  // the mask
  EXPECT_FALSE(command(whole));
  whole = scaling_command(1, {0, 1});
  while (whole.size() > 2) {
    whole.pop_back();
    EXPECT_FALSE(command(whole)) << whole.size();
  }
  EXPECT_FALSE(device().save().scaling) << "and nothing has changed";
  EXPECT_EQ(device().save().pairs, 1U);
  ASSERT_TRUE(guest_->start(NetHost::kFeatures | kMultiQueue));
  EXPECT_FALSE(command(scaling_command(1, {0, 1}))) << "not negotiated";
}

}  // namespace
}  // namespace warren::vmm::virtio
