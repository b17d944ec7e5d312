// The native format: a file that the worker's own parser takes, with everything the domain names.

#include "driver/domain/native_format.h"

#include <algorithm>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"
#include "vmm-core/control/standalone_machine.h"

namespace warren::driver::domain {
namespace {

constexpr const char* kDomain = R"(
<domain type='kvm'><name>native</name><memory unit='MiB'>64</memory><vcpu>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><kernel>/boot/k</kernel><initrd>/boot/i</initrd>
    <cmdline>console=ttyS0</cmdline></os>
  <devices>
    <disk type='file' device='disk'><source file='/images/a "quoted".img'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><source file='/images/b.img'/><target dev='vdb' bus='virtio'/><readonly/></disk>
    <interface type='ethernet'><target dev='tap7'/><model type='virtio'/></interface>
    <serial type='pty'/><console type='pty'/>
  </devices>
</domain>)";

config::HostFacts facts() {
  config::HostFacts facts;
  facts.emulator = "/usr/libexec/warren-vmm";
  return facts;
}

class NativeFormat : public testing::Test {
 protected:
  std::expected<std::string, Error> to_native(const std::string& format, const std::string& xml,
                                              unsigned int flags = 0) {
    std::optional<std::expected<std::string, Error>> outcome;
    formats_->to_native({}, format, xml, flags, [&](auto result) { outcome = std::move(result); });
    loop_.restart();
    loop_.run();
    return *outcome;
  }

  boost::asio::io_context loop_;
  std::unique_ptr<NativeFormats> formats_ = make_native_formats(loop_, facts());
};

TEST_F(NativeFormat, IsWhatTheWorkerRuns) {
  const auto text = to_native(kNativeFormat, kDomain);
  ASSERT_TRUE(text) << text.error().message();
  const auto machine = vmm::control::parse_standalone_machine(*text);
  EXPECT_EQ(machine.machine.cpu.vcpus, 2U);
  EXPECT_EQ(machine.machine.boot.command_line, "console=ttyS0");
  ASSERT_EQ(machine.machine.disks.size(), 2U);
  const auto find = [&](const std::string& name) {
    const auto found = std::find_if(machine.descriptors.begin(), machine.descriptors.end(),
                                    [&](const auto& resource) { return resource.name == name; });
    return found == machine.descriptors.end() ? vmm::control::Resource{} : *found;
  };
  EXPECT_EQ(find(machine.machine.boot.kernel).path, "/boot/k");
  EXPECT_EQ(find(*machine.machine.boot.initrd).path, "/boot/i");
  EXPECT_EQ(find(machine.machine.disks[0].descriptor).path, "/images/a \"quoted\".img");
  EXPECT_TRUE(find(machine.machine.disks[0].descriptor).write);
  EXPECT_FALSE(find(machine.machine.disks[1].descriptor).write);
  EXPECT_EQ(find(machine.machine.interfaces.at(0).descriptors.at(0)).path, "tap7");
  EXPECT_EQ(find("serial0").kind, vmm::control::ResourceKind::pty);
}

TEST_F(NativeFormat, OtherFormatsAreRefusedWithAReason) {
  for (const char* format : {"qemu-argv", "xen-xl", "", "WARREN-JSON"}) {
    const auto refused = to_native(format, kDomain);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), VIR_ERR_INVALID_ARG);
    EXPECT_NE(refused.error().message().find("unsupported config type"), std::string::npos);
    try {
      formats_->from_native({}, format, "", 0);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), VIR_ERR_INVALID_ARG);
    }
  }
}

TEST_F(NativeFormat, FromNativeIsRefused) {
  try {
    formats_->from_native({}, kNativeFormat, "{}", 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_OPERATION_UNSUPPORTED);
  }
}

TEST_F(NativeFormat, BadDocumentsAndFlags) {
  EXPECT_EQ(to_native(kNativeFormat, "<domain").error().code(), VIR_ERR_XML_DETAIL);
  EXPECT_EQ(to_native(kNativeFormat, kDomain, 1).error().code(), VIR_ERR_INVALID_ARG);
}

}  // namespace
}  // namespace warren::driver::domain
