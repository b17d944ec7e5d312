// The calls for block jobs, from the wire to the contract and back.
#include "daemon/rpc/protocol/block_job.h"

#include <string>

#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"

namespace warren::daemon::rpc {
namespace {

struct BlockJobHarness : SessionHarness {
  explicit BlockJobHarness(std::uint32_t open_flags = 0) {
    call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system", .flags = open_flags});
    take();
    dom.uuid = hypervisor.domain.uuid.bytes;
    dom.name = "demo";
  }
  // What the contract was asked for, of a call that succeeds.
  template <typename Arguments>
  std::string asked(std::uint32_t procedure, const Arguments& arguments) {
    hypervisor.asked.clear();
    call_with(procedure, arguments);
    EXPECT_EQ(take().header.status, MessageStatus::ok);
    return hypervisor.asked;
  }
  protocol::Domain dom;
};

TEST(BlockJobCalls, EveryArgumentArrives) {
  BlockJobHarness harness;
  const protocol::Domain& dom = harness.dom;
  using namespace protocol;
  EXPECT_EQ(harness.asked(237, DomainBlockJobAbortArgs{.dom = dom, .path = "vda", .flags = 3}),
            "abort vda 3");
  EXPECT_EQ(
      harness.asked(
          239, DomainBlockJobSetSpeedArgs{.dom = dom, .path = "vda", .bandwidth = 1ull << 40, .flags = 1}),
      "speed vda 1099511627776 1");
  EXPECT_EQ(harness.asked(240, DomainBlockPullArgs{.dom = dom, .path = "vdb", .bandwidth = 7, .flags = 64}),
            "pull vdb 7 64");
  EXPECT_EQ(harness.asked(266, DomainBlockRebaseArgs{.dom = dom, .path = "vda", .bandwidth = 7, .flags = 16}),
            "rebase vda - 7 16");
  EXPECT_EQ(harness.asked(266, DomainBlockRebaseArgs{.dom = dom, .path = "vda", .base = "vda[2]"}),
            "rebase vda vda[2] 0 0");
  EXPECT_EQ(harness.asked(290, DomainBlockCommitArgs{.dom = dom, .disk = "vda", .bandwidth = 9, .flags = 4}),
            "commit vda - - 9 4");
  EXPECT_EQ(harness.asked(290, DomainBlockCommitArgs{.dom = dom, .disk = "vda", .base = "/b", .top = "/t"}),
            "commit vda /t /b 0 0");
}

TEST(BlockJobCalls, ACopyAndItsParameters) {
  BlockJobHarness harness;
  protocol::DomainBlockCopyArgs copy{.dom = harness.dom, .path = "vda", .destxml = "<disk/>", .flags = 4};
  copy.params.push_back({VIR_DOMAIN_BLOCK_COPY_BANDWIDTH, std::uint64_t{5}});
  copy.params.push_back({VIR_DOMAIN_BLOCK_COPY_GRANULARITY, std::uint32_t{512}});
  EXPECT_EQ(harness.asked(345, copy), "copy vda <disk/> 4 bandwidth:4 granularity:2");
}

TEST(BlockJobCalls, WhatIsKnownOfAJob) {
  BlockJobHarness harness;
  harness.call_with(238, protocol::DomainGetBlockJobInfoArgs{.dom = harness.dom, .path = "vda"});
  auto info = harness.take_result<protocol::DomainGetBlockJobInfoResult>();
  EXPECT_EQ(info.found, 1);
  EXPECT_EQ(info.type, VIR_DOMAIN_BLOCK_JOB_TYPE_COPY);
  EXPECT_EQ(info.bandwidth, 5u);
  EXPECT_EQ(info.cur, 3u);
  EXPECT_EQ(info.end, 4u);
  harness.call_with(238, protocol::DomainGetBlockJobInfoArgs{.dom = harness.dom, .path = "vdb"});
  info = harness.take_result<protocol::DomainGetBlockJobInfoResult>();
  EXPECT_EQ(info.found, 0);
  EXPECT_EQ(info.type, 0);
  EXPECT_EQ(info.end, 0u);
  harness.dom.uuid = {};
  harness.call_with(238, protocol::DomainGetBlockJobInfoArgs{.dom = harness.dom, .path = "vda"});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_DOMAIN);
}

// T17: a reader may look, and nothing else.
TEST(BlockJobCalls, AReaderBeginsNone) {
  BlockJobHarness harness(VIR_CONNECT_RO);
  harness.call_with(238, protocol::DomainGetBlockJobInfoArgs{.dom = harness.dom, .path = "vda"});
  EXPECT_EQ(harness.take_result<protocol::DomainGetBlockJobInfoResult>().found, 1);
  const auto refused = [&](std::uint32_t procedure, const auto& arguments) {
    harness.call_with(procedure, arguments);
    EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_DENIED) << procedure;
    EXPECT_EQ(harness.hypervisor.asked, "");
  };
  refused(237, protocol::DomainBlockJobAbortArgs{.dom = harness.dom, .path = "vda"});
  refused(239, protocol::DomainBlockJobSetSpeedArgs{.dom = harness.dom, .path = "vda"});
  refused(240, protocol::DomainBlockPullArgs{.dom = harness.dom, .path = "vda"});
  refused(266, protocol::DomainBlockRebaseArgs{.dom = harness.dom, .path = "vda"});
  refused(290, protocol::DomainBlockCommitArgs{.dom = harness.dom, .disk = "vda"});
  refused(345, protocol::DomainBlockCopyArgs{.dom = harness.dom, .path = "vda"});
}

}  // namespace
}  // namespace warren::daemon::rpc
