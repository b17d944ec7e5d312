// With an Open vSwitch of the tests' own: what its database says, and who reaches whom.
#include "driver/openvswitch/switch_port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/openvswitch/private_switch.h"

namespace warren::driver::openvswitch {
namespace {

using testing::HasSubstr;

constexpr config::MacAddress kMac = {0x52, 0x54, 0, 1, 2, 3};
const Uuid kMachine = Uuid::parse("7f0d5c5e-6a43-4b3b-9a51-0d5b2d9f7a01").value();
const Uuid kInterface = Uuid::parse("09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f").value();

class SwitchPortTest : public testing::Test {
 protected:
  static void ip(const std::string& command) {
    std::vector<std::string> words;
    for (const std::string_view word : split_fields(command, ' ')) words.emplace_back(word);
    require_tool({.name = "ip", .arguments = std::move(words)});
  }
  static void make_tap(const std::string& name) {
    ip("tuntap add " + name + " mode tap");
    ip("link set " + name + " up");
  }
  static SwitchPort port(const std::string& link = "vnet0") {
    return {.bridge = PrivateSwitch::kBridge, .link = link, .guest_mac = kMac, .machine = kMachine};
  }
  void add(const SwitchPort& port) const { add_port(switch_.database(), port); }
  std::string said_by_adding(const SwitchPort& port) const {
    try {
      add(port);
    } catch (const Error& error) {
      return error.detail();
    }
    return {};
  }
  std::string id(const std::string& key, const std::string& link = "vnet0") const {
    return switch_.get("Interface", link, "external_ids:" + key);
  }

  PrivateSwitch switch_;
};

TEST_F(SwitchPortTest, ControllersKnowItByWhatItsInterfaceSays) {
  make_tap("vnet0");
  SwitchPort wanted = port();
  wanted.interface_id = kInterface;
  wanted.profile_id = "a \"profile\", x=y \\ z";
  wanted.mtu = 1400;
  add(wanted);
  EXPECT_EQ(switch_.tell({"list-ports", PrivateSwitch::kBridge}), "vnet0");
  EXPECT_EQ(id("attached-mac"), "52:54:00:01:02:03");
  EXPECT_EQ(id("iface-id"), kInterface.to_string());
  EXPECT_EQ(id("vm-id"), kMachine.to_string());
  EXPECT_EQ(id("iface-status"), "active");
  EXPECT_EQ(id("port-profile"), "a \\profile\\, x=y \\\\ z");
  EXPECT_EQ(switch_.get("Interface", "vnet0", "mtu"), "1400");
  EXPECT_NE(switch_.get("Interface", "vnet0", "ofport"), "-1");
  EXPECT_EQ(switch_.get("Port", "vnet0", "tag"), "[]");
  EXPECT_EQ(switch_.get("Port", "vnet0", "protected"), "false");
}

TEST_F(SwitchPortTest, VlansAreTheSwitchs) {
  make_tap("vnet0");
  SwitchPort wanted = port();
  wanted.vlan = config::Vlan{.tags = {42}};
  wanted.isolated = true;
  add(wanted);
  EXPECT_EQ(switch_.get("Port", "vnet0", "tag"), "42");
  EXPECT_EQ(switch_.get("Port", "vnet0", "protected"), "true");
  // What it is told now takes the place of that.
  wanted.isolated = false;
  wanted.vlan = config::Vlan{.trunk = true, .tags = {42, 47}};
  add(wanted);
  EXPECT_EQ(switch_.get("Port", "vnet0", "trunks"), "[42, 47]");
  EXPECT_EQ(switch_.get("Port", "vnet0", "tag"), "[]");
  EXPECT_EQ(switch_.get("Port", "vnet0", "vlan_mode"), "trunk");
  EXPECT_EQ(switch_.get("Port", "vnet0", "protected"), "false");
  for (const auto& [mode, name] : {std::pair(config::NativeVlanMode::tagged, "native-tagged"),
                                   std::pair(config::NativeVlanMode::untagged, "native-untagged")}) {
    wanted.vlan = config::Vlan{.trunk = true, .tags = {42, 123}, .native_mode = mode, .native_tag = 123};
    add(wanted);
    EXPECT_EQ(switch_.get("Port", "vnet0", "vlan_mode"), name);
    EXPECT_EQ(switch_.get("Port", "vnet0", "tag"), "123");
    EXPECT_EQ(switch_.get("Port", "vnet0", "trunks"), "[42, 123]");
  }
}

// The thread is in a name space for a while.
class Inside {
 public:
  explicit Inside(const vmm::FileDescriptor& place) : before_(here()) {
    if (::setns(place.get(), CLONE_NEWNET) != 0) throw system_error(errno, "enter a network name space");
  }
  ~Inside() { ::setns(before_.get(), CLONE_NEWNET); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

  static vmm::FileDescriptor here() {
    return vmm::FileDescriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }

 private:
  vmm::FileDescriptor before_;
};

// Two machines that answer: name spaces at the far ends of veths.
class Reach : public SwitchPortTest {
 protected:
  void SetUp() override {
    first_ = machine("one", "10.9.0.1/24");
    second_ = machine("two", "10.9.0.2/24");
  }
  static vmm::FileDescriptor machine(const std::string& name, const std::string& address) {
    const vmm::FileDescriptor before = Inside::here();
    if (::unshare(CLONE_NEWNET) != 0) throw system_error(errno, "unshare the network");
    vmm::FileDescriptor made = Inside::here();
    ::setns(before.get(), CLONE_NEWNET);
    ip(fmt::format("link add tap-{0} type veth peer name far-{0}", name));
    ip(fmt::format("link set far-{} netns /proc/{}/fd/{}", name, ::getpid(), made.get()));
    ip(fmt::format("link set tap-{} up", name));
    const Inside inside(made);
    ip(fmt::format("addr add {} dev far-{}", address, name));
    ip(fmt::format("link set far-{} up", name));
    return made;
  }
  bool reaches() const {
    const Inside inside(first_);
    return run_tool({.name = "ping", .arguments = {"-c", "3", "-i", "0.2", "-W", "1", "10.9.0.2"}}).status ==
           0;
  }
  // The switch does what its database says a moment later: flows that it has cached go with the next look at
  // them, and a removal is not waited for.
  bool stops_reaching() const {
    for (int attempt = 0; attempt < 10; ++attempt)
      if (!reaches()) return true;
    return false;
  }
  void plug(std::uint16_t first, std::uint16_t second, bool isolated = false) const {
    for (const auto& [link, tag] : {std::pair("tap-one", first), std::pair("tap-two", second)}) {
      SwitchPort wanted = port(link);
      if (tag != 0) wanted.vlan = config::Vlan{.tags = {tag}};
      wanted.isolated = isolated;
      add(wanted);
    }
  }

