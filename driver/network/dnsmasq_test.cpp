// With the real dnsmasq, in a network name space, and guests that ask it.
#include "driver/network/dnsmasq.h"

#include <chrono>
#include <csignal>
#include <fstream>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "driver/contract/error.h"
#include "driver/network/dhcp_client.h"
#include "driver/network/dnsmasq_leases.h"
#include "driver/network/network_topology.h"

namespace warren::driver::network {
namespace {

using namespace std::chrono_literals;
using Kind = DnsmasqNotice::Kind;

constexpr std::array<std::uint8_t, 6> kMac{0x52, 0x54, 0, 0, 0, 1};

IpAddress ip(const char* text) {
  return *config::parse_ip_address(text);
}

class DnsmasqTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/warren-dnsmasq-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    directory_ = path;
    settings_ = {directory_ / "run", directory_ / "leases", {}};
    // It reads its hosts when it is nobody, from below here.
    std::filesystem::permissions(directory_, std::filesystem::perms(0755));
    definition_.name = "test";
    definition_.bridge.name = Topology::kBridge;
    definition_.domain_name = "lab";
    definition_.addresses = {{.address = ip("10.71.0.1"),
                              .prefix = 24,
                              .ranges = {{.addresses = {ip("10.71.0.100"), ip("10.71.0.200")}}}},
                             {.address = ip("2001:db8:71::1"),
                              .prefix = 64,
                              .ranges = {{.addresses = {ip("2001:db8:71::100"), ip("2001:db8:71::1ff")}}}}};
    // It would look for three seconds whether somebody has the address already.
    definition_.dnsmasq_options = {"no-ping"};
    write_dnsmasq_files(settings_, definition_);
    files_ = dnsmasq_files(settings_, definition_);
    dnsmasq_ = make({.first_delay = 1ms, .time_to_end = 1s});
  }
  void TearDown() override {
    if (const auto left = find_dnsmasq(files_)) stop_dnsmasq(*left, 1s);
    std::filesystem::remove_all(directory_);
  }

  std::shared_ptr<Dnsmasq> make(DnsmasqLimits limits) {
    return Dnsmasq::make(
        loop_, pool_, "test", files_, [this](const DnsmasqNotice& notice) { notices_.push_back(notice); },
        limits);
  }
  template <typename T>
  T run(loop::Task<T> task) {
    std::optional<std::expected<T, Error>> outcome;
    loop::run_task<T>(loop_, std::move(task),
                      [&](std::expected<T, Error> result) { outcome = std::move(result); });
    run_until([&] { return outcome.has_value(); });
    if (!outcome->has_value()) throw Error(outcome->error());
    if constexpr (!std::is_void_v<T>) return **outcome;
  }
  template <typename Condition>
  void run_until(Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < limit) {
      loop_.restart();
      loop_.run_one_for(100ms);
    }
    ASSERT_TRUE(condition());
  }
  void kill(int number) const {
    const auto process = find_dnsmasq(files_);
    ASSERT_TRUE(process);
    ASSERT_TRUE(process->signal(number));
    ASSERT_TRUE(number != SIGKILL || process->has_ended(5s));
  }
  std::vector<DhcpLease> leases() const {
    return read_leases(
        files_.leases, definition_,
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
  }

  Topology world_;
  // Everything, also what the pool's threads start, is in the router's name space.
  Inside inside_{world_.router.place};
  loop::asio::io_context loop_;
  loop::asio::thread_pool pool_{1};
  std::filesystem::path directory_;
  DnsmasqSettings settings_;
  NetworkDefinition definition_;
  DnsmasqFiles files_;
  std::shared_ptr<Dnsmasq> dnsmasq_;
  std::vector<DnsmasqNotice> notices_;
};

