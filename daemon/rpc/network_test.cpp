// The calls about virtual networks and their ports.

#include "daemon/rpc/protocol/network.h"

#include <string_view>

#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"
#include "daemon/rpc/protocol/event.h"

namespace warren::daemon::rpc {
namespace {

constexpr std::uint32_t kReadOnly = 1;

struct NetworkHarness : SessionHarness {
  explicit NetworkHarness(std::uint32_t flags = 0) {
    call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system", .flags = flags});
    take();
  }
  // The name is stale: it is the UUID that counts.
  protocol::Network handle{.name = "stale", .uuid = networks.network.uuid.bytes};
  protocol::NetworkPort port{.net = handle, .uuid = networks.port.uuid.bytes};

  bool succeeds() { return take().header.status == MessageStatus::ok; }
};

TEST(Networks, OldListsAreOfNamesAndAsLongAsTheClientWants) {
  NetworkHarness harness;
  harness.networks.networks = 3;
  harness.call(52);
  EXPECT_EQ(harness.take_result<protocol::ConnectNumOfNetworksResult>().num, 3);
  EXPECT_EQ(harness.networks.asked, "list " + std::to_string(VIR_CONNECT_LIST_NETWORKS_ACTIVE));
  harness.call(50);
  EXPECT_EQ(harness.take_result<protocol::ConnectNumOfDefinedNetworksResult>().num, 0);
  EXPECT_EQ(harness.networks.asked, "list " + std::to_string(VIR_CONNECT_LIST_NETWORKS_INACTIVE));
  harness.call_with(38, protocol::ConnectListNetworksArgs{.maxnames = 2});
  auto names = harness.take_result<protocol::ConnectListNetworksResult>().names;
  ASSERT_EQ(names.size(), 2U);
  EXPECT_EQ(names[0], "net");
  harness.call_with(38, protocol::ConnectListNetworksArgs{.maxnames = -1});
  EXPECT_TRUE(harness.take_result<protocol::ConnectListNetworksResult>().names.empty());
  harness.call_with(36, protocol::ConnectListDefinedNetworksArgs{.maxnames = 2});
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.networks.asked, "list " + std::to_string(VIR_CONNECT_LIST_NETWORKS_INACTIVE));
}

// T16: more than an answer can hold is an error and not a broken answer.
TEST(Networks, AllAreListedOrCounted) {
  NetworkHarness harness;
  harness.call_with(283, protocol::ConnectListAllNetworksArgs{.need_results = 1, .flags = 64});
  auto all = harness.take_result<protocol::ConnectListAllNetworksResult>();
  EXPECT_EQ(harness.networks.asked, "list 64");
  EXPECT_EQ(all.ret, 1U);
  ASSERT_EQ(all.nets.size(), 1U);
  EXPECT_EQ(all.nets[0].name, "net");
  EXPECT_EQ(all.nets[0].uuid, harness.networks.network.uuid.bytes);
  harness.networks.networks = protocol::kNetworkListMax + 1;
  harness.call_with(283, protocol::ConnectListAllNetworksArgs{.need_results = 0});
  auto counted = harness.take_result<protocol::ConnectListAllNetworksResult>();
  EXPECT_EQ(counted.ret, protocol::kNetworkListMax + 1);
  EXPECT_TRUE(counted.nets.empty());
  harness.call_with(283, protocol::ConnectListAllNetworksArgs{.need_results = 1});
  auto error = harness.take_error();
  EXPECT_EQ(error.code, VIR_ERR_RPC);
  EXPECT_EQ(error.str2, "Too many networks '16385' for limit '16384'");
  harness.call_with(38, protocol::ConnectListNetworksArgs{.maxnames = 20'000});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_RPC);
}

TEST(Networks, AreLookedUpAndRead) {
  NetworkHarness harness;
  harness.call_with(46, protocol::NetworkLookupByNameArgs{.name = "net"});
  EXPECT_EQ(harness.take_result<protocol::NetworkLookupByNameResult>().net.uuid, harness.handle.uuid);
  harness.call_with(47, protocol::NetworkLookupByUuidArgs{.uuid = harness.handle.uuid});
  EXPECT_EQ(harness.take_result<protocol::NetworkLookupByUuidResult>().net.name, "net");
  harness.call_with(43, protocol::NetworkGetXmlDescArgs{.net = harness.handle, .flags = 1});
  EXPECT_EQ(harness.take_result<protocol::NetworkGetXmlDescResult>().xml, "<network/>");
  EXPECT_EQ(harness.networks.asked, "xml 1");
  harness.call_with(45, protocol::NetworkGetBridgeNameArgs{.net = harness.handle});
  EXPECT_EQ(harness.take_result<protocol::NetworkGetBridgeNameResult>().name, "virbr0");
  harness.call_with(44, protocol::NetworkGetAutostartArgs{.net = harness.handle});
  EXPECT_EQ(harness.take_result<protocol::NetworkGetAutostartResult>().autostart, 1);
  harness.call_with(152, protocol::NetworkIsActiveArgs{.net = harness.handle});
  EXPECT_EQ(harness.take_result<protocol::NetworkIsActiveResult>().active, 1);
  harness.call_with(153, protocol::NetworkIsPersistentArgs{.net = harness.handle});
  EXPECT_EQ(harness.take_result<protocol::NetworkIsPersistentResult>().persistent, 0);
}

TEST(Networks, ErrorsOfTheDriverReachTheClientAsTheyAre) {
  NetworkHarness harness;
  const protocol::Network other{.name = "net", .uuid = {}};
  harness.call_with(46, protocol::NetworkLookupByNameArgs{.name = "other"});
  auto error = harness.take_error();
  EXPECT_EQ(error.code, VIR_ERR_NO_NETWORK);
  EXPECT_EQ(error.domain, VIR_FROM_NETWORK);
  harness.call_with(43, protocol::NetworkGetXmlDescArgs{.net = other});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_NETWORK);
  harness.call_with(42, protocol::NetworkDestroyArgs{.net = other});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_NETWORK);
  harness.call_with(341, protocol::NetworkGetDhcpLeasesArgs{.net = other});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_NETWORK);
  harness.call_with(406, protocol::NetworkPortCreateXmlArgs{.network = other});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_NETWORK);
  harness.call_with(409, protocol::NetworkPortGetXmlDescArgs{.port = {.net = harness.handle, .uuid = {}}});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_NETWORK_PORT);
}

