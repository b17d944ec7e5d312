#include "driver/network/host_names.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "driver/contract/error.h"

namespace warren::driver::network {
namespace {

TEST(HostNamesTest, ALeaseIsWhatTheModulesRead) {
  const std::vector<DhcpLease> leases{
      {.interface = "virbr0",
       .expiry_time = 1'700'000'000,
       .mac = "52:54:00:00:00:01",
       .iaid = "77",
       .address = "192.168.122.7",
       .prefix = 24,
       .host_name = "one",
       .client_id = "01:52"},
      {.interface = "virbr0", .type = VIR_IP_ADDR_TYPE_IPV6, .address = "2001:db8::1"}};
  EXPECT_EQ(
      lease_document(leases),
      R"([{"ip-address":"192.168.122.7","mac-address":"52:54:00:00:00:01","hostname":"one","client-id":"01:52",)"
      R"("expiry-time":1700000000},{"ip-address":"2001:db8::1","mac-address":"","expiry-time":253402300799}])"
      "\n");
  EXPECT_EQ(lease_document({}), "[]\n");
}

TEST(HostNamesTest, ADomainHasAllItsCards) {
  const std::vector<GuestCard> cards{
      {"vm", "52:54:00:00:00:01"}, {"other \"one\"", "52:54:00:00:00:02"}, {"vm", "52:54:00:00:00:03"}};
  EXPECT_EQ(card_document(cards), R"([{"domain":"other \"one\"","macs":["52:54:00:00:00:02"]},)"
                                  R"({"domain":"vm","macs":["52:54:00:00:00:01","52:54:00:00:00:03"]}])"
                                  "\n");
}

class HostNameFilesTest : public testing::Test {
 protected:
  HostNameFilesTest() {
    char name[] = "/tmp/warren-names-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~HostNameFilesTest() override { std::filesystem::remove_all(root_); }
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(root_ / "dnsmasq"))
      found.insert(entry.path().filename());
    return found;
  }
  std::filesystem::path root_;
};

TEST_F(HostNameFilesTest, OnlyOnesOwnFilesGo) {
  const std::filesystem::path directory = root_ / "dnsmasq";
  for (const char* bridge : {"virbr0", "virbr1", "virbr2"}) write_host_names(directory, bridge, {}, {});
  std::ofstream(directory / "virbr9.status") << "[]";
  remove_host_names(directory, "virbr0");
  remove_host_names(directory, "virbr0");
  keep_host_names(directory, {"virbr2"});
  EXPECT_EQ(names(), (std::set<std::string>{"virbr9.status", "warren-virbr2.status", "warren-virbr2.macs"}));
  EXPECT_EQ(std::filesystem::status(directory / "warren-virbr2.status").permissions(),
            std::filesystem::perms(0644));
  keep_host_names(root_ / "missing", {});
}

TEST_F(HostNameFilesTest, ADirectoryThatCannotBeUsedIsNamed) {
  std::ofstream(root_ / "dnsmasq") << "a file";
  try {
    write_host_names(root_ / "dnsmasq", "virbr0", {}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.detail().find("dnsmasq"), std::string::npos) << error.detail();
  }
}

}  // namespace
}  // namespace warren::driver::network
