// A domain and the agent of its guest, which a socket on the test's loop plays.
#include "driver/agent/fake_agent.h"
#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

class DomainAgentTest : public DriverFixture {
 protected:
  std::string socket() const { return (root_ / "agent.sock").string(); }
  void have_channel() {
    driver_->environment().agent_socket = [path = socket()](const config::DomainDefinition&) { return path; };
    driver_->subscribe(VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, {}, [this](const DomainEvent& event) {
      const auto& change = std::get<AgentLifecycleEvent>(event.body);
      agent_events_.push_back(fmt::format("{}/{}", change.state, change.reason));
    });
  }
  void start_with_agent() {
    have_channel();
    guest_ = std::make_unique<agent::FakeAgent>(*loop_, socket());
    ASSERT_EQ(define(with_channel(xml())), "");
    ASSERT_EQ(start(), "");
    ASSERT_EQ(agent_events_, (std::vector<std::string>{"2/1"}));
    tell_guest("open channel0");
    ASSERT_TRUE(run_until([&] { return agent_events_.back() == "1/2"; }));
  }
  static std::string with_channel(std::string text) {
    return text.insert(
        text.find("<serial"),
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>");
  }
  std::string command(const std::string& text, int timeout = -2, std::string* out = nullptr) {
    return wait<std::string>(
        [&](auto done) { driver_->agent_command(caller_, test_uuid(), text, timeout, 0, std::move(done)); },
        out);
  }
  std::string hostname(std::string* out = nullptr) {
    return wait<std::string>(
        [&](auto done) { driver_->guest_hostname(caller_, test_uuid(), 0, std::move(done)); }, out);
  }
  std::string shut_down(unsigned int flags) {
    return wait<void>([&](auto done) { driver_->shutdown(caller_, test_uuid(), flags, std::move(done)); });
  }
  std::string information(unsigned int types, std::string& out) {
    TypedParameters found;
    std::string error = wait<TypedParameters>(
        [&](auto done) { driver_->guest_info(caller_, test_uuid(), types, 0, std::move(done)); }, &found);
    for (const TypedParameter& parameter : found) {
      out += parameter.field + "=";
      std::visit([&](const auto& value) { out += fmt::format("{};", value); }, parameter.value);
    }
    return error;
  }
  std::string vcpus(const std::string& list, int state) {
    return wait<void>(
        [&](auto done) { driver_->set_guest_vcpus(caller_, test_uuid(), list, state, 0, std::move(done)); });
  }
  bool snapshot_is_active() {
    return driver_->environment().table.by_uuid(test_uuid())->snapshot()->is_active();
  }
  void TearDown() override {
    end_workers();
    guest_.reset();
    DriverFixture::TearDown();
  }

  std::unique_ptr<agent::FakeAgent> guest_;
  std::vector<std::string> agent_events_;
};

TEST_F(DomainAgentTest, WithoutChannelOrGuest) {
  ASSERT_EQ(define(xml()), "");
  EXPECT_EQ(hostname(), "Requested operation is not valid: domain is not running");
  ASSERT_EQ(start(), "");
  EXPECT_EQ(hostname(), "argument unsupported: QEMU guest agent is not configured");
  EXPECT_EQ(last_code_, VIR_ERR_ARGUMENT_UNSUPPORTED);
  ASSERT_EQ(destroy(), "");
  have_channel();
  ASSERT_EQ(start(), "");
  EXPECT_EQ(hostname(), "Guest agent is not responding: QEMU guest agent is not connected");
  EXPECT_EQ(last_code_, VIR_ERR_AGENT_UNRESPONSIVE);
  EXPECT_EQ(agent_events_, (std::vector<std::string>{"2/1"}));
}

TEST_F(DomainAgentTest, CommandsAndErrors) {
  start_with_agent();
  std::string text;
  guest_->replies["guest-ping"] = "{\"return\": {}}";
  EXPECT_EQ(command("{\"execute\": \"guest-ping\"}", -2, &text), "");
  EXPECT_EQ(text, "{\"return\":{}}");
  EXPECT_EQ(
      command("{\"execute\":\"guest-none\"}"),
      "internal error: unable to execute QEMU agent command 'guest-none': The command guest-none has not "
      "been found");
  EXPECT_EQ(command("nonsense").substr(0, 16), "invalid argument");
  EXPECT_EQ(command("{}", -3), "invalid argument: guest agent timeout '-3' is less than the minimum '-2'");
  guest_->replies["guest-ping"] = "";
  EXPECT_EQ(command("{\"execute\":\"guest-ping\"}", 0),
            "Guest agent is not responding: Guest agent not available for now");
  guest_->replies["guest-get-host-name"] = "{\"return\": {\"host-name\": \"alpha\"}}";
  EXPECT_EQ(hostname(&text), "");
  EXPECT_EQ(text, "alpha");
  guest_->replies["guest-get-host-name"] = "{\"return\": [1]}";
  EXPECT_EQ(hostname().substr(0, 14), "internal error");
  ASSERT_EQ(suspend(), "");
  EXPECT_EQ(hostname(), "Requested operation is not valid: domain is not running");
}

// A hung agent keeps neither getters nor changes of the domain from being served (an agent job is none of
// theirs).
TEST_F(DomainAgentTest, AHungAgentStopsNobodyElse) {
  start_with_agent();
  guest_->replies["guest-get-host-name"] = "";
  bool answered = false;
  driver_->guest_hostname(caller_, test_uuid(), 0, [&](std::expected<std::string, Error> result) {
    answered = true;
    EXPECT_FALSE(result);
  });
  ASSERT_TRUE(run_until([&] { return !guest_->requests.empty(); }));
  EXPECT_EQ(suspend(), "");
  EXPECT_EQ(resume(), "");
  EXPECT_FALSE(answered);
  EXPECT_EQ(destroy(), "");
  EXPECT_TRUE(run_until([&] { return answered; }));
}

TEST_F(DomainAgentTest, DisconnectsAndComesBack) {
  start_with_agent();
  guest_->replies["guest-get-host-name"] = "{\"return\": {\"host-name\": \"alpha\"}}";
  tell_guest("close channel0");
  ASSERT_TRUE(run_until([&] { return agent_events_.back() == "2/2"; }));
  EXPECT_EQ(hostname(), "Guest agent is not responding: QEMU guest agent is not connected");
  tell_guest("open channel0");
  ASSERT_TRUE(run_until([&] { return agent_events_.back() == "1/2"; }));
  EXPECT_EQ(hostname(), "");
  EXPECT_EQ(guest_->connections, 2);
  // The worker hangs up while the guest has the port open: it is connected to again.
  guest_->hang_up();
  ASSERT_TRUE(run_until([&] { return hostname().find("cannot be connected to") != std::string::npos; }));
  ASSERT_TRUE(run_until([&] { return guest_->connections == 3; }));
  EXPECT_EQ(hostname(), "");
  EXPECT_EQ(agent_events_.size(), 4u);
}

// A reset takes the agent away with the driver that had the port open; a new machine begins without one.
TEST_F(DomainAgentTest, IsGoneWithItsMachine) {
  start_with_agent();
  tell_guest("crash nothing");
  ASSERT_TRUE(run_until([&] { return !snapshot_is_active(); }));
  EXPECT_EQ(hostname(), "Requested operation is not valid: domain is not running");
  ASSERT_EQ(start(), "");
  EXPECT_EQ(agent_events_.back(), "2/1");
}

// A path that the definition names is the daemon's to make and to remove; an agent finds it too.
TEST_F(DomainAgentTest, TheSocketOfTheChannel) {
  std::string text = with_channel(xml());
  const std::string path = (root_ / "own.sock").string();
  text.insert(text.find("<target type='virtio' name='org.qemu"),
              fmt::format("<source mode='bind' path='{}'/>", path));
  ASSERT_EQ(define(text), "");
  ASSERT_EQ(start(), "");
  tell_guest("open channel0");
  // The fake worker listens and never answers.
  ASSERT_EQ(wait<void>([&](auto done) {
              driver_->set_agent_response_timeout(caller_, test_uuid(), 0, 0, std::move(done));
            }),
            "");
  EXPECT_TRUE(
      run_until([&] { return hostname().find("Guest agent not available for now") != std::string::npos; }));
  EXPECT_TRUE(std::filesystem::is_socket(path));
  ASSERT_EQ(destroy(), "");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(DomainAgentTest, Information) {
  start_with_agent();
  guest_->replies["guest-get-host-name"] = "{\"return\": {\"host-name\": \"alpha\"}}";
  guest_->replies["guest-get-timezone"] = "{\"return\": {\"zone\": \"CET\", \"offset\": 3600}}";
  guest_->replies["guest-get-users"] = "{\"return\": [{\"user\": \"root\", \"login-time\": 1.5}]}";
  guest_->replies["guest-network-get-interfaces"] =
      R"({"return":[{"name":"eth0","hardware-address":"52:54:00:00:00:01","ip-addresses":[
      {"ip-address-type":"ipv4","ip-address":"192.0.2.5","prefix":24}]},{"name":"eth0:1","ip-addresses":[
      {"ip-address-type":"ipv6","ip-address":"2001:db8::1","prefix":64}]}]})";
  std::erase(guest_->replies["guest-network-get-interfaces"], '\n');
  std::string text;
  EXPECT_EQ(information(0, text), "");
  EXPECT_EQ(text,
            "user.count=1;user.0.name=root;user.0.login-time=1500;timezone.name=CET;timezone.offset=3600;"
            "hostname=alpha;if.count=1;if.0.name=eth0;if.0.hwaddr=52:54:00:00:00:01;if.0.addr.count=2;"
            "if.0.addr.0.type=ipv4;if.0.addr.0.addr=192.0.2.5;if.0.addr.0.prefix=24;if.0.addr.1.type=ipv6;"
            "if.0.addr.1.addr=2001:db8::1;if.0.addr.1.prefix=64;");
  EXPECT_NE(information(VIR_DOMAIN_GUEST_INFO_OS, text), "");  // asked for by name and not known
  EXPECT_EQ(information(1U << 30, text).substr(0, 16), "invalid argument");
  guest_->replies["guest-get-users"] = "{\"return\": [{\"user\": \"root\", \"login-time\": 1e300}]}";
  EXPECT_NE(information(VIR_DOMAIN_GUEST_INFO_USERS, text), "");
}

