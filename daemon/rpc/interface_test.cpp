// The calls about the host's interfaces.

#include "daemon/rpc/protocol/interface.h"

#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"

namespace warren::daemon::rpc {
namespace {

struct InterfaceHarness : SessionHarness {
  explicit InterfaceHarness(std::uint32_t flags = 0) {
    call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system", .flags = flags});
    take();
  }
  protocol::Interface handle{.name = "eth0", .mac = "stale"};

  bool succeeds() { return take().header.status == MessageStatus::ok; }
};

TEST(Interfaces, AreListed) {
  InterfaceHarness harness;
  harness.call(126);
  EXPECT_EQ(harness.take_result<protocol::ConnectNumOfInterfacesResult>().num, 1);
  EXPECT_EQ(harness.interfaces.asked, "list " + std::to_string(VIR_CONNECT_LIST_INTERFACES_ACTIVE));
  harness.call(137);
  EXPECT_EQ(harness.take_result<protocol::ConnectNumOfDefinedInterfacesResult>().num, 0);
  EXPECT_EQ(harness.interfaces.asked, "list " + std::to_string(VIR_CONNECT_LIST_INTERFACES_INACTIVE));
  harness.call_with(127, protocol::ConnectListInterfacesArgs{.maxnames = 0});
  EXPECT_TRUE(harness.take_result<protocol::ConnectListInterfacesResult>().names.empty());
  harness.call_with(127, protocol::ConnectListInterfacesArgs{.maxnames = 4});
  EXPECT_EQ(harness.take_result<protocol::ConnectListInterfacesResult>().names.at(0), "eth0");
  harness.call_with(138, protocol::ConnectListDefinedInterfacesArgs{.maxnames = 4});
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.interfaces.asked, "list " + std::to_string(VIR_CONNECT_LIST_INTERFACES_INACTIVE));
  harness.call_with(284, protocol::ConnectListAllInterfacesArgs{.need_results = 1, .flags = 3});
  auto all = harness.take_result<protocol::ConnectListAllInterfacesResult>();
  EXPECT_EQ(all.ret, 0U);
  EXPECT_EQ(harness.interfaces.asked, "list 3");
  harness.call_with(284, protocol::ConnectListAllInterfacesArgs{.need_results = 1});
  all = harness.take_result<protocol::ConnectListAllInterfacesResult>();
  EXPECT_EQ(all.ret, 1U);
  EXPECT_EQ(all.ifaces.at(0).mac, "52:54:00:00:00:02");
}

// T16
TEST(Interfaces, TooManyAreAnError) {
  InterfaceHarness harness;
  harness.interfaces.interfaces = protocol::kInterfaceListMax + 1;
  harness.call_with(284, protocol::ConnectListAllInterfacesArgs{.need_results = 0});
  EXPECT_EQ(harness.take_result<protocol::ConnectListAllInterfacesResult>().ret,
            protocol::kInterfaceListMax + 1);
  harness.call_with(284, protocol::ConnectListAllInterfacesArgs{.need_results = 1});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_RPC);
  EXPECT_FALSE(harness.session->busy());
}

TEST(Interfaces, AreLookedUpAndRead) {
  InterfaceHarness harness;
  harness.call_with(128, protocol::InterfaceLookupByNameArgs{.name = "eth0"});
  EXPECT_EQ(harness.take_result<protocol::InterfaceLookupByNameResult>().iface.mac, "52:54:00:00:00:02");
  harness.call_with(128, protocol::InterfaceLookupByNameArgs{.name = "eth9"});
  auto error = harness.take_error();
  EXPECT_EQ(error.code, VIR_ERR_NO_INTERFACE);
  EXPECT_EQ(error.domain, VIR_FROM_INTERFACE);
  harness.call_with(129, protocol::InterfaceLookupByMacStringArgs{.mac = "52:54:00:00:00:02"});
  EXPECT_EQ(harness.take_result<protocol::InterfaceLookupByMacStringResult>().iface.name, "eth0");
  harness.call_with(130, protocol::InterfaceGetXmlDescArgs{.iface = harness.handle, .flags = 1});
  EXPECT_EQ(harness.take_result<protocol::InterfaceGetXmlDescResult>().xml, "<interface/>");
  EXPECT_EQ(harness.interfaces.asked, "xml eth0 1");
  harness.call_with(156, protocol::InterfaceIsActiveArgs{.iface = harness.handle});
  EXPECT_EQ(harness.take_result<protocol::InterfaceIsActiveResult>().active, 1);
}

TEST(Interfaces, AreChanged) {
  InterfaceHarness harness;
  harness.call_with(131, protocol::InterfaceDefineXmlArgs{.xml = "<a/>", .flags = 1});
  EXPECT_EQ(harness.take_result<protocol::InterfaceDefineXmlResult>().iface.name, "eth0");
  EXPECT_EQ(harness.interfaces.asked, "define <a/> 1");
  harness.call_with(132, protocol::InterfaceUndefineArgs{.iface = harness.handle});
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.interfaces.asked, "undefine eth0");
  harness.call_with(133, protocol::InterfaceCreateArgs{.iface = harness.handle, .flags = 2});
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.interfaces.asked, "start eth0 2");
  harness.call_with(134, protocol::InterfaceDestroyArgs{.iface = harness.handle, .flags = 3});
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.interfaces.asked, "stop eth0 3");
}

TEST(Interfaces, AChangeIsBegunAndEndedAndOutlivesItsConnection) {
  InterfaceHarness harness;
  harness.call_with(221, protocol::InterfaceChangeCommitArgs{.flags = 4});
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.interfaces.asked, "commit 4");
  harness.call_with(222, protocol::InterfaceChangeRollbackArgs{.flags = 5});
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.interfaces.asked, "roll back 5");
  harness.call_with(220, protocol::InterfaceChangeBeginArgs{.flags = 6});
  EXPECT_TRUE(harness.succeeds());
  harness.session->on_closed();
  EXPECT_EQ(harness.interfaces.asked, "begin 6");
}

TEST(Interfaces, AnswersMayComeLater) {
  InterfaceHarness harness;
  harness.interfaces.completions.immediate = false;
  harness.call_with(284, protocol::ConnectListAllInterfacesArgs{.need_results = 1});
  harness.call(126);
  EXPECT_TRUE(harness.transport.sent.empty());
  harness.interfaces.completions.finish(1);
  EXPECT_EQ(harness.take_result<protocol::ConnectNumOfInterfacesResult>().num, 1);
  harness.interfaces.completions.finish(0, false);
  EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_FAILED);
}

// T17
TEST(Interfaces, AReaderChangesNothing) {
  constexpr std::uint32_t kReadOnly = 1;
  InterfaceHarness harness(kReadOnly);
  for (std::uint32_t procedure : {131U, 132U, 133U, 134U, 220U, 221U, 222U}) {
    harness.call(procedure);
    auto error = harness.take_error();
    EXPECT_EQ(error.code, VIR_ERR_OPERATION_DENIED) << procedure;
    EXPECT_EQ(error.domain, VIR_FROM_INTERFACE) << procedure;
  }
  EXPECT_EQ(harness.interfaces.asked, "");
}

TEST(Interfaces, ADaemonWithoutThemSaysSo) {
  InterfaceHarness harness;
  harness.services.interfaces = nullptr;
  for (std::uint32_t procedure : {126U, 127U, 128U, 131U, 132U, 137U, 156U, 220U, 284U}) {
    harness.call(procedure);
    EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_SUPPORT) << procedure;
  }
  EXPECT_FALSE(harness.session->busy());
}

}  // namespace
}  // namespace warren::daemon::rpc
