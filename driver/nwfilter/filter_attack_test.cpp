// The driver against a guest that lies, with real frames through a bridge; and all that the contract says of
// filters and bindings.

#include <algorithm>
#include <fstream>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "driver/nftables/transaction.h"
#include "driver/nwfilter/driver.h"
#include "driver/nwfilter/filter_rules.h"
#include "driver/nwfilter/network_fixture.h"

namespace warren::driver::nwfilter {
namespace {

namespace json = boost::json;
using std::chrono_literals::operator""ms;

class FilterDriverTest : public NetworkFixture {
 protected:
  FilterDriverTest() {
    char name[] = "/tmp/warren-nwfilter-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~FilterDriverTest() override {
    driver_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  void SetUp() override {
    NetworkFixture::SetUp();
    restart();
  }

  void restart() {
    driver_.reset();
    loop_.restart();
    driver_ =
        make_filter_driver(loop_, {.directory = root_ / "nwfilter",
                                   .run_directory = root_ / "run",
                                   .report = [this](std::string_view text) { reports_.emplace_back(text); }});
  }

  template <typename T>
  T wait(std::optional<std::expected<T, Error>>& outcome) {
    for (int i = 0; i < 10'000 && !outcome; ++i) turn_loop(1ms);
    if (!outcome) throw std::logic_error("not completed");
    if (!*outcome) throw outcome->error();
    if constexpr (!std::is_void_v<T>) return std::move(**outcome);
  }
  void turn_loop(std::chrono::milliseconds time) {
    const auto guard = boost::asio::make_work_guard(loop_);  // as a daemon, it goes on without work
    loop_.restart();
    loop_.run_for(time);
  }
  bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds time = 6000ms) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      turn_loop(10ms);
      if (holds()) return true;
    }
    return false;
  }
  FilterHandle define(const std::string& xml, unsigned int flags = 0) {
    std::optional<std::expected<FilterHandle, Error>> outcome;
    driver_->define_filter({}, xml, flags, [&](auto result) { outcome = std::move(result); });
    return wait(outcome);
  }
  void undefine(const Uuid& uuid) {
    std::optional<std::expected<void, Error>> outcome;
    driver_->undefine_filter({}, uuid, [&](auto result) { outcome = std::move(result); });
    wait(outcome);
  }
  static std::string binding_document(const std::string& tap, const std::string& filter,
                                      const std::string& parameters = "", const std::string& link = "") {
    return fmt::format(
        "<filterbinding><owner><name>g</name><uuid>5c6d49af-b071-6127-b4ec-6f8ed4b55335</uuid></owner>"
        "<portdev name='{}'/>{}<mac address='{}'/><filterref filter='{}'>{}</filterref></filterbinding>",
        tap, link, kGuest, filter, parameters);
  }
  FilterBindingHandle bind(const std::string& filter, const std::string& parameters = "",
                           const std::string& tap = "guest0") {
    std::optional<std::expected<FilterBindingHandle, Error>> outcome;
    driver_->create_binding({}, binding_document(tap, filter, parameters),
                            VIR_NWFILTER_BINDING_CREATE_VALIDATE,
                            [&](auto result) { outcome = std::move(result); });
    return wait(outcome);
  }
  static std::string parameter(const std::string& name, const std::string& value) {
    return "<parameter name='" + name + "' value='" + value + "'/>";
  }
  void unbind(const std::string& tap = "guest0", std::optional<Uuid> owner = std::nullopt) {
    std::optional<std::expected<void, Error>> outcome;
    driver_->delete_binding({}, tap, owner, [&](auto result) { outcome = std::move(result); });
    wait(outcome);
  }
  // A directory in place of a binding's file: it can be neither replaced nor removed.
  void spoil_file(const std::string& tap) {
    std::filesystem::remove(root_ / "run" / (tap + ".xml"));
    std::filesystem::create_directory(root_ / "run" / (tap + ".xml"));
  }
  void reapply() {
    std::optional<std::expected<void, Error>> outcome;
    driver_->reapply([&](auto result) { outcome = std::move(result); });
    wait(outcome);
  }
  template <typename Function>
  static int code_of(Function function) {
    try {
      function();
    } catch (const Error& error) {
      return error.code();
    }
    return 0;
  }
  static std::string ruleset() { return json::serialize(nftables::list("ruleset")); }