TEST(Networks, AreMadeWithAndWithoutFlags) {
  NetworkHarness harness;
  harness.call_with(40, protocol::NetworkCreateXmlArgs{.xml = "<a/>"});
  EXPECT_EQ(harness.take_result<protocol::NetworkCreateXmlResult>().net.name, "net");
  EXPECT_EQ(harness.networks.asked, "create <a/> 0");
  harness.call_with(437, protocol::NetworkCreateXmlFlagsArgs{.xml = "<b/>", .flags = 1});
  EXPECT_EQ(harness.take_result<protocol::NetworkCreateXmlFlagsResult>().net.name, "net");
  EXPECT_EQ(harness.networks.asked, "create <b/> 1");
  harness.call_with(41, protocol::NetworkDefineXmlArgs{.xml = "<c/>"});
  EXPECT_EQ(harness.take_result<protocol::NetworkDefineXmlResult>().net.name, "net");
  EXPECT_EQ(harness.networks.asked, "define <c/> 0");
  harness.call_with(432, protocol::NetworkDefineXmlFlagsArgs{.xml = "<d/>", .flags = 1});
  EXPECT_EQ(harness.take_result<protocol::NetworkDefineXmlFlagsResult>().net.name, "net");
  EXPECT_EQ(harness.networks.asked, "define <d/> 1");
}

TEST(Networks, ChangesAreAnsweredWhenTheyAreDone) {
  NetworkHarness harness;
  harness.networks.completions.immediate = false;
  harness.call_with(39, protocol::NetworkCreateArgs{.net = harness.handle});
  EXPECT_EQ(harness.networks.asked, "start");
  harness.call_with(42, protocol::NetworkDestroyArgs{.net = harness.handle});
  EXPECT_EQ(harness.networks.asked, "stop");
  harness.call_with(49, protocol::NetworkUndefineArgs{.net = harness.handle});
  EXPECT_EQ(harness.networks.asked, "undefine");
  harness.call_with(48, protocol::NetworkSetAutostartArgs{.net = harness.handle, .autostart = 1});
  EXPECT_EQ(harness.networks.asked, "autostart on");
  EXPECT_TRUE(harness.transport.sent.empty());
  harness.networks.completions.finish(1);
  EXPECT_EQ(harness.take().header.procedure, 42U);
  harness.networks.completions.finish(0, false);
  EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_FAILED);
  // What is still to come finds nobody.
  harness.session->on_closed();
  harness.networks.completions.finish_all();
  EXPECT_TRUE(harness.transport.sent.empty());
  EXPECT_FALSE(harness.session->busy());
}

