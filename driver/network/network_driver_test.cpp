// The driver's own logic, on a host that is made up.
#include <algorithm>
#include <filesystem>
#include <mutex>
#include <set>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/contract/error.h"
#include "driver/network/local_network.h"

namespace warren::driver::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kNat = R"(<network>
  <name>default</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='on' delay='0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
</network>)";

constexpr const char* kPort = R"(<networkport>
  <owner><name>vm</name><uuid>99999999-2222-3333-4444-555555555555</uuid></owner>
  <mac address='52:54:00:11:22:33'/>
</networkport>)";

// What the driver asked for, in order; and links that are there.
struct FakeHost final : NetworkHost {
  std::set<std::string> links{"eth0"};
  std::vector<std::string> calls;
  std::string fails;  // the call that does not work

  // While calls still come: `calls` is for when none does.
  bool has_been_told(const std::string& call) {
    const std::lock_guard lock(mutex_);
    return std::ranges::find(calls, call) != calls.end();
  }
  void note(const std::string& call) {
    const std::lock_guard lock(mutex_);
    calls.push_back(call);
    if (call == fails) throw Error(VIR_ERR_INTERNAL_ERROR, call + " fails", VIR_FROM_NETWORK);
  }
  bool has_link(const std::string& name) override { return links.contains(name); }
  std::vector<config::PciAddress> virtual_functions(const std::string&) override { return {{.bus = 3}}; }
  std::vector<std::string> start(const NetworkDefinition& definition) override {
    note("start " + definition.bridge.name);
    links.insert(definition.bridge.name);
    return {};
  }
  void stop(const NetworkDefinition& definition) override {
    note("stop " + definition.bridge.name);
    links.erase(definition.bridge.name);
  }
  bool adopt(const NetworkDefinition& definition) override {
    note("adopt " + definition.bridge.name);
    return links.contains(definition.bridge.name);
  }
  void apply_rules(const NetworkDefinition& definition) override { note("rules " + definition.bridge.name); }
  bool reapply_rules() override {
    note("all rules");
    return !links.empty();
  }
  void set_port_bandwidth(const NetworkDefinition&, const config::NetworkPort& port) override {
    note("class " + std::to_string(port.class_id));
  }
  void remove_port_bandwidth(const NetworkDefinition&, const config::NetworkPort& port) override {
    note("no class " + std::to_string(port.class_id));
  }
  void forget(const NetworkDefinition& definition) override { note("forget " + definition.bridge.name); }
  std::vector<DhcpLease> leases(const NetworkDefinition&) override {
    return {{.interface = "virbr0", .mac = "52:54:00:11:22:33", .address = "192.168.122.7", .prefix = 24},
            {.interface = "virbr0", .mac = "52:54:00:11:22:44", .address = "192.168.122.8", .prefix = 24}};
  }
  struct Service final : NameService {
    explicit Service(FakeHost& the_host) : host(the_host) {}
    Task<> update(NetworkDefinition) override {
      host.note("update service");
      co_return;
    }
    Task<> stop() override {
      host.note("stop service");
      co_return;
    }
    FakeHost& host;
  };
  Task<std::unique_ptr<NameService>> serve(NetworkDefinition, bool was_there) override {
    note(was_there ? "find service" : "serve");
    co_return std::make_unique<Service>(*this);
  }

 private:
  std::mutex mutex_;  // of calls
};

class NetworkDriverTest : public testing::Test {
 protected:
  NetworkDriverTest() {
    std::filesystem::remove_all(directory_);
    begin();
  }
  ~NetworkDriverTest() override {
    driver_.reset();
    std::filesystem::remove_all(directory_);
  }

  // A daemon, or the next one on the same host.
  void begin() {
    std::set<std::string> links{"eth0"};
    if (host_ != nullptr) links = host_->links;
    driver_.reset();
    auto host = std::make_unique<FakeHost>();
    host_ = host.get();
    host_->links = links;
    host_->fails = fails_at_start_;
    driver_ = std::make_unique<LocalNetworkDriver>(
        loop_,
        NetworkSettings{.configuration_directory = directory_ / "networks",
                        .runtime_directory = directory_ / "run",
                        .state_directory = directory_ / "lib",
                        .report = [this](std::string_view line) { reports_.emplace_back(line); }},
        std::move(host));
    wait<void>([this](Completion<void> done) { driver_->load(std::move(done)); });
  }

