// Disks made of descriptors that a client lent.
#include <fcntl.h>
#include <gmock/gmock.h>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::HasSubstr;

class DescriptorGroupTest : public DriverFixture {
 protected:
  vmm::FileDescriptor open(int flags) {
    vmm::FileDescriptor file(::open((root_ / "disk.img").c_str(), flags | O_CLOEXEC));
    EXPECT_TRUE(file);
    return file;
  }
  std::string associate(std::vector<vmm::FileDescriptor> descriptors, const std::string& name = "lent",
                        unsigned int flags = 0) {
    try {
      driver_->associate_descriptors(caller_, test_uuid(), name, std::move(descriptors), flags);
    } catch (const Error& error) {
      last_code_ = error.code();
      return error.message();
    }
    return "";
  }
  std::string associate(int flags) {
    std::vector<vmm::FileDescriptor> one;
    one.push_back(open(flags));
    return associate(std::move(one));
  }
  // Of a path that is not there: only the descriptor is.
  std::string lent_xml(const std::string& extra = "") {
    std::string text = xml();
    const std::string path = (root_ / "disk.img").string();
    text.replace(text.find("<source file='" + path + "'/>"), path.size() + 17,
                 "<source file='/nowhere/disk.img' fdgroup='lent'/>" + extra);
    return text;
  }
};

TEST_F(DescriptorGroupTest, ADiskIsMadeOfWhatWasLent) {
  ASSERT_EQ(define(lent_xml()), "");
  EXPECT_THAT(driver_->xml(caller_, test_uuid(), 0),
              HasSubstr("<source file='/nowhere/disk.img' fdgroup='lent'/>"));
  EXPECT_THAT(start(), HasSubstr("file descriptor group 'lent' was not associated with the domain"));
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  EXPECT_EQ(associate(std::vector<vmm::FileDescriptor>{}), "") << "none changes nothing";
  EXPECT_NE(start(), "");
  ASSERT_EQ(associate(O_RDONLY), "");
  EXPECT_THAT(start(), HasSubstr("has none that is open for reading and writing"));
  ASSERT_EQ(associate(O_RDWR), "");
  ASSERT_EQ(start(), "");
  EXPECT_EQ(destroy(), "");
  EXPECT_EQ(start(), "") << "as long as the connection lasts";
}

TEST_F(DescriptorGroupTest, TheyGoWithTheConnection) {
  ASSERT_EQ(define(lent_xml("<readonly/>")), "");
  ASSERT_EQ(associate(O_RDONLY), "");
  ASSERT_EQ(start(), "");
  driver_->connection_closed(caller_.connection_id);
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING) << "who uses them keeps them";
  EXPECT_EQ(destroy(), "");
  EXPECT_THAT(start(), HasSubstr("was not associated"));
}

// T8: a client cannot have the daemon hold descriptors without bound.
TEST_F(DescriptorGroupTest, T8ThereIsAnEndToThem) {
  ASSERT_EQ(define(xml()), "");
  const auto lend = [&](std::size_t i) {
    std::vector<vmm::FileDescriptor> one;
    one.push_back(open(O_RDONLY));
    return associate(std::move(one), fmt::format("group{}", i));
  };
  for (std::size_t i = 0; i < DescriptorGroups::kMostGroups; ++i) ASSERT_EQ(lend(i), "");
  EXPECT_THAT(lend(DescriptorGroups::kMostGroups), HasSubstr("groups of file descriptors"));
  EXPECT_EQ(lend(0), "") << "in place of another";
  EXPECT_THAT(associate(std::vector<vmm::FileDescriptor>{}, "x", 4), HasSubstr("unsupported flags"));
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
}

}  // namespace
}  // namespace warren::driver::domain
