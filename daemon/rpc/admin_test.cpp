// The ADMIN program: on its own socket only, and what its calls do.

#include "daemon/rpc/protocol/admin.h"

#include <map>
#include <string>

#include <gtest/gtest.h>
#include <libvirt/libvirt-admin.h>

#include "daemon/rpc/administration.h"
#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"
#include "daemon/rpc/protocol/event.h"

namespace warren::daemon::rpc {
namespace {

class FakeServer final : public ManagedServer {
 public:
  explicit FakeServer(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  std::vector<ClientDescription> clients() const override { return list; }
  unsigned int anonymous_count() const override { return 1; }
  bool disconnect(std::uint64_t client) override {
    return std::erase_if(list, [&](const ClientDescription& known) { return known.id == client; }) > 0;
  }
  ClientLimits limits() const override { return bounds; }
  void set_limits(const ClientLimits& limits) override { bounds = limits; }

  std::vector<ClientDescription> list;
  ClientLimits bounds{.most = 100, .most_anonymous = 20};

 private:
  std::string name_;
};

class Admin : public testing::Test {
 protected:
  Admin() {
    main_.list.push_back({.id = 7,
                          .connected = std::chrono::system_clock::time_point(std::chrono::seconds(1000)),
                          .peer = {.user_id = 0, .group_id = 0, .process_id = 99},
                          .read_only = true});
    harness_.services.administration = &administration_;
    call(1, protocol::AdminConnectOpenArgs{});
    harness_.take();
  }
  template <class Arguments>
  void call(std::uint32_t procedure, const Arguments& arguments) {
    harness_.call(procedure, SessionHarness::payload_of(arguments), kAdminProgram);
  }
  template <class Parameters>
  static std::map<std::string, TypedValue> values(const Parameters& parameters) {
    std::map<std::string, TypedValue> all;
    for (const protocol::TypedParam& parameter : parameters) all[parameter.field] = parameter.value;
    return all;
  }
  static protocol::AdminServerSetClientLimitsArgs limits(
      std::initializer_list<std::pair<const char*, TypedValue>> changes) {
    protocol::AdminServerSetClientLimitsArgs arguments{.srv = {"virtwarrend"}};
    for (const auto& [name, value] : changes) arguments.params.push_back({.field = name, .value = value});
    return arguments;
  }