  Frame honest() { return ipv4_frame(kGuest, kPeer, "10.0.0.1", "10.0.0.2", 17, udp_payload(1, 2, {7, 7})); }
  Frame spoofed_ip() {
    return ipv4_frame(kGuest, kPeer, "10.0.0.9", "10.0.0.2", 17, udp_payload(1, 2, {7, 7}));
  }
  Frame ask_dhcp() {
    return ipv4_frame(kGuest, kBroadcast, "0.0.0.0", "255.255.255.255", 17,
                      udp_payload(68, 67, dhcp_message(kGuest, 3, "0.0.0.0", "0.0.0.0", 0)));
  }
  Frame acknowledge(const char* given, std::uint32_t lease_s, const char* server = "10.0.0.254") {
    return ipv4_frame(kPeer, kGuest, server, given, 17,
                      udp_payload(67, 68, dhcp_message(kGuest, 5, "0.0.0.0", given, lease_s)));
  }

  std::filesystem::path root_;
  boost::asio::io_context loop_;
  std::vector<std::string> reports_;
  std::unique_ptr<FilterDriver> driver_;
};

TEST_F(FilterDriverTest, CleanTrafficHoldsAgainstALiar) {
  bind("clean-traffic", parameter("IP", "10.0.0.1"));
  EXPECT_TRUE(leaves(honest()));
  EXPECT_TRUE(leaves(arp_frame(kGuest, kGuest, "10.0.0.1", "10.0.0.2")));
  EXPECT_TRUE(leaves(ask_dhcp()));
  EXPECT_TRUE(reaches(ipv4_frame(kPeer, kGuest, "10.0.0.2", "10.0.0.1", 17, udp_payload(2, 1, {}))));
  EXPECT_TRUE(reaches(arp_frame(kPeer, kPeer, "10.0.0.2", "10.0.0.1")));
  // Another's MAC address: in the frame, in ARP.
  EXPECT_FALSE(leaves(ipv4_frame(kOther, kPeer, "10.0.0.1", "10.0.0.2", 17, udp_payload(1, 2, {}))));
  EXPECT_FALSE(leaves(arp_frame(kOther, kGuest, "10.0.0.1", "10.0.0.2")));
  EXPECT_FALSE(leaves(arp_frame(kGuest, kOther, "10.0.0.1", "10.0.0.2")));
  EXPECT_FALSE(leaves(arp_frame(kGuest, kOther, "10.0.0.1", "10.0.0.2", 2)));
  // Another's IP address: in ARP, in IPv4, in a fragment.
  EXPECT_FALSE(leaves(arp_frame(kGuest, kGuest, "10.0.0.9", "10.0.0.2")));
  EXPECT_FALSE(leaves(arp_frame(kGuest, kGuest, "10.0.0.9", "10.0.0.9", 2)));
  EXPECT_FALSE(leaves(spoofed_ip()));
  EXPECT_FALSE(leaves(ipv4_frame(kGuest, kPeer, "0.0.0.0", "10.0.0.2", 6, Frame(20))));
  Frame fragment = spoofed_ip();
  fragment[20] = 0x20;
  EXPECT_FALSE(leaves(fragment));
  // A DHCP server's answer under another's address; IPv6; a frame of any other type; all of it in a VLAN.
  EXPECT_FALSE(leaves(ipv4_frame(kGuest, kBroadcast, "10.0.0.254", "255.255.255.255", 17,
                                 udp_payload(67, 68, dhcp_message(kPeer, 5, "0.0.0.0", "10.0.0.2", 60)))));
  EXPECT_FALSE(leaves(ipv6_frame(kGuest, "fe80::1", "ff02::1")));
  EXPECT_FALSE(leaves(ipv6_frame(kGuest, "2001:db8::66", "ff02::1")));
  EXPECT_FALSE(leaves(FrameBuilder().mac(kBroadcast).mac(kGuest).word(0x88cc).zeros(50).take()));
  Frame tagged = spoofed_ip();
  const std::array<std::uint8_t, 4> tag = {0x81, 0x00, 0x00, 0x05};
  tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
  EXPECT_FALSE(leaves(tagged));
  EXPECT_FALSE(reaches(ipv6_frame(kPeer, "fe80::2", "ff02::1")));
  EXPECT_TRUE(leaves(honest()));
}

TEST_F(FilterDriverTest, AServersAnswerIsForServersAlone) {
  define(
      "<filter name='client' chain='root'><rule action='drop' direction='out' priority='-900'>"
      "<ip protocol='udp' srcportstart='67'/></rule><filterref filter='allow-dhcp-server'/>"
      "<rule action='drop' direction='in' priority='100'><ip protocol='udp' "
      "dstportstart='68'/></rule></filter>");
  bind("client", parameter("DHCPSERVER", "10.0.0.254"));
  EXPECT_FALSE(leaves(ipv4_frame(kGuest, kPeer, "10.0.0.1", "10.0.0.2", 17, udp_payload(67, 68, {1}))));
  EXPECT_TRUE(leaves(ask_dhcp()));
  EXPECT_TRUE(reaches(acknowledge("10.0.0.1", 60)));
  EXPECT_FALSE(reaches(acknowledge("10.0.0.1", 60, "10.0.0.253")));
}

TEST_F(FilterDriverTest, Ipv6AddressesCannotBeSpoofed) {
  define(
      "<filter name='v6'><filterref filter='no-ipv6-spoofing'/><filterref "
      "filter='no-ipv6-multicast'/></filter>");
  bind("v6", parameter("IPV6", "2001:db8::1"));
  EXPECT_TRUE(leaves(ipv6_frame(kGuest, "2001:db8::1", "2001:db8::2")));
  EXPECT_FALSE(leaves(ipv6_frame(kGuest, "2001:db8::3", "2001:db8::2")));
  EXPECT_FALSE(leaves(ipv6_frame(kGuest, "2001:db8::1", "ff02::5")));
}

TEST_F(FilterDriverTest, PacketsAreFilteredBehindFrames) {
  define(
      "<filter name='web' chain='root'><filterref filter='no-mac-spoofing'/>"
      "<rule action='accept' direction='in' statematch='false'><tcp dstportstart='80'/></rule>"
      "<rule action='drop' direction='inout' priority='900'><all/></rule></filter>");
  bind("web");
  const auto tcp = [](unsigned from, unsigned to) {
    return FrameBuilder().word(from).word(to).zeros(8).word(0x5002).zeros(6).take();
  };
  EXPECT_TRUE(reaches(ipv4_frame(kPeer, kGuest, "10.0.0.2", "10.0.0.1", 6, tcp(5000, 80))));
  EXPECT_TRUE(leaves(ipv4_frame(kGuest, kPeer, "10.0.0.1", "10.0.0.2", 6, tcp(80, 5000))));
  EXPECT_FALSE(reaches(ipv4_frame(kPeer, kGuest, "10.0.0.2", "10.0.0.1", 6, tcp(5000, 22))));
  EXPECT_FALSE(leaves(honest()));
  EXPECT_FALSE(leaves(ipv4_frame(kOther, kPeer, "10.0.0.1", "10.0.0.2", 6, tcp(80, 5000))));
  EXPECT_TRUE(leaves(arp_frame(kGuest, kGuest, "10.0.0.1", "10.0.0.2")));
}

TEST_F(FilterDriverTest, WhatNeedsConnectionsWorksOrIsRefusedByName) {
  define("<filter name='ssh'><rule action='accept' direction='in'><tcp dstportstart='22'/></rule></filter>");
  if (probe_features().connections) {
    bind("ssh");
    EXPECT_NE(ruleset().find("established"), std::string::npos);
    return;
  }
  try {
    bind("ssh");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_OPERATION_UNSUPPORTED) << error.detail();
    EXPECT_NE(error.detail().find("nf_conntrack_bridge"), std::string::npos) << error.detail();
  }
  EXPECT_TRUE(driver_->list_bindings({}, 0).empty());
  EXPECT_EQ(ruleset().find("warren_nwfilter"), std::string::npos);
}