TEST_F(DomainAgentTest, Vcpus) {
  start_with_agent();
  guest_->replies["guest-get-vcpus"] = R"({"return":[{"logical-id":0,"online":true,"can-offline":false},)"
                                       R"({"logical-id":1,"online":true,"can-offline":true},)"
                                       R"({"logical-id":2,"online":false,"can-offline":true}]})";
  guest_->replies["guest-set-vcpus"] = "{\"return\": 1}";
  TypedParameters found;
  EXPECT_EQ(wait<TypedParameters>(
                [&](auto done) { driver_->guest_vcpus(caller_, test_uuid(), 0, std::move(done)); }, &found),
            "");
  EXPECT_EQ(found, (TypedParameters{{"vcpus", std::string("0-2")},
                                    {"online", std::string("0-1")},
                                    {"offlinable", std::string("1-2")}}));
  EXPECT_EQ(vcpus("1-2", 1), "");  // one at a time: the agent says that it did one
  EXPECT_EQ(guest_->requests.back(),
            R"({"execute":"guest-set-vcpus","arguments":{"vcpus":[{"logical-id":2,"online":true}]}})");
  EXPECT_EQ(vcpus("0", 0), "invalid argument: vCPU '0' can't be offlined");
  EXPECT_EQ(vcpus("7", 1), "invalid argument: vCPU '7' in the list is not present in the guest");
  EXPECT_EQ(vcpus("1-", 1), "invalid argument: Failed to parse CPU list '1-'");
  guest_->replies["guest-set-vcpus"] = "{\"return\": 0}";
  EXPECT_EQ(vcpus("1", 0), "internal error: guest agent returned malformed or invalid return value");
}

