// libvirt's own client library against our server, for the calls whose messages no recording has: the test
// driver that golden traces come from has neither network ports nor leases nor filters (T31).

#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "daemon/rpc/fake_host.h"
#include "daemon/rpc/fake_hypervisor.h"
#include "daemon/rpc/fake_interfaces.h"
#include "daemon/rpc/fake_network_filters.h"
#include "daemon/rpc/fake_networks.h"
#include "daemon/rpc/server.h"

namespace warren::daemon::rpc {
namespace {

// What libvirt returns for its caller to free.
std::string take(char* text) {
  std::string taken = text != nullptr ? text : "nothing";
  ::free(text);  // libvirt's contract: malloc
  return taken;
}

template <class T, int (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
using Network = std::unique_ptr<virNetwork, Freed<virNetwork, virNetworkFree>>;
using Port = std::unique_ptr<virNetworkPort, Freed<virNetworkPort, virNetworkPortFree>>;
using Filter = std::unique_ptr<virNWFilter, Freed<virNWFilter, virNWFilterFree>>;
using Binding = std::unique_ptr<virNWFilterBinding, Freed<virNWFilterBinding, virNWFilterBindingFree>>;
using Interface = std::unique_ptr<virInterface, Freed<virInterface, virInterfaceFree>>;

// The objects of an array that libvirt made.
template <class Owner, class T>
std::vector<Owner> take_all(int count, T** objects) {
  std::vector<Owner> taken;
  for (int i = 0; i < count; ++i) taken.emplace_back(objects[i]);
  ::free(objects);
  return taken;
}

class LibvirtClient : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
    virEventRegisterDefaultImpl();
  }
  void SetUp() override {
    char name[] = "/tmp/warren-rpc-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    if (connection_ != nullptr) {
      EXPECT_EQ(virConnectClose(connection_), 0);
    }
    if (thread_.joinable()) {
      boost::asio::post(loop_, [this] { server_->stop(); });
      thread_.join();
    }
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  void connect(bool with_drivers = true) {
    SessionServices services{.hypervisor = hypervisor_, .host = host_};
    if (with_drivers) {
      services.networks = &networks_;
      services.interfaces = &interfaces_;
      services.network_filters = &filters_;
    }
    server_ = std::make_unique<Server>(loop_, std::move(services), ServerSettings{});
    server_->listen(directory_ / "sock", false);
    thread_ = std::thread([this] { loop_.run(); });
    const std::string uri = "warren:///system?socket=" + (directory_ / "sock").native();
    connection_ = virConnectOpen(uri.c_str());
    ASSERT_NE(connection_, nullptr) << virGetLastErrorMessage();
  }

  // The fakes belong to the server's thread.
  template <class Function>
  auto on_loop(Function function) {
    std::packaged_task<decltype(function())()> task(std::move(function));
    auto result = task.get_future();
    boost::asio::post(loop_, std::move(task));
    return result.get();
  }
  std::string network_asked() {
    return on_loop([this] { return networks_.asked; });
  }
  std::string filter_asked() {
    return on_loop([this] { return filters_.asked; });
  }
  std::string interface_asked() {
    return on_loop([this] { return interfaces_.asked; });
  }