TEST_F(FilterDriverTest, AChangedFilterIsInForceOnAllTapsOrOnNone) {
  define(
      "<filter name='inner'><rule action='drop' direction='out'><ip dstipaddr='10.0.0.3'/></rule></filter>");
  define("<filter name='outer'><filterref filter='inner'/></filter>");
  bind("outer");
  bind("inner", parameter("ONLY", "10.0.0.2"), "peer0");
  EXPECT_TRUE(leaves(honest()));
  define(
      "<filter name='inner'><rule action='drop' direction='out'><ip dstipaddr='10.0.0.2'/></rule></filter>");
  EXPECT_FALSE(leaves(honest()));
  define(
      "<filter name='inner'><rule action='drop' direction='out'><ip dstipaddr='10.0.0.4'/></rule></filter>");
  EXPECT_TRUE(leaves(honest()));
  const std::string before = ruleset();
  const std::string xml = driver_->filter_xml({}, driver_->filter_by_name({}, "inner").uuid, 0);
  EXPECT_EQ(code_of([&] {
              define(
                  "<filter name='inner'><rule action='drop' direction='out'><ip "
                  "dstipaddr='$ONLY'/></rule></filter>");
            }),
            VIR_ERR_INTERNAL_ERROR);
  EXPECT_EQ(ruleset(), before);
  EXPECT_EQ(driver_->filter_xml({}, driver_->filter_by_name({}, "inner").uuid, 0), xml);
  EXPECT_TRUE(leaves(honest()));
}

