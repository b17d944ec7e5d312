// What becomes of a running domain: at a client's wish, at its guest's, or because its worker ends.
#include <algorithm>

#include <fmt/format.h>

#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace control = vmm::control;
using config::LifecycleAction;

Task<> Domain::shutdown(Caller caller, std::string job, bool then_restart) {
  auto hold = co_await slot_.acquire(job_of(job, caller));
  Worker& worker = require_worker();
  if (state_ != VIR_DOMAIN_RUNNING) throw operation_invalid("domain is not running");
  if (reboot_requested_ != then_restart) {
    reboot_requested_ = then_restart;
    co_await write_status();
  }
  co_await worker.command(&control::Client::power_button, fmt::format("{} domain '{}'", job, name_));
}

Task<> Domain::reset(Caller caller) {
  auto hold = co_await slot_.acquire(job_of("reset", caller));
  Worker& worker = require_worker();
  require_awake();
  if (state_ != VIR_DOMAIN_RUNNING && state_ != VIR_DOMAIN_PAUSED) {
    throw operation_invalid("domain is neither running nor paused");
  }
  co_await worker.command(&control::Client::reset, fmt::format("reset domain '{}'", name_));
  guest_was_reset();
  co_await write_status();
}

// A pause waits for requests of the guest, which a server may hold up for longer than clients wait for us.
// What comes of it then is told by the worker's event instead.
Task<> Domain::change_machine(Worker::Command command, std::string doing) {
  try {
    co_await require_worker().command(command, std::move(doing));
  } catch (const Error& error) {
    is_state_doubtful_ = is_state_doubtful_ || error.code() == VIR_ERR_OPERATION_TIMEOUT;
    throw;
  }
}

Task<> Domain::machine_changed_late(control::MachineState state) {
  is_state_doubtful_ = false;
  const bool is_paused = state == control::MachineState::paused;
  const bool is_news = is_paused ? state_ == VIR_DOMAIN_RUNNING && !is_guest_held()
                                 : state == control::MachineState::running && state_ == VIR_DOMAIN_PAUSED;
  if (!is_news) co_return;
  if (is_paused) {
    set_state(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER);
  } else {
    set_state(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED);
  }
  co_await write_status();
  publish();
  if (is_paused) {
    emit(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED);
  } else {
    emit(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED);
  }
}

Task<> Domain::suspend(Caller caller) {
  auto hold = co_await slot_.acquire(job_of("suspend", caller));
  require_worker();
  require_awake();
  if (state_ == VIR_DOMAIN_PAUSED) co_return;
  if (state_ != VIR_DOMAIN_RUNNING) throw operation_invalid("domain is not running");
  require_no_pivot();
  co_await change_machine(&control::Client::pause, fmt::format("suspend domain '{}'", name_));
  set_state(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER);
  co_await write_status();
  publish();
  emit(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED);
}

Task<> Domain::resume(Caller caller) {
  auto hold = co_await slot_.acquire(job_of("resume", caller));
  require_worker();
  require_awake();
  if (state_ == VIR_DOMAIN_RUNNING) throw operation_invalid("domain is already running");
  if (state_ != VIR_DOMAIN_PAUSED) throw operation_invalid("domain is not paused");
  require_no_pivot();
  // What failed is tried again from here on, and may fail again before this is answered.
  disk_errors_.clear();
  co_await change_machine(&control::Client::resume, fmt::format("resume domain '{}'", name_));
  set_state(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED);
  co_await write_status();
  publish();
  emit(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED);
}

Task<> Domain::destroy(Caller caller, bool graceful) {
  const bool was_starting = !is_active() && slot_.current() && slot_.current()->name == "create";
  if (!is_active() && !was_starting) throw operation_invalid("domain is not running");
  if (slot_.current() && !graceful) {
    // Whatever the job waits for, an image, the worker or a tray, ends now.
    image_wait_.abandon(Error(VIR_ERR_OPERATION_ABORTED, "the domain was destroyed"));
    if (worker_) worker_->kill();
    for (const auto& [alias, timer] : tray_timers_) timer->cancel();
  }
  auto hold = co_await slot_.acquire(job_of("destroy", caller), JobSlot::Urgency::urgent);
  if (!is_active()) co_return;
  co_await end_worker(graceful);
  co_await stop(VIR_DOMAIN_SHUTOFF_DESTROYED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED);
}