  template <typename T>
  std::expected<T, Error> outcome(const std::function<void(Completion<T>)>& begin) {
    std::optional<std::expected<T, Error>> result;
    begin([&result](std::expected<T, Error> told) { result = std::move(told); });
    loop_.restart();
    while (!result && loop_.run_one() > 0) {
    }
    return std::move(*result);
  }
  template <typename T>
  T wait(const std::function<void(Completion<T>)>& begin) {
    auto result = outcome<T>(begin);
    if (!result) throw Error(result.error());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
  }
  NetworkHandle define(const std::string& xml) {
    return wait<NetworkHandle>(
        [&](Completion<NetworkHandle> done) { driver_->define_network({}, xml, 0, std::move(done)); });
  }
  void start(const Uuid& uuid) {
    wait<void>([&](Completion<void> done) { driver_->start_network({}, uuid, std::move(done)); });
  }
  void stop(const Uuid& uuid) {
    wait<void>([&](Completion<void> done) { driver_->stop_network({}, uuid, std::move(done)); });
  }
  NetworkPortHandle make_port(const Uuid& uuid, const std::string& xml) {
    return wait<NetworkPortHandle>(
        [&](Completion<NetworkPortHandle> done) { driver_->create_port({}, uuid, xml, 0, std::move(done)); });
  }
  // Until nothing is left to do.
  void settle() {
    loop_.restart();
    loop_.run();
  }
  void remove_bridge() {
    host_->links.erase("virbr0");
    driver_->links_changed({link::LinkRemoved{"virbr0"}});
    settle();
  }
  template <typename Function>
  Error error_of(Function function) {
    try {
      function();
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "nothing was refused";
    return internal_error("");
  }

  const std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("warren-networks-" + std::to_string(::getpid()));
  boost::asio::io_context loop_;
  FakeHost* host_ = nullptr;
  std::string fails_at_start_;  // the call that does not work from the next begin() on
  std::vector<std::string> reports_;
  std::unique_ptr<LocalNetworkDriver> driver_;
};

TEST_F(NetworkDriverTest, ANetworkIsDefinedStartedStoppedAndUndefined) {
  std::vector<int> events;
  driver_->subscribe(VIR_NETWORK_EVENT_ID_LIFECYCLE, std::nullopt,
                     [&events](const NetworkEvent& event) { events.push_back(event.event); });
  const NetworkHandle handle = define(kNat);
  EXPECT_EQ(handle.name, "default");
  EXPECT_FALSE(driver_->network_is_active({}, handle.uuid));
  EXPECT_TRUE(driver_->network_is_persistent({}, handle.uuid));
  start(handle.uuid);
  EXPECT_THAT(host_->calls, ElementsAre("start virbr0", "serve"));
  EXPECT_TRUE(driver_->network_is_active({}, handle.uuid));
  EXPECT_EQ(driver_->network_bridge({}, handle.uuid), "virbr0");
  EXPECT_EQ(error_of([&] { start(handle.uuid); }).code(), VIR_ERR_OPERATION_INVALID);
  stop(handle.uuid);
  EXPECT_THAT(host_->calls, ElementsAre("start virbr0", "serve", "stop service", "stop virbr0"));
  EXPECT_EQ(error_of([&] { stop(handle.uuid); }).detail(), "network 'default' is not active");
  wait<void>([&](Completion<void> done) { driver_->undefine_network({}, handle.uuid, std::move(done)); });
  EXPECT_EQ(error_of([&] { driver_->network_by_name({}, "default"); }).code(), VIR_ERR_NO_NETWORK);
  loop_.restart();
  loop_.poll();
  EXPECT_THAT(events, ElementsAre(VIR_NETWORK_EVENT_DEFINED, VIR_NETWORK_EVENT_STARTED,
                                  VIR_NETWORK_EVENT_STOPPED, VIR_NETWORK_EVENT_UNDEFINED));
}

TEST_F(NetworkDriverTest, WhatDoesNotStartIsUndone) {
  const NetworkHandle handle = define(kNat);
  host_->fails = "serve";
  EXPECT_EQ(error_of([&] { start(handle.uuid); }).detail(), "serve fails");
  EXPECT_THAT(host_->calls, ElementsAre("start virbr0", "serve", "stop virbr0"));
  EXPECT_FALSE(driver_->network_is_active({}, handle.uuid));
  host_->fails.clear();
  start(handle.uuid);
}

TEST_F(NetworkDriverTest, ABridgeGetsTheFirstFreeName) {
  host_->links.insert("virbr0");
  const NetworkHandle one = define("<network><name>one</name></network>");
  const NetworkHandle two = define("<network><name>two</name><bridge name='br%d'/></network>");
  EXPECT_EQ(driver_->network_bridge({}, one.uuid), "virbr1");
  EXPECT_EQ(driver_->network_bridge({}, two.uuid), "br0");
  EXPECT_THAT(
      error_of([&] { define("<network><name>three</name><bridge name='virbr1'/></network>"); }).detail(),
      "bridge name 'virbr1' already in use.");
}

TEST_F(NetworkDriverTest, NamesAndUuidsAreUnique) {
  define(kNat);
  EXPECT_THAT(
      error_of([&] { define("<network><name>default</name><bridge name='br7'/></network>"); }).detail(),
      HasSubstr("network 'default' already exists with uuid 11111111"));
  EXPECT_THAT(
      error_of([&] {
        define("<network><name>other</name><uuid>11111111-2222-3333-4444-555555555555</uuid></network>");
      }).detail(),
      HasSubstr("network 'default' is already defined with uuid 11111111"));
}

TEST_F(NetworkDriverTest, T15TheNextDaemonFindsNetworksAndPorts) {
  const NetworkHandle handle = define(kNat);
  start(handle.uuid);
  const NetworkPortHandle port = make_port(handle.uuid, kPort);
  const std::string xml = driver_->port_xml({}, handle.uuid, port.uuid, 0);
  EXPECT_THAT(xml, HasSubstr("bridge='virbr0'"));
  begin();
  EXPECT_THAT(host_->calls, ElementsAre("adopt virbr0", "find service", "all rules"));
  EXPECT_TRUE(driver_->network_is_active({}, handle.uuid));
  EXPECT_EQ(driver_->port_xml({}, handle.uuid, port.uuid, 0), xml);
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, 0), HasSubstr("connections='1'"));
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, VIR_NETWORK_XML_INACTIVE), Not(HasSubstr("connections")));
}