TEST_F(FilterDriverTest, RemovalLeavesNoRules) {
  bind("clean-traffic", parameter("IP", "10.0.0.1"));
  bind("no-mac-spoofing", "", "peer0");
  EXPECT_FALSE(leaves(spoofed_ip()));
  unbind();
  EXPECT_TRUE(leaves(spoofed_ip()));
  EXPECT_EQ(ruleset().find("guest0"), std::string::npos);
  EXPECT_NE(ruleset().find("peer0"), std::string::npos);
  unbind("peer0");
  EXPECT_EQ(ruleset().find("warren"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(root_ / "run"));
  for (const auto& entry : std::filesystem::directory_iterator(root_ / "run"))
    EXPECT_NE(entry.path().extension(), ".xml") << entry.path();
}

TEST_F(FilterDriverTest, ABindingWhoseFileStaysKeepsItsRules) {
  bind("clean-traffic", parameter("IP", "10.0.0.1"));
  spoil_file("guest0");
  EXPECT_EQ(code_of([&] { unbind(); }), VIR_ERR_SYSTEM_ERROR);
  EXPECT_FALSE(leaves(spoofed_ip()));
  EXPECT_EQ(driver_->list_bindings({}, 0).size(), 1U);
  std::filesystem::remove(root_ / "run" / "guest0.xml");
  unbind();
  EXPECT_TRUE(leaves(spoofed_ip()));
}

TEST_F(FilterDriverTest, AnAddressThatCannotBeStoredIsNotLearned) {
  bind("clean-traffic");
  spoil_file("guest0");
  EXPECT_FALSE(leaves(spoofed_ip()));
  EXPECT_TRUE(eventually([&] { return !reports_.empty(); }));
  EXPECT_EQ(ruleset().find("10.0.0.9"), std::string::npos);
  EXPECT_FALSE(leaves(spoofed_ip()));
}

TEST_F(FilterDriverTest, ATapThatGoesTakesItsBindingAlong) {
  bind("no-mac-spoofing", "", "peer0");
  bind("clean-traffic", parameter("IP", "10.0.0.1"));
  // One that leaves its bridge is still there.
  run("ip link set guest0 nomaster");
  turn_loop(200ms);
  EXPECT_EQ(driver_->list_bindings({}, 0).size(), 2U);
  run("ip link del guest0");
  EXPECT_TRUE(eventually([&] { return driver_->list_bindings({}, 0).size() == 1; }));
  EXPECT_EQ(ruleset().find("guest0"), std::string::npos);
  EXPECT_NE(ruleset().find("peer0"), std::string::npos);
}

TEST_F(FilterDriverTest, TheNextDaemonKnowsTheTapsAndFiltersThemAgain) {
  bind("clean-traffic", parameter("IP", "10.0.0.1"));
  bind("no-mac-spoofing", "", "peer0");
  const std::string xml = driver_->binding_xml({}, "guest0", 0);
  driver_.reset();
  EXPECT_FALSE(leaves(spoofed_ip()));  // while no daemon runs
  run("ip link del peer0 && nft flush ruleset");
  EXPECT_TRUE(::if_nametoindex("peer0") == 0);
  add_port("peer");
  run("ip link set peer0 down && ip link del peer0");
  restart();
  EXPECT_EQ(driver_->list_bindings({}, 0).size(), 1U);
  EXPECT_EQ(driver_->binding_xml({}, "guest0", 0), xml);
  EXPECT_NE(ruleset().find("guest0/out/ipv4-ip"), std::string::npos);
  EXPECT_EQ(ruleset().find("peer0"), std::string::npos);
}

TEST_F(FilterDriverTest, RulesThatSomebodyFlushedComeBack) {
  bind("clean-traffic", parameter("IP", "10.0.0.1"));
  bind("no-mac-spoofing", "", "peer0");
  run("nft flush ruleset");
  EXPECT_TRUE(leaves(spoofed_ip()));
  reapply();
  EXPECT_FALSE(leaves(spoofed_ip()));
  run("nft flush ruleset");
  unbind("peer0");  // finds nothing to remove, and puts the rest in place
  EXPECT_FALSE(leaves(spoofed_ip()));
}

TEST_F(FilterDriverTest, ATapWhoseFilterIsBrokenIsClosed) {
  bind("clean-traffic", parameter("IP", "10.0.0.1"));
  driver_.reset();
  std::filesystem::remove(root_ / "nwfilter" / "no-ip-spoofing.xml");
  restart();
  EXPECT_FALSE(leaves(honest()));
  ASSERT_FALSE(reports_.empty());
  EXPECT_NE(reports_.back().find("no-ip-spoofing"), std::string::npos) << reports_.back();
}

TEST_F(FilterDriverTest, ATapWhoseBindingCannotBeReadIsClosedUntilItIsDeleted) {
  bind("clean-traffic", parameter("IP", "10.0.0.1"));
  bind("no-mac-spoofing", "", "peer0");
  driver_.reset();
  std::ofstream(root_ / "run" / "guest0.xml") << "<bindingStatus>";
  std::ofstream(root_ / "run" / "nobody0.xml") << "<bindingStatus>";
  for (int i = 0; i < 3; ++i) {  // the next daemon's next knows it too
    restart();
    EXPECT_FALSE(leaves(honest()));
    EXPECT_EQ(driver_->list_bindings({}, 0).size(), 2U);
    EXPECT_TRUE(std::ranges::any_of(reports_, [](const std::string& text) {
      return text.find("guest0: nothing passes") != std::string::npos;
    }));
    reports_.clear();
    EXPECT_EQ(code_of([&] { driver_->binding_xml({}, "guest0", 0); }), VIR_ERR_OPERATION_INVALID);
    reapply();
    EXPECT_FALSE(leaves(honest()));
  }
  EXPECT_FALSE(std::filesystem::exists(root_ / "run" / "nobody0.xml.broken"));
  unbind();
  EXPECT_TRUE(leaves(honest()));
  restart();
  EXPECT_TRUE(leaves(honest()));
  EXPECT_EQ(driver_->list_bindings({}, 0).size(), 1U);
}

TEST_F(FilterDriverTest, AnAddressIsLearnedFromWhatTheGuestSays) {
  bind("clean-traffic");
  EXPECT_TRUE(leaves(ask_dhcp()));
  EXPECT_FALSE(leaves(spoofed_ip()));  // from which 10.0.0.9 is learned
  EXPECT_TRUE(eventually([&] { return ruleset().find("10.0.0.9") != std::string::npos; }));
  EXPECT_TRUE(leaves(spoofed_ip()));
  EXPECT_FALSE(leaves(honest()));
  restart();
  EXPECT_TRUE(leaves(spoofed_ip()));
  EXPECT_FALSE(leaves(honest()));
}

TEST_F(FilterDriverTest, AnAddressOfTheGuestBeforeIsNotTheNextOnes) {
  bind("clean-traffic");
  std::optional<std::expected<void, Error>> unbound;
  std::optional<std::expected<FilterBindingHandle, Error>> bound;
  driver_->delete_binding({}, "guest0", std::nullopt, [&](auto result) { unbound = std::move(result); });
  driver_->create_binding({}, binding_document("guest0", "clean-traffic"), 0,
                          [&](auto result) { bound = std::move(result); });
  EXPECT_FALSE(leaves(spoofed_ip()));
  std::this_thread::sleep_for(300ms);  // it is learned, and told behind what the loop has to do already
  wait(bound);
  wait(unbound);
  EXPECT_FALSE(eventually([&] { return ruleset().find("10.0.0.9") != std::string::npos; }, 500ms));
  EXPECT_FALSE(leaves(spoofed_ip()));
}

TEST_F(FilterDriverTest, ATapThatComesBackIsHeardAgain) {
  bind("clean-traffic");
  for (const char* address : {"10.0.0.7", "10.0.0.9"}) {
    guest_.reset();
    run("ip link del guest0");
    add_port("guest");
    turn_loop(200ms);
    EXPECT_EQ(driver_->list_bindings({}, 0).size(), 1U);
    guest_ = open_packets("guest1");
    EXPECT_FALSE(leaves(ipv4_frame(kGuest, kPeer, address, "10.0.0.2", 17, udp_payload(1, 2, {}))));
    EXPECT_TRUE(eventually([&] { return ruleset().find(address) != std::string::npos; }, 2000ms));
  }
  EXPECT_EQ(ruleset().find("10.0.0.7"), std::string::npos);
}

TEST_F(FilterDriverTest, MacvtapsAreRefused) {
  run("ip link add link guest1 name mac0 type macvtap");
  const auto refusal = [this](const std::string& tap, const std::string& link) -> std::string {
    std::optional<std::expected<FilterBindingHandle, Error>> outcome;
    driver_->create_binding({}, binding_document(tap, "clean-traffic", "", link), 0,
                            [&](auto result) { outcome = std::move(result); });
    try {
      wait(outcome);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), VIR_ERR_CONFIG_UNSUPPORTED) << error.detail();
      return error.detail();
    }
    return "nothing";
  };
  EXPECT_NE(refusal("mac0", "").find("macvtaps cannot be filtered"), std::string::npos);
  EXPECT_NE(refusal("later0", "<linkdev name='guest1'/>").find("macvtaps cannot be filtered"),
            std::string::npos);
  EXPECT_TRUE(driver_->list_bindings({}, 0).empty());
}

