// Registration for events, and the messages that carry them to the client.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct ConnectDomainEventRegisterResult {
  std::int32_t cb_registered = 0;
};

struct ConnectDomainEventDeregisterResult {
  std::int32_t cb_registered = 0;
};

struct DomainEventLifecycleMsg {
  Domain dom;
  std::int32_t event = 0;
  std::int32_t detail = 0;
};

struct ConnectDomainEventRegisterAnyArgs {
  std::int32_t event_id = 0;
};

struct ConnectDomainEventDeregisterAnyArgs {
  std::int32_t event_id = 0;
};

struct DomainEventRebootMsg {
  Domain dom;
};

struct DomainEventRtcChangeMsg {
  Domain dom;
  std::int64_t offset = 0;
};

struct DomainEventWatchdogMsg {
  Domain dom;
  std::int32_t action = 0;
};

struct DomainEventIoErrorMsg {
  Domain dom;
  std::string src_path;
  std::string dev_alias;
  std::int32_t action = 0;
};

struct DomainEventGraphicsAddress {
  std::int32_t family = 0;
  std::string node;
  std::string service;
};

struct DomainEventGraphicsIdentity {
  std::string type;
  std::string name;
};

struct DomainEventGraphicsMsg {
  Domain dom;
  std::int32_t phase = 0;
  DomainEventGraphicsAddress local;
  DomainEventGraphicsAddress remote;
  std::string auth_scheme;
  Array<DomainEventGraphicsIdentity, kDomainEventGraphicsIdentityMax> subject;
};

struct DomainEventIoErrorReasonMsg {
  Domain dom;
  std::string src_path;
  std::string dev_alias;
  std::int32_t action = 0;
  std::string reason;
};

struct DomainEventControlErrorMsg {
  Domain dom;
};

struct DomainEventBlockJobMsg {
  Domain dom;
  std::string path;
  std::int32_t type = 0;
  std::int32_t status = 0;
};

struct DomainEventDiskChangeMsg {
  Domain dom;
  std::optional<std::string> old_src_path;
  std::optional<std::string> new_src_path;
  std::string dev_alias;
  std::int32_t reason = 0;
};

struct DomainEventTrayChangeMsg {
  Domain dom;
  std::string dev_alias;
  std::int32_t reason = 0;
};

struct DomainEventPmwakeupMsg {
  Domain dom;
};

struct DomainEventPmsuspendMsg {
  Domain dom;
};

struct DomainEventBalloonChangeMsg {
  Domain dom;
  std::uint64_t actual = 0;
};

struct DomainEventPmsuspendDiskMsg {
  Domain dom;
};

struct DomainEventDeviceRemovedMsg {
  Domain dom;
  std::string dev_alias;
};

struct ConnectNetworkEventRegisterAnyArgs {
  std::int32_t event_id = 0;
  std::optional<Network> net;
};

struct ConnectNetworkEventRegisterAnyResult {
  std::int32_t callback_id = 0;
};

struct ConnectNetworkEventDeregisterAnyArgs {
  std::int32_t callback_id = 0;
};

struct NetworkEventLifecycleMsg {
  std::int32_t callback_id = 0;
  Network net;
  std::int32_t event = 0;
  std::int32_t detail = 0;
};

struct ConnectDomainEventCallbackRegisterAnyArgs {
  std::int32_t event_id = 0;
  std::optional<Domain> dom;
};

struct ConnectDomainEventCallbackRegisterAnyResult {
  std::int32_t callback_id = 0;
};

struct ConnectDomainEventCallbackDeregisterAnyArgs {
  std::int32_t callback_id = 0;
};

struct DomainEventCallbackLifecycleMsg {
  std::int32_t callback_id = 0;
  DomainEventLifecycleMsg msg;
};

struct DomainEventCallbackRebootMsg {
  std::int32_t callback_id = 0;
  DomainEventRebootMsg msg;
};

struct DomainEventCallbackRtcChangeMsg {
  std::int32_t callback_id = 0;
  DomainEventRtcChangeMsg msg;
};

struct DomainEventCallbackWatchdogMsg {
  std::int32_t callback_id = 0;
  DomainEventWatchdogMsg msg;
};

struct DomainEventCallbackIoErrorMsg {
  std::int32_t callback_id = 0;
  DomainEventIoErrorMsg msg;
};

struct DomainEventCallbackGraphicsMsg {
  std::int32_t callback_id = 0;
  DomainEventGraphicsMsg msg;
};

struct DomainEventCallbackIoErrorReasonMsg {
  std::int32_t callback_id = 0;
  DomainEventIoErrorReasonMsg msg;
};

struct DomainEventCallbackControlErrorMsg {
  std::int32_t callback_id = 0;
  DomainEventControlErrorMsg msg;
};

struct DomainEventCallbackBlockJobMsg {
  std::int32_t callback_id = 0;
  DomainEventBlockJobMsg msg;
};