TEST_F(DomainAgentTest, ShutdownByAgent) {
  start_with_agent();
  guest_->replies["guest-shutdown"] = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}";
  EXPECT_EQ(shut_down(VIR_DOMAIN_SHUTDOWN_GUEST_AGENT),
            "internal error: unable to execute QEMU agent command 'guest-shutdown': no");
  // An agent does not answer: it ends.
  guest_->replies["guest-shutdown"] = "";
  guest_->seen = [this](const std::string& line) {
    if (line.find("guest-shutdown") != std::string::npos) guest_->hang_up();
  };
  EXPECT_EQ(shut_down(VIR_DOMAIN_SHUTDOWN_GUEST_AGENT), "");
  EXPECT_EQ(guest_->requests.back(), R"({"execute":"guest-shutdown","arguments":{"mode":"powerdown"}})");
}

TEST_F(DomainAgentTest, ANewDaemonFindsTheAgentAgain) {
  start_with_agent();
  ASSERT_EQ(wait<void>([&](auto done) {
              driver_->set_agent_response_timeout(caller_, test_uuid(), 1, 0, std::move(done));
            }),
            "");
  const std::string status = (root_ / "run/status" / (std::string(kTestUuid) + ".xml")).string();
  std::ifstream file(status);
  std::string line;
  std::getline(file, line);
  EXPECT_NE(line.find("agent-timeout='1'"), std::string::npos) << line;
  // It finds the port open, and nobody behind the worker's own socket.
  guest_.reset();  // its loop goes with the daemon
  start_daemon();
  ASSERT_TRUE(run_until([&] { return snapshot_is_active(); }));
  EXPECT_EQ(hostname(), "Guest agent is not responding: Guest agent not available for now");
}

TEST(DomainAgent, ArpTable) {
  config::DomainDefinition definition;
  definition.devices.interfaces.resize(2);
  definition.devices.interfaces[0].mac = {0x52, 0x54, 0, 0, 0, 1};
  definition.devices.interfaces[0].target = "vnet0";
  definition.devices.interfaces[1].mac = {0x52, 0x54, 0, 0, 0, 2};
  auto found =
      arp_addresses(definition,
                    "IP address       HW type     Flags       HW address            Mask     Device\n"
                    "192.0.2.9        0x1         0x2         52:54:00:00:00:01     *        br0\n"
                    "192.0.2.8        0x1         0x0         52:54:00:00:00:02     *        br0\n"
                    "nonsense\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "vnet0");
  EXPECT_EQ(found[0].addresses.at(0).address, "192.0.2.9");
}

}  // namespace
}  // namespace warren::driver::domain
