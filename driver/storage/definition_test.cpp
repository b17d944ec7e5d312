// <pool> and <volume>: what comes out again, what is refused and how.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "driver/storage/image_formats.h"
#include "driver/storage/volume_definition.h"

namespace warren::driver::storage {
namespace {

constexpr const char* kDirectory = R"(<pool type='dir'>
  <name>virtimages</name>
  <uuid>70a7eb15-6c34-ee9c-bf57-69e8e5ff3fb2</uuid>
  <capacity unit='bytes'>0</capacity>
  <allocation unit='bytes'>0</allocation>
  <available unit='bytes'>0</available>
  <source>
  </source>
  <target>
    <path>/images</path>
    <permissions>
      <mode>0700</mode>
      <owner>1</owner>
      <group>2</group>
    </permissions>
  </target>
</pool>
)";

virErrorNumber code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    // A grammar's violation is of the XML itself.
    const bool is_of_xml =
        error.code() == VIR_ERR_XML_INVALID_SCHEMA || error.detail().starts_with("unexpected root");
    EXPECT_EQ(error.domain(), is_of_xml ? VIR_FROM_XML : VIR_FROM_STORAGE) << error.message();
    return error.code();
  }
  return VIR_ERR_OK;
}

virErrorNumber pool_error(const std::string& xml, bool validate = false) {
  return code_of([&] { parse_pool(xml, validate); });
}

virErrorNumber volume_error(const std::string& xml, PoolType pool = PoolType::dir) {
  return code_of([&] { parse_volume(xml, pool, CapacityRule::required); });
}

TEST(PoolDefinition, IsWrittenAsLibvirtWritesIt) {
  EXPECT_EQ(format_pool(parse_pool(kDirectory, true)), kDirectory);
}

TEST(PoolDefinition, EveryTypeComesBackAsItWent) {
  const char* documents[] = {
      "<pool type='fs'><name>a</name><source><device path='/dev/sdb1'/><format type='ext4'/></source>"
      "<target><path>/mnt/a</path></target></pool>",
      "<pool type='netfs' xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'><name>a</name><source>"
      "<host name='nfs.example' port='2049'/><dir path='/export'/><format type='nfs'/><protocol ver='4.1'/>"
      "</source><target><path>/mnt/a</path></target>"
      "<fs:mount_opts><fs:option name='sync'/></fs:mount_opts></pool>",
      "<pool type='logical'><source><device path='/dev/sdb'/><name>vg</name></source></pool>",
      "<pool type='disk'><name>a</name><source><device path='/dev/sdb' part_separator='yes'/>"
      "<format type='gpt'/></source><target><path>/dev</path></target></pool>",
      "<pool type='iscsi'><name>a</name><source><host name='10.0.0.1'/><device path='iqn.a:b'/>"
      "<auth type='chap' username='u'><secret usage='s'/></auth></source>"
      "<target><path>/dev/disk/by-path</path></target></pool>",
      "<pool type='iscsi-direct'><name>a</name><source><host name='10.0.0.1'/><device path='iqn.a:b'/>"
      "<initiator><iqn name='iqn.c:d'/></initiator></source></pool>",
      "<pool type='scsi'><name>a</name><source><adapter type='scsi_host' name='host3'/></source>"
      "<target><path>/dev/disk/by-path</path></target></pool>",
      "<pool type='rbd' xmlns:rbd='http://libvirt.org/schemas/storagepool/rbd/1.0'><name>a</name><source>"
      "<host name='mon1'/><host name='mon2' port='6789'/><name>rbd</name>"
      "<auth type='ceph' username='u'><secret uuid='70a7eb15-6c34-ee9c-bf57-69e8e5ff3fb2'/></auth></source>"
      "<refresh><volume allocation='capacity'/></refresh>"
      "<rbd:config_opts><rbd:option name='rados_mon_op_timeout' value='5'/></rbd:config_opts></pool>",
      "<pool type='zfs'><name>a</name><source><name>tank</name></source></pool>",
  };
  for (const char* document : documents) {
    const PoolDefinition definition = parse_pool(document, true);
    const std::string text = format_pool(definition);
    EXPECT_EQ(parse_pool(text, true), definition) << text;
  }
  EXPECT_EQ(parse_pool(documents[2]).target_path, "/dev/vg");
  EXPECT_EQ(parse_pool(documents[2]).name, "vg");
}

