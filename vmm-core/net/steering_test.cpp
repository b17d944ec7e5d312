#include "vmm-core/net/steering.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace warren::vmm::net {
namespace {

// The key and hashes with which makers of network cards verify receive-side scaling.
constexpr std::array<std::uint8_t, SteeringSettings::kKeyBytes> kKey = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

std::uint32_t hash(const SteeringTable& table, const std::vector<std::uint8_t>& input) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < input.size(); ++i) sum ^= table.shares[i][input[i]];
  return sum;
}

TEST(SteeringTest, TheTableSaysToeplitzsHash) {
  SteeringTable table;
  const std::vector<std::uint16_t> entries = {1, 0, 3, 2};
  write_table(
      table, {.hash_types = 7, .unclassified = 2, .entries = entries, .key = std::as_bytes(std::span(kKey))});
  EXPECT_EQ(table.hash_types, 7U);
  EXPECT_EQ(table.unclassified, 2U);
  EXPECT_EQ(table.mask, 3U);
  EXPECT_EQ(table.entries[2], 3U);
  const std::vector<std::uint8_t> connection = {66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6};
  EXPECT_EQ(hash(table, connection), 0x51ccc178U);
  EXPECT_EQ(hash(table, {connection.begin(), connection.begin() + 8}), 0x323e8fc2U);
  EXPECT_EQ(
      hash(table, {0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0,    7,    0x3f, 0xfe,
                   0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0,    0,    0, 0, 0, 0, 0, 1, 0x0a, 0xea, 0x06, 0xe6}),
      0x40207d3dU);
}

TEST(SteeringTest, AShortKeyHasZerosBehindIt) {
  SteeringTable table, without;
  const std::vector<std::uint16_t> entries = {0};
  write_table(table, {.entries = entries, .key = std::as_bytes(std::span(kKey)).first(8)});
  write_table(without, {.entries = entries, .key = {}});
  EXPECT_NE(table.shares[0][1], 0U);
  EXPECT_EQ(table.shares[8], without.shares[8]);
  EXPECT_EQ(table.mask, 0U);
}

}  // namespace
}  // namespace warren::vmm::net
