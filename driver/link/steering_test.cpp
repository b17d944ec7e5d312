#include "driver/link/steering.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/link/link_fixture.h"
#include "driver/link/tap.h"
#include "vmm-core/state/steering_table.h"

namespace warren::driver::link {
namespace {

using vmm::SteeringTable;

std::vector<std::byte> bytes_of(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned value = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, value, 16);
    bytes.push_back(static_cast<std::byte>(value));
  }
  return bytes;
}

// The key, addresses and hashes with which makers of network cards verify receive-side scaling.
const std::vector<std::byte> kKey =
    bytes_of("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa");
const std::string kMacs = "525400000001525400000002", kPorts = "0aea06e6" + std::string(40, '0');
const std::string kSource6 =
                      "3ffe25010200"
                      "1fff0000000000000007",
                  kDestination6 =
                      "3ffe250102000003"
                      "0000000000000001";
constexpr std::uint32_t kAddresses4 = 0x323e8fc2, kConnection4 = 0x51ccc178, kAddresses6 = 0x2cc18cd5,
                        kConnection6 = 0x40207d3d;

// From 66.9.149.187 to 161.142.100.80.
std::string ipv4(const std::string& protocol, const std::string& fragment = "0000",
                 const std::string& version = "45", const std::string& options = "") {
  return "0800" + version + "00002c0001" + fragment + "40" + protocol + "0000" + "420995bb" + "a18e6450" +
         options;
}
std::string ipv6(const std::string& next, const std::string& between = "") {
  return "86dd600000000040" + next + "40" + kSource6 + kDestination6 + between;
}

// Frames that go to a guest with four queues.
class SteeringTest : public LinkTest {
 protected:
  static constexpr std::uint16_t kUnclassified = 3;

