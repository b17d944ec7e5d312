// <maxMemory> and <memory> devices: taken, refused, counted, and found again.
#include "driver/config/memory_device.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/virterror.h>

#include "driver/config/device_change.h"
#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string domain(const std::string& devices,
                   const std::string& limit = "<maxMemory slots='4' unit='GiB'>4</maxMemory>",
                   const std::string& cells = "<cell id='0' cpus='0' memory='1048576'/>") {
  return "<domain type='kvm'><name>d</name>" + limit +
         "<memory unit='GiB'>1</memory><vcpu>1</vcpu>"
         "<os><type arch='x86_64' machine='q35'>hvm</type><kernel>/k</kernel></os><cpu "
         "mode='host-passthrough'>" +
         (cells.empty() ? "" : "<numa>" + cells + "</numa>") + "</cpu><devices>" + devices +
         "</devices></domain>";
}

std::string virtio(int size_mib = 512, int requested_mib = 256, const std::string& more = "") {
  return "<memory model='virtio-mem'><target><size unit='MiB'>" + std::to_string(size_mib) +
         "</size><node>0</node><block unit='KiB'>2048</block><requested unit='MiB'>" +
         std::to_string(requested_mib) + "</requested></target>" + more + "</memory>";
}

std::string dimm(int size_mib = 512, const std::string& more = "") {
  return "<memory model='dimm'><target><size unit='MiB'>" + std::to_string(size_mib) +
         "</size><node>0</node></target>" + more + "</memory>";
}

DomainDefinition whole(const std::string& xml) {
  DomainDefinition definition = parse_domain(xml);
  fill_defaults(definition, {});
  return definition;
}

std::pair<int, std::string> refusal(const std::string& xml) {
  try {
    whole(xml);
  } catch (const Error& error) {
    return {error.code(), error.message()};
  }
  return {0, ""};
}

MemoryDevice device(const std::string& xml, bool inactive = true) {
  return std::get<MemoryDevice>(parse_device(xml, DeviceUse::change, inactive));
}

DomainDefinition live(const std::string& xml) {
  DomainDefinition definition = whole(xml);
  assign_live(definition,
              {.id = 1, .serial_ptys = {}, .console_ptys = {}, .interface_targets = {}, .channel_paths = {}});
  return definition;
}

TEST(MemoryDevice, IsReadAndWritten) {
  const DomainDefinition definition = whole(
      domain(virtio() +
             "<memory model='dimm' access='shared' discard='yes'><source><nodemask>1-3</nodemask>"
             "<pagesize unit='KiB'>4</pagesize></source><target><size unit='KiB'>524287</size><node>0</node>"
             "</target><address type='dimm' slot='2' base='0x140000000'/></memory>"));
  ASSERT_EQ(definition.devices.memories.size(), 2u);
  const MemoryDevice& first = definition.devices.memories[0];
  EXPECT_EQ(first.model, MemoryModel::virtio_mem);
  EXPECT_EQ(first.requested_kib, 256u << 10);
  EXPECT_TRUE(first.info.pci) << "it has a place on the PCI bus";
  const MemoryDevice& second = definition.devices.memories[1];
  EXPECT_EQ(second.size_kib, 512u << 10) << "rounded up to 2 MiB";
  EXPECT_EQ(second.dimm, (DimmAddress{2, 0x1'4000'0000}));
  EXPECT_FALSE(second.info.pci);
  EXPECT_EQ(definition.memory.maximum_kib, 2u << 20) << "<memory> is all there is";
  EXPECT_EQ(definition.memory.current_kib, 2u << 20);
  EXPECT_EQ(initial_memory_kib(definition), 1u << 20);
  const std::string text = format_domain(definition);
  EXPECT_THAT(text,
              HasSubstr("<maxMemory slots='4' unit='KiB'>4194304</maxMemory>\n  <memory unit='KiB'>2097152"));
  EXPECT_THAT(text, HasSubstr("<requested unit='KiB'>262144</requested>"));
  EXPECT_THAT(text, Not(HasSubstr("<current ")));
  EXPECT_THAT(text, HasSubstr("<address type='dimm' slot='2' base='0x140000000'/>"));
  EXPECT_EQ(whole(text), definition);
  EXPECT_NO_THROW(validate_domain_schema(text));
}

