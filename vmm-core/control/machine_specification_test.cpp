#include "vmm-core/control/machine_specification.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm-core/control/specification_example.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {
namespace {

std::string refusal(const MachineSpecification& specification) {
  try {
    validate(specification);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(MachineSpecification, SurvivesTheJourneyThroughJson) {
  const MachineSpecification original = example_specification();
  const std::string json = format_specification(original);
  EXPECT_EQ(format_specification(parse_specification(json)), json);
  const auto parsed = parse_specification(json);
  EXPECT_EQ(parsed.disks.at(0).serial, "serial-1");
  EXPECT_EQ(parsed.disks.at(0).flush, FlushPolicy::always);
  EXPECT_EQ(parsed.interfaces.at(0).mac, "52:54:00:12:34:56");
  EXPECT_EQ(parsed.boot.initrd, "initrd");
  EXPECT_EQ(parsed.rtc_offset_seconds, -3600);
}

TEST(MachineSpecification, ExampleIsValidAndNamesItsDescriptors) {
  EXPECT_EQ(refusal(example_specification()), "");
  EXPECT_THAT(descriptor_names(example_specification()),
              testing::ElementsAre("kernel", "initrd", "serial0", "serial0-log", "console0", "channel0",
                                   "disk0", "disk1", "tap0", "tap1", "vhost0", "vhost1", "switch", "vsock",
                                   "vsock.seqpacket", "input1", "input2", "vfio", "vfio7"));
}

TEST(MachineSpecification, NumaNodesHaveAllMemoryAndEveryVcpuOnce) {
  const auto changed = [](auto change) {
    MachineSpecification specification = example_specification();
    change(specification.numa);
    return refusal(specification);
  };
  using Nodes = std::vector<NumaNodeSpecification>;
  EXPECT_THAT(changed([](Nodes& nodes) { nodes[1].memory_bytes -= 4096; }),
              testing::HasSubstr("less than all memory"));
  EXPECT_THAT(changed([](Nodes& nodes) { nodes[1].memory_bytes += 4096; }),
              testing::HasSubstr("more than there is"));
  EXPECT_THAT(changed([](Nodes& nodes) { nodes[1].vcpus = {0}; }), testing::HasSubstr("another node"));
  EXPECT_THAT(changed([](Nodes& nodes) { nodes[1].vcpus = {}; }), testing::HasSubstr("in no node"));
  EXPECT_THAT(changed([](Nodes& nodes) { nodes[1].vcpus = {99}; }), testing::HasSubstr("not there"));
  EXPECT_THAT(changed([](Nodes& nodes) { nodes[0].distances = {10}; }),
              testing::HasSubstr("one for each node"));
  EXPECT_THAT(changed([](Nodes& nodes) { nodes[0].distances = {10, 9}; }), testing::HasSubstr("below 10"));
}

TEST(MachineSpecification, UuidIsReadInTheOrderItIsWritten) {
  const auto uuid = parse_uuid("00010203-0405-0607-0809-0a0b0c0d0eFF");
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid->at(3), 3);
  EXPECT_EQ(uuid->at(15), 0xff);
  for (const char* bad :
       {"", "0", "00010203-0405-0607-0809-0a0b0c0d0eF", "00010203-0405-0607-0809-0a0b0c0d0eFG",
        "0001020304050607-0809-0a0b0c0d0e-0f--", "00010203-0405-0607-0809-0a0b0c0d-eff"}) {
    EXPECT_FALSE(parse_uuid(bad)) << bad;
  }
  MachineSpecification specification = example_specification();
  specification.uuid = "no";
  EXPECT_THAT(refusal(specification), testing::StartsWith("uuid: not a UUID"));
}

TEST(MachineSpecification, T16MissingMembersTakeDefaultsAndUnknownOnesAreNamed) {
  EXPECT_EQ(parse_specification("{}").cpu.vcpus, 1u);
  for (auto [json, named] :
       {std::pair(R"({"nmae":"x"})", "nmae: unknown member"),
        std::pair(R"({"disks":[{"queues":70000}]})", "disks[0].queues: the number does not fit"),
        std::pair(R"({"disks":[{"queues":-1}]})", "disks[0].queues: the number does not fit"),
        std::pair(R"({"disks":[{},{"engine":"aio"}]})", "disks[1].engine: not one of its values"),
        std::pair(R"({"cpu":{"vcpus":1.5}})", "cpu.vcpus: not an integer"),
        std::pair(R"({"cpu":[]})", "cpu: not an object"), std::pair("{", "not JSON")}) {
    try {
      parse_specification(json);
      ADD_FAILURE() << json;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(named)) << json;
    }
  }
}

TEST(MachineSpecification, EveryLimitIsNamed) {
  const auto expect = [](const char* named, auto change) {
    auto specification = example_specification();
    change(specification);
    EXPECT_THAT(refusal(specification), testing::HasSubstr(named));
  };
  expect("memory_bytes", [](auto& s) { s.memory_bytes = 4097; });
  expect("memory_bytes", [](auto& s) { s.memory_bytes = ~std::uint64_t{0} & ~std::uint64_t{4095}; });
  expect("cpu.vcpus", [](auto& s) { s.cpu.vcpus = 256; });
  expect("cpu.hot_pluggable", [](auto& s) { s.cpu.hot_pluggable = {0}; });
  expect("cpu.hot_pluggable", [](auto& s) { s.cpu.hot_pluggable = {4}; });
  expect("cpu.hot_pluggable", [](auto& s) { s.cpu.hot_pluggable = {1, 1}; });
  expect("cpu.absent", [](auto& s) { s.cpu.absent = {1}; });
  expect("cpu.absent", [](auto& s) { s.cpu.hot_pluggable = {1}, s.cpu.absent = {1, 1}; });
  expect("cpu.hyperv.vendor_id", [](auto& s) { s.cpu.hyperv.emplace().vendor_id = ""; });
  expect("cpu: the topology", [](auto& s) { s.cpu.cores = 1; });
  expect("cpu.threads", [](auto& s) { s.cpu.threads = 0x10000; });
  expect("boot.command_line: longer", [](auto& s) { s.boot.command_line.assign(2048, 'x'); });
  expect("boot.command_line: holds", [](auto& s) { s.boot.command_line = std::string("a\0b", 3); });
  expect("disks[0].queue_size", [](auto& s) { s.disks[0].queue_size = 100; });
  expect("disks[0].queue_iothreads: not of", [](auto& s) { s.disks[0].queue_iothreads.assign(65, 1); });
  expect("disks[0].queue_iothreads: one of them", [](auto& s) { s.disks[0].queue_iothreads = {9}; });
  expect("disks[1].queue_iothreads: not of", [](auto& s) { s.disks[1].queue_iothreads = {1}; });
  expect("disks[0].copy_on_read", [](auto& s) { s.disks[0].copy_on_read = s.disks[0].read_only = true; });
  expect("disks[0].serial", [](auto& s) { s.disks[0].serial.assign(21, 's'); });
  expect("disks[0].nbd.export_name: longer",
         [](auto& s) { s.disks[0].nbd.emplace().export_name.assign(4097, 'x'); });
  expect("disks[0].nbd.export_name: holds",
         [](auto& s) { s.disks[0].nbd.emplace().export_name = std::string("a\0", 2); });
  expect("disks[0].nbd: not of a raw disk", [](auto& s) {
    s.disks[0].nbd.emplace();
    s.disks[0].format = ImageFormat::qcow2;
  });
  expect("disks[0].backing.nbd", [](auto& s) {
    s.disks[0].format = ImageFormat::qcow2;
    s.disks[0].backing = {{.descriptor = "base"}};
    s.disks[0].backing[0].nbd.emplace();
  });
  expect("disks[1].scsi: used twice", [](auto& s) {
    s.disks.insert(s.disks.begin(), s.disks[1]);
    s.disks[0].id = "another";
    std::swap(s.disks[1], s.disks[2]);
  });
  expect("disks[1].scsi.controller", [](auto& s) { s.disks[1].scsi->controller = "scsi9"; });
  expect("disks[1].scsi.lun", [](auto& s) { s.disks[1].scsi->lun = 16384; });
  expect("disks[1].identity.vendor", [](auto& s) { s.disks[1].identity.vendor = "123456789"; });
  expect("disks[1].identity.product", [](auto& s) { s.disks[1].identity.product = "\n"; });
  expect("disks[1].serial: longer than 36", [](auto& s) { s.disks[1].serial.assign(37, 's'); });
  expect("disks[1]: a SCSI disk", [](auto& s) { s.disks[1].queues = 2; });
  expect("disks[1].cdrom", [](auto& s) { s.disks[1].cdrom = true; });
  expect("scsi_controllers[0].queues", [](auto& s) { s.scsi_controllers[0].queues = 65; });
  expect("scsi_controllers[0].commands_per_unit",
         [](auto& s) { s.scsi_controllers[0].commands_per_unit = 0; });
  expect("scsi_controllers[0].iothread", [](auto& s) { s.scsi_controllers[0].iothread = 3; });
  expect("disks[0].address: 0:0", [](auto& s) { s.disks[0].address = {0, 0, 0}; });
  expect("disks[0].address: no root port", [](auto& s) { s.disks[0].address = {9, 0, 0}; });
  expect("interfaces[0].address: two devices", [](auto& s) { s.interfaces[0].address = s.disks[0].address; });
  expect("interfaces[0].id: 'disk0' is used twice", [](auto& s) { s.interfaces[0].id = "disk0"; });
  expect("interfaces[0].vhost: not one for each tap", [](auto& s) { s.interfaces[0].vhost.pop_back(); });
  expect("interfaces[0].packed: not with vhost", [](auto& s) { s.interfaces[0].packed = true; });
  expect("interfaces[0].queues", [](auto& s) { s.interfaces[0].queues = 2; });
  expect("interfaces[1].descriptors: taps beside vhost_user",
         [](auto& s) { s.interfaces[1].descriptors = {"tap9"}; });
  expect("interfaces[1].queues: not 1 to 64", [](auto& s) { s.interfaces[1].queues = 65; });
  expect("interfaces[1].stream: beside vhost_user", [](auto& s) { s.interfaces[1].stream = "passt"; });
  expect("interfaces[0].descriptors: taps beside stream", [](auto& s) { s.interfaces[0].stream = "passt"; });
  expect("interfaces[0].queues: a stream has one pair", [](auto& s) {
    s.interfaces[0].descriptors.clear();
    s.interfaces[0].vhost.clear();
    s.interfaces[0].stream = "passt";
    s.interfaces[0].queues = 2;
  });
  expect("interfaces[1].packed", [](auto& s) { s.interfaces[1].packed = true; });
  expect("memory.is_private: beside what is shared", [](auto& s) {
    s.memory.is_private = true;
    s.vhost_user_disks.clear();
  });
  expect("interfaces[0].mac", [](auto& s) { s.interfaces[0].mac = "52:54:00:12:34:5g"; });
  expect("serials[0].character.descriptor", [](auto& s) { s.serials[0].character.descriptor.reset(); });
  expect("root_ports[0].secondary_bus", [](auto& s) { s.root_ports[0].secondary_bus = 0; });
}

}  // namespace
}  // namespace warren::vmm::control