TEST_F(NetworkDriverTest, T15ANetworkWhoseBridgeIsGoneIsNotActive) {
  const NetworkHandle handle = define(kNat);
  start(handle.uuid);
  host_->links.erase("virbr0");
  begin();
  EXPECT_FALSE(driver_->network_is_active({}, handle.uuid));
  ASSERT_FALSE(reports_.empty());
  EXPECT_THAT(reports_.back(), HasSubstr("its bridge 'virbr0' is gone"));
}

TEST_F(NetworkDriverTest, T12ANetworkThatCannotBeLookedAfterStaysActive) {
  const NetworkHandle handle = define(kNat);
  start(handle.uuid);
  fails_at_start_ = "adopt virbr0";
  begin();
  EXPECT_TRUE(driver_->network_is_active({}, handle.uuid));
  ASSERT_FALSE(reports_.empty());
  EXPECT_THAT(reports_.back(), HasSubstr("adopt virbr0 fails"));
  stop(handle.uuid);
}

TEST_F(NetworkDriverTest, AutostartIsOnceForEachStartOfTheHost) {
  const NetworkHandle handle = define(kNat);
  wait<void>(
      [&](Completion<void> done) { driver_->set_network_autostart({}, handle.uuid, true, std::move(done)); });
  begin();
  EXPECT_FALSE(driver_->network_is_active({}, handle.uuid));
  std::filesystem::remove_all(directory_ / "run");
  begin();
  EXPECT_TRUE(driver_->network_is_active({}, handle.uuid));
}

TEST_F(NetworkDriverTest, PortsAreSpreadOverThePool) {
  const NetworkHandle handle = define(R"(<network><name>direct</name>
    <forward mode='bridge'><interface dev='eth1'/><interface dev='eth2'/></forward></network>)");
  EXPECT_EQ(error_of([&] { make_port(handle.uuid, kPort); }).detail(), "network 'direct' is not active");
  start(handle.uuid);
  EXPECT_THAT(host_->calls, IsEmpty());
  for (int i = 0; i < 3; ++i) make_port(handle.uuid, kPort);
  const std::string xml = driver_->network_xml({}, handle.uuid, 0);
  EXPECT_THAT(xml, HasSubstr("<interface dev='eth1' connections='2'/>"));
  EXPECT_THAT(xml, HasSubstr("<interface dev='eth2' connections='1'/>"));
}