TEST_F(DnsmasqTest, GuestsGetTheirAddressesAndThatCanBeRead) {
  run(dnsmasq_->start());
  EXPECT_TRUE(dnsmasq_->is_running());
  EXPECT_TRUE(leases().empty());
  const std::string address = DhcpClient(world_.first, kMac).lease("guest-one");
  ASSERT_TRUE(address.starts_with("10.71.0.")) << address;
  const std::string address6 = DhcpClient(world_.first, kMac).lease6();
  ASSERT_TRUE(address6.starts_with("2001:db8:71::1")) << address6;
  std::vector<DhcpLease> found;
  // It answers before it writes.
  run_until([&] { return (found = leases()).size() == 2; });
  const std::int64_t now = ::time(nullptr);
  for (DhcpLease& lease : found) {
    EXPECT_GT(lease.expiry_time, now + 3000);
    // dnsmasq's own default: an hour, and of IPv6 a day.
    EXPECT_LT(lease.expiry_time, now + (lease.type == VIR_IP_ADDR_TYPE_IPV6 ? 86500 : 3700));
    lease.expiry_time = 0;
  }
  EXPECT_EQ(found[0], (DhcpLease{.interface = "virbr7",
                                 .mac = "52:54:00:00:00:01",
                                 .address = address,
                                 .prefix = 24,
                                 .host_name = "guest-one"}));
  EXPECT_EQ(found[1], (DhcpLease{.interface = "virbr7",
                                 .type = VIR_IP_ADDR_TYPE_IPV6,
                                 .mac = "52:54:00:00:00:01",
                                 .iaid = "77",
                                 .address = address6,
                                 .prefix = 64,
                                 .client_id = "00:03:00:01:52:54:00:00:00:01"}));
  run(dnsmasq_->stop());
  EXPECT_FALSE(find_dnsmasq(files_));
  EXPECT_TRUE(notices_.empty());
  // They outlive it.
  EXPECT_EQ(leases().size(), 2u);
}

TEST_F(DnsmasqTest, HostsThatAreAddedAreServedAtOnce) {
  run(dnsmasq_->start());
  definition_.addresses[0].hosts = {{.mac = "52:54:00:00:00:09", .name = "nine", .ip = ip("10.71.0.109")}};
  ASSERT_EQ(write_dnsmasq_files(settings_, definition_), DnsmasqChange::reload);
  dnsmasq_->reload();
  std::string address;
  // SIGHUP is heard when it is heard.
  for (int times = 0; times < 20 && address != "10.71.0.109"; ++times)
    address = DhcpClient(world_.second, {0x52, 0x54, 0, 0, 0, 9}).lease("x");
  EXPECT_EQ(address, "10.71.0.109");
  std::vector<DhcpLease> found;
  run_until([&] { return !(found = leases()).empty(); });
  EXPECT_EQ(found.back().host_name, "nine");
}

TEST_F(DnsmasqTest, IsStartedAgainWhenItDies) {
  run(dnsmasq_->start());
  kill(SIGKILL);
  run_until([&] { return notices_.size() == 1; });
  EXPECT_EQ(notices_[0].kind, Kind::restarted);
  EXPECT_EQ(notices_[0].text, "network test: dnsmasq died and was started again");
  EXPECT_TRUE(dnsmasq_->is_running());
  EXPECT_TRUE(DhcpClient(world_.first, kMac).lease("x").starts_with("10.71.0."));
}

TEST_F(DnsmasqTest, ButNotForEver) {
  dnsmasq_ = make({.restarts_per_minute = 2, .first_delay = 1ms, .time_to_end = 1s});
  run(dnsmasq_->start());
  for (std::size_t times = 1; times <= 3; ++times) {
    kill(SIGKILL);
    run_until([&] { return notices_.size() == times; });
  }
  EXPECT_EQ(notices_[1].kind, Kind::restarted);
  EXPECT_EQ(notices_[2].kind, Kind::gave_up);
  EXPECT_FALSE(dnsmasq_->is_running());
  EXPECT_FALSE(find_dnsmasq(files_));
  run(dnsmasq_->start());
  EXPECT_TRUE(dnsmasq_->is_running());
}

TEST_F(DnsmasqTest, WhyItCannotBeStartedIsTold) {
  run(dnsmasq_->start());
  definition_.dnsmasq_options = {"no-such-option"};
  ASSERT_EQ(write_dnsmasq_files(settings_, definition_), DnsmasqChange::restart);
  kill(SIGKILL);
  run_until([&] { return notices_.size() == 1; });
  EXPECT_EQ(notices_[0].kind, Kind::gave_up);
  EXPECT_NE(notices_[0].text.find("bad option"), std::string::npos) << notices_[0].text;
  try {
    run(dnsmasq_->start());
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(error.detail().starts_with("network test: dnsmasq did not start (status 1)"))
        << error.detail();
  }
}

TEST_F(DnsmasqTest, IsFoundAgainByTheNextDaemon) {
  EXPECT_FALSE(run(dnsmasq_->adopt()));
  run(dnsmasq_->start());
  const pid_t pid = find_dnsmasq(files_)->pid;
  dnsmasq_ = make({.first_delay = 1ms});
  EXPECT_TRUE(run(dnsmasq_->adopt()));
  EXPECT_EQ(find_dnsmasq(files_)->pid, pid);
  kill(SIGKILL);
  run_until([&] { return notices_.size() == 1; });
  EXPECT_EQ(notices_[0].kind, Kind::restarted);
  // Started anew: the old one is gone.
  const pid_t second = find_dnsmasq(files_)->pid;
  run(dnsmasq_->start());
  EXPECT_NE(find_dnsmasq(files_)->pid, second);
}

