// What happens to domains, in libvirt's numbers, and how a front door gets to know.
//
// Events are delivered on the loop's thread, each after the state it tells of can be read, in the order in
// which they happened to their domain. A handler must not block; it may unsubscribe anything, itself
// included.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>

#include <libvirt/libvirt.h>

#include "driver/contract/handle.h"
#include "driver/contract/typed_parameter.h"

namespace warren::driver {

struct LifecycleEvent {  // VIR_DOMAIN_EVENT_ID_LIFECYCLE
  int event = 0;         // virDomainEventType
  int detail = 0;        // virDomainEvent<Type>DetailType
};
struct RebootEvent {};        // VIR_DOMAIN_EVENT_ID_REBOOT
struct ControlErrorEvent {};  // VIR_DOMAIN_EVENT_ID_CONTROL_ERROR: the worker no longer answers as it should
struct IoErrorEvent {         // VIR_DOMAIN_EVENT_ID_IO_ERROR and, with the reason, …_IO_ERROR_REASON
  std::string source_path;
  std::string device_alias;
  int action = VIR_DOMAIN_EVENT_IO_ERROR_NONE;
  std::string reason;
};
struct MetadataChangeEvent {  // VIR_DOMAIN_EVENT_ID_METADATA_CHANGE
  int type = 0;               // virDomainMetadataType
  std::optional<std::string> namespace_uri;
};

struct RtcChangeEvent {             // VIR_DOMAIN_EVENT_ID_RTC_CHANGE: the guest set its clock
  std::int64_t offset_seconds = 0;  // of the new time from what the definition's clock shows
};
struct TunableEvent {  // VIR_DOMAIN_EVENT_ID_TUNABLE
  TypedParameters parameters;
};
struct JobCompletedEvent {  // VIR_DOMAIN_EVENT_ID_JOB_COMPLETED
  TypedParameters parameters;
};

struct BlockThresholdEvent {  // VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD
  std::string device;         // the target
  std::string source_path;
  std::uint64_t threshold = 0;
  std::uint64_t excess = 0;
};

// VIR_DOMAIN_EVENT_ID_BLOCK_JOB and, by the disk's target, …_BLOCK_JOB_2
struct BlockJobEvent {
  std::string device;       // the target
  std::string source_path;  // of the disk as it is now
  int type = 0;             // virDomainBlockJobType
  int status = 0;           // virConnectDomainEventBlockJobStatus
};

struct TrayChangeEvent {  // VIR_DOMAIN_EVENT_ID_TRAY_CHANGE
  std::string alias;
  int reason = 0;  // virDomainEventTrayChangeReason
};
struct DiskChangeEvent {  // VIR_DOMAIN_EVENT_ID_DISK_CHANGE: a start went on without a source that was
                          // missing
  std::optional<std::string> old_source, new_source;
  std::string alias;
  int reason = 0;  // virConnectDomainEventDiskChangeReason
};

// VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, …_DEVICE_REMOVED, …_DEVICE_REMOVAL_FAILED: of a running machine.
struct DeviceAddedEvent {
  std::string alias;
};
struct DeviceRemovedEvent {
  std::string alias;
};
struct DeviceRemovalFailedEvent {  // the guest keeps it
  std::string alias;
};

struct AgentLifecycleEvent {  // VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE
  int state = 0;              // virConnectDomainEventAgentLifecycleState
  int reason = 0;             // virConnectDomainEventAgentLifecycleReason
};

struct BalloonChangeEvent {  // VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE
  std::uint64_t actual_kib = 0;
};

struct MemoryDeviceSizeEvent {  // VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE
  std::string alias;
  std::uint64_t size_kib = 0;  // what the guest has of it now
};

struct WatchdogEvent {  // VIR_DOMAIN_EVENT_ID_WATCHDOG: the guest has not reloaded it in time
  int action = VIR_DOMAIN_EVENT_WATCHDOG_NONE;
};

// VIR_DOMAIN_EVENT_ID_PMSUSPEND, …_PMSUSPEND_DISK, …_PMWAKEUP: the guest has gone to sleep, or was woken.
struct PmSuspendEvent {};
struct PmSuspendDiskEvent {};
struct PmWakeupEvent {};

// VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE: memory of the host that the domain used has failed.
struct MemoryFailureEvent {
  int recipient = 0;       // virDomainMemoryFailureRecipientType
  int action = 0;          // virDomainMemoryFailureActionType
  unsigned int flags = 0;  // virDomainMemoryFailureFlags
};

struct DomainEvent {
  DomainHandle domain;
  std::variant<LifecycleEvent, RebootEvent, ControlErrorEvent, IoErrorEvent, MetadataChangeEvent,
               RtcChangeEvent, TunableEvent, JobCompletedEvent, BlockThresholdEvent, BlockJobEvent,
               DeviceAddedEvent, DeviceRemovedEvent, DeviceRemovalFailedEvent, AgentLifecycleEvent,
               BalloonChangeEvent, WatchdogEvent, TrayChangeEvent, DiskChangeEvent, PmSuspendEvent,
               PmSuspendDiskEvent, PmWakeupEvent, MemoryFailureEvent, MemoryDeviceSizeEvent>
      body;
};

class EventSource {
 public:
  using Handler = std::function<void(const DomainEvent&)>;
  using SubscriptionId = std::uint64_t;

  // Events of one virDomainEventID (an IoErrorEvent and a BlockJobEvent have two), of all domains or of one,
  // which need not be running. Ids that exist but never happen here are taken; others throw
  // invalid_argument().
  virtual SubscriptionId subscribe(int event_id, std::optional<Uuid> domain, Handler handler) = 0;
  // No call of the handler begins after this returns. An unknown id is ignored.
  virtual void unsubscribe(SubscriptionId id) noexcept = 0;

 protected:
  ~EventSource() = default;
};

}  // namespace warren::driver
