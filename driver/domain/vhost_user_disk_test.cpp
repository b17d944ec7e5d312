// Disks that another program serves: the daemon connects, and the worker has the connection.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/domain/character_file.h"
#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::HasSubstr;
using testing::Not;

class VhostUserDiskTest : public DriverFixture {
 protected:
  std::string socket_path() const { return (root_ / "disk.sock").string(); }
  void listen() { listener_ = listen_character_socket(socket_path()); }
  // The connection that waits; none when there is none.
  vmm::FileDescriptor accept() {
    pollfd wait{.fd = listener_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, 2000) != 1) return {};
    return vmm::FileDescriptor(::accept(listener_.get(), nullptr, nullptr));
  }
  // The other side has closed it.
  static bool is_closed(const vmm::FileDescriptor& connection) {
    pollfd wait{.fd = connection.get(), .events = POLLIN, .revents = 0};
    char byte = 0;
    return ::poll(&wait, 1, 10'000) == 1 && ::read(connection.get(), &byte, 1) <= 0;
  }
  std::string disk(const std::string& target = "vdb") const {
    return "<disk type='vhostuser' device='disk'><driver name='qemu' type='raw'/><source type='unix' path='" +
           socket_path() + "'/><target dev='" + target + "' bus='virtio'/></disk>";
  }
  std::string with(const std::string& devices, bool shared = true) const {
    std::string text =
        xml("test", kTestUuid, shared ? "<memoryBacking><access mode='shared'/></memoryBacking>" : "");
    text.insert(text.find("<serial"), devices + "<controller type='pci' model='pcie-root-port'/>" +
                                          "<controller type='pci' model='pcie-root-port'/>" +
                                          "<controller type='pci' model='pcie-root-port'/>");
    return text;
  }
  std::string live() { return driver_->xml(caller_, test_uuid(), 0); }
  std::string attach() {
    return wait<void>([&](auto done) {
      driver_->attach_device(caller_, test_uuid(), disk(), VIR_DOMAIN_AFFECT_LIVE, std::move(done));
    });
  }
  std::string detach() {
    return wait<void>([&](auto done) {
      driver_->detach_device(caller_, test_uuid(), disk(), VIR_DOMAIN_AFFECT_LIVE, std::move(done));
    });
  }
  vmm::FileDescriptor listener_;
};

TEST_F(VhostUserDiskTest, TheWorkerHasAConnectionAsLongAsItLives) {
  listen();
  ASSERT_EQ(create(with(disk())), "");
  const vmm::FileDescriptor connection = accept();
  ASSERT_TRUE(connection);
  EXPECT_THAT(live(), HasSubstr("<disk type='vhostuser' device='disk'>"));
  EXPECT_THAT(live(), HasSubstr("<alias name='virtio-disk1'/>"));
  EXPECT_THAT(live(), Not(HasSubstr("vdb' bus='virtio'/><backingStore")));
  start_daemon();  // T14: it is the worker's, and not the daemon's
  EXPECT_THAT(live(), HasSubstr("<source type='unix' path='" + socket_path() + "'/>"));
  pollfd quiet{.fd = connection.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&quiet, 1, 100), 0);
  ASSERT_EQ(destroy(), "");
  EXPECT_TRUE(is_closed(connection));
}

TEST_F(VhostUserDiskTest, WhereNobodyListensTheStartFailsAndSaysWhere) {
  const std::string why = create(with(disk()));
  EXPECT_THAT(why, HasSubstr("disk vdb"));
  EXPECT_THAT(why, HasSubstr(socket_path()));
  EXPECT_EQ(last_code_, VIR_ERR_SYSTEM_ERROR);
  listen();
  EXPECT_EQ(create(with(disk())), "");
}

TEST_F(VhostUserDiskTest, ItComesAndGoes) {
  listen();
  ASSERT_EQ(create(with("")), "");
  ASSERT_EQ(attach(), "");
  const vmm::FileDescriptor connection = accept();
  ASSERT_TRUE(connection);
  EXPECT_THAT(live(), HasSubstr("vhostuser"));
  ASSERT_EQ(detach(), "");
  EXPECT_TRUE(run_until([&] { return live().find("vhostuser") == std::string::npos; }));
}

TEST_F(VhostUserDiskTest, AMachineWithoutSharedMemoryIsNotGivenOne) {
  listen();
  ASSERT_EQ(create(with("", false)), "");
  EXPECT_THAT(attach(), HasSubstr("requires shared memory"));
  EXPECT_EQ(last_code_, VIR_ERR_CONFIG_UNSUPPORTED);
}

TEST_F(VhostUserDiskTest, WhatIsNotWarrensToDoIsRefusedByName) {
  listen();
  ASSERT_EQ(create(with(disk())), "");
  EXPECT_THAT(wait<void>([&](auto done) {
                driver_->block_resize(caller_, test_uuid(), "vdb", 4096, 0, std::move(done));
              }),
              HasSubstr("disk 'vdb' is served by another program"));
  EXPECT_THAT(wait<void>([&](auto done) {
                driver_->set_block_io_tune(caller_, test_uuid(), "vdb",
                                           {{"total_iops_sec", std::uint64_t{5}}}, 0, std::move(done));
              }),
              HasSubstr("served by another program"));
  EXPECT_THAT(wait<BlockInfo>(
                  [&](auto done) { driver_->block_info(caller_, test_uuid(), "vdb", 0, std::move(done)); }),
              HasSubstr("served by another program"));
  EXPECT_THROW(driver_->block_statistics(caller_, test_uuid(), "vdb"), Error);
  EXPECT_NO_THROW(driver_->block_statistics(caller_, test_uuid(), "vda"));
}

TEST_F(VhostUserDiskTest, T29ABackEndThatIsLostIsToldAndTheGuestRuns) {
  listen();
  ASSERT_EQ(create(with(disk())), "");
  std::string told;
  driver_->subscribe(VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, {}, [&told](const DomainEvent& event) {
    const auto& error = std::get<IoErrorEvent>(event.body);
    told = fmt::format("{} {} {}", error.source_path, error.device_alias, error.action);
  });
  tell_guest(fmt::format("disk-fault virtio-disk1 {} report", ECONNRESET));
  ASSERT_TRUE(run_until([&] { return !told.empty(); }));
  EXPECT_EQ(told, fmt::format("{} virtio-disk1 {}", socket_path(), VIR_DOMAIN_EVENT_IO_ERROR_REPORT));
  EXPECT_THAT(log_, HasSubstr("disk vdb: the back end at '" + socket_path() + "' is lost"));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_THAT(driver_->messages(caller_, test_uuid(), 1 << 2),
              testing::ElementsAre(HasSubstr(socket_path())));
}

}  // namespace
}  // namespace warren::driver::domain
