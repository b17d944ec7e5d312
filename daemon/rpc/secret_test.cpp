// The calls about secrets, and what becomes of a value on its way (T20).

#include "daemon/rpc/protocol/secret.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"
#include "daemon/rpc/protocol/event.h"

namespace warren::daemon::rpc {
namespace {

struct SecretHarness : SessionHarness {
  explicit SecretHarness(std::uint32_t flags = 0) {
    call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system", .flags = flags});
    take();
  }
  protocol::Secret handle{.uuid = {1, 2, 3}};
};

TEST(Secrets, ListsAndLooksUp) {
  SecretHarness harness;
  harness.call(139);
  EXPECT_EQ(harness.take_result<protocol::ConnectNumOfSecretsResult>().num, 1);
  harness.call_with(140, protocol::ConnectListSecretsArgs{.maxuuids = 0});
  EXPECT_TRUE(harness.take_result<protocol::ConnectListSecretsResult>().uuids.empty());
  harness.call_with(140, protocol::ConnectListSecretsArgs{.maxuuids = 5});
  EXPECT_EQ(harness.take_result<protocol::ConnectListSecretsResult>().uuids.at(0),
            "01020300-0000-0000-0000-000000000000");
  harness.call_with(287, protocol::ConnectListAllSecretsArgs{.need_results = 0});
  auto counted = harness.take_result<protocol::ConnectListAllSecretsResult>();
  EXPECT_EQ(counted.ret, 1U);
  EXPECT_TRUE(counted.secrets.empty());
  harness.call_with(287, protocol::ConnectListAllSecretsArgs{.need_results = 1});
  EXPECT_EQ(harness.take_result<protocol::ConnectListAllSecretsResult>().secrets.at(0).usage_id, "demo");
}

TEST(Secrets, AValueLeavesNothingInTheFrameItCameIn) {
  SecretHarness harness;
  protocol::SecretSetValueArgs arguments{.secret = harness.handle};
  for (char c : std::string("new value")) arguments.value.push_back(static_cast<std::uint8_t>(c));
  std::vector<std::byte> payload = SessionHarness::payload_of(arguments);
  Frame frame{
      .header = {.program = kRemoteProgram, .version = kProgramVersion, .procedure = 144, .serial = 9},
      .payload = payload,
      .descriptors = {}};
  harness.session->receive(frame);
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
  EXPECT_EQ(harness.secrets.stored, "new value");
  EXPECT_TRUE(std::all_of(payload.begin(), payload.end(), [](std::byte b) { return b == std::byte{0}; }));
  harness.call_with(145, protocol::SecretGetValueArgs{.secret = harness.handle});
  auto result = harness.take_result<protocol::SecretGetValueResult>();
  EXPECT_EQ(std::string(result.value.begin(), result.value.end()), "new value");
}

// T17
TEST(Secrets, AReaderSeesNoValueAndChangesNothing) {
  constexpr std::uint32_t kReadOnly = 1;
  SecretHarness harness(kReadOnly);
  harness.call_with(145, protocol::SecretGetValueArgs{.secret = harness.handle});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_DENIED);
  harness.call_with(144, protocol::SecretSetValueArgs{.secret = harness.handle});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_DENIED);
  harness.call_with(142, protocol::SecretDefineXmlArgs{});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_DENIED);
  harness.call_with(146, protocol::SecretUndefineArgs{.secret = harness.handle});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_OPERATION_DENIED);
  harness.call_with(143, protocol::SecretGetXmlDescArgs{.secret = harness.handle});
  EXPECT_EQ(harness.take_result<protocol::SecretGetXmlDescResult>().xml, "<secret/>");
}

TEST(Secrets, EventsReachTheirCallbackUntilItEnds) {
  SecretHarness harness;
  harness.call_with(380, protocol::ConnectSecretEventRegisterAnyArgs{.event_id = 0});
  auto lifecycle = harness.take_result<protocol::ConnectSecretEventRegisterAnyResult>().callback_id;
  harness.call_with(380, protocol::ConnectSecretEventRegisterAnyArgs{.event_id = 1});
  harness.take();
  harness.secrets.handlers.at(1)({.secret = harness.secrets.secret, .event = VIR_SECRET_EVENT_UNDEFINED});
  auto sent = harness.take();
  EXPECT_EQ(sent.header.procedure, 382U);
  Decoder decoder(sent.payload);
  protocol::SecretEventLifecycleMsg message;
  decode(decoder, message);
  EXPECT_EQ(message.callback_id, lifecycle);
  EXPECT_EQ(message.event, VIR_SECRET_EVENT_UNDEFINED);
  EXPECT_EQ(message.secret.usage_id, "demo");
  harness.secrets.handlers.at(2)({.secret = harness.secrets.secret, .id = VIR_SECRET_EVENT_ID_VALUE_CHANGED});
  EXPECT_EQ(harness.take().header.procedure, 383U);
  // The id is a secret's, not a domain's.
  harness.call_with(317, protocol::ConnectDomainEventCallbackDeregisterAnyArgs{.callback_id = lifecycle});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_INTERNAL_ERROR);
  harness.call_with(381, protocol::ConnectSecretEventDeregisterAnyArgs{.callback_id = lifecycle});
  EXPECT_EQ(harness.take().header.status, MessageStatus::ok);
  EXPECT_EQ(harness.secrets.handlers.size(), 1U);
  harness.session->on_closed();
  EXPECT_TRUE(harness.secrets.handlers.empty());
}

TEST(Secrets, ADaemonWithoutThemSaysSo) {
  SecretHarness harness;
  harness.services.secrets = nullptr;
  harness.call(139);
  EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_SUPPORT);
}

}  // namespace
}  // namespace warren::daemon::rpc
