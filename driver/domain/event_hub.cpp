#include "driver/domain/event_hub.h"

#include <utility>
#include <vector>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

bool answers_to(const DomainEvent& event, int event_id) {
  struct Visitor {
    int id;
    bool operator()(const LifecycleEvent&) const { return id == VIR_DOMAIN_EVENT_ID_LIFECYCLE; }
    bool operator()(const RebootEvent&) const { return id == VIR_DOMAIN_EVENT_ID_REBOOT; }
    bool operator()(const ControlErrorEvent&) const { return id == VIR_DOMAIN_EVENT_ID_CONTROL_ERROR; }
    bool operator()(const IoErrorEvent&) const {
      return id == VIR_DOMAIN_EVENT_ID_IO_ERROR || id == VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON;
    }
    bool operator()(const RtcChangeEvent&) const { return id == VIR_DOMAIN_EVENT_ID_RTC_CHANGE; }
    bool operator()(const TunableEvent&) const { return id == VIR_DOMAIN_EVENT_ID_TUNABLE; }
    bool operator()(const JobCompletedEvent&) const { return id == VIR_DOMAIN_EVENT_ID_JOB_COMPLETED; }
    bool operator()(const BlockThresholdEvent&) const { return id == VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD; }
    bool operator()(const BlockJobEvent&) const {
      return id == VIR_DOMAIN_EVENT_ID_BLOCK_JOB || id == VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2;
    }
    bool operator()(const DeviceAddedEvent&) const { return id == VIR_DOMAIN_EVENT_ID_DEVICE_ADDED; }
    bool operator()(const DeviceRemovedEvent&) const { return id == VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED; }
    bool operator()(const DeviceRemovalFailedEvent&) const {
      return id == VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED;
    }
    bool operator()(const MemoryDeviceSizeEvent&) const {
      return id == VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE;
    }
    bool operator()(const BalloonChangeEvent&) const { return id == VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE; }
    bool operator()(const TrayChangeEvent&) const { return id == VIR_DOMAIN_EVENT_ID_TRAY_CHANGE; }
    bool operator()(const DiskChangeEvent&) const { return id == VIR_DOMAIN_EVENT_ID_DISK_CHANGE; }
    bool operator()(const WatchdogEvent&) const { return id == VIR_DOMAIN_EVENT_ID_WATCHDOG; }
    bool operator()(const PmSuspendEvent&) const { return id == VIR_DOMAIN_EVENT_ID_PMSUSPEND; }
    bool operator()(const PmSuspendDiskEvent&) const { return id == VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK; }
    bool operator()(const PmWakeupEvent&) const { return id == VIR_DOMAIN_EVENT_ID_PMWAKEUP; }
    bool operator()(const MemoryFailureEvent&) const { return id == VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE; }
    bool operator()(const MetadataChangeEvent&) const { return id == VIR_DOMAIN_EVENT_ID_METADATA_CHANGE; }
    bool operator()(const AgentLifecycleEvent&) const { return id == VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE; }
  };
  return std::visit(Visitor{event_id}, event.body);
}

EventHub::EventHub(boost::asio::io_context& loop) : loop_(loop) {}

EventSource::SubscriptionId EventHub::subscribe(int event_id, std::optional<Uuid> domain,
                                                EventSource::Handler handler) {
  // virDomainEventID ends at VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE in the API this was built for.
  if (event_id < 0 || event_id > VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE) {
    throw invalid_argument(fmt::format("there is no domain event with the id {}", event_id));
  }
  auto id = next_id_++;
  state_->subscriptions.emplace(
      id, std::make_shared<Subscription>(Subscription{event_id, domain, std::move(handler)}));
  return id;
}

void EventHub::unsubscribe(EventSource::SubscriptionId id) noexcept {
  state_->subscriptions.erase(id);
}

void EventHub::emit(DomainEvent event) {
  state_->queue.push_back(std::move(event));
  if (std::exchange(state_->posted, true)) return;
  boost::asio::post(loop_, [state = state_] {
    state->posted = false;
    deliver(*state);
  });
}

void EventHub::deliver(State& state) {
  while (!state.queue.empty()) {
    DomainEvent event = std::move(state.queue.front());
    state.queue.pop_front();
    // Handlers may subscribe and unsubscribe: walk a copy, and look each up again before its call.
    std::vector<std::pair<EventSource::SubscriptionId, std::shared_ptr<Subscription>>> now(
        state.subscriptions.begin(), state.subscriptions.end());
    for (auto& [id, subscription] : now) {
      if (!state.subscriptions.contains(id)) continue;
      if (subscription->domain && *subscription->domain != event.domain.uuid) continue;
      if (answers_to(event, subscription->event_id)) subscription->handler(event);
    }
  }
}

}  // namespace warren::driver::domain