TEST_F(NetworkDriverTest, ADeviceOfItsOwnIsGivenOnce) {
  const NetworkHandle handle = define(R"(<network><name>direct</name>
    <forward mode='passthrough'><interface dev='eth1'/></forward></network>)");
  start(handle.uuid);
  const NetworkPortHandle port = make_port(handle.uuid, kPort);
  EXPECT_EQ(error_of([&] { make_port(handle.uuid, kPort); }).detail(),
            "network 'direct' requires exclusive access to interfaces, but none are available");
  wait<void>(
      [&](Completion<void> done) { driver_->delete_port({}, handle.uuid, port.uuid, 0, std::move(done)); });
  make_port(handle.uuid, kPort);
}

TEST_F(NetworkDriverTest, WhatDoesNotFollowItsGuestIsSaid) {
  for (const auto& [place, body] :
       {std::pair("by macvtaps", "<forward mode='bridge'><interface dev='eth1'/></forward>"),
        std::pair("by ports (macTableManager='libvirt')",
                  "<bridge name='br7' macTableManager='libvirt'/>")}) {
    const NetworkHandle handle =
        define(fmt::format("<network trustGuestRxFilters='yes'><name>fixed</name>{}</network>", body));
    start(handle.uuid);
    EXPECT_EQ(
        error_of([&] { make_port(handle.uuid, kPort); }).detail(),
        fmt::format("trustGuestRxFilters='yes' is not supported {} of network 'fixed': their address does "
                    "not follow the guest's",
                    place));
    stop(handle.uuid);
    wait<void>([&](Completion<void> done) { driver_->undefine_network({}, handle.uuid, std::move(done)); });
  }
}

TEST_F(NetworkDriverTest, AUpdateIsForTheRunningNetworkTheStoredOneOrBoth) {
  const NetworkHandle handle = define(kNat);
  start(handle.uuid);
  const auto update = [&](unsigned int flags, const std::string& address) {
    wait<void>([&](Completion<void> done) {
      driver_->update_network({}, handle.uuid,
                              {.command = VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
                               .section = VIR_NETWORK_SECTION_IP_DHCP_HOST,
                               .xml = "<host mac='52:54:00:00:00:0" + address.substr(address.size() - 1) +
                                      "' ip='" + address + "'/>"},
                              flags, std::move(done));
    });
  };
  update(VIR_NETWORK_UPDATE_AFFECT_LIVE, "192.168.122.5");
  EXPECT_THAT(host_->calls.back(), "update service");
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, 0), HasSubstr("192.168.122.5"));
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, VIR_NETWORK_XML_INACTIVE),
              Not(HasSubstr("192.168.122.5'")));
  update(VIR_NETWORK_UPDATE_AFFECT_CONFIG, "192.168.122.6");
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, 0), Not(HasSubstr("192.168.122.6")));
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, VIR_NETWORK_XML_INACTIVE), HasSubstr("192.168.122.6"));
  host_->fails = "update service";
  EXPECT_EQ(error_of([&] { update(VIR_NETWORK_UPDATE_AFFECT_LIVE, "192.168.122.8"); }).detail(),
            "update service fails");
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, 0), Not(HasSubstr("192.168.122.8")));
  stop(handle.uuid);
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, 0), HasSubstr("192.168.122.6"));
}

TEST_F(NetworkDriverTest, AFloorNeedsARateToBePartOf) {
  const std::string port = R"(<networkport>
    <owner><name>vm</name><uuid>99999999-2222-3333-4444-555555555555</uuid></owner>
    <mac address='52:54:00:11:22:33'/>
    <bandwidth><inbound average='100' floor='600'/></bandwidth></networkport>)";
  const NetworkHandle bare = define(kNat);
  start(bare.uuid);
  EXPECT_THAT(error_of([&] { make_port(bare.uuid, port); }).detail(), HasSubstr("has no inbound QoS set"));
  const NetworkHandle handle = define(
      "<network><name>shaped</name><bridge name='br9'/><bandwidth><inbound "
      "average='1000'/></bandwidth></network>");
  start(handle.uuid);
  const NetworkPortHandle one = make_port(handle.uuid, port);
  EXPECT_EQ(host_->calls.back(), "class 3");
  EXPECT_THAT(error_of([&] { make_port(handle.uuid, port); }).detail(),
              HasSubstr("would overcommit 'average'"));
  const TypedParameters parameters = driver_->port_parameters({}, handle.uuid, one.uuid, 0);
  ASSERT_GE(parameters.size(), 3u);
  EXPECT_EQ(parameters[2].field, VIR_NETWORK_PORT_BANDWIDTH_IN_FLOOR);
  EXPECT_EQ(std::get<std::uint32_t>(parameters[2].value), 600u);
  wait<void>([&](Completion<void> done) {
    driver_->set_port_parameters({}, handle.uuid, one.uuid,
                                 {{VIR_NETWORK_PORT_BANDWIDTH_IN_FLOOR, std::uint32_t{0}}}, 0,
                                 std::move(done));
  });
  EXPECT_EQ(host_->calls.back(), "no class 3");
}

