#include "daemon/rpc/session.h"

#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"
#include "daemon/rpc/protocol/domain.h"
#include "daemon/rpc/protocol/event.h"

namespace warren::daemon::rpc {
namespace {

constexpr std::uint32_t kOpen = 1;
constexpr std::uint32_t kClose = 2;
constexpr std::uint32_t kGetType = 3;
constexpr std::uint32_t kDestroy = 12;
constexpr std::uint32_t kGetXml = 14;
constexpr std::uint32_t kGetInfo = 16;
constexpr std::uint32_t kFeature = 60;
constexpr std::uint32_t kGetUri = 110;

void open(SessionHarness& harness, std::optional<std::string> name = "warren:///system",
          std::uint32_t flags = 0) {
  harness.call_with(kOpen, protocol::ConnectOpenArgs{.name = std::move(name), .flags = flags});
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
}

protocol::Domain handle(const SessionHarness& harness) {
  return {.name = "stale", .uuid = harness.hypervisor.domain.uuid.bytes, .id = -1};
}

TEST(Session, AnswersWithTheCallsOwnHeader) {
  SessionHarness harness;
  open(harness);
  harness.call_with(kGetInfo, protocol::DomainGetInfoArgs{handle(harness)});
  MemoryTransport::Sent reply = harness.take();
  EXPECT_EQ(reply.header.program, kRemoteProgram);
  EXPECT_EQ(reply.header.procedure, kGetInfo);
  EXPECT_EQ(reply.header.type, MessageType::reply);
  EXPECT_EQ(reply.header.serial, 2U);
  EXPECT_EQ(reply.header.status, MessageStatus::ok);
  EXPECT_EQ(reply.payload.size(), 4U + 8 + 8 + 4 + 8);
}

TEST(Session, ErrorsHaveLibvirtsLayout) {
  SessionHarness harness;
  open(harness);
  harness.call_with(23, protocol::DomainLookupByNameArgs{"nobody"});
  protocol::Error error = harness.take_error();
  EXPECT_EQ(error.code, VIR_ERR_NO_DOMAIN);
  EXPECT_EQ(error.domain, VIR_FROM_QEMU);
  EXPECT_EQ(error.message, "Domain not found: no domain with matching name 'nobody'");
  EXPECT_EQ(error.level, VIR_ERR_ERROR);
  EXPECT_EQ(error.str1, "Domain not found: %s");
  EXPECT_EQ(error.str2, "no domain with matching name 'nobody'");
  EXPECT_EQ(error.str3, std::nullopt);
  EXPECT_EQ(error.int1, -1);
  EXPECT_EQ(error.int2, -1);
  EXPECT_FALSE(error.dom);
  EXPECT_FALSE(error.net);
}

TEST(Session, IdentityFollowsTheUri) {
  struct Case {
    std::optional<std::string> name;
    const char* type;
    const char* uri;
  };
  for (const Case& c :
       {Case{"warren:///system", "Warren", "warren:///system"},
        Case{"warren:///session", "Warren", "warren:///session"},  // root's, which comes here
        Case{"qemu:///system?socket=/x", "QEMU", "qemu:///system?socket=/x"},
        Case{"", "Warren", "warren:///system"}, Case{std::nullopt, "Warren", "warren:///system"}}) {
    SessionHarness harness;
    open(harness, c.name);
    harness.call(kGetType);
    EXPECT_EQ(harness.take_result<protocol::ConnectGetTypeResult>().type, c.type);
    harness.call(kGetUri);
    EXPECT_EQ(harness.take_result<protocol::ConnectGetUriResult>().uri, c.uri);
  }
}

TEST(Session, ForeignUrisGetLibvirtsErrors) {
  struct Case {
    const char* name;
    int code;
    const char* message;
  };
  for (const Case& c :
       {Case{"xen:///system", VIR_ERR_NO_CONNECT, "no connection driver available for xen:///system"},
        Case{"qemu://host/system", VIR_ERR_NO_CONNECT,
             "no connection driver available for qemu://host/system"},
        Case{"nonsense", VIR_ERR_NO_CONNECT, "no connection driver available for nonsense"},
        Case{"qemu:///foo", VIR_ERR_INTERNAL_ERROR,
             "internal error: unexpected qemu URI path '/foo', try qemu:///system"}}) {
    SessionHarness harness;
    harness.call_with(kOpen, protocol::ConnectOpenArgs{.name = c.name});
    protocol::Error error = harness.take_error();
    EXPECT_EQ(error.code, c.code);
    EXPECT_EQ(error.message, c.message);
  }
}

TEST(Session, AUsersDaemonServesSessionOnly) {
  SessionHarness harness;
  harness.services.session_mode = true;
  harness.call_with(kOpen, protocol::ConnectOpenArgs{.name = "warren:///system"});
  EXPECT_EQ(harness.take_error().message,
            "internal error: unexpected warren URI path '/system', try warren:///session");
  open(harness, "warren:///session");
}

TEST(Session, StatesCannotBeSkipped) {  // T16
  SessionHarness harness;
  harness.call(kGetType);
  EXPECT_EQ(harness.take_error().message, "internal error: connection not open");
  harness.call_with(kFeature, protocol::ConnectSupportsFeatureArgs{14});
  EXPECT_EQ(harness.take_error().message, "internal error: connection not open");
  open(harness);
  harness.call_with(kOpen, protocol::ConnectOpenArgs{.name = "warren:///system"});
  EXPECT_EQ(harness.take_error().message, "internal error: connection already open");
}

TEST(Session, UnknownThingsGetTheErrorsClientsTestFor) {  // T31
  SessionHarness harness;
  open(harness);
  for (std::uint32_t procedure : {0U, 444U, 0xffffffffU, 318U}) {
    harness.call(procedure);
    protocol::Error error = harness.take_error();
    EXPECT_EQ(error.code, VIR_ERR_RPC);
    EXPECT_EQ(error.domain, VIR_FROM_RPC);
    EXPECT_TRUE(error.message->starts_with("unknown procedure")) << *error.message;
  }
  harness.call(1, {}, 0x12345678);
  EXPECT_EQ(harness.take_error().message, "Cannot find program 305419896 version 1");
  harness.call(1, {}, kAdminProgram);
  EXPECT_TRUE(harness.take_error().message->starts_with("Cannot find program"));
  harness.receive({.program = kRemoteProgram, .version = 2, .procedure = kGetType, .serial = 9}, {});
  EXPECT_EQ(harness.take_error().message, "version mismatch (actual 2, expected 1)");
  harness.receive(
      {.program = kRemoteProgram, .version = 1, .procedure = kGetType, .status = MessageStatus::error}, {});
  EXPECT_EQ(harness.take_error().message, "Unexpected message status 1");
  // What is no call gets no answer.
  // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): a client can send any number
  const auto unknown = static_cast<MessageType>(99);
  for (auto type : {MessageType::reply, MessageType::message, MessageType::stream, unknown}) {
    harness.receive({.program = kRemoteProgram, .version = 1, .procedure = kGetType, .type = type}, {});
  }
  EXPECT_TRUE(harness.transport.sent.empty());
  EXPECT_TRUE(harness.transport.aborted.empty());
}

TEST(Session, MalformedArgumentsFailTheirCallOnly) {  // T16
  SessionHarness harness;
  open(harness);
  harness.call(kGetInfo, std::vector<std::byte>(3));
  EXPECT_EQ(harness.take_error().message, "Unable to decode message payload");
  harness.call_with(kGetInfo, protocol::DomainGetInfoArgs{handle(harness)});
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
}

TEST(Session, AResultTooLargeToSendFailsItsCallOnly) {
  SessionHarness harness;
  open(harness);
  harness.hypervisor.xml_text.assign(kStringMax + 1, 'x');
  harness.call_with(kGetXml, protocol::DomainGetXmlDescArgs{.dom = handle(harness)});
  EXPECT_EQ(harness.take_error().message, "the result of DOMAIN_GET_XML_DESC is too large to be sent");
}

TEST(Session, LongWorkIsAnsweredLaterAndOutOfOrder) {
  SessionHarness harness;
  harness.hypervisor.immediate = false;
  open(harness);
  harness.call_with(kDestroy, protocol::DomainDestroyArgs{handle(harness)});
  EXPECT_TRUE(harness.transport.sent.empty());
  EXPECT_TRUE(harness.session->busy());
  harness.call(kGetType);  // the same connection polls meanwhile
  EXPECT_EQ(harness.take().header.procedure, kGetType);
  harness.hypervisor.pending.front()({});
  MemoryTransport::Sent reply = harness.take();
  EXPECT_EQ(reply.header.procedure, kDestroy);
  EXPECT_EQ(reply.header.serial, 2U);
  EXPECT_FALSE(harness.session->busy());
}

TEST(Session, RequestsInFlightAreBounded) {  // T8
  SessionHarness harness;
  harness.hypervisor.immediate = false;
  open(harness);
  for (unsigned int i = 0; i < harness.services.max_client_requests; ++i) {
    EXPECT_TRUE(harness.session->accepting());
    harness.call_with(kDestroy, protocol::DomainDestroyArgs{handle(harness)});
  }
  EXPECT_FALSE(harness.session->accepting());
  harness.transport.resumed = 0;
  harness.hypervisor.pending[2]({});
  EXPECT_TRUE(harness.session->accepting());
  EXPECT_EQ(harness.transport.resumed, 1U);
}

TEST(Session, WorkThatIsGivenUpIsAnsweredAllTheSame) {
  SessionHarness harness;
  harness.hypervisor.immediate = false;
  open(harness);
  harness.call_with(kDestroy, protocol::DomainDestroyArgs{handle(harness)});
  harness.hypervisor.pending.clear();
  EXPECT_EQ(harness.take_error().message, "internal error: DOMAIN_DESTROY was given up without an answer");
  EXPECT_FALSE(harness.session->busy());
}

TEST(Session, AnswersAfterItsEndGoNowhere) {  // T7
  SessionHarness harness;
  harness.hypervisor.immediate = false;
  open(harness);
  harness.call_with(kDestroy, protocol::DomainDestroyArgs{handle(harness)});
  harness.session->on_closed();
  harness.hypervisor.pending.front()({});
  EXPECT_TRUE(harness.transport.sent.empty());
  harness.session.reset();
  harness.hypervisor.pending.clear();
  EXPECT_EQ(harness.hypervisor.closed_connections, std::vector<std::uint64_t>{42});
}

TEST(Session, ClosesAfterTheReply) {
  SessionHarness harness;
  open(harness);
  harness.call(kClose);
  EXPECT_EQ(harness.take().header.procedure, kClose);
  EXPECT_TRUE(harness.transport.closing);
}

TEST(Session, ReadOnlyClientsDoNotSeeSecrets) {  // T17
  SessionHarness harness({.user_id = 0, .read_only = true});
  open(harness);
  harness.call_with(kGetXml,
                    protocol::DomainGetXmlDescArgs{.dom = handle(harness), .flags = VIR_DOMAIN_XML_SECURE});
  protocol::Error error = harness.take_error();
  EXPECT_EQ(error.code, VIR_ERR_OPERATION_DENIED);
  EXPECT_EQ(error.message, "operation forbidden: virDomainGetXMLDesc with secure flag");
  harness.call_with(
      200, protocol::DomainGetVcpusFlagsArgs{.dom = handle(harness), .flags = VIR_DOMAIN_VCPU_GUEST});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_DENIED);
  harness.call_with(200, protocol::DomainGetVcpusFlagsArgs{.dom = handle(harness)});
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
}

// Which error stands before a call, for every procedure and every kind of client (T17): generated from the
// tables, with arguments that cannot be decoded, so that a call which is let through shows itself by that
// error.
class EveryProcedure : public testing::Test {
 protected:
  static constexpr const char* kReached = "Unable to decode message payload";