// The bytes are libvirt-python's for update(3, 4, -1, "<host …/>"), from the golden trace: with the feature
// that we announce, the command comes first.
TEST(Networks, AnUpdateHasItsCommandBeforeItsSection) {
  NetworkHarness harness;
  harness.call_with(60, protocol::ConnectSupportsFeatureArgs{.feature = 16});
  EXPECT_EQ(harness.take_result<protocol::ConnectSupportsFeatureResult>().supported, 1);
  constexpr std::string_view kRecorded(
      "\x00\x00\x00\x06golden\x00\x00\x5a\x6f\xf1\x6a\xe3\x06\x45\x81\xbc\xa8\xc2\xdc\x48\x45\x04\x41"
      "\x00\x00\x00\x03\x00\x00\x00\x04\xff\xff\xff\xff\x00\x00\x00\x2e"
      "<host mac='52:54:00:00:00:01' ip='192.0.2.9'/>\x00\x00\x00\x00\x00\x00",
      96);
  std::vector<std::byte> payload(kRecorded.size());
  std::ranges::transform(kRecorded, payload.begin(), [](char c) { return static_cast<std::byte>(c); });
  for (std::size_t i = 0; i < 16; ++i)
    harness.networks.network.uuid.bytes[i] = static_cast<std::uint8_t>(payload[12 + i]);
  harness.call(291, payload);
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.networks.asked,
            "update command 3 section 4 parent -1 <host mac='52:54:00:00:00:01' ip='192.0.2.9'/> 0");
  static_assert(VIR_NETWORK_UPDATE_COMMAND_ADD_LAST == 3 && VIR_NETWORK_SECTION_IP_DHCP_HOST == 4);
}

TEST(Networks, LeasesAreListedOrCounted) {
  NetworkHarness harness;
  harness.call_with(341, protocol::NetworkGetDhcpLeasesArgs{
                             .net = harness.handle, .mac = "52:54:00:00:00:01", .need_results = 1});
  EXPECT_EQ(harness.networks.asked, "leases 52:54:00:00:00:01 0");
  auto result = harness.take_result<protocol::NetworkGetDhcpLeasesResult>();
  ASSERT_EQ(result.leases.size(), 1U);
  const protocol::NetworkDhcpLease& lease = result.leases[0];
  EXPECT_EQ(lease.iface, "virbr0");
  EXPECT_EQ(lease.expirytime, 1'700'000'000);
  EXPECT_EQ(lease.type, VIR_IP_ADDR_TYPE_IPV4);
  EXPECT_EQ(lease.mac, "52:54:00:00:00:01");
  EXPECT_EQ(lease.iaid, std::nullopt);
  EXPECT_EQ(lease.ipaddr, "192.0.2.9");
  EXPECT_EQ(lease.prefix, 24U);
  EXPECT_EQ(lease.hostname, "guest");
  EXPECT_EQ(lease.clientid, std::nullopt);
  harness.networks.leases = 7;
  harness.call_with(341, protocol::NetworkGetDhcpLeasesArgs{.net = harness.handle});
  EXPECT_EQ(harness.networks.asked, "leases - 0");
  auto counted = harness.take_result<protocol::NetworkGetDhcpLeasesResult>();
  EXPECT_EQ(counted.ret, 7U);
  EXPECT_TRUE(counted.leases.empty());
  harness.networks.leases = protocol::kNetworkDhcpLeasesMax + 1;
  harness.call_with(341, protocol::NetworkGetDhcpLeasesArgs{.net = harness.handle, .need_results = 1});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_INTERNAL_ERROR);
}

TEST(Networks, HavePorts) {
  NetworkHarness harness;
  harness.call_with(404, protocol::NetworkListAllPortsArgs{.network = harness.handle, .need_results = 1});
  auto ports = harness.take_result<protocol::NetworkListAllPortsResult>();
  EXPECT_EQ(ports.ret, 1U);
  ASSERT_EQ(ports.ports.size(), 1U);
  EXPECT_EQ(ports.ports[0].net.name, "net");
  EXPECT_EQ(ports.ports[0].uuid, harness.port.uuid);
  harness.call_with(
      405, protocol::NetworkPortLookupByUuidArgs{.network = harness.handle, .uuid = harness.port.uuid});
  EXPECT_EQ(harness.take_result<protocol::NetworkPortLookupByUuidResult>().port.uuid, harness.port.uuid);
  harness.call_with(406,
                    protocol::NetworkPortCreateXmlArgs{.network = harness.handle, .xml = "<p/>", .flags = 1});
  EXPECT_EQ(harness.take_result<protocol::NetworkPortCreateXmlResult>().port.uuid, harness.port.uuid);
  EXPECT_EQ(harness.networks.asked, "create port <p/> 1");
  harness.call_with(409, protocol::NetworkPortGetXmlDescArgs{.port = harness.port});
  EXPECT_EQ(harness.take_result<protocol::NetworkPortGetXmlDescResult>().xml, "<networkport/>");
  harness.call_with(410, protocol::NetworkPortDeleteArgs{.port = harness.port});
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.networks.asked, "delete port 0a0b0c00-0000-0000-0000-000000000000");
}