TEST_F(NetworkDriverTest, LeasesAreThoseOfOneAddressIfAskedFor) {
  const NetworkHandle handle = define(kNat);
  const auto leases = [&](std::optional<std::string> mac) {
    return wait<std::vector<DhcpLease>>([&](Completion<std::vector<DhcpLease>> done) {
      driver_->dhcp_leases({}, handle.uuid, mac, 0, std::move(done));
    });
  };
  EXPECT_THAT(leases(std::nullopt), IsEmpty());
  start(handle.uuid);
  EXPECT_EQ(leases(std::nullopt).size(), 2u);
  ASSERT_EQ(leases("52:54:00:11:22:33").size(), 1u);
  EXPECT_EQ(leases("52:54:00:11:22:33")[0].address, "192.168.122.7");
}

TEST_F(NetworkDriverTest, ANetworkThatIsCreatedWhileItStopsIsThere) {
  const NetworkHandle handle = wait<NetworkHandle>(
      [&](Completion<NetworkHandle> done) { driver_->create_network({}, kNat, 0, std::move(done)); });
  std::optional<std::expected<void, Error>> stopped;
  driver_->stop_network({}, handle.uuid, [&](std::expected<void, Error> told) { stopped = std::move(told); });
  // Until the stop is at work on the host.
  while (!host_->has_been_told("stop virbr0")) {
    loop_.restart();
    loop_.run_one();
  }
  const auto created = outcome<NetworkHandle>(
      [&](Completion<NetworkHandle> done) { driver_->create_network({}, kNat, 0, std::move(done)); });
  while (!stopped) {
    loop_.restart();
    loop_.run_one();
  }
  ASSERT_TRUE(*stopped);
  // Refused while it was active, or made anew: never in between.
  if (created) {
    EXPECT_TRUE(driver_->network_is_active({}, handle.uuid));
    EXPECT_TRUE(host_->links.contains("virbr0"));
  } else {
    EXPECT_THAT(driver_->list_networks({}, 0), IsEmpty());
    EXPECT_FALSE(host_->links.contains("virbr0"));
  }
}

TEST_F(NetworkDriverTest, T12AStopThatCannotBeWrittenDownIsAStop) {
  const NetworkHandle handle = wait<NetworkHandle>(
      [&](Completion<NetworkHandle> done) { driver_->create_network({}, kNat, 0, std::move(done)); });
  // Its place is taken by what cannot be removed as a file.
  const std::filesystem::path status = directory_ / "run/active/default.xml";
  std::filesystem::remove(status);
  std::filesystem::create_directories(status / "inside");
  error_of([&] { stop(handle.uuid); });
  EXPECT_THAT(driver_->list_networks({}, 0), IsEmpty());
}

TEST_F(NetworkDriverTest, ABridgeThatIsRemovedIsMadeAgain) {
  const NetworkHandle handle = define(kNat);
  start(handle.uuid);
  host_->calls.clear();
  remove_bridge();
  EXPECT_THAT(host_->calls, ElementsAre("adopt virbr0", "start virbr0", "stop service", "serve"));
  EXPECT_TRUE(host_->links.contains("virbr0"));
  EXPECT_THAT(reports_,
              ElementsAre(HasSubstr("'virbr0' was removed by somebody else, and has been made again")));
  // Who removes it over and over again is let to, and told.
  for (int i = 0; i < 10 && reports_.back().find("cannot be made again") == std::string::npos; ++i)
    remove_bridge();
  EXPECT_THAT(reports_.back(), HasSubstr("it has been made again 5 times in a minute"));
  EXPECT_THAT(reports_.back(), HasSubstr("virsh net-destroy default"));
  EXPECT_TRUE(driver_->network_is_active({}, handle.uuid));
  stop(handle.uuid);
}

