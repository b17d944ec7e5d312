#include "driver/link/traffic_limit.h"

#include <chrono>
#include <sstream>
#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/link/bridge.h"
#include "driver/link/bridge_port.h"
#include "driver/link/link.h"
#include "driver/link/link_fixture.h"

namespace warren::driver::link {
namespace {

using testing::HasSubstr;

constexpr config::MacAddress kFirst{0x52, 0x54, 0, 0, 0, 1}, kSecond{0x52, 0x54, 0, 0, 0, 2};

class TrafficLimitTest : public LinkTest {
 protected:
  void SetUp() override {
    LinkTest::SetUp();
    said("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up");
  }
};

// As tc prints it; rates in bits a second.
struct Class {
  double rate = 0, ceiling = 0;
  std::string burst;
  long sent = 0;  // bytes
};

double bits_of(const std::string& text) {
  std::size_t end = 0;
  const double number = std::stod(text, &end);
  const std::string unit = text.substr(end);
  if (unit == "bit") return number;
  if (unit == "Kbit") return number * 1e3;
  if (unit == "Mbit") return number * 1e6;
  if (unit == "Gbit") return number * 1e9;
  throw std::runtime_error("unknown unit: " + text);
}

Class class_of(const std::string& link, const std::string& handle) {
  std::istringstream words(said("tc -s class show dev " + link));
  Class found;
  bool is_it = false, was_there = false;
  for (std::string word; words >> word;) {
    if (word == "htb") {
      std::string name;
      words >> name;
      is_it = name == handle;
      was_there = was_there || is_it;
    }
    if (!is_it || (word != "rate" && word != "ceil" && word != "burst" && word != "Sent")) continue;
    std::string value;
    words >> value;
    if (word == "rate") found.rate = bits_of(value);
    if (word == "ceil") found.ceiling = bits_of(value);
    if (word == "burst") found.burst = value;
    if (word == "Sent") found.sent = std::stol(value);
  }
  if (!was_there) throw std::runtime_error(fmt::format("{} has no class {}", link, handle));
  return found;
}

constexpr double kRounding = 1000;  // tc prints whole Kbit

double kibibytes(double count) {
  return count * 1024 * 8;
}
bool can_police() {
  said("tc qdisc add dev v1 ingress");
  const bool it_can = succeeds(
      "tc filter add dev v1 parent ffff: protocol all u32 match u32 0 0 police rate 1mbit burst 10k drop");
  said("tc qdisc del dev v1 ingress");
  return it_can;
}

TEST_F(TrafficLimitTest, ShapesWhatTheGuestReceives) {
  limit_traffic("v0", config::Bandwidth{.inbound = config::BandwidthRate{1000, 2000, 100}});
  const auto root = class_of("v0", "1:1");
  EXPECT_NEAR(root.rate, kibibytes(1000), kRounding);
  EXPECT_NEAR(root.ceiling, kibibytes(2000), kRounding);
  EXPECT_EQ(root.burst, "100Kb");
  // Others in their place, then none.
  limit_traffic("v0", config::Bandwidth{.inbound = config::BandwidthRate{500, 0, 0}});
  EXPECT_NEAR(class_of("v0", "1:1").rate, kibibytes(500), kRounding);
  EXPECT_NEAR(class_of("v0", "1:1").ceiling, kibibytes(500), kRounding);
  limit_traffic("v0", std::nullopt);
  limit_traffic("v0", std::nullopt);
  EXPECT_EQ(said("tc class show dev v0"), "");
}

TEST_F(TrafficLimitTest, TakesRatesOfManyGigabytes) {
  limit_traffic("v0", config::Bandwidth{.inbound = config::BandwidthRate{8'000'000, 9'000'000, 4'000'000}});
  EXPECT_NEAR(class_of("v0", "1:1").rate, kibibytes(8'000'000), kRounding);
  EXPECT_NEAR(class_of("v0", "1:1").ceiling, kibibytes(9'000'000), kRounding);
}

TEST_F(TrafficLimitTest, HoldsARate) {
  Host guest;
  guest.connect("tap0", "10.7.0.2/24");
  add_address("tap0", {ip("10.7.0.1"), 24});
  limit_traffic("tap0", config::Bandwidth{.inbound = config::BandwidthRate{100, 0, 10}});
  const auto before = std::chrono::steady_clock::now();
  // 100 packets of about 1,450 bytes, sent at once; ping waits for the answers.
  said("ping -c 100 -l 100 -s 1400 -i 0 -q -W 5 10.7.0.2");
  const auto took = std::chrono::steady_clock::now() - before;
  EXPECT_GT(took, std::chrono::milliseconds(1000)) << "142 KiB less a burst of 10 at 100 KiB/s";
  EXPECT_GT(class_of("tap0", "1:1").sent, 100'000);
}

// The kernel can be built without policing; then it is refused by name, and nothing is left behind.
TEST_F(TrafficLimitTest, PolicesWhatTheGuestSends) {
  const config::Bandwidth bandwidth{.outbound = config::BandwidthRate{1000, 0, 200}};
  if (!can_police()) {
    EXPECT_THAT(refusal([&] { limit_traffic("v0", bandwidth); }), HasSubstr("act_police"));
    EXPECT_THAT(said("tc qdisc show dev v0"), testing::Not(HasSubstr("ingress")));
    return;
  }
  limit_traffic("v0", bandwidth);
  const std::string filter = said("tc filter show dev v0 parent ffff:");
  EXPECT_THAT(filter, HasSubstr("rate 8192Kbit burst 200Kb"));
  EXPECT_THAT(filter, HasSubstr("drop"));
  limit_traffic("v0", std::nullopt);
  EXPECT_THAT(said("tc qdisc show dev v0"), testing::Not(HasSubstr("ingress")));
}

TEST_F(TrafficLimitTest, RefusesWhatIsNoRate) {
  EXPECT_THAT(refusal([] { limit_traffic("v0", config::Bandwidth{.inbound = config::BandwidthRate{}}); }),
              HasSubstr("link v0: <inbound> needs an average"));
  EXPECT_THAT(refusal([] { limit_traffic("v9", std::nullopt); }), HasSubstr("no link 'v9'"));
}

TEST_F(TrafficLimitTest, SharesANetworksRate) {
  create_bridge({.name = "br0"});
  EXPECT_THAT(refusal([] { guarantee("br0", {kFirstClass, kFirst, 100}); }),
              HasSubstr("needs an average inbound"));
  const auto inbound = [](std::uint64_t average, std::uint64_t peak) {
    return config::Bandwidth{.inbound = config::BandwidthRate{average, peak, 0}};
  };
  limit_network("br0", inbound(1000, 3000));
  EXPECT_NEAR(class_of("br0", "1:1").rate, kibibytes(1000), kRounding);
  EXPECT_NEAR(class_of("br0", "1:2").rate, kibibytes(1000), kRounding);
  guarantee("br0", {3, kFirst, 300});
  guarantee("br0", {4, kSecond, 600});
  EXPECT_NEAR(class_of("br0", "1:3").rate, kibibytes(300), kRounding);
  EXPECT_NEAR(class_of("br0", "1:4").rate, kibibytes(600), kRounding);
  EXPECT_NEAR(class_of("br0", "1:4").ceiling, kibibytes(3000), kRounding);
  EXPECT_NEAR(class_of("br0", "1:2").rate, kibibytes(100), kRounding);
  // Up to the peak, as libvirt has it: then nothing of the average is left.
  EXPECT_THAT(refusal([] { guarantee("br0", {3, kFirst, 2401}); }),
              HasSubstr("3001 KiB/s are more than the 3000"));
  guarantee("br0", {3, kFirst, 2400});
  EXPECT_NEAR(class_of("br0", "1:2").rate, kibibytes(1), kRounding);
  guarantee("br0", {3, kFirst, 200});
  EXPECT_NEAR(class_of("br0", "1:2").rate, kibibytes(200), kRounding);
  EXPECT_THAT(refusal([&] { limit_network("br0", inbound(700, 0)); }), HasSubstr("more than"));
  limit_network("br0", inbound(2000, 0));
  EXPECT_NEAR(class_of("br0", "1:2").rate, kibibytes(1200), kRounding);
  EXPECT_NEAR(class_of("br0", "1:3").ceiling, kibibytes(2000), kRounding);
  end_guarantee("br0", 3);
  end_guarantee("br0", 3);
  EXPECT_NEAR(class_of("br0", "1:2").rate, kibibytes(1400), kRounding);
  EXPECT_THAT(refusal([] { limit_network("br0", std::nullopt); }), HasSubstr("more than"));
  end_guarantee("br0", 4);
  limit_network("br0", std::nullopt);
  EXPECT_EQ(said("tc class show dev br0"), "");
  EXPECT_THAT(refusal([] { guarantee("br0", {2, kFirst, 1}); }), HasSubstr("no class 2"));
}

TEST_F(TrafficLimitTest, SortsGuestsIntoTheirClasses) {
  create_bridge({.name = "br0"});
  set_up("br0");
  add_address("br0", {ip("10.7.0.1"), 24});
  Host one, two;
  one.connect("one", "10.7.0.2/24", "52:54:00:00:00:01");
  two.connect("two", "10.7.0.3/24", "52:54:00:00:00:02");
  add_port("br0", "one");
  add_port("br0", "two");
  limit_network("br0", config::Bandwidth{.inbound = config::BandwidthRate{100'000, 0, 0}});
  guarantee("br0", {3, kFirst, 300});
  ASSERT_TRUE(succeeds("ping -c 5 -i 0.01 -s 1000 -W 2 10.7.0.2"));
  const auto bytes = [](const char* handle) { return class_of("br0", handle).sent; };
  EXPECT_GE(bytes("1:3"), 5000);
  EXPECT_LT(bytes("1:2"), 1000);
  ASSERT_TRUE(succeeds("ping -c 5 -i 0.01 -s 1000 -W 2 10.7.0.3"));
  EXPECT_GE(bytes("1:2"), 5000);
  // The class goes over to another guest.
  guarantee("br0", {3, kSecond, 300});
  const auto before = bytes("1:3");
  ASSERT_TRUE(succeeds("ping -c 5 -i 0.01 -s 1000 -W 2 10.7.0.3"));
  EXPECT_GE(bytes("1:3") - before, 5000);
}

}  // namespace
}  // namespace warren::driver::link