  vmm::FileDescriptor first_, second_;
};

TEST_F(Reach, PortsOfOneVlanReachEachOtherAndNobodyElse) {
  EXPECT_FALSE(reaches());
  plug(0, 0);
  EXPECT_TRUE(reaches());
  plug(42, 42);
  EXPECT_TRUE(reaches());
  plug(42, 43);
  EXPECT_TRUE(stops_reaching());
  plug(42, 42, true);
  EXPECT_TRUE(stops_reaching());
  plug(42, 42);
  EXPECT_TRUE(reaches());
  remove_port(switch_.database(), "tap-two", kMachine);
  EXPECT_TRUE(stops_reaching());
}

TEST_F(SwitchPortTest, WhatCannotBeIsUndoneAndSaysWhy) {
  EXPECT_THAT(said_by_adding(port("gone")), AllOf(HasSubstr("Unable to add port gone to OVS bridge ovsbr0"),
                                                  HasSubstr("could not open network device")));
  EXPECT_EQ(switch_.tell({"list-ports", PrivateSwitch::kBridge}), "");
  make_tap("vnet0");
  SwitchPort wanted = port();
  wanted.bridge = "nothere";
  EXPECT_THAT(said_by_adding(wanted), HasSubstr("no bridge named nothere"));
  wanted.bridge = "--oneline";
  EXPECT_THAT(said_by_adding(wanted), HasSubstr("cannot be the name of a bridge"));
}

TEST_F(SwitchPortTest, OnlyItsOwnersEndRemovesIt) {
  make_tap("vnet0");
  add(port());
  remove_port(switch_.database(), "vnet0", Uuid::random());
  EXPECT_EQ(switch_.tell({"list-ports", PrivateSwitch::kBridge}), "vnet0");
  remove_port(switch_.database(), "vnet0", kMachine);
  EXPECT_EQ(switch_.tell({"list-ports", PrivateSwitch::kBridge}), "");
  remove_port(switch_.database(), "vnet0", kMachine);
}

TEST_F(SwitchPortTest, ThoseThatAreLeftAreFoundButNoOneElses) {
  EXPECT_TRUE(list_ports(switch_.database()).empty());
  make_tap("vnet0");
  make_tap("other");
  switch_.tell({"add-port", PrivateSwitch::kBridge, "other"});
  add(port());
  // Its tap goes, and it stays.
  ip("link del vnet0");
  EXPECT_EQ(list_ports(switch_.database()), (std::vector<OwnedPort>{{"vnet0", kMachine}}));
  EXPECT_TRUE(list_ports("unix:/nowhere/db.sock").empty());
}

TEST_F(SwitchPortTest, ASwitchThatDoesNotRunIsNamed) {
  make_tap("vnet0");
  switch_.stop_switching();
  EXPECT_THAT(said_by_adding(port()), HasSubstr("is it running?"));
  EXPECT_EQ(switch_.tell({"--no-wait", "list-ports", PrivateSwitch::kBridge}), "");
}

}  // namespace
}  // namespace warren::driver::openvswitch