TEST(MemoryDevice, ThatCannotBeIsRefusedAsLibvirtDoes) {
  using testing::Pair;
  EXPECT_THAT(refusal(domain("<memory model='nvdimm'/>")),
              Pair(VIR_ERR_CONFIG_UNSUPPORTED, HasSubstr("nvdimm")));
  EXPECT_THAT(refusal(domain("<memory model='virtio-pmem'/>")),
              Pair(VIR_ERR_CONFIG_UNSUPPORTED, HasSubstr("virtio-pmem")));
  EXPECT_THAT(refusal(domain("<memory model='sgx-epc'/>")),
              Pair(VIR_ERR_CONFIG_UNSUPPORTED, HasSubstr("sgx-epc")));
  EXPECT_THAT(refusal(domain("<memory model='dimm'/>")), Pair(VIR_ERR_XML_ERROR, HasSubstr("<target>")));
  EXPECT_THAT(
      refusal(domain("<memory model='dimm' access='private'><target><size>1</size></target></memory>")),
      Pair(VIR_ERR_CONFIG_UNSUPPORTED, HasSubstr("access")));
  EXPECT_THAT(refusal(domain(virtio(512, 1024))).second, HasSubstr("smaller than or equal to @size"));
  EXPECT_THAT(refusal(domain(virtio(512, 255))).second, HasSubstr("integer multiple of block size"));
  EXPECT_THAT(
      refusal(
          domain("<memory model='virtio-mem'><target><size>4096</size><block>3</block></target></memory>"))
          .second,
      HasSubstr("power of two"));
  EXPECT_THAT(
      refusal(domain("<memory model='virtio-mem'><target><size>4096</size></target></memory>")).second,
      HasSubstr("power of two"));
  EXPECT_THAT(
      refusal(
          domain("<memory model='virtio-mem'><target><size>4096</size><block>1024</block></target></memory>"))
          .second,
      HasSubstr("block size too small, must be at least 2048KiB"));
  EXPECT_THAT(refusal(domain(dimm(512, "<address type='pci' slot='3'/>"))).second, HasSubstr("only 'dimm'"));
  EXPECT_THAT(refusal(domain(dimm(512, "<address type='dimm' slot='4'/>"))),
              Pair(VIR_ERR_CONFIG_UNSUPPORTED, HasSubstr("slot '4' exceeds slots count '4'")));
  EXPECT_THAT(refusal(domain(dimm(512, "<address type='dimm' slot='1'/>") +
                             dimm(512, "<address type='dimm' slot='1'/>")))
                  .second,
              HasSubstr("already being used"));
  EXPECT_THAT(refusal(domain(virtio(512, 256, "<wings/>"))).second, HasSubstr("/memory/wings"));
}

TEST(MemoryDevice, NeedsRoom) {
  using testing::Pair;
  EXPECT_THAT(refusal(domain(dimm(), "")),
              Pair(VIR_ERR_CONFIG_UNSUPPORTED, HasSubstr("'maxMemory' is not defined")));
  EXPECT_THAT(refusal(domain("", "<maxMemory slots='4' unit='GiB'>4</maxMemory>", "")),
              Pair(VIR_ERR_CONFIG_UNSUPPORTED, HasSubstr("At least one numa node")));
  EXPECT_THAT(refusal(domain("", "<maxMemory slots='0' unit='GiB'>4</maxMemory>")),
              Pair(VIR_ERR_XML_ERROR, HasSubstr("both maximum memory size and memory slot count")));
  EXPECT_THAT(refusal(domain("", "<maxMemory slots='129' unit='GiB'>4</maxMemory>")).second,
              HasSubstr("slots"));
  EXPECT_THAT(refusal(domain("", "<maxMemory slots='1' unit='MiB'>512</maxMemory>")).second,
              HasSubstr("equal or greater than the actual memory size"));
  EXPECT_THAT(refusal(domain(dimm() + dimm(), "<maxMemory slots='1' unit='GiB'>4</maxMemory>")),
              Pair(VIR_ERR_CONFIG_UNSUPPORTED, HasSubstr("count '2' exceeds slots count '1'")));
  EXPECT_THAT(
      refusal(domain("<memory model='dimm'><target><size unit='MiB'>512</size></target></memory>")).second,
      HasSubstr("target NUMA node needs to be specified"));
  EXPECT_THAT(
      refusal(
          domain("<memory model='dimm'><target><size unit='MiB'>512</size><node>1</node></target></memory>"))
          .second,
      HasSubstr("guest node '1'"));
}

