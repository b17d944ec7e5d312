#include "driver/config/cpu_set.h"

#include <gtest/gtest.h>

namespace warren::driver::config {
namespace {

std::string again(std::string_view text) {
  const auto set = CpuSet::parse(text);
  return set ? set->to_string() : "refused";
}

TEST(CpuSetTest, ReadsWhatLibvirtWrites) {
  EXPECT_EQ(again("0"), "0");
  EXPECT_EQ(again("0-3,5"), "0-3,5");
  EXPECT_EQ(again("0-7,^3"), "0-2,4-7");
  EXPECT_EQ(again(" 1 , 2 - 3 "), "1-3");
  EXPECT_EQ(again("3,1,2,1"), "1-3");
  EXPECT_EQ(again("1023"), "1023");
}

TEST(CpuSetTest, RefusesTheRest) {
  for (const char* text : {"", " ", "a", "1-", "-1", "3-1", "1,,2", "1,", "^1", "0,^0", "1024",
                           "0-99999999999", "1 2", "1-2-3", "0x1"})
    EXPECT_EQ(again(text), "refused") << text;
}

TEST(CpuSetTest, MapsGoBothWays) {
  const std::vector<std::uint8_t> map = {0x05, 0x00, 0x80, 0x00};
  const CpuSet set = CpuSet::from_map(map);
  EXPECT_EQ(set.to_string(), "0,2,23");
  EXPECT_EQ(set.map(4), map);
  EXPECT_EQ(set, CpuSet::parse("0,2,23"));
  EXPECT_TRUE(CpuSet::from_map(std::vector<std::uint8_t>(500)).empty());
  EXPECT_EQ(CpuSet::from_map(std::vector<std::uint8_t>(500, 0xff)).members().size(), CpuSet::kLimit);
}

}  // namespace
}  // namespace warren::driver::config
