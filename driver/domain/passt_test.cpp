// What a passt is told, and what becomes of the record of one. That it runs is seen by tests/host.
#include "driver/domain/passt.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/config/ip_address.h"
#include "driver/domain/worker_process.h"

namespace warren::driver::domain {
namespace {

using testing::ElementsAre;

config::Interface make_interface() {
  config::Interface interface;
  interface.type = config::InterfaceType::user;
  interface.mac = config::MacAddress{0x52, 0x54, 0, 1, 2, 0xab};
  return interface;
}

TEST(Passt, IsToldOfNothingButWhatWasSaid) {
  EXPECT_THAT(passt_arguments(make_interface()), ElementsAre("--quiet"));
  EXPECT_EQ(passt_name(make_interface()), "passt-5254000102ab");
}

TEST(Passt, IsToldOfAddressesAndPorts) {
  config::Interface interface = make_interface();
  interface.mtu = 1400;
  interface.user.device = "eth0";
  interface.user.addresses = {{*config::parse_ip_address("10.0.2.15"), 24},
                              {*config::parse_ip_address("2001:db8::15"), 64}};
  interface.user.forwards = {
      {.protocol = config::ForwardedProtocol::tcp,
       .address = config::parse_ip_address("2001:db8::1"),
       .device = "eth1",
       .ranges = {{.start = 2022, .end = {}, .to = 22, .exclude = {}},
                  {.start = 5000, .end = 5020, .to = 6000, .exclude = {}},
                  {.start = 5010, .end = 5012, .to = {}, .exclude = true},
                  {.start = 7, .end = 7, .to = {}, .exclude = false}}},
      {.protocol = config::ForwardedProtocol::udp, .address = {}, .device = {}, .ranges = {}},
      {.protocol = config::ForwardedProtocol::udp,
       .address = {},
       .device = "lo",
       .ranges = {{.start = 1, .end = 65535, .to = 1, .exclude = {}}}}};
  EXPECT_THAT(passt_arguments(interface),
              ElementsAre("--quiet", "--interface", "eth0", "--mtu", "1400", "--address", "10.0.2.15",
                          "--netmask", "24", "--address", "2001:db8::15", "--tcp-ports",
                          "2001:db8::1%eth1/2022:22,5000-5020:6000-6020,~5010-5012,7", "--udp-ports", "all",
                          "--udp-ports", "%lo/1-65535:1-65535"));
}

class PasstRecord : public testing::Test {
 protected:
  PasstRecord() {
    std::string name = (std::filesystem::temp_directory_path() / "passt.XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~PasstRecord() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path record() const { return directory_ / "passt-1.pid"; }
  void write(const std::string& text) { std::ofstream(record()) << text; }
  pid_t start_sleeper() {
    const pid_t child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
    return child;
  }

  std::filesystem::path directory_;
};

TEST_F(PasstRecord, WhoDoesNotEndIsKilled) {
  const pid_t child = start_sleeper();
  write(std::to_string(child) + " " + std::to_string(process_start_time(child)) + "\n");
  end_passt(directory_, "passt-1");
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(record()));
}

TEST_F(PasstRecord, SomebodyElseIsLetBe) {
  const pid_t child = start_sleeper();
  const std::string pid = std::to_string(child);
  const std::string other = std::to_string(process_start_time(child) + 1);
  for (const std::string& text :
       {pid + " " + other, pid, pid + " ", std::string("-1 1"), std::string("x"), std::string()}) {
    write(text);
    end_passt(directory_, "passt-1");
    EXPECT_FALSE(std::filesystem::exists(record())) << text;
    EXPECT_EQ(::kill(child, 0), 0) << text;
    EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << text;
  }
  end_passt(directory_, "passt-1");  // none at all
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace warren::driver::domain
