// Zones, by a firewall-cmd of the test's own.
#include "driver/network/firewall_zone.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "driver/contract/error.h"

namespace warren::driver::network {
namespace {

using testing::HasSubstr;

// Where tools are found last, in a mount name space of its own.
constexpr const char* kPlace = "/usr/local/sbin";

class FirewallZoneTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0) << "this needs root";
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(::mount("tmpfs", kPlace, "tmpfs", 0, nullptr), 0);
    definition_.name = "test";
    definition_.bridge.name = "virbr7";
    definition_.bridge.zone = "guests";
  }
  void TearDown() override { ::umount2(kPlace, MNT_DETACH); }

  static void install(const std::string& answers) {
    const std::string path = std::string(kPlace) + "/firewall-cmd";
    std::ofstream(path) << "#!/bin/sh\necho \"$@\" >> " << kPlace << "/said\ncase \"$1\" in " << answers
                        << " esac\n";
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  }
  static std::string said() {
    std::ostringstream all;
    all << std::ifstream(std::string(kPlace) + "/said").rdbuf();
    return all.str();
  }
  std::string refusal() const {
    try {
      enter_zone(definition_);
    } catch (const Error& error) {
      return error.detail();
    }
    return "none";
  }

  NetworkDefinition definition_;
};

TEST_F(FirewallZoneTest, ABridgeComesAndGoes) {
  install("");
  enter_zone(definition_);
  leave_zone(definition_);
  EXPECT_EQ(said(),
            "--state\n--zone=guests --change-interface=virbr7\n"
            "--state\n--zone=guests --remove-interface=virbr7\n");
}

TEST_F(FirewallZoneTest, WithoutAZoneNobodyIsAsked) {
  install("");
  definition_.bridge.zone.clear();
  enter_zone(definition_);
  leave_zone(definition_);
  EXPECT_EQ(said(), "");
}

TEST_F(FirewallZoneTest, WithoutFirewalldAZoneIsRefused) {
  EXPECT_THAT(refusal(), HasSubstr("<bridge zone='guests'/> is a zone of firewalld, which does not run"));
  install("--state) exit 252;;");
  EXPECT_THAT(refusal(), HasSubstr("which does not run"));
  leave_zone(definition_);
  EXPECT_EQ(said(), "--state\n--state\n");
}

TEST_F(FirewallZoneTest, AZoneThatIsNotThereIsNamed) {
  install("--zone=*) echo 'Error: INVALID_ZONE: guests' >&2; exit 112;;");
  EXPECT_EQ(refusal(),
            "network 'test': bridge 'virbr7' cannot be in zone 'guests': firewall-cmd: Error: INVALID_ZONE: "
            "guests");
  leave_zone(definition_);
}

}  // namespace
}  // namespace warren::driver::network
