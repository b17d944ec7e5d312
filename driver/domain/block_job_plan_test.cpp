// Which images a block job means, what is refused in libvirt's words, and the chains afterwards.
#include "driver/domain/block_job_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::domain {
namespace {

using config::BackingImage;
using config::Disk;
using config::DiskFormat;

// /top (1) on /middle (2) on /base (3)
Disk chain_of_three() {
  Disk disk;
  disk.target = "vda";
  disk.source = "/top";
  disk.source_index = 1;
  disk.driver.format = DiskFormat::qcow2;
  disk.backing = {{.format = DiskFormat::qcow2, .source = "/middle", .source_index = 2},
                  {.format = DiskFormat::raw, .source = "/base", .source_index = 3}};
  disk.backing_store_end = true;
  return disk;
}

std::vector<std::string> sources(const Disk& disk) {
  std::vector<std::string> list{disk.source};
  for (const BackingImage& image : disk.backing) list.push_back(image.source);
  return list;
}

template <typename Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.detail();
  }
  return "taken";
}

using testing::ElementsAre;

TEST(BlockJobPlan, ImagesAreFoundByPathAndByNumber) {
  const Disk disk = chain_of_three();
  EXPECT_EQ(find_image(disk, "/middle", std::nullopt), 1u);
  EXPECT_EQ(find_image(disk, "vda[3]", std::nullopt), 2u);
  EXPECT_EQ(find_image(disk, std::nullopt, 0), 2u);
  EXPECT_EQ(refusal([&] { find_image(disk, "vdb[3]", std::nullopt); }),
            "requested target 'vdb' does not match target 'vda'");
  EXPECT_EQ(refusal([&] { find_image(disk, "vda[9]", std::nullopt); }),
            "could not find backing store index '9' in chain for '/top'");
  EXPECT_EQ(refusal([&] { find_image(disk, "/nowhere", std::nullopt); }),
            "could not find image '/nowhere' in chain for '/top'");
  EXPECT_EQ(refusal([&] { find_image(disk, "/middle", 1); }),
            "could not find image '/middle' beneath '/middle' in chain for '/top'");
  EXPECT_EQ(refusal([&] { find_image(disk, std::nullopt, 2); }),
            "could not find base image in chain for '/top'");
}

// As headers name them: beside the image above.
TEST(BlockJobPlan, ImagesAreFoundByRelativePath) {
  Disk disk = chain_of_three();
  disk.source = "/images/top";
  disk.backing[0].source = "/images/below/middle";
  disk.backing[1].source = "/images/base";
  EXPECT_EQ(find_image(disk, "below/middle", std::nullopt), 1u);
  EXPECT_EQ(find_image(disk, "./below/../below/middle", 0), 1u);
  EXPECT_EQ(find_image(disk, "../base", std::nullopt), 2u);
  EXPECT_EQ(refusal([&] { find_image(disk, "base", std::nullopt); }),
            "could not find image 'base' in chain for '/images/top'");
  EXPECT_EQ(refusal([&] { find_image(disk, "top", std::nullopt); }),
            "could not find image 'top' in chain for '/images/top'");
  EXPECT_EQ(refusal([&] { find_image(disk, "", std::nullopt); }),
            "could not find image '' in chain for '/images/top'");
}

std::string planned(const BlockCommit& commit, unsigned int flags) {
  return refusal([&] {
    const CommitPlan plan = plan_commit(chain_of_three(), commit, flags);
    throw operation_failed(std::to_string(plan.top) + ".." + std::to_string(plan.base));
  });
}

TEST(BlockJobPlan, ACommitIsOfWhatItsFlagsSay) {
  constexpr unsigned int kActive = VIR_DOMAIN_BLOCK_COMMIT_ACTIVE, kShallow = VIR_DOMAIN_BLOCK_COMMIT_SHALLOW;
  EXPECT_EQ(planned({.disk = "vda"}, kActive), "0..2");
  EXPECT_EQ(planned({.disk = "vda", .top = "vda"}, kActive), "0..2");
  EXPECT_EQ(planned({.disk = "vda"}, kActive | kShallow), "0..1");
  EXPECT_EQ(planned({.disk = "vda", .top = "vda[2]"}, 0), "1..2");
  EXPECT_EQ(planned({.disk = "vda"}, 0), "commit of 'vda' active layer requires active flag");
  EXPECT_EQ(planned({.disk = "vda", .top = "/middle"}, kActive),
            "active commit requested but '/middle' is not active");
  EXPECT_EQ(planned({.disk = "vda", .top = "/base"}, 0),
            "top '/base' in chain for 'vda' has no backing file");
  EXPECT_EQ(planned({.disk = "vda", .base = "/base"}, kActive | kShallow),
            "base '/base' is not immediately below '/top' in chain for 'vda'");
  EXPECT_EQ(planned({.disk = "vda", .base = "/top", .top = "/middle"}, 0),
            "could not find image '/top' beneath '/middle' in chain for '/top'");
}

TEST(BlockJobPlan, SpeedsAreMebibytesOrBytes) {
  EXPECT_EQ(speed_of(3, false), 3u << 20);
  EXPECT_EQ(speed_of(3, true), 3u);
  EXPECT_EQ(bandwidth_of((3u << 20) + 1, false), 4u);
  EXPECT_EQ(bandwidth_of(12345, true), 12345u);
  EXPECT_EQ(refusal([] { speed_of(std::uint64_t{1} << 43, false); }),
            "bandwidth must be less than 8796093022207");
  EXPECT_EQ(refusal([] { speed_of(~std::uint64_t{0}, true); }),
            "bandwidth must be less than 9223372036854775807");
}