Task<> Domain::end_worker(bool graceful) {
  if (!worker_) co_return;
  // What it still tells is answered by what is under way here.
  auto worker = worker_;
  worker->silence();
  if (!worker->has_ended() && worker->is_connected() && control_error_.empty()) {
    worker->set_deadline(graceful ? environment_->command_deadline : environment_->quit_deadline);
    bool asked = true;
    try {
      co_await worker->command(&control::Client::quit, "end the worker");
    } catch (const Error&) {
      asked = false;
    }
    if (asked)
      co_await worker->wait_end(graceful ? environment_->command_deadline : environment_->quit_deadline);
  }
  if (worker->has_ended()) co_return;
  if (graceful) {
    worker->set_deadline(environment_->command_deadline);
    worker->set_handlers(worker_handlers());
    throw Error(
        VIR_ERR_SYSTEM_ERROR,
        fmt::format("worker {} of domain '{}' does not end by itself; 'virsh destroy' without --graceful "
                    "kills it",
                    worker->pid(), name_));
  }
  worker->kill();
  // Only a process that the kernel cannot let go (a disk that hangs) outlives this. It takes its taps along,
  // one after the other and after those of all other guests that end: a tenth of a second for each is usual.
  const std::size_t taps = live_ ? live_->devices.interfaces.size() : 0;
  if (!co_await worker->wait_end(std::chrono::seconds(10 + 2 * std::min<std::size_t>(taps, 50)))) {
    worker->set_handlers(worker_handlers());
    throw Error(VIR_ERR_SYSTEM_ERROR,
                fmt::format("worker {} of domain '{}' does not die: the kernel holds it, see "
                            "/proc/{}/stack",
                            worker->pid(), name_, worker->pid()));
  }
}

Task<> Domain::stop(int reason, int stopped_detail) {
  for (auto& [alias, session] : consoles_) {
    // Their readers see the end of the pty by themselves; the daemon just forgets them.
    session.reset();
  }
  consoles_.clear();
  end_removals();
  forget_block_jobs();
  // Whoever has KVM's statistics open keeps the machine, and a thread of the kernel's in the domain's cgroup.
  kvm_ = nullptr;
  publish();
  close_agent();
  agent_timeout_ = VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK;
  co_await give_back_to_host();
  co_await remove_status();
  DomainHandle stopped{name_, uuid_, id_};
  environment_->table.clear_id(id_);
  worker_ = nullptr;
  counters_ = nullptr;
  perf_ = nullptr;
  dirty_rate_ = {};
  control_error_.clear();
  disk_errors_.clear();
  disk_messages_.clear();
  live_ = nullptr;
  id_ = -1;
  reboot_requested_ = false;
  tainted_by_monitor_ = false;
  is_updated_ = false;
  autodestroy_connection_ = 0;
  set_state(VIR_DOMAIN_SHUTOFF, reason);
  if (persistent_) publish();
  drop_if_gone();
  environment_->events.emit({stopped, LifecycleEvent{VIR_DOMAIN_EVENT_STOPPED, stopped_detail}});
}

// A machine that ended begins anew under the same id: as a reset of the same worker, so that its console
// stays, or with a new worker if the old one cannot.
Task<> Domain::restart() {
  reboot_requested_ = false;
  bool was_reset = false;
  try {
    co_await worker_->command(&control::Client::reset, "restart the machine");
    was_reset = true;
  } catch (const Error& error) {
    log(LogPriority::debug, fmt::format("gets a new worker: {}", error.what()));
  }
  if (was_reset) {
    ++resets_;
  } else {
    std::optional<Error> failure;
    try {
      co_await end_worker(false);
      consoles_.clear();
      forget_block_jobs();
      co_await launch(*live_, false);
    } catch (...) {
      failure = error_of(std::current_exception());
    }
    if (failure) {
      log(LogPriority::error, fmt::format("cannot be restarted: {}", failure->what()));
      co_await stop(VIR_DOMAIN_SHUTOFF_FAILED, VIR_DOMAIN_EVENT_STOPPED_FAILED);
      co_return;
    }
  }
  set_state(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED);
  co_await write_status();
  publish();
  if (!was_reset) open_agent(VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL);
  emit(RebootEvent{});
}

void Domain::guest_was_reset() {
  ++resets_;
  emit(RebootEvent{});
}