TEST_F(DnsmasqTest, NobodyElseIsTakenForIt) {
  auto claim = [&](const std::string& text) {
    std::ofstream(files_.process_id) << text;
    return find_dnsmasq(files_).has_value();
  };
  EXPECT_FALSE(claim(""));
  EXPECT_FALSE(claim("-1\n"));
  EXPECT_FALSE(claim("1\n"));
  EXPECT_FALSE(claim("99999999999999999999\n"));
  EXPECT_FALSE(claim(std::to_string(::getpid())));
  // Another network's.
  run(dnsmasq_->start());
  const pid_t pid = find_dnsmasq(files_)->pid;
  DnsmasqFiles others = files_;
  others.configuration += ".other";
  EXPECT_FALSE(find_dnsmasq(others));
  EXPECT_EQ(find_dnsmasq(files_)->pid, pid);
}

TEST_F(DnsmasqTest, OneThatHangsIsKilled) {
  dnsmasq_ = make({.time_to_end = 100ms});
  run(dnsmasq_->start());
  kill(SIGSTOP);
  run(dnsmasq_->stop());
  EXPECT_FALSE(find_dnsmasq(files_));
  // And so is one that nobody adopted.
  run(make({.time_to_end = 1s})->start());
  run(dnsmasq_->stop());
  EXPECT_FALSE(find_dnsmasq(files_));
  EXPECT_TRUE(notices_.empty());
}

TEST(DnsmasqLeases, OnlyWhatDnsmasqWrites) {
  NetworkDefinition definition;
  definition.bridge.name = "virbr0";
  definition.addresses = {{.address = ip("192.168.122.1"), .prefix = 24},
                          {.address = ip("2001:db8::1"), .prefix = 60}};
  auto parse = [&](const std::string& text) { return parse_leases(text, definition, 1000); };
  const std::string good = "2000 52:54:00:00:00:01 192.168.122.10 one 01:52:54:00:00:00:01\n";
  ASSERT_EQ(parse(good).size(), 1u);
  EXPECT_EQ(parse(good)[0].client_id, "01:52:54:00:00:00:01");
  EXPECT_EQ(
      parse("0 06-52:54:00:00:00:01 10.0.0.1 * *\n")[0],
      (DhcpLease{.interface = "virbr0", .mac = "52:54:00:00:00:01", .address = "10.0.0.1", .prefix = 32}));
  const auto six = parse(
      "duid 00:01:00:01:2a:00:00:00:52:54:00:aa:bb:cc\n"
      "2000 T12 2001:db8::5 * 00:01:00:01:2a:00:00:00:52:54:00:00:00:07\n"
      "2000 13 2001:db8:0:f::5 two 00:02:00:00:ab:11:01\n");
  ASSERT_EQ(six.size(), 2u);
  EXPECT_EQ(six[0].mac, "52:54:00:00:00:07");
  EXPECT_EQ(six[0].iaid, "12");
  EXPECT_EQ(six[0].prefix, 60u);
  EXPECT_FALSE(six[1].mac);
  // Over, not all there yet, and whatever else (T29).
  EXPECT_TRUE(parse("1000 52:54:00:00:00:01 192.168.122.10 one *\n").empty());
  EXPECT_TRUE(parse(good.substr(0, good.size() - 1)).empty());
  for (const char* bad :
       {"2000 52:54:00:00:00:01 192.168.122.10 one", "2000 52:54:00:00:00:01 192.168.122.10 one * more",
        "x 52:54:00:00:00:01 192.168.122.10 one *", "-1 52:54:00:00:00:01 192.168.122.10 one *",
        "99999999999999999999 52:54:00:00:00:01 192.168.122.10 one *", "2000 52:54 192.168.122 one *",
        "2000 zz:54:00:00:00:01 192.168.122.10 one *", "2000 52:54:00:00:00:01 192.168.122.10 o\x1b[2J *",
        "2000 52:54:00:00:00:01 192.168.122.10 one 01:", "2000 x 2001:db8::5 * *", "    ", ""})
    EXPECT_TRUE(parse(std::string(bad) + "\n").empty()) << bad;
  EXPECT_TRUE(parse("2000 52:54:00:00:00:01 192.168.122.10 " + std::string(300, 'a') + " *\n").empty());
  EXPECT_EQ(parse(std::string(5000, 'x') + "\n" + good).size(), 1u);
  EXPECT_TRUE(read_leases("/nowhere/leases", definition, 0).empty());
  EXPECT_THROW(read_leases("/", definition, 0), Error);
}

}  // namespace
}  // namespace warren::driver::network