TEST(BlockJobPlan, TheChainAfterwards) {
  Disk disk = chain_of_three();
  end_commit(disk, 1, 2);
  EXPECT_THAT(sources(disk), ElementsAre("/top", "/base"));
  disk = chain_of_three();
  end_pull(disk, 2);
  EXPECT_THAT(sources(disk), ElementsAre("/top", "/base"));
  end_pull(disk, std::nullopt);
  EXPECT_THAT(sources(disk), ElementsAre("/top"));
  disk = chain_of_three();
  disk.mirror =
      config::DiskMirror{.job = config::MirrorJob::active_commit, .image = disk.backing[1], .backing = {}};
  pivot(disk);
  EXPECT_THAT(sources(disk), ElementsAre("/base"));
  EXPECT_EQ(disk.driver.format, DiskFormat::raw);
  EXPECT_EQ(disk.source_index, 3u);
  EXPECT_FALSE(disk.mirror);
}

TEST(BlockJobPlan, ACopyTakesTheDisksPlace) {
  Disk disk = chain_of_three();
  disk.volume = config::VolumeName{"p", "v"};
  disk.mirror = config::DiskMirror{.job = config::MirrorJob::copy,
                                   .image = {.source_type = config::DiskSourceType::block,
                                             .format = DiskFormat::qcow2,
                                             .source = "/dev/x"},
                                   .backing = disk.backing};
  pivot(disk);
  EXPECT_THAT(sources(disk), ElementsAre("/dev/x", "/middle", "/base"));
  EXPECT_EQ(disk.source_type, config::DiskSourceType::block);
  EXPECT_FALSE(disk.volume);
}

config::DomainDefinition domain_with(const std::string& disk) {
  return config::parse_domain(
      "<domain type='kvm'><name>d</name><memory>65536</memory><os><type>hvm</type><kernel>/k</kernel></os>"
      "<devices><disk type='file'>" +
      disk + "<target dev='vda' bus='virtio'/></disk></devices></domain>");
}

config::DiskMirror copy_to(const BackingImage& image) {
  return {.job = config::MirrorJob::copy, .image = image, .backing = {}};
}

// A daemon that comes back has nothing but the documents.
TEST(BlockJobPlan, WhatADomainBecomesCanBeReadBack) {
  const BackingImage server{.source_type = config::DiskSourceType::network,
                            .format = DiskFormat::raw,
                            .source = "export",
                            .server = config::NbdServer{.host = "h", .port = {}, .socket = {}}};
  const auto optional = domain_with("<source file='/a' startupPolicy='optional'/>");
  EXPECT_NO_THROW(check_pivot(optional, "vda", copy_to(server)));
  config::DomainDefinition after = optional;
  after.devices.disks[0].mirror = copy_to(server);
  pivot(after.devices.disks[0]);
  EXPECT_NO_THROW(config::check_readable(after));

  const auto shared = domain_with("<driver name='qemu' type='raw'/><source file='/a'/><shareable/>");
  EXPECT_NO_THROW(check_pivot(shared, "vda", copy_to({.format = DiskFormat::raw, .source = "/b"})));
  EXPECT_THROW(check_pivot(shared, "vda", copy_to({.format = DiskFormat::qcow2, .source = "/b"})), Error);
}

TEST(BlockJobPlan, AStoredDefinitionFollowsWhereItIsTheSame) {
  Disk live = chain_of_three();
  Disk bare;
  bare.target = "vda";
  bare.source = "/top";
  EXPECT_FALSE(end_commit_stored(bare, live, 1, 2)) << "the headers say how it goes on";
  EXPECT_FALSE(end_pull_stored(bare, live, std::nullopt));
  Disk other = bare;
  other.source = "/other";
  live.mirror =
      config::DiskMirror{.job = config::MirrorJob::active_commit, .image = live.backing[0], .backing = {}};
  EXPECT_FALSE(pivot_stored(other, live));
  EXPECT_TRUE(pivot_stored(bare, live));
  EXPECT_THAT(sources(bare), ElementsAre("/middle"));
  EXPECT_EQ(bare.driver.format, DiskFormat::qcow2);
  EXPECT_FALSE(bare.backing_store_end);
  EXPECT_FALSE(bare.source_index);
}

TEST(BlockJobPlan, AStoredChainIsKeptTrueOrGivenUp) {
  const Disk live = chain_of_three();
  Disk declared = chain_of_three();
  EXPECT_TRUE(end_commit_stored(declared, live, 1, 2));
  EXPECT_THAT(sources(declared), ElementsAre("/top", "/base"));
  EXPECT_TRUE(declared.backing_store_end);
  Disk partly = chain_of_three();
  partly.backing.pop_back();
  partly.backing_store_end = false;
  EXPECT_TRUE(end_commit_stored(partly, live, 1, 2));
  EXPECT_THAT(sources(partly), ElementsAre("/top"));
  Disk pulled = chain_of_three();
  EXPECT_TRUE(end_pull_stored(pulled, live, 2));
  EXPECT_THAT(sources(pulled), ElementsAre("/top", "/base"));
  Disk mirrored = live;
  mirrored.mirror =
      config::DiskMirror{.job = config::MirrorJob::active_commit, .image = live.backing[0], .backing = {}};
  Disk whole = chain_of_three();
  EXPECT_TRUE(pivot_stored(whole, mirrored));
  EXPECT_THAT(sources(whole), ElementsAre("/middle", "/base"));
  EXPECT_TRUE(whole.backing_store_end);
}

}  // namespace
}  // namespace warren::driver::domain
