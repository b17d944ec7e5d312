// The interface driver on links of a name space of its own, and on a directory of ifupdown's.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include "driver/contract/error.h"
#include "driver/interface/driver.h"
#include "driver/link/address.h"
#include "driver/link/bridge.h"
#include "driver/link/bridge_port.h"
#include "driver/link/link.h"
#include "driver/link/tap.h"

namespace warren::driver::interface {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kBridge =
    "<interface type='bridge' name='br7'><start mode='onboot'/><bridge stp='off'/></interface>";

class InterfaceDriverTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/warren-interface-XXXXXX";
    root_ = ::mkdtemp(name);
    std::filesystem::create_directory(root_ / "interfaces.d");
    write("interfaces",
          "auto lo\niface lo inet loopback\nsource /etc/network/interfaces.d/*\niface eth7 inet dhcp\n");
    // The driver's thread is made after it, in the same name space.
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "this needs root";
    restart(true);
  }
  void TearDown() override {
    driver_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  void write(const std::string& name, const std::string& text) { std::ofstream(root_ / name) << text; }
  std::string read(const std::string& name) {
    std::ifstream file(root_ / name);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  bool is_file(const std::string& name) { return std::filesystem::exists(root_ / name); }

  void restart(bool with_programs) {
    driver_.reset();
    InterfaceSettings settings{.configuration = root_ / "interfaces",
                               .directory = root_ / "interfaces.d",
                               .change = root_ / "state" / "change"};
    if (with_programs) settings.run = [this](const Tool& tool) { return play(tool); };
    driver_ = make_interface_driver(loop_, std::move(settings));
  }

  // What ifup and ifdown do to a bridge.
  ToolResult play(const Tool& tool) {
    calls_.push_back(tool.name + " " + tool.arguments.at(0));
    const std::string& name = tool.arguments.at(0);
    if (name == "bad0") return {.status = 1, .errors = "no such device\n"};
    if (tool.name == "ifup") {
      link::create_bridge({.name = name});
      link::set_up(name);
    } else {
      link::delete_bridge(name);
    }
    return {};
  }

  template <typename T, typename Begin>
  T wait(Begin&& begin) {
    std::optional<std::expected<T, Error>> outcome;
    begin([&](std::expected<T, Error> result) { outcome = std::move(result); });
    loop_.restart();
    loop_.run();
    if (!outcome) throw std::logic_error("not completed");
    if (!*outcome) throw outcome->error();
    if constexpr (!std::is_void_v<T>) return std::move(**outcome);
  }
  std::vector<std::string> names(unsigned int flags = 0) {
    std::vector<std::string> names;
    for (const InterfaceHandle& handle : wait<std::vector<InterfaceHandle>>(
             [&](auto done) { driver_->list_interfaces({}, flags, std::move(done)); }))
      names.push_back(handle.name);
    return names;
  }
  InterfaceHandle define(const std::string& xml) {
    return wait<InterfaceHandle>([&](auto done) { driver_->define_interface({}, xml, 0, std::move(done)); });
  }
  std::string xml(const std::string& name, unsigned int flags = 0) {
    return wait<std::string>([&](auto done) { driver_->interface_xml({}, name, flags, std::move(done)); });
  }
  void start(const std::string& name) {
    wait<void>([&](auto done) { driver_->start_interface({}, name, 0, std::move(done)); });
  }
  void stop(const std::string& name) {
    wait<void>([&](auto done) { driver_->stop_interface({}, name, 0, std::move(done)); });
  }
  void undefine(const std::string& name) {
    wait<void>([&](auto done) { driver_->undefine_interface({}, name, std::move(done)); });
  }
  void begin() {
    wait<void>([&](auto done) { driver_->begin_change({}, 0, std::move(done)); });
  }
  void commit() {
    wait<void>([&](auto done) { driver_->commit_change({}, 0, std::move(done)); });
  }
  void roll_back() {
    wait<void>([&](auto done) { driver_->roll_back_change({}, 0, std::move(done)); });
  }
  template <typename Call>
  void expect_error(virErrorNumber code, const std::string& words, Call&& call) {
    try {
      call();
      ADD_FAILURE() << "it was not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.message();
      EXPECT_THAT(error.message(), HasSubstr(words));
    }
  }

  std::filesystem::path root_;
  boost::asio::io_context loop_;
  std::vector<std::string> calls_;
  std::unique_ptr<InterfaceDriver> driver_;
};

TEST_F(InterfaceDriverTest, ListsTheHostsLinksButForGuests) {
  ASSERT_EQ(std::system("ip link add eth7 address 02:00:00:00:00:07 type veth peer name far7 && "
                        "ip link set eth7 up && ip link set far7 up"),
            0);
  const link::Tap tap = link::open_tap({});
  EXPECT_THAT(names(), testing::IsSupersetOf({"eth7", "far7", "lo"}));
  EXPECT_THAT(names(), Not(testing::Contains("vnet0")));
  EXPECT_THAT(names(VIR_CONNECT_LIST_INTERFACES_ACTIVE), ElementsAre("eth7", "far7"));
  EXPECT_THAT(names(VIR_CONNECT_LIST_INTERFACES_INACTIVE), testing::Contains("lo"));
  const auto by_mac = [&](const std::string& mac) {
    return wait<InterfaceHandle>([&](auto done) { driver_->interface_by_mac({}, mac, std::move(done)); });
  };
  EXPECT_EQ(by_mac("02:00:00:00:00:07"), (InterfaceHandle{"eth7", "02:00:00:00:00:07"}));
  expect_error(VIR_ERR_NO_INTERFACE, "02:00:00:00:00:08", [&] { by_mac("02:00:00:00:00:08"); });
  link::set_mac("far7", {2, 0, 0, 0, 0, 7});
  expect_error(VIR_ERR_MULTIPLE_INTERFACES, "matches 2", [&] { by_mac("02:00:00:00:00:07"); });
  expect_error(VIR_ERR_NO_INTERFACE, "couldn't find interface named 'vnet0'", [&] { xml("vnet0"); });
  expect_error(VIR_ERR_INVALID_ARG, "flags", [&] { names(64); });
  EXPECT_TRUE(wait<bool>([&](auto done) { driver_->interface_is_active({}, "eth7", std::move(done)); }));
  EXPECT_FALSE(wait<bool>([&](auto done) { driver_->interface_is_active({}, "lo", std::move(done)); }));
}

TEST_F(InterfaceDriverTest, DescribesLinks) {
  ASSERT_EQ(std::system("ip link add eth7 address 02:00:00:00:00:07 type veth peer name far7 && "
                        "ip link set eth7 up && ip link set far7 up"),
            0);
  link::create_bridge({.name = "br0", .stp = true, .delay_s = 4});
  link::add_port("br0", "eth7");
  const link::Tap tap = link::open_tap({.bridge = "br0"});
  link::add_address("br0", {config::parse_ip_address("10.3.0.1").value(), 24});
  link::set_mtu("br0", 1400);
  EXPECT_EQ(xml("br0"),
            "<interface type='bridge' name='br0'>\n"
            "  <mtu size='1400'/>\n"
            "  <protocol family='ipv4'>\n"
            "    <ip address='10.3.0.1' prefix='24'/>\n"
            "  </protocol>\n"
            "  <bridge stp='on' delay='4'>\n"
            "    <interface type='ethernet' name='eth7'>\n"
            "      <link speed='10000' state='up'/>\n"
            "      <mac address='02:00:00:00:00:07'/>\n"
            "    </interface>\n"
            "  </bridge>\n"
            "</interface>\n");
  EXPECT_EQ(xml("lo"),
            "<interface type='ethernet' name='lo'>\n"
            "  <mtu size='65536'/>\n"
            "  <link state='down'/>\n"
            "  <mac address='00:00:00:00:00:00'/>\n"
            "</interface>\n");
}

TEST_F(InterfaceDriverTest, DefinesStartsStopsAndForgets) {
  EXPECT_EQ(define(kBridge).name, "br7");
  const std::string file = read("interfaces.d/warren-br7");
  EXPECT_THAT(file, HasSubstr("auto br7\niface br7 inet manual\n  bridge_ports none\n  bridge_stp off\n"));
  EXPECT_THAT(names(VIR_CONNECT_LIST_INTERFACES_INACTIVE), testing::Contains("br7"));
  EXPECT_THAT(xml("br7"), HasSubstr("<start mode='onboot'/>"));
  restart(true);
  start("br7");
  EXPECT_THAT(calls_, ElementsAre("ifup br7"));
  EXPECT_THAT(xml("br7"), HasSubstr("<mtu size='1500'/>"));
  EXPECT_THAT(xml("br7", VIR_INTERFACE_XML_INACTIVE), Not(HasSubstr("mtu")));
  stop("br7");
  EXPECT_FALSE(link::exists("br7"));
  expect_error(VIR_ERR_OPERATION_INVALID, "interface br7 is not active", [&] { stop("br7"); });
  undefine("br7");
  EXPECT_FALSE(is_file("interfaces.d/warren-br7"));
  expect_error(VIR_ERR_NO_INTERFACE, "br7", [&] { undefine("br7"); });
}

TEST_F(InterfaceDriverTest, LeavesAloneWhatOthersConfigured) {
  ASSERT_EQ(std::system("ip link add eth7 type veth peer name far7"), 0);
  expect_error(VIR_ERR_OPERATION_INVALID, "interfaces already, which is not Warren's",
               [&] { define("<interface type='ethernet' name='eth7'/>"); });
  expect_error(VIR_ERR_OPERATION_INVALID, "which is not Warren's", [&] { undefine("eth7"); });
  expect_error(VIR_ERR_OPERATION_INVALID, "was not defined", [&] { undefine("far7"); });
  expect_error(VIR_ERR_OPERATION_INVALID, "ifupdown does not know", [&] { start("far7"); });
  write("interfaces.d/mine", "iface eth8 inet manual\n");
  expect_error(VIR_ERR_OPERATION_INVALID, "interfaces.d/mine",
               [&] { define("<interface type='ethernet' name='eth8'/>"); });
}

TEST_F(InterfaceDriverTest, TellsWhatIfupSaid) {
  define("<interface type='bridge' name='bad0'><bridge/></interface>");
  expect_error(VIR_ERR_OPERATION_FAILED, "interface bad0: ifup ended with status 1: no such device",
               [&] { start("bad0"); });
}

TEST_F(InterfaceDriverTest, RefusesWhereIfupdownIsMissing) {
  write("interfaces", "auto lo\n");
  expect_error(VIR_ERR_OPERATION_UNSUPPORTED, "lacks 'source", [&] { define(kBridge); });
  std::filesystem::remove(root_ / "interfaces");
  expect_error(VIR_ERR_OPERATION_UNSUPPORTED, "there is no /tmp/", [&] { begin(); });
  if (!find_tool("ifup").empty()) return;  // then the next is not true
  restart(false);
  expect_error(VIR_ERR_OPERATION_UNSUPPORTED, "there is no ifup (apt install ifupdown)",
               [&] { define(kBridge); });
}

TEST_F(InterfaceDriverTest, RefusesANameWhoseFileIfupdownDoesNotRead) {
  const char* vlan =
      "<interface type='vlan' name='eth8.5'><vlan tag='5'><interface name='eth8'/></vlan></interface>";
  write("interfaces", "auto lo\nsource-directory interfaces.d\n");
  expect_error(VIR_ERR_CONFIG_UNSUPPORTED, "no file called warren-eth8.5", [&] { define(vlan); });
  EXPECT_FALSE(is_file("interfaces.d/warren-eth8.5"));
  define(kBridge);
  EXPECT_TRUE(is_file("interfaces.d/warren-br7"));
  write("interfaces", "auto lo\nsource-directory interfaces.d\nsource interfaces.d/*\n");
  define(vlan);
  EXPECT_TRUE(is_file("interfaces.d/warren-eth8.5"));
}

TEST_F(InterfaceDriverTest, TakesAChangeBack) {
  define(kBridge);
  start("br7");
  begin();
  expect_error(VIR_ERR_OPERATION_INVALID, "begun already", [&] { begin(); });
  const std::string before = read("interfaces.d/warren-br7");
  define("<interface type='bridge' name='br7'><start mode='onboot'/><mtu size='1400'/><bridge/></interface>");
  define("<interface type='bridge' name='br8'><bridge/></interface>");
  start("br8");
  restart(true);  // what has begun is on disk
  calls_.clear();
  roll_back();
  EXPECT_EQ(read("interfaces.d/warren-br7"), before);
  EXPECT_FALSE(is_file("interfaces.d/warren-br8"));
  EXPECT_THAT(calls_, ElementsAre("ifdown br7", "ifdown br8", "ifup br7"));
  EXPECT_FALSE(link::exists("br8"));
  expect_error(VIR_ERR_OPERATION_INVALID, "no change of interfaces has begun", [&] { roll_back(); });
}

TEST_F(InterfaceDriverTest, KeepsAChangeThatIsCommitted) {
  begin();
  define(kBridge);
  commit();
  EXPECT_TRUE(is_file("interfaces.d/warren-br7"));
  expect_error(VIR_ERR_OPERATION_INVALID, "no change of interfaces has begun", [&] { commit(); });
  begin();
  undefine("br7");
  roll_back();
  EXPECT_TRUE(is_file("interfaces.d/warren-br7"));
  EXPECT_THAT(calls_, ElementsAre("ifup br7"));
}

}  // namespace
}  // namespace warren::driver::interface
