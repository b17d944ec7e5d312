// A guest that sleeps: in S3 its machine waits, with its memory, for what wakes it; in S4 it is off.
#include <fmt/format.h>
#include <libvirt/libvirt-qemu.h>

#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace control = vmm::control;

namespace {

const char* agent_command(unsigned int target) {
  switch (target) {
    case VIR_NODE_SUSPEND_TARGET_MEM:
      return "guest-suspend-ram";
    case VIR_NODE_SUSPEND_TARGET_DISK:
      return "guest-suspend-disk";
    default:
      return "guest-suspend-hybrid";
  }
}

}  // namespace

Task<> Domain::sleep_by_agent(Caller caller, unsigned int target) {
  auto session = co_await agent_session(std::move(caller), "suspend the guest");
  // Returns when the guest is asleep, with its side of the channel closed, or when it says that it cannot.
  co_await session.end_with(agent::Request(agent_command(target)), VIR_DOMAIN_QEMU_AGENT_COMMAND_BLOCK);
}

void Domain::require_awake() const {
  if (state_ == VIR_DOMAIN_PMSUSPENDED) throw operation_invalid("domain is pmsuspended");
}

Task<> Domain::wake(Caller caller) {
  auto hold = co_await slot_.acquire(job_of("wake up", std::move(caller)));
  Worker& worker = require_worker();
  if (state_ != VIR_DOMAIN_PMSUSPENDED)
    throw operation_invalid("Unable to wake up: guest is not in suspended state");
  co_await worker.command(&control::Client::wake, fmt::format("wake up domain '{}'", name_));
  co_await guest_woke();
}

Task<> Domain::guest_suspended() {
  set_state(VIR_DOMAIN_PMSUSPENDED, VIR_DOMAIN_PMSUSPENDED_UNKNOWN);
  co_await write_status();
  publish();
  emit(PmSuspendEvent{});
  emit(VIR_DOMAIN_EVENT_PMSUSPENDED, VIR_DOMAIN_EVENT_PMSUSPENDED_MEMORY);
}

Task<> Domain::guest_woke() {
  set_state(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_WAKEUP);
  co_await write_status();
  publish();
  emit(PmWakeupEvent{});
  emit(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_WAKEUP);
}

void Domain::guest_hibernated() {
  emit(PmSuspendDiskEvent{});
  emit(VIR_DOMAIN_EVENT_PMSUSPENDED, VIR_DOMAIN_EVENT_PMSUSPENDED_DISK);
}

}  // namespace warren::driver::domain
