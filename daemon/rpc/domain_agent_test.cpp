// The calls on guests' agents, from the wire to the contract and back.
#include <string>

#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"
#include "daemon/rpc/protocol/domain.h"
#include "daemon/rpc/protocol/guest_agent.h"

namespace warren::daemon::rpc {
namespace {

struct AgentHarness : SessionHarness {
  AgentHarness() {
    call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system"});
    take();
    dom.uuid = hypervisor.domain.uuid.bytes;
    dom.name = "demo";
  }
  protocol::Domain dom;
};

TEST(DomainAgentCalls, Getters) {
  AgentHarness harness;
  harness.call_with(277, protocol::DomainGetHostnameArgs{.dom = harness.dom});
  EXPECT_EQ(harness.take_result<protocol::DomainGetHostnameResult>().hostname, "guest");
  harness.call_with(337, protocol::DomainGetTimeArgs{.dom = harness.dom});
  auto time = harness.take_result<protocol::DomainGetTimeResult>();
  EXPECT_EQ(time.seconds, 7);
  EXPECT_EQ(time.nseconds, 8U);
  harness.call_with(418, protocol::DomainGetGuestInfoArgs{.dom = harness.dom});
  EXPECT_EQ(harness.take_result<protocol::DomainGetGuestInfoResult>().params.at(0).field, "user.count");
  harness.call_with(371, protocol::DomainGetGuestVcpusArgs{.dom = harness.dom});
  EXPECT_EQ(harness.take_result<protocol::DomainGetGuestVcpusResult>().params.at(0).field, "vcpus");
  harness.call_with(353, protocol::DomainInterfaceAddressesArgs{.dom = harness.dom, .source = 1});
  auto interfaces = harness.take_result<protocol::DomainInterfaceAddressesResult>().ifaces;
  EXPECT_EQ(interfaces.at(0).hwaddr, "52:54:00:00:00:01");
  EXPECT_EQ(interfaces.at(0).addrs.at(0).prefix, 24U);
  harness.call_with(349, protocol::DomainGetFsinfoArgs{.dom = harness.dom});
  auto filesystems = harness.take_result<protocol::DomainGetFsinfoResult>();
  EXPECT_EQ(filesystems.ret, 1U);
  EXPECT_EQ(filesystems.info.at(0).dev_aliases.at(0), "vda");
  harness.call_with(424, protocol::DomainAuthorizedSshKeysGetArgs{.dom = harness.dom, .user = "root"});
  EXPECT_EQ(harness.take_result<protocol::DomainAuthorizedSshKeysGetResult>().keys.at(0), "key of root");
}

TEST(DomainAgentCalls, Changes) {
  AgentHarness harness;
  harness.call_with(338, protocol::DomainSetTimeArgs{.dom = harness.dom, .seconds = 5, .nseconds = 6});
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
  EXPECT_EQ(harness.hypervisor.asked, "5.6");
  harness.call_with(372, protocol::DomainSetGuestVcpusArgs{.dom = harness.dom, .cpumap = "1-2", .state = 1});
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
  EXPECT_EQ(harness.hypervisor.asked, "1-2 1");
  harness.call_with(357,
                    protocol::DomainSetUserPasswordArgs{.dom = harness.dom, .user = "u", .password = "p"});
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
  EXPECT_EQ(harness.hypervisor.asked, "u p");
  harness.call_with(357, protocol::DomainSetUserPasswordArgs{.dom = harness.dom, .user = "u"});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_INVALID_ARG);
  harness.call_with(335, protocol::DomainFsfreezeArgs{.dom = harness.dom, .mountpoints = {"/", "/home"}});
  EXPECT_EQ(harness.take_result<protocol::DomainFsfreezeResult>().filesystems, 2);
  harness.call_with(336, protocol::DomainFsthawArgs{.dom = harness.dom});
  EXPECT_EQ(harness.take_result<protocol::DomainFsthawResult>().filesystems, 0);
  harness.call_with(294, protocol::DomainFstrimArgs{.dom = harness.dom, .minimum = 9});
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
  EXPECT_EQ(harness.hypervisor.asked, "all 9");
  harness.call_with(420, protocol::DomainAgentSetResponseTimeoutArgs{.dom = harness.dom, .timeout = 3});
  EXPECT_EQ(harness.take_result<protocol::DomainAgentSetResponseTimeoutResult>().result, 0);
}

// vcpucount --guest: the agent's word, not the definition's.
TEST(DomainAgentCalls, GuestsVcpuCount) {
  AgentHarness harness;
  harness.call_with(200,
                    protocol::DomainGetVcpusFlagsArgs{.dom = harness.dom, .flags = VIR_DOMAIN_VCPU_GUEST});
  EXPECT_EQ(harness.take_result<protocol::DomainGetVcpusFlagsResult>().num, 2);
  harness.call_with(200, protocol::DomainGetVcpusFlagsArgs{.dom = harness.dom});
  EXPECT_EQ(harness.take_result<protocol::DomainGetVcpusFlagsResult>().num, 3);
}

}  // namespace
}  // namespace warren::daemon::rpc