TEST_F(NetworkDriverTest, ABridgeThatCannotBeMadeAgainIsReported) {
  const NetworkHandle handle = define(kNat);
  start(handle.uuid);
  host_->fails = "start virbr0";
  remove_bridge();
  EXPECT_THAT(reports_, ElementsAre(HasSubstr("cannot be made again: internal error: start virbr0 fails")));
  EXPECT_TRUE(driver_->network_is_active({}, handle.uuid)) << "it can still be stopped";
  stop(handle.uuid);
}

TEST_F(NetworkDriverTest, WhatTheDriverRemovesItselfStaysRemoved) {
  const NetworkHandle handle = define(kNat);
  start(handle.uuid);
  // Told while the network stops: before that has its turn, and after it.
  driver_->links_changed({link::LinkRemoved{"virbr0"}});
  stop(handle.uuid);
  host_->calls.clear();
  driver_->links_changed({link::LinkRemoved{"virbr0"}, link::LinkRemoved{"eth7"}});
  settle();
  EXPECT_THAT(host_->calls, IsEmpty());
  EXPECT_THAT(reports_, IsEmpty());
}

TEST_F(NetworkDriverTest, RulesThatAreFlushedComeBack) {
  start(define(kNat).uuid);
  host_->calls.clear();
  driver_->rules_changed();
  driver_->rules_changed();
  settle();
  EXPECT_THAT(host_->calls, testing::Each("all rules"));
  EXPECT_THAT(reports_.back(), HasSubstr("are in place again"));
  host_->fails = "all rules";
  driver_->rules_changed();
  settle();
  EXPECT_THAT(reports_.back(), HasSubstr("cannot be put in place again: internal error: all rules fails"));
}

TEST_F(NetworkDriverTest, NetworksDefinedAtOnceHaveBridgesOfTheirOwn) {
  std::vector<Uuid> made;
  for (int i = 0; i < 5; ++i) {
    driver_->define_network({}, "<network><name>n" + std::to_string(i) + "</name></network>", 0,
                            [&made](std::expected<NetworkHandle, Error> outcome) {
                              ASSERT_TRUE(outcome) << outcome.error().message();
                              made.push_back(outcome->uuid);
                            });
  }
  settle();
  ASSERT_EQ(made.size(), 5u);
  std::set<std::string> bridges;
  for (const Uuid& uuid : made) bridges.insert(driver_->network_bridge({}, uuid));
  EXPECT_EQ(bridges.size(), 5u);
  // A name that is asked for is not chosen for another one meanwhile.
  std::size_t defined = 0;
  const auto count = [&defined](std::expected<NetworkHandle, Error> outcome) {
    EXPECT_TRUE(outcome) << outcome.error().message();
    ++defined;
  };
  driver_->define_network({}, "<network><name>chosen</name></network>", 0, count);
  driver_->define_network({}, "<network><name>named</name><bridge name='virbr5'/></network>", 0, count);
  settle();
  EXPECT_EQ(defined, 2u);
}

TEST_F(NetworkDriverTest, AStartThatFailsLeavesNoStatus) {
  const NetworkHandle handle = define(kNat);
  host_->fails = "serve";
  error_of([&] { start(handle.uuid); });
  EXPECT_FALSE(std::filesystem::exists(directory_ / "run/active/default.xml"));
  host_->fails.clear();
  start(handle.uuid);
  EXPECT_TRUE(std::filesystem::exists(directory_ / "run/active/default.xml"));
}

TEST_F(NetworkDriverTest, ALinkThatAPortIsOnStaysInThePool) {
  const NetworkHandle direct = define(R"(<network><name>direct</name>
    <forward mode='bridge'><interface dev='eth1'/><interface dev='eth2'/></forward></network>)");
  start(direct.uuid);
  make_port(direct.uuid, kPort);
  const auto refused = outcome<void>([&](Completion<void> done) {
    driver_->update_network({}, direct.uuid,
                            {.command = VIR_NETWORK_UPDATE_COMMAND_DELETE,
                             .section = VIR_NETWORK_SECTION_FORWARD_INTERFACE,
                             .xml = "<interface dev='eth1'/>"},
                            VIR_NETWORK_UPDATE_AFFECT_LIVE, std::move(done));
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), VIR_ERR_OPERATION_INVALID);
  EXPECT_THAT(refused.error().detail(), HasSubstr("it is in use by port"));
}