TEST_F(FilterDriverTest, OfLeasesOnlyTheServersAreBelieved) {
  bind("clean-traffic", parameter("CTRL_IP_LEARNING", "dhcp") + parameter("DHCPSERVER", "10.0.0.254"));
  EXPECT_FALSE(leaves(honest()));
  // The guest itself in the server's name; another server, whose answer the filter lets in; another guest's
  // lease.
  send(guest_, ipv4_frame(kGuest, kBroadcast, "10.0.0.254", "255.255.255.255", 17,
                          udp_payload(67, 68, dhcp_message(kGuest, 5, "0.0.0.0", "10.0.0.1", 60))));
  EXPECT_TRUE(reaches(acknowledge("10.0.0.1", 60, "10.0.0.253")));
  send(peer_, ipv4_frame(kPeer, kGuest, "10.0.0.254", "10.0.0.1", 17,
                         udp_payload(67, 68, dhcp_message(kOther, 5, "0.0.0.0", "10.0.0.1", 60))));
  EXPECT_FALSE(eventually([&] { return ruleset().find("10.0.0.1\"") != std::string::npos; }, 500ms));
  EXPECT_TRUE(reaches(acknowledge("10.0.0.1", 3)));
  EXPECT_TRUE(eventually([&] { return ruleset().find("10.0.0.1\"") != std::string::npos; }));
  EXPECT_TRUE(leaves(honest()));
  EXPECT_FALSE(leaves(spoofed_ip()));
  restart();  // the lease goes on
  EXPECT_TRUE(leaves(honest()));
  EXPECT_TRUE(eventually([&] { return ruleset().find("10.0.0.1\"") == std::string::npos; }));
  EXPECT_TRUE(eventually([&] { return !leaves(honest()); }));
}

