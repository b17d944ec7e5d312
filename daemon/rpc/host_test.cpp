// The calls about the host: the two-step lists, and what is handed on.

#include "daemon/rpc/protocol/host.h"

#include <string>

#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"

namespace warren::daemon::rpc {
namespace {

struct HostHarness : SessionHarness {
  HostHarness() {
    call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system"});
    take();
  }
};

TEST(Host, StatisticsAreAskedForInTwoSteps) {
  HostHarness harness;
  harness.call_with(227, protocol::NodeGetCpuStatsArgs{.cpu_num = -1, .nparams = 0});
  auto count = harness.take_result<protocol::NodeGetCpuStatsResult>();
  EXPECT_EQ(count.nparams, 2);
  EXPECT_TRUE(count.params.empty());
  harness.call_with(227, protocol::NodeGetCpuStatsArgs{.cpu_num = -1, .nparams = 2});
  EXPECT_EQ(harness.take_result<protocol::NodeGetCpuStatsResult>().params.at(1).field, "user");
  for (int room : {1, 3, -1}) {
    harness.call_with(228, protocol::NodeGetMemoryStatsArgs{.nparams = room, .cell_num = -1});
    EXPECT_EQ(harness.take_error().code, VIR_ERR_INVALID_ARG);
  }
}

TEST(Host, MemoryParametersAreCutToTheRoom) {
  HostHarness harness;
  harness.call_with(289, protocol::NodeGetMemoryParametersArgs{.nparams = 0});
  EXPECT_EQ(harness.take_result<protocol::NodeGetMemoryParametersResult>().nparams, 2);
  harness.call_with(289, protocol::NodeGetMemoryParametersArgs{.nparams = 1});
  EXPECT_EQ(harness.take_result<protocol::NodeGetMemoryParametersResult>().params.size(), 1U);
  protocol::NodeSetMemoryParametersArgs change;
  change.params.push_back({.field = "shm_pages_to_scan", .value = std::uint32_t{9}});
  harness.call_with(288, change);
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
  EXPECT_EQ(harness.host.parameters.at(0).field, "shm_pages_to_scan");
}

TEST(Host, Pages) {
  HostHarness harness;
  harness.call_with(340,
                    protocol::NodeGetFreePagesArgs{.pages = {4, 2048}, .start_cell = 0, .cell_count = 1});
  EXPECT_EQ(harness.take_result<protocol::NodeGetFreePagesResult>().counts.at(1), 2048U);
  harness.call_with(347, protocol::NodeAllocPagesArgs{
                             .page_sizes = {2048}, .page_counts = {5}, .start_cell = -1, .cell_count = 1});
  EXPECT_EQ(harness.take_result<protocol::NodeAllocPagesResult>().ret, 1);
  EXPECT_EQ(harness.host.allocated.counts.at(0), 5U);
  EXPECT_EQ(harness.host.allocated.first_cell, -1);
  harness.call_with(101, protocol::NodeGetCellsFreeMemoryArgs{.start_cell = 0, .maxcells = 2});
  EXPECT_EQ(harness.take_result<protocol::NodeGetCellsFreeMemoryResult>().cells.at(0), 7U);
}

TEST(Host, SecurityModelTravelsAsCharacters) {
  HostHarness harness;
  harness.call(122);
  auto model = harness.take_result<protocol::NodeGetSecurityModelResult>();
  EXPECT_EQ(std::string(model.model), "none");
  EXPECT_EQ(std::string(model.doi), "0");
}

TEST(Host, CpuModels) {
  HostHarness harness;
  harness.call_with(312, protocol::ConnectGetCpuModelNamesArgs{.arch = "x86_64", .need_results = 0});
  auto count = harness.take_result<protocol::ConnectGetCpuModelNamesResult>();
  EXPECT_EQ(count.ret, 2);
  EXPECT_TRUE(count.models.empty());
  harness.call_with(312, protocol::ConnectGetCpuModelNamesArgs{.arch = "x86_64", .need_results = 1});
  EXPECT_EQ(harness.take_result<protocol::ConnectGetCpuModelNamesResult>().models.at(1), "Haswell");
  harness.call_with(158, protocol::ConnectCompareCpuArgs{.xml = "<cpu/>"});
  EXPECT_EQ(harness.take_result<protocol::ConnectCompareCpuResult>().result, VIR_CPU_COMPARE_SUPERSET);
  harness.call_with(162, protocol::ConnectBaselineCpuArgs{.xml_cpus = {"<cpu/>"}});
  EXPECT_EQ(harness.take_result<protocol::ConnectBaselineCpuResult>().cpu, "<cpu/>");
}

}  // namespace
}  // namespace warren::daemon::rpc