  FakeHypervisor hypervisor_;
  FakeHost host_;
  FakeNetworks networks_;
  FakeInterfaces interfaces_;
  FakeNetworkFilters filters_;
  boost::asio::io_context loop_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  std::filesystem::path directory_;
  virConnectPtr connection_ = nullptr;
};

TEST_F(LibvirtClient, ReadsNetworks) {
  connect();
  EXPECT_EQ(virConnectNumOfNetworks(connection_), 1);
  EXPECT_EQ(virConnectNumOfDefinedNetworks(connection_), 0);
  char* names[4] = {};
  ASSERT_EQ(virConnectListNetworks(connection_, names, 4), 1);
  EXPECT_EQ(take(names[0]), "net");
  EXPECT_EQ(virConnectListDefinedNetworks(connection_, names, 4), 0);
  virNetworkPtr* found = nullptr;
  const int count = virConnectListAllNetworks(connection_, &found, VIR_CONNECT_LIST_NETWORKS_ACTIVE);
  const auto all = take_all<Network>(count, found);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(virConnectListAllNetworks(connection_, nullptr, 0), 1);
  virNetworkPtr network = all.front().get();
  EXPECT_STREQ(virNetworkGetName(network), "net");
  EXPECT_EQ(take(virNetworkGetXMLDesc(network, VIR_NETWORK_XML_INACTIVE)), "<network/>");
  EXPECT_EQ(network_asked(), "xml 1");
  EXPECT_EQ(take(virNetworkGetBridgeName(network)), "virbr0");
  int autostart = 0;
  EXPECT_EQ(virNetworkGetAutostart(network, &autostart), 0);
  EXPECT_EQ(autostart, 1);
  EXPECT_EQ(virNetworkIsActive(network), 1);
  EXPECT_EQ(virNetworkIsPersistent(network), 0);
  EXPECT_TRUE(Network(virNetworkLookupByName(connection_, "net")));
  EXPECT_TRUE(Network(virNetworkLookupByUUIDString(connection_, "07080900-0000-0000-0000-000000000000")));
  EXPECT_FALSE(Network(virNetworkLookupByName(connection_, "other")));
  EXPECT_EQ(virGetLastErrorCode(), VIR_ERR_NO_NETWORK);
  EXPECT_EQ(virGetLastErrorDomain(), VIR_FROM_NETWORK);
}

TEST_F(LibvirtClient, ChangesNetworks) {
  connect();
  const Network network(virNetworkDefineXML(connection_, "<a/>"));
  ASSERT_TRUE(network) << virGetLastErrorMessage();
  EXPECT_EQ(network_asked(), "define <a/> 0");
  EXPECT_TRUE(Network(virNetworkDefineXMLFlags(connection_, "<b/>", VIR_NETWORK_DEFINE_VALIDATE)));
  EXPECT_EQ(network_asked(), "define <b/> 1");
  EXPECT_TRUE(Network(virNetworkCreateXML(connection_, "<c/>")));
  EXPECT_EQ(network_asked(), "create <c/> 0");
  EXPECT_TRUE(Network(virNetworkCreateXMLFlags(connection_, "<d/>", VIR_NETWORK_CREATE_VALIDATE)));
  EXPECT_EQ(network_asked(), "create <d/> 1");
  EXPECT_EQ(virNetworkCreate(network.get()), 0);
  EXPECT_EQ(network_asked(), "start");
  EXPECT_EQ(virNetworkSetAutostart(network.get(), 0), 0);
  EXPECT_EQ(network_asked(), "autostart off");
  EXPECT_EQ(virNetworkUpdate(network.get(), VIR_NETWORK_UPDATE_COMMAND_DELETE, VIR_NETWORK_SECTION_DNS_HOST,
                             3, "<host/>", VIR_NETWORK_UPDATE_AFFECT_CONFIG),
            0);
  EXPECT_EQ(network_asked(), "update command 2 section 10 parent 3 <host/> 2");
  EXPECT_EQ(virNetworkDestroy(network.get()), 0);
  EXPECT_EQ(network_asked(), "stop");
  EXPECT_EQ(virNetworkUndefine(network.get()), 0);
  EXPECT_EQ(network_asked(), "undefine");
}

TEST_F(LibvirtClient, ReadsLeases) {
  networks_.leases = 2;
  connect();
  const Network network(virNetworkLookupByName(connection_, "net"));
  ASSERT_TRUE(network);
  virNetworkDHCPLeasePtr* leases = nullptr;
  ASSERT_EQ(virNetworkGetDHCPLeases(network.get(), "52:54:00:00:00:01", &leases, 0), 2)
      << virGetLastErrorMessage();
  EXPECT_EQ(network_asked(), "leases 52:54:00:00:00:01 0");
  EXPECT_STREQ(leases[1]->iface, "virbr0");
  EXPECT_EQ(leases[1]->expirytime, 1'700'000'000);
  EXPECT_EQ(leases[1]->type, VIR_IP_ADDR_TYPE_IPV4);
  EXPECT_STREQ(leases[1]->mac, "52:54:00:00:00:01");
  EXPECT_EQ(leases[1]->iaid, nullptr);
  EXPECT_STREQ(leases[1]->ipaddr, "192.0.2.9");
  EXPECT_EQ(leases[1]->prefix, 24U);
  EXPECT_STREQ(leases[1]->hostname, "guest");
  EXPECT_EQ(leases[1]->clientid, nullptr);
  for (int i = 0; i < 2; ++i) virNetworkDHCPLeaseFree(leases[i]);
  ::free(leases);
  EXPECT_EQ(virNetworkGetDHCPLeases(network.get(), nullptr, nullptr, 0), 2);
}

TEST_F(LibvirtClient, WorksWithPorts) {
  connect();
  const Network network(virNetworkLookupByName(connection_, "net"));
  ASSERT_TRUE(network);
  virNetworkPortPtr* found = nullptr;
  const int count = virNetworkListAllPorts(network.get(), &found, 0);
  const auto ports = take_all<Port>(count, found);
  ASSERT_EQ(ports.size(), 1U);
  virNetworkPortPtr port = ports.front().get();
  char uuid[VIR_UUID_STRING_BUFLEN] = {};
  EXPECT_EQ(virNetworkPortGetUUIDString(port, uuid), 0);
  EXPECT_STREQ(uuid, "0a0b0c00-0000-0000-0000-000000000000");
  EXPECT_TRUE(Port(virNetworkPortLookupByUUIDString(network.get(), uuid)));
  EXPECT_EQ(take(virNetworkPortGetXMLDesc(port, 0)), "<networkport/>");
  EXPECT_TRUE(Port(virNetworkPortCreateXML(network.get(), "<p/>", VIR_NETWORK_PORT_CREATE_RECLAIM)));
  EXPECT_EQ(network_asked(), "create port <p/> 1");

  virTypedParameterPtr parameters = nullptr;
  int number = 0;
  ASSERT_EQ(virNetworkPortGetParameters(port, &parameters, &number, 0), 0) << virGetLastErrorMessage();
  ASSERT_EQ(number, 2);
  EXPECT_STREQ(parameters[1].field, VIR_NETWORK_PORT_BANDWIDTH_OUT_PEAK);
  EXPECT_EQ(parameters[1].type, VIR_TYPED_PARAM_UINT);
  EXPECT_EQ(parameters[1].value.ui, 200U);
  EXPECT_EQ(virNetworkPortSetParameters(port, parameters, 1, 0), 0) << virGetLastErrorMessage();
  EXPECT_EQ(on_loop([this] { return networks_.parameters; }),
            (driver::TypedParameters{{VIR_NETWORK_PORT_BANDWIDTH_IN_AVERAGE, std::uint32_t{100}}}));
  virTypedParamsFree(parameters, number);

  EXPECT_EQ(virNetworkPortDelete(port, 0), 0);
  EXPECT_EQ(network_asked(), "delete port 0a0b0c00-0000-0000-0000-000000000000");
  EXPECT_FALSE(Port(virNetworkPortLookupByUUIDString(network.get(), "00000000-0000-0000-0000-000000000001")));
  EXPECT_EQ(virGetLastErrorCode(), VIR_ERR_NO_NETWORK_PORT);
}

TEST_F(LibvirtClient, WorksWithFilters) {
  connect();
  EXPECT_EQ(virConnectNumOfNWFilters(connection_), 1);
  char* names[2] = {};
  ASSERT_EQ(virConnectListNWFilters(connection_, names, 2), 1);
  EXPECT_EQ(take(names[0]), "clean-traffic");
  virNWFilterPtr* found = nullptr;
  const int count = virConnectListAllNWFilters(connection_, &found, 0);
  const auto filters = take_all<Filter>(count, found);
  ASSERT_EQ(filters.size(), 1U);
  EXPECT_EQ(take(virNWFilterGetXMLDesc(filters.front().get(), 0)), "<filter/>");
  EXPECT_TRUE(Filter(virNWFilterLookupByUUIDString(connection_, "0d0e0f00-0000-0000-0000-000000000000")));
  EXPECT_TRUE(Filter(virNWFilterDefineXML(connection_, "<a/>")));
  EXPECT_EQ(filter_asked(), "define <a/> 0");
  EXPECT_TRUE(Filter(virNWFilterDefineXMLFlags(connection_, "<b/>", VIR_NWFILTER_DEFINE_VALIDATE)));
  EXPECT_EQ(filter_asked(), "define <b/> 1");
  EXPECT_EQ(virNWFilterUndefine(filters.front().get()), 0);
  EXPECT_FALSE(Filter(virNWFilterLookupByName(connection_, "nothing")));
  EXPECT_EQ(virGetLastErrorCode(), VIR_ERR_NO_NWFILTER);
}

TEST_F(LibvirtClient, WorksWithBindings) {
  connect();
  virNWFilterBindingPtr* found = nullptr;
  const int count = virConnectListAllNWFilterBindings(connection_, &found, 0);
  const auto bindings = take_all<Binding>(count, found);
  ASSERT_EQ(bindings.size(), 1U);
  EXPECT_STREQ(virNWFilterBindingGetPortDev(bindings.front().get()), "tap0");
  EXPECT_STREQ(virNWFilterBindingGetFilterName(bindings.front().get()), "clean-traffic");
  EXPECT_EQ(take(virNWFilterBindingGetXMLDesc(bindings.front().get(), 0)), "<filterbinding/>");
  EXPECT_TRUE(Binding(virNWFilterBindingCreateXML(connection_, "<c/>", 1)));
  EXPECT_EQ(filter_asked(), "create binding <c/> 1");
  EXPECT_EQ(virNWFilterBindingDelete(bindings.front().get()), 0);
  EXPECT_EQ(filter_asked(), "delete binding tap0");
  EXPECT_TRUE(Binding(virNWFilterBindingLookupByPortDev(connection_, "tap0")));
  EXPECT_FALSE(Binding(virNWFilterBindingLookupByPortDev(connection_, "tap1")));
  EXPECT_EQ(virGetLastErrorCode(), VIR_ERR_NO_NWFILTER_BINDING);
}

TEST_F(LibvirtClient, WorksWithInterfaces) {
  connect();
  EXPECT_EQ(virConnectNumOfInterfaces(connection_), 1);
  EXPECT_EQ(virConnectNumOfDefinedInterfaces(connection_), 0);
  virInterfacePtr* found = nullptr;
  const int count = virConnectListAllInterfaces(connection_, &found, VIR_CONNECT_LIST_INTERFACES_ACTIVE);
  const auto interfaces = take_all<Interface>(count, found);
  ASSERT_EQ(interfaces.size(), 1U);
  virInterfacePtr interface = interfaces.front().get();
  EXPECT_STREQ(virInterfaceGetMACString(interface), "52:54:00:00:00:02");
  EXPECT_TRUE(Interface(virInterfaceLookupByName(connection_, "eth0")));
  EXPECT_TRUE(Interface(virInterfaceLookupByMACString(connection_, "52:54:00:00:00:02")));
  EXPECT_EQ(take(virInterfaceGetXMLDesc(interface, VIR_INTERFACE_XML_INACTIVE)), "<interface/>");
  EXPECT_EQ(interface_asked(), "xml eth0 1");
  EXPECT_EQ(virInterfaceIsActive(interface), 1);
  EXPECT_TRUE(Interface(virInterfaceDefineXML(connection_, "<a/>", VIR_INTERFACE_DEFINE_VALIDATE)));
  EXPECT_EQ(interface_asked(), "define <a/> 1");
  EXPECT_EQ(virInterfaceCreate(interface, 0), 0);
  EXPECT_EQ(interface_asked(), "start eth0 0");
  EXPECT_EQ(virInterfaceDestroy(interface, 0), 0);
  EXPECT_EQ(virInterfaceUndefine(interface), 0);
  EXPECT_EQ(interface_asked(), "undefine eth0");
  EXPECT_EQ(virInterfaceChangeBegin(connection_, 0), 0);
  EXPECT_EQ(virInterfaceChangeRollback(connection_, 0), 0);
  EXPECT_EQ(virInterfaceChangeCommit(connection_, 0), 0);
  EXPECT_EQ(interface_asked(), "commit 0");
}

TEST_F(LibvirtClient, HearsOfNetworks) {
  connect();
  std::string told;
  const virConnectNetworkEventLifecycleCallback hear = [](virConnectPtr, virNetworkPtr network, int event,
                                                          int detail, void* opaque) {
    *static_cast<std::string*>(opaque) =
        std::string(virNetworkGetName(network)) + " " + std::to_string(event) + " " + std::to_string(detail);
  };
  const int callback = virConnectNetworkEventRegisterAny(connection_, nullptr, VIR_NETWORK_EVENT_ID_LIFECYCLE,
                                                         VIR_NETWORK_EVENT_CALLBACK(hear), &told, nullptr);
  ASSERT_GE(callback, 0) << virGetLastErrorMessage();
  on_loop([this] {
    for (const auto& [id, handler] : networks_.handlers)
      handler({.network = networks_.network, .event = VIR_NETWORK_EVENT_STARTED, .detail = 4});
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const int tick = virEventAddTimeout(50, [](int, void*) {}, nullptr, nullptr);
  while (told.empty() && std::chrono::steady_clock::now() < deadline) ASSERT_EQ(virEventRunDefaultImpl(), 0);
  virEventRemoveTimeout(tick);
  EXPECT_EQ(told, "net 2 4");
  EXPECT_EQ(virConnectNetworkEventDeregisterAny(connection_, callback), 0);
  EXPECT_TRUE(on_loop([this] { return networks_.handlers.empty(); }));
}

TEST_F(LibvirtClient, IsToldWhatThereIsNoDriverFor) {
  connect(false);
  EXPECT_EQ(virConnectListAllNetworks(connection_, nullptr, 0), -1);
  EXPECT_EQ(virGetLastErrorCode(), VIR_ERR_NO_SUPPORT);
  EXPECT_FALSE(Network(virNetworkDefineXML(connection_, "<network/>")));
  EXPECT_EQ(virGetLastErrorCode(), VIR_ERR_NO_SUPPORT);
  EXPECT_EQ(virConnectNumOfInterfaces(connection_), -1);
  EXPECT_EQ(virGetLastErrorCode(), VIR_ERR_NO_SUPPORT);
  EXPECT_EQ(virConnectListAllNWFilters(connection_, nullptr, 0), -1);
  EXPECT_EQ(virGetLastErrorCode(), VIR_ERR_NO_SUPPORT);
}

}  // namespace
}  // namespace warren::daemon::rpc
