#include "daemon/rpc/handlers_event.h"

#include <variant>

#include <fmt/format.h>

#include "daemon/rpc/codec.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

// Procedures of the messages (server to client).
enum EventMessage : std::uint32_t {
  kLifecycle = 318,
  kReboot = 319,
  kWatchdog = 321,
  kDiskChange = 327,
  kTrayChange = 328,
  kPmWakeup = 329,
  kPmSuspend = 330,
  kPmSuspendDisk = 332,
  kIoError = 322,
  kIoErrorReason = 324,
  kControlError = 325,
  kRtcChange = 320,
  kBalloonChange = 331,
  kTunable = 346,
  kAgentLifecycle = 348,
  kJobCompleted = 363,
  kMetadataChange = 379,
  kBlockThreshold = 385,
  kBlockJob = 326,
  kBlockJob2 = 339,
  kDeviceRemoved = 333,
  kDeviceAdded = 354,
  kDeviceRemovalFailed = 367,
  kMemoryDeviceSizeChange = 438,
  kMemoryFailure = 423,
};

template <class Message>
void send(Session& session, EventMessage procedure, const Message& message) {
  session.send_event(
      procedure, [](Encoder& to, const void* value) { encode(to, *static_cast<const Message*>(value)); },
      &message);
}

// Sends one event to one callback.
struct Sender {
  Session& session;
  int event_id;
  std::int32_t callback_id;
  Domain domain;

  void operator()(const driver::LifecycleEvent& event) const {
    send(session, kLifecycle,
         DomainEventCallbackLifecycleMsg{callback_id,
                                         {.dom = domain, .event = event.event, .detail = event.detail}});
  }
  void operator()(const driver::RebootEvent&) const {
    send(session, kReboot, DomainEventCallbackRebootMsg{callback_id, {.dom = domain}});
  }
  void operator()(const driver::ControlErrorEvent&) const {
    send(session, kControlError, DomainEventCallbackControlErrorMsg{callback_id, {.dom = domain}});
  }
  void operator()(const driver::IoErrorEvent& event) const {
    if (event_id == VIR_DOMAIN_EVENT_ID_IO_ERROR) {
      send(session, kIoError,
           DomainEventCallbackIoErrorMsg{callback_id,
                                         {.dom = domain,
                                          .src_path = event.source_path,
                                          .dev_alias = event.device_alias,
                                          .action = event.action}});
      return;
    }
    send(session, kIoErrorReason,
         DomainEventCallbackIoErrorReasonMsg{callback_id,
                                             {.dom = domain,
                                              .src_path = event.source_path,
                                              .dev_alias = event.device_alias,
                                              .action = event.action,
                                              .reason = event.reason}});
  }
  void operator()(const driver::RtcChangeEvent& event) const {
    send(session, kRtcChange,
         DomainEventCallbackRtcChangeMsg{callback_id, {.dom = domain, .offset = event.offset_seconds}});
  }
  void operator()(const driver::TunableEvent& event) const {
    DomainEventCallbackTunableMsg message{.callback_id = callback_id, .dom = domain, .params = {}};
    for (const auto& parameter : event.parameters) message.params.push_back(to_protocol(parameter));
    send(session, kTunable, message);
  }
  void operator()(const driver::JobCompletedEvent& event) const {
    DomainEventCallbackJobCompletedMsg message{.callback_id = callback_id, .dom = domain, .params = {}};
    for (const auto& parameter : event.parameters) message.params.push_back(to_protocol(parameter));
    send(session, kJobCompleted, message);
  }
  void operator()(const driver::BlockThresholdEvent& event) const {
    send(session, kBlockThreshold,
         DomainEventBlockThresholdMsg{.callback_id = callback_id,
                                      .dom = domain,
                                      .dev = event.device,
                                      .path = event.source_path,
                                      .threshold = event.threshold,
                                      .excess = event.excess});
  }
  void operator()(const driver::BlockJobEvent& event) const {
    if (event_id == VIR_DOMAIN_EVENT_ID_BLOCK_JOB) {
      send(session, kBlockJob,
           DomainEventCallbackBlockJobMsg{
               callback_id,
               {.dom = domain, .path = event.source_path, .type = event.type, .status = event.status}});
      return;
    }
    send(session, kBlockJob2,
         DomainEventBlockJob2Msg{.callback_id = callback_id,
                                 .dom = domain,
                                 .dst = event.device,
                                 .type = event.type,
                                 .status = event.status});
  }
  void operator()(const driver::DeviceAddedEvent& event) const {
    send(session, kDeviceAdded,
         DomainEventCallbackDeviceAddedMsg{
             .callback_id = callback_id, .dom = domain, .dev_alias = event.alias});
  }
  void operator()(const driver::DeviceRemovedEvent& event) const {
    send(session, kDeviceRemoved,
         DomainEventCallbackDeviceRemovedMsg{callback_id, {.dom = domain, .dev_alias = event.alias}});
  }
  void operator()(const driver::DeviceRemovalFailedEvent& event) const {
    send(session, kDeviceRemovalFailed,
         DomainEventCallbackDeviceRemovalFailedMsg{
             .callback_id = callback_id, .dom = domain, .dev_alias = event.alias});
  }
  void operator()(const driver::AgentLifecycleEvent& event) const {
    send(session, kAgentLifecycle,
         DomainEventCallbackAgentLifecycleMsg{
             .callback_id = callback_id, .dom = domain, .state = event.state, .reason = event.reason});
  }
  void operator()(const driver::MemoryDeviceSizeEvent& event) const {
    send(session, kMemoryDeviceSizeChange,
         DomainEventMemoryDeviceSizeChangeMsg{
             .callback_id = callback_id, .dom = domain, .alias = event.alias, .size = event.size_kib});
  }
  void operator()(const driver::BalloonChangeEvent& event) const {
    send(session, kBalloonChange,
         DomainEventCallbackBalloonChangeMsg{callback_id, {.dom = domain, .actual = event.actual_kib}});
  }
  void operator()(const driver::WatchdogEvent& event) const {
    send(session, kWatchdog,
         DomainEventCallbackWatchdogMsg{callback_id, {.dom = domain, .action = event.action}});
  }
  void operator()(const driver::TrayChangeEvent& event) const {
    send(session, kTrayChange,
         DomainEventCallbackTrayChangeMsg{callback_id,
                                          {.dom = domain, .dev_alias = event.alias, .reason = event.reason}});
  }
  void operator()(const driver::DiskChangeEvent& event) const {
    send(session, kDiskChange,
         DomainEventCallbackDiskChangeMsg{callback_id,
                                          {.dom = domain,
                                           .old_src_path = event.old_source,
                                           .new_src_path = event.new_source,
                                           .dev_alias = event.alias,
                                           .reason = event.reason}});
  }
  // The reasons are libvirt's for "none".
  void operator()(const driver::PmWakeupEvent&) const {
    send(session, kPmWakeup, DomainEventCallbackPmwakeupMsg{callback_id, 0, {.dom = domain}});
  }
  void operator()(const driver::PmSuspendEvent&) const {
    send(session, kPmSuspend, DomainEventCallbackPmsuspendMsg{callback_id, 0, {.dom = domain}});
  }
  void operator()(const driver::PmSuspendDiskEvent&) const {
    send(session, kPmSuspendDisk, DomainEventCallbackPmsuspendDiskMsg{callback_id, 0, {.dom = domain}});
  }
  void operator()(const driver::MemoryFailureEvent& event) const {
    send(session, kMemoryFailure,
         DomainEventMemoryFailureMsg{.callback_id = callback_id,
                                     .dom = domain,
                                     .recipient = event.recipient,
                                     .action = event.action,
                                     .flags = event.flags});
  }
  void operator()(const driver::MetadataChangeEvent& event) const {
    send(session, kMetadataChange,
         DomainEventCallbackMetadataChangeMsg{
             .callback_id = callback_id, .dom = domain, .type = event.type, .nsuri = event.namespace_uri});
  }
};

