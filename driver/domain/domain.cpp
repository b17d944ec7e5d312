#include "driver/domain/domain.h"

#include <algorithm>

#include <fmt/format.h>

#include "driver/config/domain_xml.h"
#include "driver/domain/character_file.h"

namespace warren::driver::domain {

Domain::Domain(std::shared_ptr<Environment> environment, Uuid uuid, std::string name)
    : environment_(std::move(environment)),
      uuid_(uuid),
      name_(std::move(name)),
      since_(std::chrono::steady_clock::now()),
      slot_(environment_->loop, name_, environment_->settings.job_timeout) {}

void Domain::let_go() noexcept {
  slot_.let_go();
  if (worker_) worker_->let_go();
}

Domain::~Domain() {
  close_agent();
}

void Domain::restore_definition(DefinitionPointer definition, bool autostart) {
  persistent_ = std::move(definition);
  autostart_ = autostart;
  publish();
}

void Domain::log(LogPriority priority, const std::string& message) const {
  environment_->log(priority, fmt::format("domain {}: {}", name_, message));
}

void Domain::require_active() const {
  if (!is_active()) throw operation_invalid("domain is not running");
}

Worker& Domain::require_worker() const {
  require_active();
  if (!worker_ || !control_error_.empty()) {
    throw operation_failed(
        fmt::format("domain '{}' runs, but its worker cannot be reached ({}); 'virsh destroy' "
                    "ends it",
                    name_, control_error_));
  }
  return *worker_;
}

void Domain::publish() {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->handle = {name_, uuid_, id_};
  snapshot->state = {state_, reason_};
  snapshot->since = since_;
  snapshot->is_persistent = persistent_ != nullptr;
  snapshot->autostart = autostart_;
  snapshot->is_updated = is_updated_;
  snapshot->persistent = persistent_;
  snapshot->live = live_;
  snapshot->pid = worker_ ? worker_->pid() : -1;
  snapshot->counters = counters_;
  snapshot->perf = perf_;
  snapshot->kvm = kvm_;
  snapshot->dirty_rate = dirty_rate_;
  snapshot->disk_errors = disk_errors_;
  for (const auto& [target, message] : disk_messages_) snapshot->disk_messages.push_back(message);
  snapshot->control_error = control_error_;
  snapshot_ = std::move(snapshot);
}

void Domain::set_state(int state, int reason) {
  state_ = state;
  reason_ = reason;
  since_ = std::chrono::steady_clock::now();
}

void Domain::emit(int event, int detail) {
  emit(LifecycleEvent{event, detail});
}

void Domain::emit(decltype(DomainEvent::body) body) {
  environment_->events.emit({{name_, uuid_, id_}, std::move(body)});
}

// A transient domain that has stopped, and one whose definition is gone, are no domains any more.
void Domain::drop_if_gone() {
  if (persistent_ || live_) return;
  environment_->table.remove(*this);
}

std::filesystem::path Domain::runtime_directory() const {
  return environment_->settings.runtime_directory / "domain" / uuid_.to_string();
}

Task<> Domain::store(DefinitionPointer definition) {
  auto environment = environment_;
  auto waiting = environment->commits.write(definition->name, [definition] {
    return config::format_domain(*definition, {.inactive = true, .secure = true});
  });
  std::move_only_function<Done()> work = [environment, waiting] {
    environment->commits.finish(waiting);
    return Done{};
  };
  co_await run_blocking<Done>(environment->store_thread, std::move(work));
}

LiveStatus Domain::status_now(LiveStatus::Phase phase) const {
  LiveStatus status;
  status.phase = phase;
  status.live = *live_;
  if (worker_) {
    status.pid = worker_->pid();
    status.start_time = worker_->start_time();
  }
  status.state = state_;
  status.reason = reason_;
  status.resets = resets_;
  status.reboot_requested = reboot_requested_;
  status.started = started_;
  status.agent_timeout = agent_timeout_;
  if (host_devices_) status.bound_devices = host_devices_->bound();
  for (const auto& [target, job] : block_jobs_)
    if (!job->has_ended) status.block_jobs.push_back(job->record);
  return status;
}

Task<bool> Domain::write_status(LiveStatus::Phase phase) {
  auto environment = environment_;
  auto status = std::make_shared<LiveStatus>(status_now(phase));
  std::move_only_function<Done()> work = [environment, status, name = uuid_.to_string()] {
    std::string text = format_status(*status);
    std::lock_guard lock(environment->statuses_mutex);
    environment->statuses.write(name, text);
    return Done{};
  };
  try {
    co_await run_blocking<Done>(environment->io_threads, std::move(work));
    co_return true;
  } catch (const std::exception& error) {
    // The machine does what it was told already. Without the newest status a later daemon asks the worker.
    log(LogPriority::error, fmt::format("cannot write its status: {}", error.what()));
  }
  co_return false;
}

Task<> Domain::remove_status() {
  if (auto preparation = preparation_.lock()) preparation->given_up = true;
  auto environment = environment_;
  auto directory = runtime_directory();
  std::vector<std::string> sockets;
  if (live_) {
    const auto note = [&](const auto& list) {
      for (const auto& device : list) sockets.push_back(own_socket(device.backend));
    };
    note(live_->devices.serials);
    note(live_->devices.consoles);
    note(live_->devices.channels);
    std::erase(sockets, std::string());
  }
  std::move_only_function<Done()> work = [environment, directory, sockets = std::move(sockets), uuid = uuid_,
                                          name = uuid_.to_string()] {
    std::filesystem::remove_all(directory);
    environment->cids.release(uuid);
    remove_vsock(vsock_directory(environment->settings.runtime_directory, uuid));
    for (const std::string& path : sockets) remove_character_socket(path);
    DomainCgroup(environment->cgroups, name).remove();
    std::lock_guard lock(environment->statuses_mutex);
    environment->statuses.remove(name);
    return Done{};
  };
  try {
    co_await run_blocking<Done>(environment->io_threads, std::move(work));
  } catch (const std::exception& error) {
    log(LogPriority::error, fmt::format("cannot remove its status: {}", error.what()));
  }
}

void Domain::run_internal(Task<> task, std::string what) {
  auto self = shared_from_this();
  run_task<void>(environment_->loop, std::move(task),
                 [self, what = std::move(what)](std::expected<void, Error> result) {
                   if (!result)
                     self->log(LogPriority::error, fmt::format("{}: {}", what, result.error().what()));
                 });
}

}  // namespace warren::driver::domain