  FakeServer main_{"virtwarrend"};
  FakeServer own_{"admin"};
  Log log_{LogLevel::warning};
  std::chrono::seconds timeout_{-1};
  Administration administration_{
      .servers = {&main_, &own_}, .log = log_, .set_timeout = [this](auto timeout) { timeout_ = timeout; }};
  SessionHarness harness_;
};

TEST_F(Admin, ServesNoOtherProgramAndIsServedNowhereElse) {
  harness_.call(3);
  EXPECT_EQ(harness_.take_error().code, VIR_ERR_RPC);
  SessionHarness ordinary;
  ordinary.call(1, SessionHarness::payload_of(protocol::AdminConnectOpenArgs{}), kAdminProgram);
  EXPECT_EQ(ordinary.take_error().code, VIR_ERR_RPC);
}

TEST_F(Admin, ItsEndIsNoEndOfADriversConnection) {
  harness_.session->on_closed();
  EXPECT_TRUE(harness_.hypervisor.closed_connections.empty());
}

TEST_F(Admin, HasToBeOpened) {
  SessionHarness harness;
  harness.services.administration = &administration_;
  harness.call(3, {}, kAdminProgram);
  EXPECT_EQ(harness.take_error().message, "internal error: connection not open");
}

TEST_F(Admin, ListsServers) {
  call(4, protocol::AdminConnectListServersArgs{.need_results = 1});
  auto list = harness_.take_result<protocol::AdminConnectListServersResult>();
  EXPECT_EQ(list.ret, 2U);
  EXPECT_EQ(list.servers.at(1).name, "admin");
  call(5, protocol::AdminConnectLookupServerArgs{.name = "nobody"});
  EXPECT_EQ(harness_.take_error().code, VIR_ERR_NO_SERVER);
  call(5, protocol::AdminConnectLookupServerArgs{.name = "admin", .flags = 1});
  EXPECT_EQ(harness_.take_error().code, VIR_ERR_INVALID_ARG);
}

TEST_F(Admin, TheThreadPoolIsOneThread) {
  call(6, protocol::AdminServerGetThreadpoolParametersArgs{.srv = {"virtwarrend"}});
  auto pool = values(harness_.take_result<protocol::AdminServerGetThreadpoolParametersResult>().params);
  EXPECT_EQ(pool.size(), 6U);
  EXPECT_EQ(pool.at(VIR_THREADPOOL_WORKERS_MAX), TypedValue(std::uint32_t{1}));
  call(7, protocol::AdminServerSetThreadpoolParametersArgs{.srv = {"virtwarrend"}});
  EXPECT_EQ(harness_.take_error().code, VIR_ERR_OPERATION_UNSUPPORTED);
}

TEST_F(Admin, Clients) {
  call(8, protocol::AdminServerListClientsArgs{.srv = {"virtwarrend"}, .need_results = 1});
  auto list = harness_.take_result<protocol::AdminServerListClientsResult>();
  ASSERT_EQ(list.clients.size(), 1U);
  EXPECT_EQ(list.clients[0].timestamp, 1000);
  EXPECT_EQ(list.clients[0].srv.name, "virtwarrend");
  call(10, protocol::AdminClientGetInfoArgs{.clnt = list.clients[0]});
  auto info = values(harness_.take_result<protocol::AdminClientGetInfoResult>().params);
  EXPECT_EQ(info.at(VIR_CLIENT_INFO_READONLY), TypedValue(true));
  EXPECT_EQ(info.at(VIR_CLIENT_INFO_UNIX_PROCESS_ID), TypedValue(std::int32_t{99}));
  EXPECT_EQ(info.at(VIR_CLIENT_INFO_UNIX_USER_NAME), TypedValue(std::string("root")));
  call(9, protocol::AdminServerLookupClientArgs{.srv = {"virtwarrend"}, .id = 8});
  EXPECT_EQ(harness_.take_error().code, VIR_ERR_NO_CLIENT);
  call(11, protocol::AdminClientCloseArgs{.clnt = list.clients[0]});
  EXPECT_EQ(harness_.take().header.status, MessageStatus::ok);
  EXPECT_TRUE(main_.list.empty());
  call(11, protocol::AdminClientCloseArgs{.clnt = list.clients[0]});
  EXPECT_EQ(harness_.take_error().code, VIR_ERR_NO_CLIENT);
}

TEST_F(Admin, Limits) {
  call(12, protocol::AdminServerGetClientLimitsArgs{.srv = {"virtwarrend"}});
  auto shown = values(harness_.take_result<protocol::AdminServerGetClientLimitsResult>().params);
  EXPECT_EQ(shown.at(VIR_SERVER_CLIENTS_MAX), TypedValue(std::uint32_t{100}));
  EXPECT_EQ(shown.at(VIR_SERVER_CLIENTS_CURRENT), TypedValue(std::uint32_t{1}));
  call(13, limits({{VIR_SERVER_CLIENTS_MAX, std::uint32_t{50}}}));
  EXPECT_EQ(harness_.take().header.status, MessageStatus::ok);
  EXPECT_EQ(main_.bounds, (ClientLimits{.most = 50, .most_anonymous = 20}));
  struct Case {
    const char* name;
    TypedValue value;
    int code;
  };
  for (const Case& c : {Case{VIR_SERVER_CLIENTS_MAX, std::uint32_t{19}, VIR_ERR_INVALID_ARG},
                        Case{VIR_SERVER_CLIENTS_UNAUTH_MAX, std::uint32_t{51}, VIR_ERR_INVALID_ARG},
                        Case{VIR_SERVER_CLIENTS_MAX, std::uint32_t{0}, VIR_ERR_INVALID_ARG},
                        Case{VIR_SERVER_CLIENTS_MAX, std::int32_t{30}, VIR_ERR_INVALID_ARG},
                        Case{VIR_SERVER_CLIENTS_CURRENT, std::uint32_t{3}, VIR_ERR_ARGUMENT_UNSUPPORTED}}) {
    call(13, limits({{c.name, c.value}}));
    EXPECT_EQ(harness_.take_error().code, c.code);
  }
  EXPECT_EQ(main_.bounds, (ClientLimits{.most = 50, .most_anonymous = 20}));
}

TEST_F(Admin, Logging) {
  call(14, protocol::AdminConnectGetLoggingOutputsArgs{});
  auto outputs = harness_.take_result<protocol::AdminConnectGetLoggingOutputsResult>();
  EXPECT_EQ(outputs.outputs, "3:stderr");
  EXPECT_EQ(outputs.noutputs, 1U);
  call(15, protocol::AdminConnectGetLoggingFiltersArgs{});
  EXPECT_EQ(harness_.take_result<protocol::AdminConnectGetLoggingFiltersResult>().filters, std::nullopt);
  call(17, protocol::AdminConnectSetLoggingFiltersArgs{.filters = "4:rpc"});
  harness_.take();
  call(15, protocol::AdminConnectGetLoggingFiltersArgs{});
  EXPECT_EQ(harness_.take_result<protocol::AdminConnectGetLoggingFiltersResult>().filters, "4:rpc");
  call(16, protocol::AdminConnectSetLoggingOutputsArgs{.outputs = "1:paper"});
  EXPECT_EQ(harness_.take_error().code, VIR_ERR_INVALID_ARG);
  call(16, protocol::AdminConnectSetLoggingOutputsArgs{.outputs = "1:file:/nonexistent/log"});
  EXPECT_EQ(harness_.take_error().code, VIR_ERR_OPERATION_FAILED);
  call(16, protocol::AdminConnectSetLoggingOutputsArgs{.outputs = std::nullopt});
  EXPECT_EQ(harness_.take().header.status, MessageStatus::ok);
}

TEST_F(Admin, TimeoutAndTls) {
  call(19, protocol::AdminConnectSetDaemonTimeoutArgs{.timeout = 30});
  EXPECT_EQ(harness_.take().header.status, MessageStatus::ok);
  EXPECT_EQ(timeout_.count(), 30);
  call(18, protocol::AdminServerUpdateTlsFilesArgs{.srv = {"virtwarrend"}});
  EXPECT_EQ(harness_.take_error().code, VIR_ERR_OPERATION_UNSUPPORTED);
}

// ---- what a connection is told of itself

void open(SessionHarness& harness) {
  harness.call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system"});
  harness.take();
}

TEST(CloseReason, IsSentToWhoAskedOnly) {
  SessionHarness harness;
  open(harness);
  harness.session->send_close_reason(VIR_CONNECT_CLOSE_REASON_EOF);
  EXPECT_EQ(harness.take().header.program, 0xdeadU);
  harness.call(360);
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
  harness.call(360);
  EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_INVALID);
  harness.session->send_close_reason(VIR_CONNECT_CLOSE_REASON_CLIENT);
  auto sent = harness.take();
  EXPECT_EQ(sent.header.procedure, 362U);
  EXPECT_EQ(sent.header.type, MessageType::message);
  protocol::ConnectEventConnectionClosedMsg message;
  Decoder decoder(sent.payload);
  decode(decoder, message);
  EXPECT_EQ(message.reason, VIR_CONNECT_CLOSE_REASON_CLIENT);
  harness.call(361);
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
  harness.session->send_close_reason(VIR_CONNECT_CLOSE_REASON_EOF);
  EXPECT_EQ(harness.take().header.program, 0xdeadU);
}

TEST(SetIdentity, IsForThePrivilegedAndReplacesTheCaller) {
  const auto arguments = [](std::initializer_list<std::pair<const char*, TypedValue>> entries) {
    protocol::ConnectSetIdentityArgs made;
    for (const auto& [name, value] : entries) made.params.push_back({.field = name, .value = value});
    return made;
  };
  SessionHarness harness({.user_id = 0, .process_id = 5});
  open(harness);
  harness.call_with(419, arguments({{VIR_CONNECT_IDENTITY_UNIX_USER_ID, std::uint64_t{1000}},
                                    {VIR_CONNECT_IDENTITY_USER_NAME, std::string("user")},
                                    {VIR_CONNECT_IDENTITY_PROCESS_ID, std::int64_t{77}}}));
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
  EXPECT_EQ(harness.session->caller().user_id, 1000U);
  EXPECT_EQ(harness.session->caller().group_id, std::nullopt);
  EXPECT_EQ(harness.session->caller().process_id, 77);
  struct Case {
    std::initializer_list<std::pair<const char*, TypedValue>> entries;
    int code;
  };
  const Case cases[] = {{{{"gold", std::uint64_t{1}}}, VIR_ERR_ARGUMENT_UNSUPPORTED},
                        {{{VIR_CONNECT_IDENTITY_UNIX_USER_ID, std::uint64_t{1} << 40}}, VIR_ERR_INVALID_ARG},
                        {{{VIR_CONNECT_IDENTITY_UNIX_USER_ID, std::string("0")}}, VIR_ERR_INVALID_ARG},
                        {{{VIR_CONNECT_IDENTITY_USER_NAME, std::uint64_t{0}}}, VIR_ERR_INVALID_ARG},
                        {{{VIR_CONNECT_IDENTITY_PROCESS_ID, std::int64_t{1}},
                          {VIR_CONNECT_IDENTITY_PROCESS_ID, std::int64_t{1}}},
                         VIR_ERR_INVALID_ARG}};
  for (const Case& c : cases) {
    harness.call_with(419, arguments(c.entries));
    EXPECT_EQ(harness.take_error().code, c.code);
  }
  EXPECT_EQ(harness.session->caller().user_id, 1000U);

  SessionHarness user({.user_id = 54321});
  open(user);
  user.call_with(419, arguments({{VIR_CONNECT_IDENTITY_UNIX_USER_ID, std::uint64_t{0}}}));
  EXPECT_EQ(user.take_error().code, VIR_ERR_OPERATION_DENIED);
  EXPECT_EQ(user.session->caller().user_id, 54321U);
}

TEST(NativeFormats, ArePassedOn) {
  SessionHarness harness;
  open(harness);
  harness.call_with(136, protocol::ConnectDomainXmlToNativeArgs{.native_format = "f", .domain_xml = "<x/>"});
  EXPECT_EQ(harness.take_result<protocol::ConnectDomainXmlToNativeResult>().native_config, "f:<x/>");
  harness.call_with(135, protocol::ConnectDomainXmlFromNativeArgs{.native_format = "f"});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_UNSUPPORTED);
}

}  // namespace
}  // namespace warren::daemon::rpc
