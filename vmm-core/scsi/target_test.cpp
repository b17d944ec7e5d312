#include "vmm-core/scsi/target.h"

#include <vector>

#include <gtest/gtest.h>

namespace warren::vmm::scsi {
namespace {

using Kind = Answer::Kind;

class TargetTest : public testing::Test {
 protected:
  static std::array<std::byte, 16> command(std::initializer_list<std::uint8_t> bytes) {
    std::array<std::byte, 16> whole{};
    std::size_t at = 0;
    for (const std::uint8_t byte : bytes) whole[at++] = std::byte{byte};
    return whole;
  }
  static std::vector<std::uint8_t> bytes(const Answer& answer) {
    EXPECT_EQ(answer.kind, Kind::data);
    std::vector<std::uint8_t> all;
    for (const std::byte byte : answer.data) all.push_back(std::to_integer<std::uint8_t>(byte));
    return all;
  }
  const std::vector<std::uint16_t> luns_ = {0, 7, 300};
  TargetCommands target_;
};

TEST_F(TargetTest, ReportLunsTellsWhichThereAre) {
  const auto all = bytes(target_.report_luns(command({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0}), luns_));
  ASSERT_EQ(all.size(), 8 + 3 * 8u);
  EXPECT_EQ(all[3], 24);
  EXPECT_EQ(all[8 + 8 + 1], 7);
  EXPECT_EQ(all[8 + 16], 0x41);  // flat
  EXPECT_EQ(all[8 + 17], 300 - 256);
  const auto both = bytes(target_.report_luns(command({0xa0, 0, 2, 0, 0, 0, 0, 0, 1, 0}), luns_));
  EXPECT_EQ(both[3], 32);
  EXPECT_EQ(both[8], 0xc1);
  EXPECT_EQ(both[9], 0x01);
  const auto well_known = bytes(target_.report_luns(command({0xa0, 0, 1, 0, 0, 0, 0, 0, 1, 0}), luns_));
  EXPECT_EQ(well_known.size(), 16u);
}

TEST_F(TargetTest, ReportLunsIsAsLongAsAskedFor) {
  EXPECT_EQ(bytes(target_.report_luns(command({0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16}), luns_)).size(), 16u);
  EXPECT_EQ(target_.report_luns(command({0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 15}), luns_).sense, kInvalidField);
  EXPECT_EQ(target_.report_luns(command({0xa0, 0, 3, 0, 0, 0, 0, 0, 1, 0}), luns_).sense, kInvalidField);
}

// T8: more units than an answer has room for.
TEST_F(TargetTest, ReportLunsOfVeryMany) {
  std::vector<std::uint16_t> many;
  for (std::uint16_t lun = 0; lun < 1000; ++lun) many.push_back(lun);
  const auto all = bytes(target_.report_luns(command({0xa0, 0, 2, 0, 0, 0, 0, 1, 0, 0}), many));
  EXPECT_EQ(all.size(), 8 + 8 * kMaximumReportedUnits);
}

TEST_F(TargetTest, AnAbsentUnitSaysSo) {
  EXPECT_EQ(bytes(target_.absent_unit(command({0x12, 0, 0, 0, 36})))[0], 0x7f);
  EXPECT_EQ(target_.absent_unit(command({0x00})).sense, kNoSuchUnit);
  const auto sense = bytes(target_.absent_unit(command({0x03, 0, 0, 0, 18})));
  EXPECT_EQ(sense[2], 5);
  EXPECT_EQ(sense[12], 0x25);
}

TEST_F(TargetTest, TheWellKnownUnit) {
  EXPECT_EQ(bytes(target_.well_known_unit(command({0x12, 0, 0, 0, 36}), luns_))[0], 0x1e);
  EXPECT_EQ(target_.well_known_unit(command({0x00}), luns_).kind, Kind::done);
  EXPECT_EQ(target_.well_known_unit(command({0x28}), luns_).sense, kInvalidCommand);
  EXPECT_EQ(bytes(target_.well_known_unit(command({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0}), luns_))[3], 24);
}

}  // namespace
}  // namespace warren::vmm::scsi
