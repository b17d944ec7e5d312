// What is told of domains, each in its own message to the callback that asked for it.
#include "daemon/rpc/protocol/event.h"

#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"

namespace warren::daemon::rpc {
namespace {

struct EventHarness : SessionHarness {
  explicit EventHarness(int event_id = VIR_DOMAIN_EVENT_ID_REBOOT) {
    call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system"});
    take();
    call_with(316, protocol::ConnectDomainEventCallbackRegisterAnyArgs{.event_id = event_id});
    callback = take_result<protocol::ConnectDomainEventCallbackRegisterAnyResult>().callback_id;
  }
  // The fake hypervisor tells everybody of everything: the message says which event it is.
  template <typename Message>
  Message told(std::uint32_t procedure, decltype(driver::DomainEvent::body) body) {
    hypervisor.emit({hypervisor.domain, std::move(body)});
    MemoryTransport::Sent sent = take();
    EXPECT_EQ(sent.header.procedure, procedure);
    EXPECT_EQ(sent.header.type, MessageType::message);
    Message message;
    Decoder decoder(sent.payload);
    decode(decoder, message);
    EXPECT_TRUE(decoder.ok());
    EXPECT_EQ(message.callback_id, callback);
    return message;
  }
  std::int32_t callback = -1;
};

TEST(Events, OfSleep) {
  EventHarness harness;
  EXPECT_EQ(harness.told<protocol::DomainEventCallbackPmwakeupMsg>(329, driver::PmWakeupEvent{}).msg.dom.name,
            "demo");
  EXPECT_EQ(
      harness.told<protocol::DomainEventCallbackPmsuspendMsg>(330, driver::PmSuspendEvent{}).msg.dom.name,
      "demo");
  EXPECT_EQ(harness.told<protocol::DomainEventCallbackPmsuspendDiskMsg>(332, driver::PmSuspendDiskEvent{})
                .msg.dom.name,
            "demo");
}

TEST(Events, OfADeviceThatTheGuestKeeps) {
  EventHarness harness;
  const auto message = harness.told<protocol::DomainEventCallbackDeviceRemovalFailedMsg>(
      367, driver::DeviceRemovalFailedEvent{"vcpu3"});
  EXPECT_EQ(message.dom.name, "demo");
  EXPECT_EQ(message.dev_alias, "vcpu3");
}

// One names the disk by its image, the other by its target.
TEST(Events, OfABlockJob) {
  const driver::BlockJobEvent event{.device = "vda",
                                    .source_path = "/images/base",
                                    .type = VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT,
                                    .status = VIR_DOMAIN_BLOCK_JOB_READY};
  EventHarness by_image(VIR_DOMAIN_EVENT_ID_BLOCK_JOB);
  const auto first = by_image.told<protocol::DomainEventCallbackBlockJobMsg>(326, event);
  EXPECT_EQ(first.msg.dom.name, "demo");
  EXPECT_EQ(first.msg.path, "/images/base");
  EXPECT_EQ(first.msg.type, VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT);
  EXPECT_EQ(first.msg.status, VIR_DOMAIN_BLOCK_JOB_READY);
  EventHarness by_target(VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2);
  const auto second = by_target.told<protocol::DomainEventBlockJob2Msg>(339, event);
  EXPECT_EQ(second.dom.name, "demo");
  EXPECT_EQ(second.dst, "vda");
  EXPECT_EQ(second.type, VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT);
  EXPECT_EQ(second.status, VIR_DOMAIN_BLOCK_JOB_READY);
}

TEST(Events, OfMemoryThatHasFailed) {
  EventHarness harness;
  const auto message = harness.told<protocol::DomainEventMemoryFailureMsg>(
      423, driver::MemoryFailureEvent{.recipient = 1, .action = 2, .flags = 3});
  EXPECT_EQ(message.dom.name, "demo");
  EXPECT_EQ(message.recipient, 1);
  EXPECT_EQ(message.action, 2);
  EXPECT_EQ(message.flags, 3U);
}

}  // namespace
}  // namespace warren::daemon::rpc