void send_domain_event(Session& session, int event_id, std::int32_t callback_id,
                       const driver::DomainEvent& event) {
  std::visit(Sender{session, event_id, callback_id, to_protocol(event.domain)}, event.body);
}

}  // namespace

ConnectDomainEventCallbackRegisterAnyResult connect_domain_event_callback_register_any(
    Call& call, const ConnectDomainEventCallbackRegisterAnyArgs& arguments) {
  std::optional<driver::Uuid> domain;
  if (arguments.dom) domain = to_driver(arguments.dom->uuid);
  Session& session = call.session();
  int event_id = arguments.event_id;
  return {.callback_id = session.subscribe(Session::EventKind::domain, [&](std::int32_t callback_id) {
    auto id = session.hypervisor().subscribe(
        event_id, domain, [&session, event_id, callback_id](const driver::DomainEvent& event) {
          send_domain_event(session, event_id, callback_id, event);
        });
    return [&session, id] { session.hypervisor().unsubscribe(id); };
  })};
}

void connect_domain_event_callback_deregister_any(
    Call& call, const ConnectDomainEventCallbackDeregisterAnyArgs& arguments) {
  if (!call.session().unsubscribe(Session::EventKind::domain, arguments.callback_id)) {
    throw driver::Error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("domain event callback {} not registered", arguments.callback_id),
                        VIR_FROM_RPC);
  }
}

}  // namespace warren::daemon::rpc::handlers
