// A worker with a machine of the host's KVM. Skipped, with the reason, where there is no /dev/kvm.
#include "vmm-core/worker/worker.h"

#include <string>

#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/machine/tiny_kernel.h"
#include "vmm-core/os/error.h"
#include "vmm-core/virtio/vhost/fake_back_end.h"

namespace warren::vmm::worker {
namespace {

using testing::HasSubstr;
constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;

// Of somebody who has hung up.
FileDescriptor dead_socket() {
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  ::close(ends[1]);
  return FileDescriptor(ends[0]);
}

template <typename Does>
std::string refusal(const Does& does) {
  try {
    does();
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

class WorkerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/kvm", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/kvm cannot be opened here";
    Worker::Surroundings surroundings{.kvm = FileDescriptor(::open("/dev/kvm", O_RDWR | O_CLOEXEC))};
    surroundings.changed = [](const control::StateChanged&) {};
    worker_ = std::make_unique<Worker>(loop_, std::move(surroundings));
    specification_.name = "test";
    specification_.uuid = "6695eb01-f6a4-8304-79aa-97f2502e193f";
    specification_.memory_bytes = 64 * kMebibyte;
    specification_.hot_plug_bytes = 4096 * kMebibyte;
    specification_.memory_slots = 16;
    specification_.boot.kernel = "kernel";
    descriptors_["kernel"] = machine::make_tiny_kernel({0xf4});  // hlt
  }
  void start() {
    worker_->configure(specification_, std::move(descriptors_));
    worker_->start(true);
  }
  static control::PlugDimm dimm(std::uint32_t slot) {
    control::PlugDimm command;
    command.dimm.id = "dimm" + std::to_string(slot);
    command.dimm.slot = slot;
    command.dimm.memory.bytes = 128 * kMebibyte;
    return command;
  }
  // On a bus that does not exist: of the two refusals the server's comes first.
  std::string plug(control::PlugDevice command) {
    control::DescriptorSet descriptors;
    descriptors["socket"] = dead_socket();
    return refusal([&] { worker_->plug_device(command, std::move(descriptors)); });
  }

  boost::asio::io_context loop_;
  control::MachineSpecification specification_;
  control::DescriptorSet descriptors_;
  std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, WhoServesADiskIsWaitedForBeforeTheMachineIsTouched) {
  start();
  control::PlugDevice command;
  command.disks.resize(1);
  command.disks[0].id = "virtio-disk0";
  command.disks[0].address = {.bus = 7};
  command.disks[0].descriptor = "socket";
  command.disks[0].nbd = control::NbdSpecification{"data"};
  EXPECT_THAT(plug(command), HasSubstr("virtio-disk0: NBD export 'data': "));
  command.disks.clear();
  command.vhost_user_disks.resize(1);
  command.vhost_user_disks[0].id = "virtio-disk0";
  command.vhost_user_disks[0].address = {.bus = 7};
  command.vhost_user_disks[0].descriptor = "socket";
  EXPECT_THAT(plug(command), HasSubstr("virtio-disk0: vhost-user: ask the back end"));
}

TEST_F(WorkerTest, MemoryThatABackEndCannotBeToldOfIsRefused) {
  virtio::vhost::FakeBackEnd back_end;
  specification_.vhost_user_disks.resize(1);
  specification_.vhost_user_disks[0].id = "virtio-disk0";
  specification_.vhost_user_disks[0].address = {.slot = 3};
  specification_.vhost_user_disks[0].descriptor = "socket";
  descriptors_["socket"] = back_end.connect();
  start();
  std::uint32_t slot = 0;
  std::string why = "none";
  while (slot < 12 && why == "none") why = refusal([&] { worker_->plug_dimm(dimm(slot++)); });
  EXPECT_THAT(why, HasSubstr("disk virtio-disk0: vhost-user: a back end takes 8 pieces of guest memory, and "
                             "these would be 9"));
  EXPECT_EQ(worker_->status().memory_devices->size(), slot - 1) << "and nothing has changed";
  control::PlugDevice command;
  command.virtio_memories.resize(1);
  command.virtio_memories[0].id = "virtiomem0";
  EXPECT_THAT(plug(command), HasSubstr("virtiomem0: disk virtio-disk0: vhost-user: "));
}

TEST_F(WorkerTest, AnInterfaceOfABackEndIsMadeAndFollowsItsCable) {
  virtio::vhost::FakeBackEnd back_end(virtio::vhost::FakeBackEnd::sound_network());
  control::InterfaceSpecification interface;
  interface.id = "net0";
  interface.address = {.slot = 3};
  interface.mac = "52:54:00:12:34:56";
  interface.vhost_user = "socket";
  interface.queues = 2;
  specification_.interfaces.push_back(interface);
  descriptors_["socket"] = back_end.connect();
  start();
  EXPECT_EQ(back_end.count(virtio::vhost::UserRequest::set_owner), 1U);
  worker_->set_link({"net0", false});
  worker_->set_link({"net0", true});
  // One that has hung up is no interface, and leaves nothing behind.
  control::PlugDevice command;
  interface.id = "net1";
  interface.address = {.bus = 7};
  command.interfaces.push_back(interface);
  for (int i = 0; i < 2; ++i)
    EXPECT_THAT(plug(command), HasSubstr("net1: vhost-user: ask the back end for its features"));
  EXPECT_THAT(refusal([&] { worker_->set_link({"net1", true}); }), HasSubstr("net1"));
}

TEST_F(WorkerTest, AMachineWithMemoryThatABackEndCannotBeToldOfIsRefused) {
  specification_.vhost_user_disks.resize(1);
  specification_.vhost_user_disks[0].id = "virtio-disk0";
  specification_.vhost_user_disks[0].address = {.slot = 3};
  specification_.vhost_user_disks[0].descriptor = "socket";
  descriptors_["socket"] = dead_socket();
  for (std::uint32_t slot = 0; slot < 8; ++slot) specification_.dimms.push_back(dimm(slot).dimm);
  EXPECT_THAT(refusal([&] { start(); }), HasSubstr("virtio-disk0: vhost-user: a back end takes 8 pieces"));
}

}  // namespace
}  // namespace warren::vmm::worker
