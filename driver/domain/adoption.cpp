// What a new daemon finds of an earlier one's running domains (failure classes T14 and T15).
//
// The status file says what was so when the earlier daemon wrote last; the worker, if it lives, says what is
// so. Where they differ the domain catches up: what happened in between is told and handled as if it happened
// now.
#include <algorithm>

#include <fmt/format.h>

#include "driver/domain/domain.h"
#include "driver/domain/stray_ports.h"
#include "vmm-core/control/client.h"

namespace warren::driver::domain {

namespace control = vmm::control;

namespace {

// Ends a worker that never came to be a domain. Before its pid was noted it had been given nothing, so there
// it is enough that it goes; after that it must be gone, with its hold on the images, when the domain is free
// again.
Task<> end_stray(std::shared_ptr<Environment> environment, vmm::FileDescriptor socket,
                 std::optional<WorkerProcess> process) {
  if (process) {
    process->kill();
    auto worker = Worker::make(environment->loop, std::move(*process), {}, {});
    co_await worker->wait_end(std::chrono::seconds(5));
  } else if (socket) {
    control::Client client(environment->loop, std::move(socket), {});
    client.set_deadline(environment->quit_deadline);
    Request<void> quit = [&client](auto reply) { client.quit(std::move(reply)); };
    co_await await_reply<void>(std::move(quit));
  }
}

}  // namespace

Task<> Domain::adopt(LiveStatus status) {
  auto hold = co_await slot_.acquire(job_of("adoption", {}), JobSlot::Urgency::urgent);
  auto process = find_worker(status.pid, status.start_time);
  vmm::FileDescriptor socket;
  std::string why = "it has ended";
  try {
    socket = control::connect_to((runtime_directory() / "control.sock").string());
  } catch (const std::exception& error) {
    if (process) why = error.what();
  }
  if (status.phase == LiveStatus::Phase::starting) {
    log(LogPriority::warning, "its start was interrupted: it is rolled back");
    co_await end_stray(environment_, std::move(socket), std::move(process));
    co_await roll_back_host_devices(std::move(status.bound_devices));
    co_await roll_back_networks(status.live);
    co_await delete_stray_ports_of(environment_, uuid_);
    co_await remove_status();
    drop_if_gone();
    co_return;
  }
  live_ = std::make_shared<config::DomainDefinition>(std::move(status.live));
  id_ = live_->id.value_or(-1);
  for (const config::Vsock& vsock : live_->devices.vsocks) environment_->cids.claim(uuid_, vsock.cid);
  co_await adopt_host_devices(std::move(status.bound_devices));
  co_await adopt_networks();
  co_await delete_stray_ports_of(environment_, uuid_);
  for (BlockJobRecord& record : status.block_jobs) {
    const std::string target = record.disk;
    block_jobs_[target] = std::make_shared<BlockJob>(environment_->loop, std::move(record));
  }
  resets_ = status.resets;
  reboot_requested_ = status.reboot_requested;
  started_ = status.started;
  agent_timeout_ = status.agent_timeout;
  set_state(status.state, status.reason);
  environment_->table.set_id(shared_from_this(), id_);
  if (!process) {
    log(LogPriority::error, "its worker ended while no daemon was there");
    publish();
    const bool was_shut_down = status.state == VIR_DOMAIN_SHUTDOWN;
    co_await stop(was_shut_down ? VIR_DOMAIN_SHUTOFF_SHUTDOWN : VIR_DOMAIN_SHUTOFF_CRASHED,
                  was_shut_down ? VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN : VIR_DOMAIN_EVENT_STOPPED_FAILED);
    co_return;
  }
  worker_ = Worker::make(environment_->loop, std::move(*process), std::move(socket), {});
  worker_->set_deadline(environment_->command_deadline);
  worker_->set_handlers(worker_handlers());
  publish();
  std::optional<Error> failure;
  control::Status found;
  try {
    if (!worker_->is_connected()) throw operation_failed(why);
    found = co_await worker_->status();
    set_counters(co_await worker_->counters());
    co_await fetch_statistics();
    perf_ = std::make_shared<PerfCounters>(worker_->pid(), live_->perf);
  } catch (...) {
    failure = error_of(std::current_exception());
  }
  if (worker_->has_ended()) co_return;  // worker_ended() waits for this job to be over
  if (failure) {
    control_error_ = failure->what();
    log(LogPriority::error, fmt::format("cannot reach worker {}: {}", worker_->pid(), control_error_));
    publish();
    emit(ControlErrorEvent{});
    co_return;
  }
  co_await catch_up(found);
}

Task<> Domain::catch_up(control::Status found) {
  if (found.memory_devices) note_memory(*found.memory_devices);
  // Of a worker that has no such counter it is 0.
  if (const std::uint64_t actual = counters_ ? counters_->balloon().actual_bytes : 0; actual != 0)
    note_balloon(actual);
  balloon_target_kib_ = live_->memory.current_kib;
  publish();
  forget_devices_but(found);
  co_await give_back_to_host();
  if (found.vcpus) note_vcpus(*found.vcpus);
  // Held by a pivot, which lets it go when it has ended, or had ended when the last daemon did.
  const bool is_held =
      is_guest_held() ||
      (found.block_jobs && std::ranges::any_of(*found.block_jobs, &control::BlockJob::pivoted));
  if (found.state == control::MachineState::paused && is_held && state_ == VIR_DOMAIN_RUNNING)
    found.state = control::MachineState::running;
  co_await catch_up_block_jobs(found.block_jobs.value_or(std::vector<control::BlockJob>()));
  // A machine that stops at its guest's reset counts that one too.
  const bool stopped_at_reset = found.state == control::MachineState::shut_down && resets_ < found.resets &&
                                live_->lifecycle.on_reboot.value_or(config::LifecycleAction::restart) !=
                                    config::LifecycleAction::restart;
  while (resets_ + (stopped_at_reset ? 1u : 0u) < found.resets) guest_was_reset();
  resets_ = found.resets;
  set_open_channels(found.open_ports);
  set_open_trays(found.open_trays);
  switch (found.state) {
    case control::MachineState::suspended:
      if (state_ != VIR_DOMAIN_PMSUSPENDED) co_await guest_suspended();
      break;
    case control::MachineState::running:
      if (state_ == VIR_DOMAIN_PMSUSPENDED) co_await guest_woke();
      if (state_ != VIR_DOMAIN_RUNNING) set_state(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED);
      break;
    case control::MachineState::paused:
      note_stalled(found.stalled_disks);
      if (state_ != VIR_DOMAIN_PAUSED) {
        set_state(VIR_DOMAIN_PAUSED,
                  disk_errors_.empty() ? int{VIR_DOMAIN_PAUSED_UNKNOWN} : int{VIR_DOMAIN_PAUSED_IOERROR});
      }
      break;
    case control::MachineState::shut_down:
      if (state_ == VIR_DOMAIN_SHUTDOWN) break;  // preserved
      co_await guest_shut_down(stopped_at_reset ? control::StateCause::guest_reset : found.cause);
      co_return;
    case control::MachineState::crashed:
      if (state_ == VIR_DOMAIN_CRASHED) break;  // preserved
      co_await guest_crashed(found.detail);
      co_return;
    default:
      // Its machine was never started, whatever the status says.
      co_await end_worker(false);
      co_await stop(VIR_DOMAIN_SHUTOFF_FAILED, VIR_DOMAIN_EVENT_STOPPED_FAILED);
      co_return;
  }
  co_await write_status();
  publish();
  open_agent(VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL);
}

}  // namespace warren::driver::domain
