// Disks that are volumes of pools: found at the start, shown as they were named, refused as libvirt does.
#include "driver/domain/disk_volume.h"

#include <map>

#include <gmock/gmock.h>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::HasSubstr;

class Pools final : public VolumeSources {
 public:
  VolumeSource volume_source(const std::string& pool, const std::string& volume) const override {
    if (pool != "default")
      throw Error(VIR_ERR_NO_STORAGE_POOL, fmt::format("no storage pool with matching name '{}'", pool));
    const auto found = volumes.find(volume);
    if (found == volumes.end())
      throw Error(VIR_ERR_NO_STORAGE_VOL, fmt::format("no storage vol with matching name '{}'", volume));
    return found->second;
  }
  void declare_format(const std::string& path, const std::string& format) override {
    declared[path] = format;
  }

  std::map<std::string, VolumeSource> volumes;
  std::map<std::string, std::string> declared;
};

class VolumeDisk : public DriverFixture {
 protected:
  VolumeDisk() {
    pools_.volumes["image"] = {.path = (root_ / "disk.img").string()};
    volumes_ = &pools_;
    start_daemon();
  }
  std::string with_volume(const std::string& pool, const std::string& volume,
                          const std::string& more = "") const {
    std::string text = xml();
    const std::string file =
        fmt::format("type='file' device='disk'><source file='{}'/>", (root_ / "disk.img").string());
    return text.replace(
        text.find(file), file.size(),
        fmt::format("type='volume' device='disk'><source pool='{}' volume='{}'{}/>", pool, volume, more));
  }
  std::string shown(unsigned int flags = 0) { return driver_->xml(caller_, test_uuid(), flags); }
  std::uint64_t capacity() {
    BlockInfo info;
    EXPECT_EQ(
        wait<BlockInfo>(
            [&](auto done) { driver_->block_info(caller_, test_uuid(), "vda", 0, std::move(done)); }, &info),
        "");
    return info.capacity;
  }

  Pools pools_;
};

TEST_F(VolumeDisk, IsFoundAtTheStartAndShownAsItWasNamed) {
  ASSERT_EQ(define(with_volume("default", "image")), "");
  EXPECT_THAT(shown(), HasSubstr("<source pool='default' volume='image'/>"));
  EXPECT_EQ(capacity(), 65536u);
  ASSERT_EQ(start(), "");
  EXPECT_THAT(shown(), HasSubstr("<disk type='volume' device='disk'>"));
  EXPECT_THAT(shown(), HasSubstr("<source pool='default' volume='image' index='1'/>"));
  EXPECT_TRUE(pools_.declared.empty()) << "the mark is on the image itself";
}

// T14: the next daemon knows where it is, whatever has become of the pool.
TEST_F(VolumeDisk, IsKnownAfterTheDaemonCameBack) {
  ASSERT_EQ(create(with_volume("default", "image")), "");
  pools_.volumes.clear();
  start_daemon();
  EXPECT_THAT(shown(), HasSubstr("<source pool='default' volume='image' index='1'/>"));
  EXPECT_EQ(capacity(), 65536u);
}

TEST_F(VolumeDisk, RefusesWhatThePoolRefuses) {
  EXPECT_THAT(create(with_volume("nowhere", "image")),
              HasSubstr("no storage pool with matching name 'nowhere'"));
  EXPECT_EQ(last_code_, VIR_ERR_NO_STORAGE_POOL);
  EXPECT_THAT(create(with_volume("default", "none")), HasSubstr("no storage vol with matching name 'none'"));
  EXPECT_EQ(last_code_, VIR_ERR_NO_STORAGE_VOL);
  EXPECT_TRUE(driver_->list(caller_, 0).empty());
}

TEST_F(VolumeDisk, ThatMayBeMissingIsLeftOut) {
  ASSERT_EQ(create(with_volume("default", "none", " startupPolicy='optional'")), "");
  EXPECT_THAT(shown(), testing::Not(HasSubstr("<disk")));
}

TEST_F(VolumeDisk, OnlyAFileMayBeMissing) {
  pools_.volumes["device"] = {.path = "/dev/null", .is_block = true};
  EXPECT_THAT(create(with_volume("default", "device", " startupPolicy='optional'")),
              HasSubstr("'startupPolicy' is only valid for 'file' type volume"));
}

}  // namespace
}  // namespace warren::driver::domain
