// clang-format off: one line per procedure
#include "daemon/rpc/handlers_connect.h"
#include "daemon/rpc/handlers_event.h"
#include "daemon/rpc/handlers_domain_tuning.h"
#include "daemon/rpc/handlers_network.h"
#include "daemon/rpc/handlers_secret.h"
#include "daemon/rpc/handlers_storage_pool.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/event.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    refused<Nothing, ConnectDomainEventRegisterResult>(105, "CONNECT_DOMAIN_EVENT_REGISTER", kHigh, "connect:search_domains"),
    refused<Nothing, ConnectDomainEventDeregisterResult>(106, "CONNECT_DOMAIN_EVENT_DEREGISTER", kHigh, "connect:read"),
    refused_event<DomainEventLifecycleMsg>(107, "DOMAIN_EVENT_LIFECYCLE"),
    refused<ConnectDomainEventRegisterAnyArgs, Nothing>(167, "CONNECT_DOMAIN_EVENT_REGISTER_ANY", kHigh, "connect:search_domains"),
    refused<ConnectDomainEventDeregisterAnyArgs, Nothing>(168, "CONNECT_DOMAIN_EVENT_DEREGISTER_ANY", kHigh, "connect:read"),
    refused_event<DomainEventRebootMsg>(169, "DOMAIN_EVENT_REBOOT"),
    refused_event<DomainEventRtcChangeMsg>(170, "DOMAIN_EVENT_RTC_CHANGE"),
    refused_event<DomainEventWatchdogMsg>(171, "DOMAIN_EVENT_WATCHDOG"),
    refused_event<DomainEventIoErrorMsg>(172, "DOMAIN_EVENT_IO_ERROR"),
    refused_event<DomainEventGraphicsMsg>(173, "DOMAIN_EVENT_GRAPHICS"),
    refused_event<DomainEventIoErrorReasonMsg>(195, "DOMAIN_EVENT_IO_ERROR_REASON"),
    refused_event<DomainEventControlErrorMsg>(224, "DOMAIN_EVENT_CONTROL_ERROR"),
    refused_event<DomainEventBlockJobMsg>(241, "DOMAIN_EVENT_BLOCK_JOB"),
    refused_event<DomainEventDiskChangeMsg>(248, "DOMAIN_EVENT_DISK_CHANGE"),
    refused_event<DomainEventTrayChangeMsg>(268, "DOMAIN_EVENT_TRAY_CHANGE"),
    refused_event<DomainEventPmwakeupMsg>(269, "DOMAIN_EVENT_PMWAKEUP"),
    refused_event<DomainEventPmsuspendMsg>(270, "DOMAIN_EVENT_PMSUSPEND"),
    refused_event<DomainEventBalloonChangeMsg>(276, "DOMAIN_EVENT_BALLOON_CHANGE"),
    refused_event<DomainEventPmsuspendDiskMsg>(292, "DOMAIN_EVENT_PMSUSPEND_DISK"),
    refused_event<DomainEventDeviceRemovedMsg>(311, "DOMAIN_EVENT_DEVICE_REMOVED"),
    served<&handlers::connect_network_event_register_any>(313, "CONNECT_NETWORK_EVENT_REGISTER_ANY", kHigh, "connect:search_networks", Part::networks),
    served<&handlers::connect_network_event_deregister_any>(314, "CONNECT_NETWORK_EVENT_DEREGISTER_ANY", kHigh, "connect:read", Part::networks),
    sent_event<NetworkEventLifecycleMsg>(315, "NETWORK_EVENT_LIFECYCLE", Part::networks),
    served<&handlers::connect_domain_event_callback_register_any>(316, "CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", kHigh, "connect:search_domains"),
    served<&handlers::connect_domain_event_callback_deregister_any>(317, "CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY", kHigh, "connect:read"),
    sent_event<DomainEventCallbackLifecycleMsg>(318, "DOMAIN_EVENT_CALLBACK_LIFECYCLE"),
    sent_event<DomainEventCallbackRebootMsg>(319, "DOMAIN_EVENT_CALLBACK_REBOOT"),
    sent_event<DomainEventCallbackRtcChangeMsg>(320, "DOMAIN_EVENT_CALLBACK_RTC_CHANGE"),
    sent_event<DomainEventCallbackWatchdogMsg>(321, "DOMAIN_EVENT_CALLBACK_WATCHDOG"),
    sent_event<DomainEventCallbackIoErrorMsg>(322, "DOMAIN_EVENT_CALLBACK_IO_ERROR"),
    event<DomainEventCallbackGraphicsMsg>(323, "DOMAIN_EVENT_CALLBACK_GRAPHICS"),
    sent_event<DomainEventCallbackIoErrorReasonMsg>(324, "DOMAIN_EVENT_CALLBACK_IO_ERROR_REASON"),
    sent_event<DomainEventCallbackControlErrorMsg>(325, "DOMAIN_EVENT_CALLBACK_CONTROL_ERROR"),
    sent_event<DomainEventCallbackBlockJobMsg>(326, "DOMAIN_EVENT_CALLBACK_BLOCK_JOB"),
    sent_event<DomainEventCallbackDiskChangeMsg>(327, "DOMAIN_EVENT_CALLBACK_DISK_CHANGE"),
    sent_event<DomainEventCallbackTrayChangeMsg>(328, "DOMAIN_EVENT_CALLBACK_TRAY_CHANGE"),
    sent_event<DomainEventCallbackPmwakeupMsg>(329, "DOMAIN_EVENT_CALLBACK_PMWAKEUP"),
    sent_event<DomainEventCallbackPmsuspendMsg>(330, "DOMAIN_EVENT_CALLBACK_PMSUSPEND"),
    sent_event<DomainEventCallbackBalloonChangeMsg>(331, "DOMAIN_EVENT_CALLBACK_BALLOON_CHANGE"),
    sent_event<DomainEventCallbackPmsuspendDiskMsg>(332, "DOMAIN_EVENT_CALLBACK_PMSUSPEND_DISK"),
    sent_event<DomainEventCallbackDeviceRemovedMsg>(333, "DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED"),
    sent_event<DomainEventBlockJob2Msg>(339, "DOMAIN_EVENT_BLOCK_JOB_2"),
    sent_event<DomainEventCallbackTunableMsg>(346, "DOMAIN_EVENT_CALLBACK_TUNABLE"),
    sent_event<DomainEventCallbackAgentLifecycleMsg>(348, "DOMAIN_EVENT_CALLBACK_AGENT_LIFECYCLE"),
    sent_event<DomainEventCallbackDeviceAddedMsg>(354, "DOMAIN_EVENT_CALLBACK_DEVICE_ADDED"),
    event<DomainEventCallbackMigrationIterationMsg>(359, "DOMAIN_EVENT_CALLBACK_MIGRATION_ITERATION"),
    served<&handlers::connect_register_close_callback>(360, "CONNECT_REGISTER_CLOSE_CALLBACK", kHigh, "connect:getattr"),
    served<&handlers::connect_unregister_close_callback>(361, "CONNECT_UNREGISTER_CLOSE_CALLBACK", kHigh, "connect:getattr"),
    sent_event<ConnectEventConnectionClosedMsg>(362, "CONNECT_EVENT_CONNECTION_CLOSED"),
    sent_event<DomainEventCallbackJobCompletedMsg>(363, "DOMAIN_EVENT_CALLBACK_JOB_COMPLETED"),
    served<&handlers::domain_get_perf_events>(365, "DOMAIN_GET_PERF_EVENTS", kLow, "domain:read"),
    served<&handlers::domain_set_perf_events>(366, "DOMAIN_SET_PERF_EVENTS", kLow | kWrite, "domain:write"),
    sent_event<DomainEventCallbackDeviceRemovalFailedMsg>(367, "DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED"),
    served<&handlers::connect_storage_pool_event_register_any>(368, "CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY", kHigh, "connect:search_storage_pools", Part::storage),
    served<&handlers::connect_storage_pool_event_deregister_any>(369, "CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY", kHigh, "connect:read", Part::storage),
    sent_event<StoragePoolEventLifecycleMsg>(370, "STORAGE_POOL_EVENT_LIFECYCLE", Part::storage),
    sent_event<StoragePoolEventRefreshMsg>(373, "STORAGE_POOL_EVENT_REFRESH", Part::storage),
    missing<ConnectNodeDeviceEventRegisterAnyArgs, ConnectNodeDeviceEventRegisterAnyResult>(374, "CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY", kHigh, "connect:search_node_devices"),
    missing<ConnectNodeDeviceEventDeregisterAnyArgs, Nothing>(375, "CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY", kHigh, "connect:read"),
    event<NodeDeviceEventLifecycleMsg>(376, "NODE_DEVICE_EVENT_LIFECYCLE"),
    event<NodeDeviceEventUpdateMsg>(377, "NODE_DEVICE_EVENT_UPDATE"),
    sent_event<DomainEventCallbackMetadataChangeMsg>(379, "DOMAIN_EVENT_CALLBACK_METADATA_CHANGE"),
    served<&handlers::connect_secret_event_register_any>(380, "CONNECT_SECRET_EVENT_REGISTER_ANY", kHigh, "connect:search_secrets", Part::secrets),
    served<&handlers::connect_secret_event_deregister_any>(381, "CONNECT_SECRET_EVENT_DEREGISTER_ANY", kHigh, "connect:read", Part::secrets),
    sent_event<SecretEventLifecycleMsg>(382, "SECRET_EVENT_LIFECYCLE", Part::secrets),
    sent_event<SecretEventValueChangedMsg>(383, "SECRET_EVENT_VALUE_CHANGED", Part::secrets),
    sent_event<DomainEventBlockThresholdMsg>(385, "DOMAIN_EVENT_BLOCK_THRESHOLD"),
    sent_event<DomainEventMemoryFailureMsg>(423, "DOMAIN_EVENT_MEMORY_FAILURE"),
    sent_event<DomainEventMemoryDeviceSizeChangeMsg>(438, "DOMAIN_EVENT_MEMORY_DEVICE_SIZE_CHANGE"),
};

}  // namespace

std::span<const Procedure> event_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
