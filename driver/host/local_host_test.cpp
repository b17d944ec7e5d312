// The host driver as a front door sees it: identity, flags, and answers that come later.

#include <optional>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/libvirt.h>

#include "driver/config/cpu_features.h"
#include "driver/contract/error.h"
#include "driver/host/driver.h"

namespace warren::driver::host {
namespace {

using testing::Contains;
using testing::HasSubstr;

class LocalHostTest : public testing::Test {
 protected:
  LocalHostTest() {
    config::HostFacts facts = config::gather_host_facts();
    facts.emulator = "/usr/libexec/warren-vmm";
    facts.kvm_cpuid = facts.host_cpuid;
    facts.kvm_maximum_vcpus = 8;
    host_ = make_host_driver(loop_, std::move(facts));
  }
  template <typename Function>
  static int code_of(Function function) {
    try {
      function();
    } catch (const Error& error) {
      return error.code();
    }
    return 0;
  }
  template <typename T>
  int wait(std::optional<std::expected<T, Error>>& outcome) {
    loop_.run();
    return outcome && !*outcome ? outcome->error().code() : 0;
  }

  boost::asio::io_context loop_;
  std::unique_ptr<HostDriver> host_;
};

TEST_F(LocalHostTest, IdentityFollowsTheUri) {
  EXPECT_EQ(host_->type({.flavour = UriFlavour::qemu}), "QEMU");
  EXPECT_EQ(host_->type({}), "Warren");
  EXPECT_EQ(host_->hypervisor_version({.flavour = UriFlavour::qemu}), 7'002'000U);
  EXPECT_LT(host_->hypervisor_version({}), 7'002'000U);
  EXPECT_EQ(host_->maximum_vcpus({}, std::nullopt), 8);
  EXPECT_EQ(host_->maximum_vcpus({}, "kvm"), 8);
  EXPECT_EQ(code_of([&] { host_->maximum_vcpus({}, "qemu"); }), VIR_ERR_INVALID_ARG);
}

TEST_F(LocalHostTest, ThisHostAnswers) {
  EXPECT_GT(host_->node_info({}).cpus, 0U);
  EXPECT_GT(host_->node_info({}).memory_kib, 0U);
  EXPECT_GT(host_->free_memory_bytes({}), 0U);
  EXPECT_EQ(host_->cpu_statistics({}, -1, 0).size(), 4U);
  EXPECT_FALSE(host_->hostname({}).empty());
}

TEST_F(LocalHostTest, UnknownFlagsAreRefused) {
  EXPECT_EQ(code_of([&] { host_->node_cpu_map({}, 1); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { host_->cpu_statistics({}, -1, 1); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { host_->memory_statistics({}, -1, 1); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { host_->memory_parameters({}, 1); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { host_->memory_parameters({}, VIR_TYPED_PARAM_STRING_OKAY); }), 0);
  EXPECT_EQ(code_of([&] { host_->sysinfo_xml({}, 1); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { host_->model_names({}, "x86_64", 1); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { host_->compare({}, "<cpu/>", 4); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { host_->domain_capabilities_xml({}, {}, 1); }), VIR_ERR_INVALID_ARG);
}

TEST_F(LocalHostTest, ChangesCompleteOnTheLoop) {
  std::optional<std::expected<int, Error>> allocated;
  host_->allocate_pages({}, {}, 0, [&](auto outcome) { allocated = std::move(outcome); });
  EXPECT_EQ(wait(allocated), VIR_ERR_INVALID_ARG);
  loop_.restart();
  std::optional<std::expected<void, Error>> set;
  host_->set_memory_parameters({}, {{"shm_gold", 1}}, 0, [&](auto outcome) { set = std::move(outcome); });
  EXPECT_EQ(wait(set), VIR_ERR_ARGUMENT_UNSUPPORTED);
}

TEST_F(LocalHostTest, SuspendIsRefusedWithAReason) {
  EXPECT_EQ(code_of([&] { host_->suspend({}, VIR_NODE_SUSPEND_TARGET_MEM, 60, 0); }),
            VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_EQ(code_of([&] { host_->suspend({}, 9, 60, 0); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { host_->suspend({}, 0, 59, 0); }), VIR_ERR_INVALID_ARG);
}

TEST_F(LocalHostTest, CpuModels) {
  EXPECT_THAT(host_->model_names({}, "x86_64", 0), Contains("EPYC"));
  EXPECT_EQ(code_of([&] { host_->model_names({}, "aarch64", 0); }), VIR_ERR_NO_SUPPORT);
  const std::string impossible = "<cpu><model>486</model><feature policy='forbid' name='fpu'/></cpu>";
  EXPECT_EQ(host_->compare({}, impossible, 0), VIR_CPU_COMPARE_INCOMPATIBLE);
  EXPECT_EQ(host_->compare_with_hypervisor({}, {}, impossible, 0), VIR_CPU_COMPARE_INCOMPATIBLE);
  EXPECT_EQ(code_of([&] { host_->compare({}, impossible, VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE); }),
            VIR_ERR_CPU_INCOMPATIBLE);
  EXPECT_EQ(code_of([&] { host_->compare_with_hypervisor({}, {.architecture = "aarch64"}, impossible, 0); }),
            VIR_ERR_INVALID_ARG);
  EXPECT_THAT(host_->baseline({}, {"<cpu><model>486</model></cpu>"}, 0), HasSubstr(">486</model>"));
}

// The documents that tell the host's CPU are those of the host's CPU.
TEST_F(LocalHostTest, TheHostIsIdenticalToWhatItSaysOfItself) {
  const std::string capabilities = host_->capabilities_xml({});
  const auto begin = capabilities.find("<cpu>");
  const auto end = capabilities.find("</cpu>", begin);
  ASSERT_NE(end, std::string::npos);
  const std::string cpu = capabilities.substr(begin, end + 6 - begin);
  EXPECT_EQ(host_->compare({}, cpu, VIR_CONNECT_COMPARE_CPU_VALIDATE_XML), VIR_CPU_COMPARE_IDENTICAL) << cpu;
}

}  // namespace
}  // namespace warren::driver::host
