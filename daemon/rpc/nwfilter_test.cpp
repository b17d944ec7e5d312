// The calls about network filters and their bindings.

#include "daemon/rpc/protocol/nwfilter.h"

#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"

namespace warren::daemon::rpc {
namespace {

struct FilterHarness : SessionHarness {
  explicit FilterHarness(std::uint32_t flags = 0) {
    call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system", .flags = flags});
    take();
  }
  protocol::Nwfilter handle{.name = "stale", .uuid = network_filters.filter.uuid.bytes};
  protocol::NwfilterBinding binding{.portdev = "tap0", .filtername = "stale"};

  bool succeeds() { return take().header.status == MessageStatus::ok; }
};

TEST(NetworkFilters, AreListed) {
  FilterHarness harness;
  harness.call(178);
  EXPECT_EQ(harness.take_result<protocol::ConnectNumOfNwfiltersResult>().num, 1);
  harness.call_with(179, protocol::ConnectListNwfiltersArgs{.maxnames = 0});
  EXPECT_TRUE(harness.take_result<protocol::ConnectListNwfiltersResult>().names.empty());
  harness.call_with(179, protocol::ConnectListNwfiltersArgs{.maxnames = 5});
  EXPECT_EQ(harness.take_result<protocol::ConnectListNwfiltersResult>().names.at(0), "clean-traffic");
  harness.call_with(286, protocol::ConnectListAllNwfiltersArgs{.need_results = 1, .flags = 2});
  auto all = harness.take_result<protocol::ConnectListAllNwfiltersResult>();
  EXPECT_EQ(harness.network_filters.asked, "list 2");
  EXPECT_EQ(all.ret, 1U);
  EXPECT_EQ(all.filters.at(0).uuid, harness.handle.uuid);
  harness.network_filters.filters = protocol::kNwfilterListMax + 1;
  harness.call_with(286, protocol::ConnectListAllNwfiltersArgs{.need_results = 0});
  EXPECT_EQ(harness.take_result<protocol::ConnectListAllNwfiltersResult>().ret,
            protocol::kNwfilterListMax + 1);
  harness.call_with(286, protocol::ConnectListAllNwfiltersArgs{.need_results = 1});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_RPC);
}

TEST(NetworkFilters, AreLookedUpReadAndChanged) {
  FilterHarness harness;
  harness.call_with(175, protocol::NwfilterLookupByNameArgs{.name = "clean-traffic"});
  EXPECT_EQ(harness.take_result<protocol::NwfilterLookupByNameResult>().nwfilter.uuid, harness.handle.uuid);
  harness.call_with(176, protocol::NwfilterLookupByUuidArgs{.uuid = harness.handle.uuid});
  EXPECT_EQ(harness.take_result<protocol::NwfilterLookupByUuidResult>().nwfilter.name, "clean-traffic");
  harness.call_with(177, protocol::NwfilterGetXmlDescArgs{.nwfilter = harness.handle});
  EXPECT_EQ(harness.take_result<protocol::NwfilterGetXmlDescResult>().xml, "<filter/>");
  harness.call_with(180, protocol::NwfilterDefineXmlArgs{.xml = "<a/>"});
  EXPECT_EQ(harness.take_result<protocol::NwfilterDefineXmlResult>().nwfilter.name, "clean-traffic");
  EXPECT_EQ(harness.network_filters.asked, "define <a/> 0");
  harness.call_with(431, protocol::NwfilterDefineXmlFlagsArgs{.xml = "<b/>", .flags = 1});
  EXPECT_EQ(harness.take_result<protocol::NwfilterDefineXmlFlagsResult>().nwfilter.name, "clean-traffic");
  EXPECT_EQ(harness.network_filters.asked, "define <b/> 1");
  harness.call_with(181, protocol::NwfilterUndefineArgs{.nwfilter = harness.handle});
  EXPECT_TRUE(harness.succeeds());
}

// A client would read VIR_ERR_NO_NWFILTER in another domain as VIR_ERR_NO_SECRET.
TEST(NetworkFilters, TheirErrorsAreInTheirDomainWhateverTheDriverSays) {
  FilterHarness harness;
  harness.call_with(175, protocol::NwfilterLookupByNameArgs{.name = "nothing"});
  auto error = harness.take_error();
  EXPECT_EQ(error.code, VIR_ERR_NO_NWFILTER);
  EXPECT_EQ(error.domain, VIR_FROM_NWFILTER);
  harness.call_with(181, protocol::NwfilterUndefineArgs{});
  EXPECT_EQ(harness.take_error().domain, VIR_FROM_NWFILTER);
  EXPECT_EQ(to_protocol(driver::Error(VIR_ERR_BUILD_FIREWALL, "x", VIR_FROM_QEMU)).domain, VIR_FROM_NWFILTER);
  EXPECT_EQ(to_protocol(driver::Error(VIR_ERR_NO_SECRET, "x", VIR_FROM_SECRET)).domain, VIR_FROM_SECRET);
}

TEST(NetworkFilters, AreBoundToTaps) {
  FilterHarness harness;
  harness.call_with(401, protocol::ConnectListAllNwfilterBindingsArgs{.need_results = 1});
  auto all = harness.take_result<protocol::ConnectListAllNwfilterBindingsResult>();
  EXPECT_EQ(all.ret, 1U);
  EXPECT_EQ(all.bindings.at(0).portdev, "tap0");
  EXPECT_EQ(all.bindings.at(0).filtername, "clean-traffic");
  harness.call_with(397, protocol::NwfilterBindingLookupByPortDevArgs{.name = "tap0"});
  EXPECT_EQ(harness.take_result<protocol::NwfilterBindingLookupByPortDevResult>().nwfilter.filtername,
            "clean-traffic");
  harness.call_with(397, protocol::NwfilterBindingLookupByPortDevArgs{.name = "tap1"});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_NWFILTER_BINDING);
  harness.call_with(398, protocol::NwfilterBindingGetXmlDescArgs{.nwfilter = harness.binding});
  EXPECT_EQ(harness.take_result<protocol::NwfilterBindingGetXmlDescResult>().xml, "<filterbinding/>");
  harness.call_with(399, protocol::NwfilterBindingCreateXmlArgs{.xml = "<c/>", .flags = 1});
  EXPECT_EQ(harness.take_result<protocol::NwfilterBindingCreateXmlResult>().nwfilter.portdev, "tap0");
  EXPECT_EQ(harness.network_filters.asked, "create binding <c/> 1");
  harness.call_with(400, protocol::NwfilterBindingDeleteArgs{.nwfilter = harness.binding});
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.network_filters.asked, "delete binding tap0");
}

// T17
TEST(NetworkFilters, AReaderChangesNothing) {
  constexpr std::uint32_t kReadOnly = 1;
  FilterHarness harness(kReadOnly);
  for (std::uint32_t procedure : {180U, 181U, 399U, 400U, 431U}) {
    harness.call(procedure);
    auto error = harness.take_error();
    EXPECT_EQ(error.code, VIR_ERR_OPERATION_DENIED) << procedure;
    EXPECT_EQ(error.domain, VIR_FROM_NWFILTER) << procedure;
  }
  EXPECT_EQ(harness.network_filters.asked, "");
  harness.call_with(400, protocol::NwfilterBindingDeleteArgs{});
  EXPECT_EQ(harness.take_error().str2, "read only access prevents virNWFilterBindingDelete");
}

TEST(NetworkFilters, ADaemonWithoutThemSaysSo) {
  FilterHarness harness;
  harness.services.network_filters = nullptr;
  for (std::uint32_t procedure : {175U, 178U, 180U, 181U, 286U, 397U, 399U, 401U, 431U}) {
    harness.call(procedure);
    EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_SUPPORT) << procedure;
  }
}

}  // namespace
}  // namespace warren::daemon::rpc
