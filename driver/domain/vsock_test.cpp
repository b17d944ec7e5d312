// Socket devices: CIDs, the sockets of the host, and the guest's way to them.
#include "driver/domain/vsock.h"

#include <future>

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/domain/character_file.h"
#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kOther = "22222222-3333-4444-5555-666666666666";
constexpr const char* kAny = "<vsock model='virtio'/>";

class VsockTest : public DriverFixture {
 protected:
  std::string with_vsock(const std::string& vsock = kAny, const std::string& name = "test",
                         const std::string& uuid = kTestUuid) const {
    std::string text = xml(name, uuid);
    text.insert(text.find("<serial"), vsock + "<controller type='pci' model='pcie-root-port'/>" +
                                          "<controller type='pci' model='pcie-root-port'/>" +
                                          "<controller type='pci' model='pcie-root-port'/>" +
                                          "<controller type='pci' model='pcie-root-port'/>");
    // One image is for one domain.
    if (name != "test") text.replace(text.find("disk.img"), 8, name + ".img");
    std::ofstream((root_ / (name + ".img")).string(), std::ios::app).put(' ');
    std::filesystem::resize_file(root_ / (name + ".img"), 1 << 20);
    return text;
  }
  std::string live(const std::string& uuid = kTestUuid) {
    return driver_->xml(caller_, *Uuid::parse(uuid), 0);
  }
  std::string persistent() { return driver_->xml(caller_, test_uuid(), VIR_DOMAIN_XML_INACTIVE); }
  std::filesystem::path directory() const { return root_ / "run" / "vsock" / kTestUuid; }
  std::string attach(const std::string& device) {
    return wait<void>(
        [&](auto done) { driver_->attach_device(caller_, test_uuid(), device, 0, std::move(done)); });
  }
  std::string detach(const std::string& device) {
    return wait<void>(
        [&](auto done) { driver_->detach_device(caller_, test_uuid(), device, 0, std::move(done)); });
  }
  // The host has vhost-vsock, whose kernel knows of a guest of somebody else's with the CID 3.
  void make_vhost() {
    std::ofstream(root_ / "vhost-vsock").put(' ');
    driver_->environment().set_guest_cid = [this](const vmm::FileDescriptor& vhost, std::uint32_t cid) {
      if (!vhost) return EBADF;
      if (cid == 3) return EADDRINUSE;
      given_.push_back(cid);
      return 0;
    };
  }
  // What a program that listens at the port reads of the first connection.
  static std::string accept_one(const vmm::FileDescriptor& listener) {
    pollfd wait{.fd = listener.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, 20'000) != 1) return "";
    const vmm::FileDescriptor client(::accept(listener.get(), nullptr, nullptr));
    std::array<char, 16> text{};
    const ssize_t got = ::read(client.get(), text.data(), text.size());
    return got > 0 ? std::string(text.data(), static_cast<std::size_t>(got)) : "";
  }
  std::vector<std::uint32_t> given_;
};

TEST(CidTable, GivesEachGuestACidOfItsOwn) {
  CidTable table;
  const Uuid one = *Uuid::parse(kTestUuid), two = *Uuid::parse(kOther);
  EXPECT_EQ(table.claim(one, std::nullopt), 3U);
  EXPECT_EQ(table.claim(one, std::nullopt), 3U) << "it has one";
  EXPECT_EQ(table.claim(two, std::nullopt), 4U);
  EXPECT_THROW(table.claim(two, 3), Error);
  table.release(one);
  EXPECT_EQ(table.claim(one, 0xffff'fffe), 0xffff'fffeU);
  table.release(two);
  EXPECT_EQ(table.claim(two, std::nullopt), 3U) << "the lowest that is free";
  EXPECT_EQ(table.claim(two, std::nullopt, 4), 4U) << "another one";
  table.release(one);
  EXPECT_EQ(table.claim(one, 3), 3U) << "which is not its any more";
  EXPECT_THROW(table.claim(one, std::nullopt, 0xffff'ffff), Error);
}

// As on every host of qemu's.
TEST_F(VsockTest, WhereTheHostHasVhostItsKernelServesTheDevice) {
  make_vhost();
  ASSERT_EQ(create(with_vsock()), "");
  EXPECT_THAT(live(), HasSubstr("<driver name='vhost'/>"));
  EXPECT_THAT(live(), HasSubstr("<cid auto='yes' address='4'/>")) << "3 is a guest of another program's";
  EXPECT_THAT(given_, testing::ElementsAre(4U));
  EXPECT_FALSE(std::filesystem::exists(directory())) << "there are no unix sockets";
  EXPECT_THAT(
      create(with_vsock("<vsock model='virtio'><cid auto='no' address='3'/></vsock>", "other", kOther)),
      HasSubstr("another program"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_FAILED);
  ASSERT_EQ(destroy(), "");
  ASSERT_EQ(create(with_vsock("<vsock model='virtio'><driver name='qemu'/></vsock>")), "");
  EXPECT_THAT(live(), HasSubstr("<driver name='qemu'/>"));
  EXPECT_TRUE(std::filesystem::exists(directory() / "vsock.sock"));
}

TEST_F(VsockTest, WhereItHasNoneTheWorkerDoesUnlessItMayNot) {
  ASSERT_EQ(create(with_vsock()), "");
  EXPECT_THAT(live(), HasSubstr("<driver name='qemu'/>"));
  ASSERT_EQ(destroy(), "");
  EXPECT_THAT(create(with_vsock("<vsock model='virtio'><driver name='vhost'/></vsock>")),
              HasSubstr((root_ / "vhost-vsock").string()));
  EXPECT_EQ(last_code_, VIR_ERR_SYSTEM_ERROR);
  ASSERT_EQ(create(with_vsock("<vsock model='virtio'><cid auto='no' address='3'/></vsock>")), "")
      << "nothing of the failure remains";
}

TEST_F(VsockTest, VhostComesAndGoesAndIsKnownToANewDaemon) {
  make_vhost();
  ASSERT_EQ(define(with_vsock("")), "");
  ASSERT_EQ(start(), "");
  ASSERT_EQ(attach(kAny), "");
  EXPECT_THAT(live(), HasSubstr("<driver name='vhost'/>"));
  EXPECT_THAT(live(), HasSubstr("address='4'"));
  start_daemon();  // T14
  make_vhost();
  EXPECT_THAT(live(), HasSubstr("<driver name='vhost'/>"));
  EXPECT_THAT(detach("<vsock model='virtio'><driver name='qemu'/></vsock>"), HasSubstr("not found"));
  ASSERT_EQ(detach(kAny), "");
  ASSERT_EQ(attach("<vsock model='virtio'><cid auto='no' address='4'/></vsock>"), "") << "it is free again";
}

TEST_F(VsockTest, ACidIsChosenAtTheStartAndIsNoPartOfTheDefinition) {
  ASSERT_EQ(define(with_vsock()), "");
  EXPECT_THAT(persistent(), HasSubstr("<vsock model='virtio'>"));
  EXPECT_THAT(persistent(), HasSubstr("<cid auto='yes'/>"));
  ASSERT_EQ(start(), "");
  EXPECT_THAT(live(), HasSubstr("<cid auto='yes' address='3'/>"));
  EXPECT_THAT(live(), HasSubstr("<alias name='vsock0'/>"));
  EXPECT_THAT(persistent(), HasSubstr("<cid auto='yes'/>"));
  ASSERT_EQ(create(with_vsock(kAny, "other", kOther)), "");
  EXPECT_THAT(live(kOther), HasSubstr("<cid auto='yes' address='4'/>"));
}

TEST_F(VsockTest, ACidThatIsTakenIsRefusedByName) {
  ASSERT_EQ(create(with_vsock("<vsock model='virtio'><cid auto='no' address='77'/></vsock>")), "");
  EXPECT_THAT(live(), HasSubstr("<cid auto='no' address='77'/>"));
  const std::string same = with_vsock("<vsock model='virtio'><cid address='77'/></vsock>", "other", kOther);
  const std::string refusal = create(same);
  EXPECT_THAT(refusal, HasSubstr("77"));
  EXPECT_THAT(refusal, HasSubstr(kTestUuid));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_FAILED);
  ASSERT_EQ(destroy(), "");
  EXPECT_EQ(create(same), "") << "it is free again";
}

// T20: the directory and the socket are the daemon's alone; they go with the domain.
TEST_F(VsockTest, T20TheGuestsSocketIsPrivateAndGoesWithIt) {
  ASSERT_EQ(create(with_vsock()), "");
  struct stat found{};
  ASSERT_EQ(::stat(directory().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0700U);
  for (const char* name : {"vsock.sock", "vsock.seqpacket"}) {
    ASSERT_EQ(::stat((directory() / name).c_str(), &found), 0);
    EXPECT_TRUE(S_ISSOCK(found.st_mode));
    EXPECT_EQ(found.st_mode & 07777, 0600U);
  }
  ASSERT_EQ(destroy(), "");
  EXPECT_FALSE(std::filesystem::exists(directory()));
}

TEST_F(VsockTest, TheGuestReachesAProgramOfTheHost) {
  std::filesystem::create_directories(directory());
  const auto listener = listen_character_socket((directory() / "vsock.sock_1234").string());
  ASSERT_EQ(create(with_vsock()), "");
  tell_guest("vsock 1234");
  auto program = std::async(std::launch::async, [&] { return accept_one(listener); });
  EXPECT_TRUE(
      run_until([&] { return program.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }));
  EXPECT_EQ(program.get(), "guest");
  ASSERT_EQ(destroy(), "");
  EXPECT_TRUE(std::filesystem::exists(directory() / "vsock.sock_1234")) << "it is not the daemon's";
}

// T19: what is at the port's name but is no socket there is nobody.
TEST_F(VsockTest, T19TheDaemonConnectsToSocketsOfTheDirectoryOnly) {
  std::filesystem::create_directories(directory());
  const auto elsewhere = listen_character_socket((root_ / "elsewhere").string());
  std::filesystem::create_symlink(root_ / "elsewhere", directory() / "vsock.sock_1");
  std::ofstream(directory() / "vsock.sock_2") << "a file";
  const auto here = listen_character_socket((directory() / "vsock.sock_3").string());
  EXPECT_FALSE(connect_vsock(directory(), 1));
  EXPECT_FALSE(connect_vsock(directory(), 2));
  EXPECT_TRUE(connect_vsock(directory(), 3));
  EXPECT_FALSE(connect_vsock(directory(), 4));
  EXPECT_FALSE(connect_vsock(directory(), 3, SOCK_SEQPACKET)) << "it is of the other type";
  const auto messages = listen_character_socket((directory() / "vsock.sock_5").string(), SOCK_SEQPACKET);
  EXPECT_TRUE(connect_vsock(directory(), 5, SOCK_SEQPACKET));
  EXPECT_FALSE(connect_vsock(directory(), 5));
  EXPECT_FALSE(connect_vsock(root_ / "nowhere", 3));
}

TEST_F(VsockTest, ItComesAndGoesWhileTheDomainRuns) {
  ASSERT_EQ(define(with_vsock("")), "");
  ASSERT_EQ(start(), "");
  ASSERT_EQ(attach("<vsock model='virtio'><cid auto='yes'/></vsock>"), "");
  EXPECT_THAT(live(), HasSubstr("<cid auto='yes' address='3'/>"));
  EXPECT_TRUE(std::filesystem::exists(directory() / "vsock.sock"));
  EXPECT_THAT(attach(kAny), HasSubstr("already has a vsock"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  ASSERT_EQ(detach(kAny), "");
  EXPECT_THAT(live(), Not(HasSubstr("<vsock")));
  EXPECT_FALSE(std::filesystem::exists(directory()));
  ASSERT_EQ(attach("<vsock model='virtio'><cid auto='no' address='3'/></vsock>"), "") << "it is free again";
}

// T14: a daemon that comes back knows whose the CIDs are.
TEST_F(VsockTest, T14ANewDaemonKnowsTheCids) {
  ASSERT_EQ(create(with_vsock()), "");
  start_daemon();
  EXPECT_THAT(live(), HasSubstr("<cid auto='yes' address='3'/>"));
  ASSERT_EQ(create(with_vsock(kAny, "other", kOther)), "");
  EXPECT_THAT(live(kOther), HasSubstr("<cid auto='yes' address='4'/>"));
}

}  // namespace
}  // namespace warren::driver::domain