Task<> Domain::guest_shut_down(control::StateCause cause) {
  if (cause == control::StateCause::guest_hibernation) guest_hibernated();
  LifecycleAction action = live_->lifecycle.on_poweroff.value_or(LifecycleAction::destroy);
  if (cause == control::StateCause::guest_reset) {
    action = live_->lifecycle.on_reboot.value_or(LifecycleAction::restart);
  } else if (reboot_requested_) {
    action = LifecycleAction::restart;
  }
  if (action == LifecycleAction::restart) {
    co_await restart();
    co_return;
  }
  set_state(VIR_DOMAIN_SHUTDOWN, VIR_DOMAIN_SHUTDOWN_USER);
  publish();
  emit(VIR_DOMAIN_EVENT_SHUTDOWN, VIR_DOMAIN_EVENT_SHUTDOWN_GUEST);
  if (action == LifecycleAction::preserve) {
    co_await write_status();
    co_return;
  }
  co_await end_worker(false);
  co_await stop(VIR_DOMAIN_SHUTOFF_SHUTDOWN, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN);
}

Task<> Domain::guest_crashed(std::string detail) {
  log(LogPriority::error, fmt::format("crashed: {}", detail));
  set_state(VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED);
  publish();
  emit(VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED);
  const LifecycleAction action = live_->lifecycle.on_crash.value_or(LifecycleAction::destroy);
  if (action == LifecycleAction::coredump_destroy || action == LifecycleAction::coredump_restart) {
    co_await dump_by_itself();
    if (!is_active() || !worker_ || worker_->has_ended()) co_return;
  }
  switch (action) {
    case LifecycleAction::restart:
    case LifecycleAction::coredump_restart:
      co_await restart();
      break;
    case LifecycleAction::preserve:
      co_await write_status();
      break;
    case LifecycleAction::destroy:
    case LifecycleAction::coredump_destroy:
      co_await end_worker(false);
      co_await stop(VIR_DOMAIN_SHUTOFF_CRASHED, VIR_DOMAIN_EVENT_STOPPED_CRASHED);
  }
}

Task<> Domain::worker_changed(std::weak_ptr<Worker> from, control::StateChanged change) {
  auto hold = co_await slot_.acquire(job_of("guest's change of state", {}), JobSlot::Urgency::urgent);
  auto worker = from.lock();
  if (!worker || worker != worker_ || !is_active()) co_return;
  if (change.cause == control::StateCause::command) {
    co_await machine_changed_late(change.state);
    co_return;
  }
  if (change.cause == control::StateCause::watchdog) {
    co_await watchdog_stopped(std::move(change));
    co_return;
  }
  switch (change.state) {
    case control::MachineState::shut_down:
      co_await guest_shut_down(change.cause);
      break;
    case control::MachineState::crashed:
      co_await guest_crashed(change.detail);
      break;
    case control::MachineState::running:
      // Also of one that did not say where it is to be woken.
      if (state_ == VIR_DOMAIN_PMSUSPENDED) co_await guest_woke();
      if (change.cause == control::StateCause::guest_reset) {
        guest_was_reset();
        co_await write_status();
      }
      break;
    case control::MachineState::suspended:
      co_await guest_suspended();
      break;
    case control::MachineState::paused:
      log(LogPriority::error, fmt::format("was paused by its worker: {}", change.detail));
      set_state(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR);
      co_await write_status();
      publish();
      emit(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_IOERROR);
      break;
    default:
      break;
  }
}

// The process is gone without having been told to.
Task<> Domain::worker_ended(std::weak_ptr<Worker> from) {
  auto hold = co_await slot_.acquire(job_of("end of the worker", {}), JobSlot::Urgency::urgent);
  auto worker = from.lock();
  if (!worker || worker != worker_ || !is_active()) co_return;
  log(LogPriority::error, fmt::format("its worker {} {}; see {}", worker->pid(), worker->how_it_ended(),
                                      (environment_->settings.log_directory / (name_ + ".log")).string()));
  const bool was_shut_down = state_ == VIR_DOMAIN_SHUTDOWN;
  co_await stop(was_shut_down ? VIR_DOMAIN_SHUTOFF_SHUTDOWN : VIR_DOMAIN_SHUTOFF_CRASHED,
                was_shut_down ? VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN : VIR_DOMAIN_EVENT_STOPPED_FAILED);
}

// The connection is gone: with the process, which is then told apart, or because the worker broke the
// protocol.
Task<> Domain::worker_lost(std::weak_ptr<Worker> from, std::string reason) {
  auto worker = from.lock();
  if (!worker) co_return;
  // A process that dies closes its socket a moment before its pidfd tells.
  auto hold = co_await slot_.acquire(job_of("loss of the worker", {}), JobSlot::Urgency::urgent);
  if (worker != worker_ || !is_active()) co_return;
  if (worker->has_ended() || co_await worker->wait_end(environment_->quit_deadline)) co_return;
  control_error_ = reason;
  log(LogPriority::error, fmt::format("lost worker {}: {}", worker->pid(), reason));
  publish();
  emit(ControlErrorEvent{});
}

}  // namespace warren::driver::domain