struct DomainEventCallbackDiskChangeMsg {
  std::int32_t callback_id = 0;
  DomainEventDiskChangeMsg msg;
};

struct DomainEventCallbackTrayChangeMsg {
  std::int32_t callback_id = 0;
  DomainEventTrayChangeMsg msg;
};

struct DomainEventCallbackPmwakeupMsg {
  std::int32_t callback_id = 0;
  std::int32_t reason = 0;
  DomainEventPmwakeupMsg msg;
};

struct DomainEventCallbackPmsuspendMsg {
  std::int32_t callback_id = 0;
  std::int32_t reason = 0;
  DomainEventPmsuspendMsg msg;
};

struct DomainEventCallbackBalloonChangeMsg {
  std::int32_t callback_id = 0;
  DomainEventBalloonChangeMsg msg;
};

struct DomainEventCallbackPmsuspendDiskMsg {
  std::int32_t callback_id = 0;
  std::int32_t reason = 0;
  DomainEventPmsuspendDiskMsg msg;
};

struct DomainEventCallbackDeviceRemovedMsg {
  std::int32_t callback_id = 0;
  DomainEventDeviceRemovedMsg msg;
};

struct DomainEventBlockJob2Msg {
  std::int32_t callback_id = 0;
  Domain dom;
  std::string dst;
  std::int32_t type = 0;
  std::int32_t status = 0;
};

struct DomainEventCallbackTunableMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  Array<TypedParam, kDomainEventTunableMax> params;
};

struct DomainEventCallbackAgentLifecycleMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  std::int32_t state = 0;
  std::int32_t reason = 0;
};

struct DomainEventCallbackDeviceAddedMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  std::string dev_alias;
};

struct DomainEventCallbackMigrationIterationMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  std::int32_t iteration = 0;
};

struct ConnectEventConnectionClosedMsg {
  std::int32_t reason = 0;
};

struct DomainEventCallbackJobCompletedMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  Array<TypedParam, kDomainJobStatsMax> params;
};

struct DomainGetPerfEventsArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetPerfEventsResult {
  Array<TypedParam, kDomainPerfEventsMax> params;
};

struct DomainSetPerfEventsArgs {
  Domain dom;
  Array<TypedParam, kDomainPerfEventsMax> params;
  std::uint32_t flags = 0;
};

struct DomainEventCallbackDeviceRemovalFailedMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  std::string dev_alias;
};

struct ConnectStoragePoolEventRegisterAnyArgs {
  std::int32_t event_id = 0;
  std::optional<StoragePool> pool;
};

struct ConnectStoragePoolEventRegisterAnyResult {
  std::int32_t callback_id = 0;
};

struct ConnectStoragePoolEventDeregisterAnyArgs {
  std::int32_t callback_id = 0;
};

struct StoragePoolEventLifecycleMsg {
  std::int32_t callback_id = 0;
  StoragePool pool;
  std::int32_t event = 0;
  std::int32_t detail = 0;
};

struct StoragePoolEventRefreshMsg {
  std::int32_t callback_id = 0;
  StoragePool pool;
};

struct ConnectNodeDeviceEventRegisterAnyArgs {
  std::int32_t event_id = 0;
  std::optional<NodeDevice> dev;
};

struct ConnectNodeDeviceEventRegisterAnyResult {
  std::int32_t callback_id = 0;
};

struct ConnectNodeDeviceEventDeregisterAnyArgs {
  std::int32_t callback_id = 0;
};

struct NodeDeviceEventLifecycleMsg {
  std::int32_t callback_id = 0;
  NodeDevice dev;
  std::int32_t event = 0;
  std::int32_t detail = 0;
};

struct NodeDeviceEventUpdateMsg {
  std::int32_t callback_id = 0;
  NodeDevice dev;
};

struct DomainEventCallbackMetadataChangeMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  std::int32_t type = 0;
  std::optional<std::string> nsuri;
};

struct ConnectSecretEventRegisterAnyArgs {
  std::int32_t event_id = 0;
  std::optional<Secret> secret;
};

struct ConnectSecretEventRegisterAnyResult {
  std::int32_t callback_id = 0;
};

struct ConnectSecretEventDeregisterAnyArgs {
  std::int32_t callback_id = 0;
};

struct SecretEventLifecycleMsg {
  std::int32_t callback_id = 0;
  Secret secret;
  std::int32_t event = 0;
  std::int32_t detail = 0;
};

struct SecretEventValueChangedMsg {
  std::int32_t callback_id = 0;
  Secret secret;
};

struct DomainEventBlockThresholdMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  std::string dev;
  std::optional<std::string> path;
  std::uint64_t threshold = 0;
  std::uint64_t excess = 0;
};

struct DomainEventMemoryFailureMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  std::int32_t recipient = 0;
  std::int32_t action = 0;
  std::uint32_t flags = 0;
};

struct DomainEventMemoryDeviceSizeChangeMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  std::string alias;
  std::uint64_t size = 0;
};

}  // namespace warren::daemon::rpc::protocol