TEST(PoolDefinition, WhatIsMissingOrUnknownIsRefusedByName) {
  EXPECT_EQ(pool_error("<pool type='dir'><target><path>/a</path></target></pool>"), VIR_ERR_XML_ERROR);
  EXPECT_EQ(pool_error("<pool type='dir'><name>a/b</name><target><path>/a</path></target></pool>"),
            VIR_ERR_XML_ERROR);
  EXPECT_EQ(pool_error("<pool type='dir'><name>a</name></pool>"), VIR_ERR_XML_ERROR);
  EXPECT_EQ(pool_error("<pool type='dir'><name>a</name><target><path>images</path></target></pool>"),
            VIR_ERR_XML_ERROR);
  EXPECT_EQ(pool_error("<pool type='nonsense'><name>a</name></pool>"), VIR_ERR_XML_ERROR);
  for (const char* type : {"mpath", "gluster", "sheepdog", "vstorage"})
    EXPECT_EQ(pool_error(fmt::format("<pool type='{}'><name>a</name></pool>", type)),
              VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(pool_error("<pool type='dir'><name>a</name><target><path>/a</path></target><x/></pool>"),
            VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(pool_error("<pool type='fs'><name>a</name><source><device path='/dev/a'/><format type='btrfs'/>"
                       "</source><target><path>/a</path></target></pool>"),
            VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(pool_error("<pool type='fs'><name>a</name><target><path>/a</path></target></pool>"),
            VIR_ERR_XML_ERROR);
  EXPECT_EQ(pool_error("<pool type='dir'><name>a</name><target><path>/a</path>"
                       "<permissions><mode>1777</mode></permissions></target></pool>"),
            VIR_ERR_XML_ERROR);
  EXPECT_EQ(pool_error("<pool/>", true), VIR_ERR_XML_INVALID_SCHEMA);
  EXPECT_EQ(pool_error("<volume/>"), VIR_ERR_XML_ERROR);
}

// T19: what becomes a tool's argument cannot be one of its options.
TEST(PoolDefinition, NothingOfASourceLooksLikeAnOption) {
  EXPECT_EQ(pool_error("<pool type='logical'><name>a</name><source><name>--force</name></source></pool>"),
            VIR_ERR_XML_ERROR);
  EXPECT_EQ(pool_error("<pool type='logical'><name>a</name><source><name>../sda</name></source></pool>"),
            VIR_ERR_XML_ERROR);
  EXPECT_EQ(pool_error("<pool type='fs'><name>a</name><source><device path='-o'/></source>"
                       "<target><path>/a</path></target></pool>"),
            VIR_ERR_XML_ERROR);
}

TEST(PoolDefinition, PathsAreTidied) {
  EXPECT_EQ(sanitized_path("/a//b/"), "/a/b");
  EXPECT_EQ(sanitized_path("/"), "/");
  EXPECT_EQ(sanitized_path("//"), "/");
}

TEST(PoolCapabilities, NameEveryTypeAndWhetherItIsServed) {
  const std::string xml = format_pool_capabilities();
  EXPECT_NE(xml.find("<pool type='dir' supported='yes'>"), std::string::npos);
  EXPECT_NE(xml.find("<pool type='gluster' supported='no'/>"), std::string::npos);
}

TEST(VolumeDefinition, ComesBackAsItWent) {
  const VolumeDefinition definition = parse_volume(
      "<volume type='file'><name>a.qcow2</name><capacity unit='G'>1</capacity><allocation>0</allocation>"
      "<target><format type='qcow2'/><permissions><mode>0640</mode></permissions><compat>1.1</compat>"
      "<nocow/><clusterSize unit='KiB'>128</clusterSize><features><lazy_refcounts/></features></target>"
      "<backingStore><path>/images/base.img</path><format type='raw'/></backingStore></volume>",
      PoolType::dir, CapacityRule::required, true);
  EXPECT_EQ(definition.capacity, std::uint64_t{1} << 30);
  EXPECT_EQ(definition.allocation, 0U);
  EXPECT_TRUE(definition.target.no_cow);
  EXPECT_EQ(definition.target.cluster_bytes, 131072U);
  const std::string text = format_volume(definition);
  EXPECT_NE(text.find("<capacity unit='bytes'>1073741824</capacity>"), std::string::npos);
  EXPECT_NE(text.find("<clusterSize unit='B'>131072</clusterSize>"), std::string::npos);
  VolumeDefinition again = parse_volume(text, PoolType::dir, CapacityRule::required, true);
  again.target.no_cow = true;  // said at the creation, and not shown
  EXPECT_EQ(again, definition);
}

TEST(VolumeDefinition, ASizeFromNowhereIsRefused) {
  EXPECT_EQ(volume_error("<volume><name>a</name></volume>"), VIR_ERR_XML_ERROR);
  EXPECT_EQ(volume_error("<volume><name>a</name><capacity>x</capacity></volume>"), VIR_ERR_XML_ERROR);
  EXPECT_EQ(volume_error("<volume><name>a</name><capacity unit='Q'>1</capacity></volume>"),
            VIR_ERR_INVALID_ARG);
  EXPECT_EQ(volume_error("<volume><name>a</name><capacity unit='E'>16</capacity></volume>"),
            VIR_ERR_OVERFLOW);
  EXPECT_EQ(parse_volume("<volume><name>a</name><capacity>7</capacity><allocation/></volume>", PoolType::dir,
                         CapacityRule::required)
                .allocation,
            7U);
  EXPECT_EQ(parse_volume("<volume><name>a</name></volume>", PoolType::dir, CapacityRule::optional).capacity,
            0U);
}

TEST(VolumeDefinition, FormatsAreThoseOfThePool) {
  const auto with_format = [](const char* format) {
    return fmt::format(
        "<volume><name>a</name><capacity>1</capacity><target><format type='{}'/></target></volume>", format);
  };
  EXPECT_EQ(volume_error(with_format("qcow2")), VIR_ERR_OK);
  EXPECT_EQ(volume_error(with_format("none")), VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(volume_error(with_format("nonsense")), VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(volume_error(with_format("linux-swap"), PoolType::disk), VIR_ERR_OK);
  EXPECT_EQ(volume_error(with_format("qcow2"), PoolType::disk), VIR_ERR_CONFIG_UNSUPPORTED);
}

}  // namespace
}  // namespace warren::driver::storage