TEST(MemoryDevice, ARunningOneHasItsSlotItsAliasAndWhatTheGuestHas) {
  DomainDefinition definition =
      live(domain(dimm() + virtio() + dimm(512, "<address type='dimm' slot='0'/>")));
  const auto& memories = definition.devices.memories;
  EXPECT_EQ(memories[0].info.alias, "dimm1");
  EXPECT_EQ(memories[1].info.alias, "virtiomem0");
  EXPECT_EQ(memories[2].info.alias, "dimm0");
  definition.devices.memories[1].current_kib = 2048;
  const std::string text = format_domain(definition);
  EXPECT_THAT(text, HasSubstr("<current unit='KiB'>2048</current>"));
  EXPECT_EQ(parse_domain(text, {.inactive = false}), definition) << "as the next daemon finds it";
  EXPECT_EQ(parse_domain(text, {.inactive = true}).devices.memories[1].current_kib, 0u);
}

TEST(MemoryDevice, ComesAndGoesWithItsSize) {
  DomainDefinition definition = whole(domain(dimm()));
  add_device(definition, device(virtio()));
  EXPECT_EQ(definition.memory.maximum_kib, 2u << 20);
  EXPECT_EQ(definition.memory.current_kib, 2u << 20);
  fill_defaults(definition, {});
  remove_device(definition, device(dimm()));
  EXPECT_EQ(definition.memory.maximum_kib, 3u << 19);
  EXPECT_THROW(remove_device(definition, device(dimm())), Error);
  EXPECT_THROW(remove_device(definition, device(virtio(512, 128))), Error)
      << "what it asks for tells it, too";
  remove_device(definition, device(virtio()));
  EXPECT_EQ(definition.memory.maximum_kib, 1u << 20);
  for (int i = 0; i < 4; ++i) add_device(definition, device(dimm(2)));
  try {
    add_device(definition, device(dimm(2)));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_CONFIG_UNSUPPORTED);
    EXPECT_THAT(error.message(), HasSubstr("no free memory device slot available"));
  }
}

TEST(MemoryDevice, APlaceAndAnAliasAreGivenToOneThatComes) {
  DomainDefinition running = live(domain(virtio(), "<maxMemory slots='3' unit='MiB'>2560</maxMemory>"));
  Device module = device(dimm());
  assign_hot_plugged(running, module);
  EXPECT_EQ(std::get<MemoryDevice>(module).dimm, DimmAddress{.slot = 0});
  EXPECT_EQ(info_of(module).alias, "dimm0");
  add_device(running, module);
  Device second = device(virtio(514, 0));
  EXPECT_THROW(assign_hot_plugged(running, second), Error) << "more than there is room for";
  second = device(virtio(512, 0));
  assign_hot_plugged(running, second);
  EXPECT_EQ(info_of(second).alias, "virtiomem1");
  EXPECT_TRUE(info_of(second).pci);
}

TEST(MemoryDevice, AnUpdateChangesWhatIsAskedForAndNothingElse) {
  DomainDefinition running = live(domain(virtio() + dimm()));
  const std::string alias = "<alias name='virtiomem0'/>";
  const auto update = [&](const std::string& xml) { return live_update(running, device(xml, false)); };
  Device changed = update(virtio(512, 128, alias));
  EXPECT_EQ(std::get<MemoryDevice>(changed).requested_kib, 128u << 10);
  replace_device(running, changed);
  EXPECT_EQ(running.devices.memories[0].requested_kib, 128u << 10);
  const auto message = [&](const std::string& xml) {
    try {
      update(xml);
    } catch (const Error& error) {
      return fmt::format("{} {}", static_cast<int>(error.code()), error.message());
    }
    return std::string();
  };
  EXPECT_THAT(message(virtio(1024, 128, alias)),
              HasSubstr("cannot modify memory size from '524288' to '1048576'"));
  EXPECT_THAT(message(dimm()), HasSubstr("cannot modify memory of model 'dimm'"));
  EXPECT_THAT(message(virtio(512, 128, "<alias name='virtiomem7'/>")), HasSubstr("memory not found"));
}

}  // namespace
}  // namespace warren::driver::config