TEST_F(FilterDriverTest, AnAddressThatIsGivenBackIsNoLongerTheGuests) {
  bind("clean-traffic", parameter("CTRL_IP_LEARNING", "dhcp"));
  EXPECT_TRUE(reaches(acknowledge("10.0.0.1", 600)));
  EXPECT_TRUE(eventually([&] { return ruleset().find("10.0.0.1\"") != std::string::npos; }));
  send(guest_, ipv4_frame(kGuest, kPeer, "10.0.0.1", "10.0.0.254", 17,
                          udp_payload(68, 67, dhcp_message(kGuest, 7, "10.0.0.1", "0.0.0.0", 0))));
  EXPECT_TRUE(eventually([&] { return ruleset().find("10.0.0.1\"") == std::string::npos; }));
  EXPECT_FALSE(leaves(honest()));
}

TEST_F(FilterDriverTest, ATapThatComesLaterIsFilteredFromItsFirstFrame) {
  bind("clean-traffic", "", "late0");
  add_port("late");
  const vmm::FileDescriptor late = open_packets("late1");
  const Frame frame = ipv4_frame(kGuest, kPeer, "10.0.0.7", "10.0.0.2", 17, udp_payload(1, 2, {}));
  EXPECT_FALSE(passes(late, peer_, frame));
  send(late, frame);
  EXPECT_TRUE(eventually([&] { return ruleset().find("10.0.0.7") != std::string::npos; }));
  EXPECT_TRUE(passes(late, peer_, frame));
}