// Not in two steps: a client that asks with no room gets them all.
TEST(Networks, ParametersOfAPortComeAllAtOnce) {
  NetworkHarness harness;
  harness.call_with(407, protocol::NetworkPortGetParametersArgs{.port = harness.port, .nparams = 0});
  auto result = harness.take_result<protocol::NetworkPortGetParametersResult>();
  EXPECT_EQ(result.nparams, 0);
  ASSERT_EQ(result.params.size(), 2U);
  EXPECT_EQ(result.params[1].field, "outbound.peak");
  EXPECT_EQ(result.params[1].value, TypedValue(std::uint32_t{200}));
  result.params.pop_back();
  harness.call_with(408,
                    protocol::NetworkPortSetParametersArgs{.port = harness.port, .params = result.params});
  EXPECT_TRUE(harness.succeeds());
  EXPECT_EQ(harness.networks.parameters, (driver::TypedParameters{{"inbound.average", std::uint32_t{100}}}));
}

// T17
TEST(Networks, AReaderChangesNothing) {
  NetworkHarness harness(kReadOnly);
  for (std::uint32_t procedure : {39U, 40U, 41U, 42U, 48U, 49U, 291U, 406U, 408U, 410U, 432U, 437U}) {
    harness.call(procedure);
    EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_DENIED) << procedure;
  }
  EXPECT_EQ(harness.networks.asked, "");
  harness.call_with(41, protocol::NetworkDefineXmlArgs{});
  auto error = harness.take_error();
  EXPECT_EQ(error.str2, "read only access prevents virNetworkDefineXML");
  EXPECT_EQ(error.domain, VIR_FROM_NETWORK);
  harness.call_with(43, protocol::NetworkGetXmlDescArgs{.net = harness.handle});
  EXPECT_TRUE(harness.succeeds());
  harness.call_with(407, protocol::NetworkPortGetParametersArgs{.port = harness.port});
  EXPECT_TRUE(harness.succeeds());
}

TEST(Networks, EventsReachTheirCallbackUntilItEnds) {
  NetworkHarness harness;
  harness.call_with(313, protocol::ConnectNetworkEventRegisterAnyArgs{.event_id = 0});
  auto all = harness.take_result<protocol::ConnectNetworkEventRegisterAnyResult>().callback_id;
  EXPECT_EQ(harness.networks.subscribed_to, std::nullopt);
  harness.call_with(313, protocol::ConnectNetworkEventRegisterAnyArgs{.event_id = 0, .net = harness.handle});
  harness.take();
  EXPECT_EQ(harness.networks.subscribed_to, harness.networks.network.uuid);
  harness.networks.handlers.at(1)(
      {.network = harness.networks.network, .event = VIR_NETWORK_EVENT_STOPPED, .detail = 5});
  auto sent = harness.take();
  EXPECT_EQ(sent.header.procedure, 315U);
  EXPECT_EQ(sent.header.type, MessageType::message);
  Decoder decoder(sent.payload);
  protocol::NetworkEventLifecycleMsg message;
  decode(decoder, message);
  EXPECT_TRUE(decoder.ok());
  EXPECT_EQ(message.callback_id, all);
  EXPECT_EQ(message.net.name, "net");
  EXPECT_EQ(message.event, VIR_NETWORK_EVENT_STOPPED);
  EXPECT_EQ(message.detail, 5);
  // The id is a network's, not a pool's.
  harness.call_with(369, protocol::ConnectStoragePoolEventDeregisterAnyArgs{.callback_id = all});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_INTERNAL_ERROR);
  harness.call_with(314, protocol::ConnectNetworkEventDeregisterAnyArgs{.callback_id = all});
  EXPECT_TRUE(harness.succeeds());
  harness.call_with(314, protocol::ConnectNetworkEventDeregisterAnyArgs{.callback_id = all});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_INTERNAL_ERROR);
  EXPECT_EQ(harness.networks.handlers.size(), 1U);
  harness.session->on_closed();
  EXPECT_TRUE(harness.networks.handlers.empty());
}

TEST(Networks, AnEventThereIsNoneOfIsNoSubscription) {
  NetworkHarness harness;
  harness.call_with(313, protocol::ConnectNetworkEventRegisterAnyArgs{.event_id = 9});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_INVALID_ARG);
  EXPECT_TRUE(harness.networks.handlers.empty());
}

// Whether the answer would come at once, later, or from an event's subscription, and whatever the arguments.
TEST(Networks, ADaemonWithoutThemSaysSo) {
  NetworkHarness harness;
  harness.services.networks = nullptr;
  for (std::uint32_t procedure : {52U, 283U, 39U, 41U, 291U, 313U, 314U, 341U, 407U, 410U}) {
    harness.call(procedure);
    auto error = harness.take_error();
    EXPECT_EQ(error.code, VIR_ERR_NO_SUPPORT) << procedure;
    EXPECT_EQ(error.domain, VIR_FROM_NETWORK) << procedure;
  }
  EXPECT_FALSE(harness.session->busy());
}

}  // namespace
}  // namespace warren::daemon::rpc
