// Memory devices of a running domain: they come, are resized, and go.
#include <gmock/gmock.h>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr unsigned int kLive = VIR_DOMAIN_AFFECT_LIVE, kConfig = VIR_DOMAIN_AFFECT_CONFIG;

std::string virtio(int requested_mib, const std::string& more = "") {
  return fmt::format(
      "<memory model='virtio-mem'><target><size unit='MiB'>512</size><node>0</node><block>2048</block>"
      "<requested unit='MiB'>{}</requested></target>{}</memory>",
      requested_mib, more);
}
const std::string kDimm =
    "<memory model='dimm'><target><size unit='MiB'>256</size><node>0</node></target></memory>";

class MemoryTest : public DriverFixture {
 protected:
  std::string roomy(const std::string& words = "", const std::string& devices = "") {
    std::string text =
        xml("test", kTestUuid, "<cpu><numa><cell id='0' cpus='0-1' memory='131072'/></numa></cpu>", words);
    const auto insert = [&](const std::string& before, const std::string& what) {
      text.insert(text.find(before), what);
    };
    insert("<memory unit", "<maxMemory slots='3' unit='MiB'>2048</maxMemory>");
    insert("<serial", devices);
    return text;
  }
  void run(const std::string& words = "", const std::string& devices = "") {
    ASSERT_EQ(define(roomy(words, devices)), "");
    ASSERT_EQ(start(), "");
    follow();
  }
  void follow() {
    told_.clear();
    for (const int id :
         {VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
          VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE})
      driver_->subscribe(id, {}, [this](const DomainEvent& event) { note(event); });
  }
  void note(const DomainEvent& event) {
    if (const auto* added = std::get_if<DeviceAddedEvent>(&event.body)) told_.push_back("+" + added->alias);
    if (const auto* gone = std::get_if<DeviceRemovedEvent>(&event.body)) told_.push_back("-" + gone->alias);
    if (const auto* kept = std::get_if<DeviceRemovalFailedEvent>(&event.body))
      told_.push_back("kept " + kept->alias);
    if (const auto* size = std::get_if<MemoryDeviceSizeEvent>(&event.body))
      told_.push_back(fmt::format("{} {}", size->alias, size->size_kib));
  }
  std::string attach(const std::string& device, unsigned int flags = kLive) {
    return wait<void>(
        [&](auto done) { driver_->attach_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string detach(const std::string& device, unsigned int flags = kLive) {
    return wait<void>(
        [&](auto done) { driver_->detach_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string update(const std::string& device, unsigned int flags = kLive) {
    return wait<void>(
        [&](auto done) { driver_->update_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string text(unsigned int flags = 0) { return driver_->xml(caller_, test_uuid(), flags); }
  bool says(const std::string& what) {
    return run_until([&] { return text().find(what) != std::string::npos; });
  }
  DomainInfo info() { return driver_->info(caller_, test_uuid()); }

  std::vector<std::string> told_;
};

TEST_F(MemoryTest, VirtioMemoryComesIsResizedAndGoes) {
  run();
  EXPECT_EQ(attach(virtio(256), kLive | kConfig), "");
  EXPECT_EQ(info().maximum_memory_kib, 640u << 10);
  EXPECT_EQ(info().memory_kib, 128u << 10) << "the guest has nothing of it yet";
  EXPECT_THAT(text(), HasSubstr("<current unit='KiB'>0</current>"));
  EXPECT_THAT(text(VIR_DOMAIN_XML_INACTIVE), HasSubstr("<memory unit='KiB'>655360</memory>"));
  tell_guest("memory virtiomem0 268435456");
  EXPECT_TRUE(says("<current unit='KiB'>262144</current>"));
  EXPECT_EQ(info().memory_kib, 384u << 10);
  // libvirt's update finds it by its alias and address.
  EXPECT_EQ(update(virtio(64, "<alias name='virtiomem0'/>")), "");
  EXPECT_THAT(text(), HasSubstr("<requested unit='KiB'>65536</requested>"));
  EXPECT_THAT(text(VIR_DOMAIN_XML_INACTIVE), HasSubstr("<requested unit='KiB'>262144</requested>"));
  EXPECT_EQ(update(virtio(0), kLive | kConfig), "");
  tell_guest("memory virtiomem0 0");
  EXPECT_TRUE(says("<current unit='KiB'>0</current>"));
  EXPECT_EQ(detach(virtio(0), kLive | kConfig), "");
  EXPECT_THAT(text(), Not(HasSubstr("virtio-mem")));
  EXPECT_THAT(text(VIR_DOMAIN_XML_INACTIVE), Not(HasSubstr("virtio-mem")));
  EXPECT_EQ(info().maximum_memory_kib, 128u << 10);
  EXPECT_THAT(told_, ElementsAre("+virtiomem0", "virtiomem0 262144", "virtiomem0 0", "-virtiomem0"));
}

TEST_F(MemoryTest, ModulesComeAndGo) {
  run();
  EXPECT_EQ(attach(kDimm), "");
  EXPECT_THAT(text(), HasSubstr("<address type='dimm' slot='0' base='0x180000000'/>"));
  EXPECT_EQ(info().maximum_memory_kib, 384u << 10);
  EXPECT_EQ(info().memory_kib, 384u << 10);
  EXPECT_EQ(attach(kDimm, kLive | kConfig), "");
  EXPECT_THAT(text(), HasSubstr("<alias name='dimm1'/>"));
  EXPECT_EQ(attach(kDimm), "");
  EXPECT_THAT(attach(kDimm), HasSubstr("memory device count '4' exceeds slots count '3'"));
  EXPECT_EQ(detach("<memory model='dimm'><target><size unit='MiB'>256</size><node>0</node></target>"
                   "<alias name='dimm1'/></memory>"),
            "");
  EXPECT_THAT(text(), Not(HasSubstr("dimm1")));
  EXPECT_THAT(text(VIR_DOMAIN_XML_INACTIVE), HasSubstr("model='dimm'"));
  EXPECT_THAT(told_, ElementsAre("+dimm0", "+dimm1", "+dimm2", "-dimm1"));
}

TEST_F(MemoryTest, AGuestThatKeepsAModuleIsToldOf) {
  run("keep-devices");
  EXPECT_EQ(attach(kDimm), "");
  std::optional<std::string> answer;
  driver_->detach_device(caller_, test_uuid(), kDimm, kLive, [&](std::expected<void, Error> result) {
    answer = result ? "" : result.error().message();
  });
  // The request is under way, which nothing shows.
  run_until([] { return false; }, std::chrono::milliseconds(300));
  tell_guest("keep dimm0");
  ASSERT_TRUE(run_until([&] { return answer.has_value(); }));
  EXPECT_THAT(*answer, HasSubstr("rejected by the guest"));
  EXPECT_THAT(told_, ElementsAre("+dimm0", "kept dimm0"));
  EXPECT_THAT(text(), HasSubstr("dimm0"));
}

TEST_F(MemoryTest, WhatIsRefusedChangesNothing) {
  run("refuse-plug refuse-memory", virtio(128));
  const std::string before = text(), persistent = text(VIR_DOMAIN_XML_INACTIVE);
  EXPECT_THAT(attach(kDimm, kLive | kConfig), HasSubstr("refuse"));
  EXPECT_THAT(attach(virtio(0), kLive | kConfig), HasSubstr("refuse"));
  EXPECT_THAT(update(virtio(64), kLive | kConfig), HasSubstr("refuse"));
  EXPECT_THAT(attach("<memory model='nvdimm'/>", kLive | kConfig), HasSubstr("nvdimm"));
  EXPECT_THAT(attach("<memory model='dimm'><target><size unit='GiB'>4</size><node>0</node></target></memory>",
                     kLive | kConfig),
              HasSubstr("exceeds hotplug space"));
  EXPECT_EQ(text(), before);
  EXPECT_EQ(text(VIR_DOMAIN_XML_INACTIVE), persistent);
}

// T14: a daemon that comes back believes the worker.
TEST_F(MemoryTest, T14ANewDaemonFindsThemAsTheyAre) {
  run("", virtio(128) + kDimm);
  EXPECT_EQ(info().maximum_memory_kib, 896u << 10);
  tell_guest("memory virtiomem0 2097152");
  EXPECT_TRUE(says("<current unit='KiB'>2048</current>"));
  const std::string before = text();
  start_daemon();
  ASSERT_TRUE(wait_for_state(VIR_DOMAIN_RUNNING));
  EXPECT_EQ(text(), before);
  follow();
  tell_guest("memory virtiomem0 4194304");
  EXPECT_TRUE(says("<current unit='KiB'>4096</current>"));
  tell_guest("let-go dimm0");
  EXPECT_TRUE(run_until([&] { return told_.size() == 2; }));
  EXPECT_EQ(info().maximum_memory_kib, 640u << 10);
}

TEST_F(MemoryTest, TheBalloonTakesNothingOfVirtioMemory) {
  run("", virtio(128));
  EXPECT_THAT(wait<void>([&](auto done) {
                driver_->set_memory(caller_, test_uuid(), 256u << 10, kLive, std::move(done));
              }),
              HasSubstr("cannot set memory higher than max memory"));
  EXPECT_THAT(wait<void>([&](auto done) {
                driver_->set_memory(caller_, test_uuid(), 256u << 10, kConfig | VIR_DOMAIN_MEM_MAXIMUM,
                                    std::move(done));
              }),
              HasSubstr("NUMA nodes"));
  tell_guest("memory virtiomem0 2097152");
  EXPECT_TRUE(says("<current unit='KiB'>2048</current>"));
  tell_guest("balloon 67108864");
  EXPECT_TRUE(run_until([&] { return info().memory_kib == (66u << 10); }));
}

}  // namespace
}  // namespace warren::driver::domain