TEST_F(FilterDriverTest, ADomainDeletesNoOthersBinding) {
  bind("clean-traffic", parameter("IP", "10.0.0.1"));
  const Uuid other = Uuid::parse("00000000-b071-6127-b4ec-6f8ed4b55335").value();
  EXPECT_EQ(code_of([&] { unbind("guest0", other); }), VIR_ERR_NO_NWFILTER_BINDING);
  EXPECT_EQ(code_of([&] { unbind("peer0", other); }), VIR_ERR_NO_NWFILTER_BINDING);
  EXPECT_FALSE(leaves(spoofed_ip()));
  unbind("guest0", Uuid::parse("5c6d49af-b071-6127-b4ec-6f8ed4b55335").value());
  EXPECT_TRUE(leaves(spoofed_ip()));
}

TEST_F(FilterDriverTest, StockFiltersAreWrittenOnce) {
  EXPECT_EQ(driver_->list_filters({}, 0).size(), 24U);
  const FilterHandle handle = driver_->filter_by_name({}, "allow-arp");
  undefine(handle.uuid);
  EXPECT_EQ(code_of([&] { driver_->filter_by_name({}, "allow-arp"); }), VIR_ERR_NO_NWFILTER);
  const FilterHandle kept = driver_->filter_by_name({}, "clean-traffic");
  restart();
  EXPECT_EQ(driver_->list_filters({}, 0).size(), 23U);
  EXPECT_EQ(driver_->filter_by_uuid({}, kept.uuid), kept);
}

TEST_F(FilterDriverTest, NamesAndUuidsAreOfOneFilterAndInUseStays) {
  const FilterHandle mine = define("<filter name='mine'/>", VIR_NWFILTER_DEFINE_VALIDATE);
  EXPECT_EQ(define("<filter name='mine' chain='arp'/>"), mine);
  EXPECT_EQ(code_of([&] {
              define("<filter name='mine'><uuid>5c6d49af-b071-6127-b4ec-6f8ed4b55335</uuid></filter>");
            }),
            VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(
      code_of([&] { define("<filter name='other'><uuid>" + mine.uuid.to_string() + "</uuid></filter>"); }),
      VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(code_of([&] { define("<filter name='mine'><filterref filter='mine'/></filter>"); }),
            VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(code_of([&] { define("<filter name='x'/>", 2); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { define("<filter name='x'><bad/></filter>", VIR_NWFILTER_DEFINE_VALIDATE); }),
            VIR_ERR_XML_INVALID_SCHEMA);
  EXPECT_EQ(code_of([&] { undefine(driver_->filter_by_name({}, "no-mac-spoofing").uuid); }),
            VIR_ERR_OPERATION_INVALID);
  bind("mine");
  EXPECT_EQ(code_of([&] { undefine(mine.uuid); }), VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(code_of([&] { bind("mine"); }), VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(code_of([&] { bind("nowhere", "", "peer0"); }), VIR_ERR_NO_NWFILTER);
  EXPECT_EQ(driver_->binding_by_port_device({}, "guest0"), (FilterBindingHandle{"guest0", "mine"}));
  unbind();
  EXPECT_EQ(code_of([&] { unbind(); }), VIR_ERR_NO_NWFILTER_BINDING);
  EXPECT_EQ(code_of([&] { driver_->binding_xml({}, "guest0", 0); }), VIR_ERR_NO_NWFILTER_BINDING);
  undefine(mine.uuid);
  EXPECT_EQ(code_of([&] { undefine(mine.uuid); }), VIR_ERR_NO_NWFILTER);
}

}  // namespace
}  // namespace warren::driver::nwfilter