  static std::string outcome(SessionHarness& harness, const Program& program, const Procedure& procedure) {
    // Not even a word: nothing but an empty struct can be made of it.
    harness.call(procedure.number, std::vector<std::byte>(1), program.number());
    MemoryTransport::Sent sent = harness.take();
    if (sent.header.status == MessageStatus::ok) return "served";
    Decoder decoder(sent.payload);
    protocol::Error error;
    decode(decoder, error);
    return error.message.value_or("");
  }
  // For arguments without fields there is nothing to decode: the handler runs.
  static bool takes_nothing(const Procedure& procedure) {
    std::vector<std::byte> again;
    std::size_t consumed = 0;
    return procedure.arguments.recode({}, again, consumed) && again.empty();
  }
  template <class Check>
  static void for_each(Check check) {
    for (const Program& program : programs()) {
      if (program.number() == kAdminProgram) continue;
      for (const Procedure* procedure : program.procedures()) {
        if (procedure == nullptr) continue;
        SCOPED_TRACE(std::string(procedure->name));
        check(program, *procedure);
      }
    }
  }
};

TEST_F(EveryProcedure, OfAnUnauthenticatedClientIsRefusedBeforeItsArgumentsAreRead) {
  for_each([](const Program& program, const Procedure& procedure) {
    SessionHarness harness({.user_id = 1000, .authenticated = false});
    std::string expected = "authentication required";
    if (procedure.has(kEvent)) expected = "unknown procedure: " + std::to_string(procedure.number);
    if (procedure.has(kPreAuth)) {
      expected = procedure.support == Support::implemented
                     ? "served"
                     : "unknown procedure: " + std::to_string(procedure.number);
    }
    EXPECT_EQ(outcome(harness, program, procedure), expected);
  });
}

TEST_F(EveryProcedure, OfAReadOnlyClientIsRefusedBeforeItsArgumentsAreReadIfItWrites) {
  unsigned int refused = 0;
  for_each([&](const Program& program, const Procedure& procedure) {
    SessionHarness harness({.user_id = 0, .read_only = true});
    open(harness);
    std::string found = outcome(harness, program, procedure);
    bool denied = found.starts_with("operation forbidden: read only access prevents vir");
    EXPECT_EQ(denied, procedure.has(kWrite) && !procedure.has(kEvent)) << found;
    refused += denied ? 1 : 0;
  });
  EXPECT_GE(refused, 190U);
}

TEST_F(EveryProcedure, OfAReadWriteClientReachesItsHandlerIfThereIsOne) {
  unsigned int reached = 0;
  for_each([&](const Program& program, const Procedure& procedure) {
    SessionHarness harness;
    if (&procedure != find_program(kRemoteProgram)->find(kOpen)) open(harness);
    std::string found = outcome(harness, program, procedure);
    if (!procedure.refusal.empty()) {
      EXPECT_TRUE(found.ends_with(procedure.refusal)) << found;
      return;
    }
    if (procedure.support != Support::implemented || procedure.has(kEvent)) {
      EXPECT_EQ(found, "unknown procedure: " + std::to_string(procedure.number));
    } else if (takes_nothing(procedure)) {
      EXPECT_EQ(found, "served");
    } else {
      EXPECT_EQ(found, kReached);
      ++reached;
    }
  });
  EXPECT_GE(reached, 60U);
}

TEST(Session, ReadOnlyIsAlsoWhatTheClientAskedFor) {  // T17
  SessionHarness harness;
  open(harness, "warren:///system", 0x7);  // unknown bits are the client's own
  harness.call_with(kDestroy, protocol::DomainDestroyArgs{handle(harness)});
  protocol::Error error = harness.take_error();
  EXPECT_EQ(error.code, VIR_ERR_OPERATION_DENIED);
  EXPECT_EQ(error.domain, VIR_FROM_DOMAIN);
  EXPECT_EQ(error.message, "operation forbidden: read only access prevents virDomainDestroy");
}

TEST(Session, KeepaliveIsAnsweredAndOnlySentToThoseWhoAsked) {
  SessionHarness harness;
  Header ping{
      .program = kKeepaliveProgram, .version = 1, .procedure = kKeepalivePing, .type = MessageType::message};
  harness.receive(ping, {});
  EXPECT_EQ(harness.take().header.procedure, kKeepalivePong);
  for (int i = 0; i < 20; ++i) harness.session->keepalive_tick(true);
  EXPECT_TRUE(harness.transport.sent.empty());

  harness.call_with(kFeature, protocol::ConnectSupportsFeatureArgs{10});  // before the connection is opened
  EXPECT_EQ(harness.take_result<protocol::ConnectSupportsFeatureResult>().supported, 1);
  harness.session->keepalive_tick(true);  // it has just been heard
  EXPECT_TRUE(harness.transport.sent.empty());
  for (unsigned int i = 0; i < harness.services.keepalive_count; ++i) {
    harness.session->keepalive_tick(true);
    EXPECT_EQ(harness.take().header.procedure, kKeepalivePing);
  }
  EXPECT_TRUE(harness.transport.aborted.empty());
  harness.session->keepalive_tick(false);  // nobody listened: that does not count
  for (unsigned int i = 0; i < harness.services.keepalive_count; ++i) harness.session->keepalive_tick(true);
  EXPECT_TRUE(harness.transport.aborted.empty());
  harness.session->keepalive_tick(true);
  EXPECT_EQ(harness.transport.aborted, "client does not answer keepalive messages");
}

std::int32_t subscribe(SessionHarness& harness, std::int32_t event_id) {
  harness.call_with(316, protocol::ConnectDomainEventCallbackRegisterAnyArgs{.event_id = event_id});
  return harness.take_result<protocol::ConnectDomainEventCallbackRegisterAnyResult>().callback_id;
}

TEST(Session, EventsCarryTheirCallback) {
  SessionHarness harness;
  open(harness);
  EXPECT_EQ(subscribe(harness, VIR_DOMAIN_EVENT_ID_REBOOT), 0);
  std::int32_t callback = subscribe(harness, VIR_DOMAIN_EVENT_ID_LIFECYCLE);
  EXPECT_EQ(callback, 1);
  harness.call_with(317, protocol::ConnectDomainEventCallbackDeregisterAnyArgs{0});
  harness.take();
  harness.hypervisor.emit({harness.hypervisor.domain, driver::LifecycleEvent{.event = 2, .detail = 1}});
  MemoryTransport::Sent sent = harness.take();
  EXPECT_EQ(sent.header.procedure, 318U);
  EXPECT_EQ(sent.header.type, MessageType::message);
  EXPECT_EQ(sent.header.serial, 0U);
  protocol::DomainEventCallbackLifecycleMsg message;
  Decoder decoder(sent.payload);
  decode(decoder, message);
  EXPECT_EQ(message.callback_id, callback);
  EXPECT_EQ(message.msg.dom.name, "demo");
  EXPECT_EQ(message.msg.event, 2);
  EXPECT_EQ(message.msg.detail, 1);
  EXPECT_TRUE(harness.transport.sent.empty());
  harness.call_with(317, protocol::ConnectDomainEventCallbackDeregisterAnyArgs{0});
  EXPECT_EQ(harness.take_error().message, "internal error: domain event callback 0 not registered");
  harness.session->on_closed();
  EXPECT_TRUE(harness.hypervisor.handlers.empty());
}

TEST(Session, EventsWaitForASlowClientAndKeepTheirOrder) {  // T27
  SessionHarness harness;
  open(harness);
  subscribe(harness, VIR_DOMAIN_EVENT_ID_LIFECYCLE);
  harness.transport.stuck = true;
  constexpr int kEvents = 16000;
  for (int i = 0; i < kEvents; ++i) {
    harness.hypervisor.emit({harness.hypervisor.domain, driver::LifecycleEvent{.event = i}});
  }
  EXPECT_LT(harness.transport.backlog(), kSendBacklog + 1024);
  EXPECT_TRUE(harness.transport.aborted.empty());
  EXPECT_FALSE(harness.session->accepting());  // nor is anything more read from it
  harness.transport.unstick();
  harness.session->on_room();
  ASSERT_EQ(harness.transport.sent.size(), static_cast<std::size_t>(kEvents));
  for (int i = 0; i < kEvents; ++i) {
    protocol::DomainEventCallbackLifecycleMsg message;
    Decoder decoder(harness.transport.sent[static_cast<std::size_t>(i)].payload);
    decode(decoder, message);
    ASSERT_EQ(message.msg.event, i);
  }
}

TEST(Session, AClientThatDoesNotReadItsEventsIsDisconnected) {  // T27
  SessionHarness harness;
  open(harness);
  subscribe(harness, VIR_DOMAIN_EVENT_ID_LIFECYCLE);
  harness.transport.stuck = true;
  for (std::size_t i = 0; i < kMostEvents * 2 && harness.transport.aborted.empty(); ++i) {
    harness.hypervisor.emit({harness.hypervisor.domain, driver::LifecycleEvent{}});
  }
  EXPECT_EQ(harness.transport.aborted, "client does not read its events");
}

TEST(Session, DescriptorsNobodyWantedAreClosed) {  // T24
  SessionHarness harness;
  open(harness);
  int number = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  std::vector<FileDescriptor> descriptors;
  descriptors.emplace_back(number);
  harness.receive({.program = kRemoteProgram,
                   .version = 1,
                   .procedure = 310,
                   .type = MessageType::call_with_fds,
                   .serial = 5},
                  SessionHarness::payload_of(protocol::DomainCreateWithFilesArgs{.dom = handle(harness)}),
                  std::move(descriptors));
  EXPECT_EQ(harness.take_error().code, VIR_ERR_ARGUMENT_UNSUPPORTED);
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

}  // namespace
}  // namespace warren::daemon::rpc