  void SetUp() override {
    LinkTest::SetUp();
    tap_ = open_tap({.name = "spread", .queues = 4});
    said("sysctl -qw net.ipv6.conf.spread.disable_ipv6=1");
    steering_ = make_steering();
    void* const mapping =
        ::mmap(nullptr, sizeof(SteeringTable), PROT_READ | PROT_WRITE, MAP_SHARED, steering_.table.get(), 0);
    ASSERT_NE(mapping, MAP_FAILED);
    table_ = static_cast<SteeringTable*>(mapping);
    table_->unclassified = kUnclassified;
    table_->mask = SteeringTable::kMostEntries - 1;
    table_->hash_types = ~0U;
    for (std::size_t place = 0; place < SteeringTable::kMostHashed; ++place)
      for (unsigned value = 0; value < 256; ++value) table_->shares[place][value] = share(place, value);
    int program = steering_.program.get();
    ASSERT_EQ(::ioctl(tap_.queues[0].get(), TUNSETSTEERINGEBPF, &program), 0);
    socket_ = vmm::FileDescriptor(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  }
  void TearDown() override {
    if (table_ != nullptr) ::munmap(table_, sizeof(SteeringTable));
    tap_ = {};
    LinkTest::TearDown();
  }

  // Toeplitz's hash of one byte at its place, bit for bit.
  static std::uint32_t share(std::size_t place, unsigned value) {
    std::uint32_t sum = 0;
    for (std::size_t bit = 0; bit < 8; ++bit) {
      if ((value & 0x80U >> bit) == 0) continue;
      for (std::size_t i = 0; i < 32; ++i) {
        const std::size_t at = place * 8 + bit + i;
        if ((std::to_integer<unsigned>(kKey[at / 8]) & 0x80U >> at % 8) != 0) sum ^= 1U << (31 - i);
      }
    }
    return sum;
  }

  // The queue on which the frame arrives.
  std::optional<std::size_t> queue_of(const std::string& hex) {
    const std::vector<std::byte> frame = bytes_of(hex);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(::if_nametoindex("spread"));
    if (::sendto(socket_.get(), frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                 sizeof(to)) < 0)
      return std::nullopt;
    constexpr std::size_t kHeader = 12;  // virtio's, in front
    for (int left = 100; left > 0; --left) {
      std::array<pollfd, 4> waits;
      for (std::size_t i = 0; i < waits.size(); ++i) waits[i] = {tap_.queues[i].get(), POLLIN, 0};
      if (::poll(waits.data(), waits.size(), 10'000) < 1) return std::nullopt;
      for (std::size_t i = 0; i < waits.size(); ++i) {
        std::array<std::byte, 2048> arrived;
        if (waits[i].revents == 0) continue;
        const ssize_t size = ::read(waits[i].fd, arrived.data(), arrived.size());
        // The kernel may have said something by itself when the tap came up.
        if (size >= static_cast<ssize_t>(kHeader + frame.size()) &&
            std::equal(frame.begin(), frame.end(), arrived.begin() + kHeader))
          return i;
      }
    }
    return std::nullopt;
  }
  // The entry of the hash decides, and no other.
  void expect_hash(const std::string& frame, std::uint32_t hash) {
    const std::uint32_t index = hash & table_->mask;
    table_->entries.fill(0);
    table_->entries[index] = 1;
    EXPECT_EQ(queue_of(kMacs + frame), 1U) << frame;
    table_->entries.fill(1);
    table_->entries[index] = 2;
    EXPECT_EQ(queue_of(kMacs + frame), 2U) << frame;
  }
  void expect_unclassified(const std::string& frame) {
    table_->entries.fill(0);
    EXPECT_EQ(queue_of(kMacs + frame), kUnclassified) << frame;
  }

  Tap tap_;
  Steering steering_;
  vmm::FileDescriptor socket_;
  SteeringTable* table_ = nullptr;
};

TEST_F(SteeringTest, HashesAddressesAndPorts) {
  expect_hash(ipv4("06") + kPorts, kConnection4);
  expect_hash(ipv4("11") + kPorts, kConnection4);
  expect_hash(ipv4("01") + kPorts, kAddresses4);
  expect_hash(ipv4("06", "0000", "46", "01010101") + kPorts, kConnection4);
  expect_hash("81000007" + ipv4("06") + kPorts, kConnection4);
  expect_hash(ipv6("06") + kPorts, kConnection6);
  expect_hash(ipv6("11") + kPorts, kConnection6);
  expect_hash(ipv6("3a") + kPorts, kAddresses6);
  expect_hash(ipv6("00",
                   "2b00000000000000"
                   "0600000000000000") +
                  kPorts,
              kConnection6);
  table_->mask = 1;
  expect_hash(ipv6("06") + kPorts, kConnection6);
}

TEST_F(SteeringTest, HashesWhatWasAskedForAlone) {
  table_->hash_types = SteeringTable::kIpv4 | SteeringTable::kTcp6;
  expect_hash(ipv4("06") + kPorts, kAddresses4);
  expect_hash(ipv6("06") + kPorts, kConnection6);
  expect_unclassified(ipv6("11") + kPorts);
  table_->hash_types = SteeringTable::kUdp4;
  expect_hash(ipv4("11") + kPorts, kConnection4);
  expect_unclassified(ipv4("06") + kPorts);
  expect_unclassified("0806" + std::string(92, '0'));
}

// What a sender makes of headers is the sender's to say (class T3).
TEST_F(SteeringTest, PacketsThatAreCutShortOrInPiecesHaveNoPorts) {
  expect_hash(ipv4("06", "2000") + kPorts, kAddresses4);
  expect_hash(ipv4("06", "0001") + kPorts, kAddresses4);
  expect_hash(ipv4("06"), kAddresses4);
  expect_hash(ipv6("2c", "0600000100000000") + kPorts, kAddresses6);
  expect_hash(ipv6("00", "00ff"), kAddresses6);
  expect_hash(ipv6("3c",
                   "3c003c003c003c00"
                   "3c003c003c003c00"
                   "3c003c003c003c00"
                   "3c003c003c003c00"
                   "0600000000000000") +
                  kPorts,
              kAddresses6);
  expect_unclassified(ipv4("06", "0000", "44") + kPorts);
  expect_unclassified(ipv4("06").substr(0, 40));
  expect_unclassified(ipv6("06").substr(0, 60));
  expect_unclassified(
      "8100"
      "0007");
}

TEST_F(SteeringTest, TheTableCannotLeadOutOfItself) {
  table_->mask = 0xffff;
  table_->entries.fill(0xffff);
  EXPECT_TRUE(queue_of(kMacs + ipv4("06") + kPorts).has_value()) << "any number is some queue's";
}

}  // namespace
}  // namespace warren::driver::link