// Its virtual functions are handed out one by one, whoever is the daemon.
TEST_F(NetworkDriverTest, APoolOfAPhysicalFunctionHandsOutItsVirtualOnes) {
  const NetworkHandle handle = define(R"(<network><name>pool</name>
    <forward mode='hostdev' managed='yes'><driver name='vfio'/><pf dev='eth0'/></forward>
    <vlan><tag id='42'/></vlan></network>)");
  const char* function = "<address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>";
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, 0), Not(HasSubstr(function)));
  start(handle.uuid);
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, 0), HasSubstr(function));
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, VIR_NETWORK_XML_INACTIVE), Not(HasSubstr(function)));
  const NetworkPortHandle port = make_port(handle.uuid, kPort);
  const std::string shown = driver_->port_xml({}, handle.uuid, port.uuid, 0);
  EXPECT_THAT(shown, HasSubstr("<plug type='hostdev-pci' managed='yes'>"));
  EXPECT_THAT(shown, HasSubstr("<driver name='vfio'/>"));
  EXPECT_THAT(shown, HasSubstr("<tag id='42'/>"));
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, 0), HasSubstr("<network connections='1'>"));
  begin();
  EXPECT_THAT(driver_->network_xml({}, handle.uuid, 0), HasSubstr(function));
  EXPECT_EQ(error_of([&] { make_port(handle.uuid, kPort); }).detail(),
            "network 'pool' requires exclusive access to interfaces, but none are available");
  wait<void>(
      [&](Completion<void> done) { driver_->delete_port({}, handle.uuid, port.uuid, 0, std::move(done)); });
  std::string trunk = kPort;
  trunk.insert(trunk.find("</networkport>"), "<vlan trunk='yes'><tag id='1'/><tag id='2'/></vlan>");
  EXPECT_THAT(error_of([&] { make_port(handle.uuid, trunk); }).detail(),
              HasSubstr("vlan trunking is not supported"));
  make_port(handle.uuid, kPort);
}

TEST_F(NetworkDriverTest, APortOfOpenVSwitchHasAnIdThatControllersKnowItBy) {
  const NetworkHandle handle =
      define(R"(<network><name>ovs</name><forward mode='bridge'/><bridge name='ovsbr0'/>
    <virtualport type='openvswitch'/>
    <portgroup name='web'><vlan trunk='yes'><tag id='4'/><tag id='5' nativeMode='tagged'/></vlan>
      <virtualport type='openvswitch'><parameters profileid='web'/></virtualport></portgroup></network>)");
  start(handle.uuid);
  std::string wanted = kPort;
  wanted.insert(wanted.find("<mac"), "<group>web</group>");
  const NetworkPortHandle port = make_port(handle.uuid, wanted);
  const std::string shown = driver_->port_xml({}, handle.uuid, port.uuid, 0);
  EXPECT_THAT(shown, HasSubstr("<plug type='bridge' bridge='ovsbr0'/>"));
  EXPECT_THAT(shown, HasSubstr("<tag id='5' nativeMode='tagged'/>"));
  EXPECT_THAT(shown, testing::ContainsRegex("<virtualport type='openvswitch'>\n +<parameters "
                                            "interfaceid='[0-9a-f-]+' profileid='web'/>"));
}

TEST_F(NetworkDriverTest, ATransientNetworkIsGoneWithItsStop) {
  const NetworkHandle handle = wait<NetworkHandle>(
      [&](Completion<NetworkHandle> done) { driver_->create_network({}, kNat, 0, std::move(done)); });
  EXPECT_FALSE(driver_->network_is_persistent({}, handle.uuid));
  EXPECT_EQ(error_of([&] {
              wait<void>([&](Completion<void> done) {
                driver_->undefine_network({}, handle.uuid, std::move(done));
              });
            }).detail(),
            "can't undefine transient network");
  stop(handle.uuid);
  EXPECT_THAT(driver_->list_networks({}, 0), IsEmpty());
  EXPECT_EQ(host_->calls.back(), "forget virbr0");
}

}  // namespace
}  // namespace warren::driver::network
