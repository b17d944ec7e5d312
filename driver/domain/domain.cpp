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
  std::move_only_function<Done()> work = [environment, definition] {
    environment->definitions.write(definition->name,
                                   config::format_domain(*definition, {.inactive = true, .secure = true}));
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
  return status;
}

Task<> Domain::write_status(LiveStatus::Phase phase) {
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
  } catch (const std::exception& error) {
    // The machine does what it was told already. Without the newest status a later daemon asks the worker.
    log(LogPriority::error, fmt::format("cannot write its status: {}", error.what()));
  }
}

Task<> Domain::remove_status() {
  auto environment = environment_;
  auto directory = runtime_directory();
  std::move_only_function<Done()> work = [environment, directory, name = uuid_.to_string()] {
    std::filesystem::remove_all(directory);
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

std::unique_ptr<Stream> Domain::open_console(const std::optional<std::string>& device, unsigned int flags) {
  require_active();
  std::string alias, path;
  // The first console, under whichever name: <console> of target serial is the first <serial>.
  const config::Devices& devices = live_->devices;
  for (const auto& serial : devices.serials) {
    if (!alias.empty() || (device && *device != serial.info.alias)) continue;
    alias = serial.info.alias;
    path = serial.backend.path;
    if (serial.backend.type != config::CharacterBackendType::pty) path.clear();
  }
  for (const auto& console : devices.consoles) {
    bool is_serial = console.target == config::ConsoleTarget::serial;
    if (!alias.empty() || (device && *device != console.info.alias)) continue;
    if (is_serial && devices.serials.empty()) continue;
    const auto& backend = is_serial ? devices.serials.front().backend : console.backend;
    // Both names share one session.
    alias = is_serial ? devices.serials.front().info.alias : console.info.alias;
    path = backend.type == config::CharacterBackendType::pty ? backend.path : "";
  }
  if (alias.empty()) {
    throw device ? internal_error(fmt::format("cannot find character device {}", *device))
                 : internal_error(fmt::format("domain '{}' has no console", name_));
  }
  if (path.empty()) {
    throw operation_unsupported(fmt::format("character device {} is not using a PTY", alias));
  }
  if (auto other = consoles_[alias].lock(); other && other->is_open()) {
    if ((flags & VIR_DOMAIN_CONSOLE_FORCE) == 0) {
      throw operation_failed(fmt::format("Active console session exists for this domain (device {})", alias));
    }
    other->take_away(operation_failed(fmt::format("another client took console {} over", alias)));
  }
  OpenedConsole opened = make_console_stream(environment_->loop, open_slave(path));
  consoles_[alias] = opened.session;
  return std::move(opened.stream);
}

}  // namespace warren::driver::domain
