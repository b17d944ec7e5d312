// Changes of a domain's definitions.
#include <fmt/format.h>

#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"
#include "driver/domain/domain.h"

namespace warren::driver::domain {

Task<DomainHandle> Domain::define(Caller caller, DefinitionPointer definition) {
  auto hold = co_await slot_.acquire(job_of("define", caller));
  // While this waited the domain may have been undefined, or its name given to another.
  environment_->table.add(shared_from_this());
  if (definition->name != name_) {
    throw operation_failed(
        fmt::format("domain '{}' is already defined with uuid {}", name_, uuid_.to_string()));
  }
  const bool is_new = persistent_ == nullptr;
  std::exception_ptr failed;
  try {
    co_await store(definition);
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    drop_if_gone();
    std::rethrow_exception(failed);
  }
  persistent_ = std::move(definition);
  is_updated_ = is_active();
  publish();
  emit(VIR_DOMAIN_EVENT_DEFINED, is_new ? VIR_DOMAIN_EVENT_DEFINED_ADDED : VIR_DOMAIN_EVENT_DEFINED_UPDATED);
  co_return snapshot_->handle;
}

Task<> Domain::undefine(Caller caller) {
  auto hold = co_await slot_.acquire(job_of("undefine", caller));
  if (!snapshot_ || (!persistent_ && !is_active())) throw no_domain(uuid_, name_);
  if (!persistent_) throw operation_invalid("cannot undefine transient domain");
  auto environment = environment_;
  auto waiting = environment->commits.remove(name_);
  std::move_only_function<Done()> work = [environment, waiting] {
    environment->commits.finish(waiting);
    return Done{};
  };
  co_await run_blocking<Done>(environment->store_thread, std::move(work));
  persistent_ = nullptr;
  autostart_ = false;
  is_updated_ = false;
  emit(VIR_DOMAIN_EVENT_UNDEFINED, VIR_DOMAIN_EVENT_UNDEFINED_REMOVED);
  drop_if_gone();
  if (is_active()) publish();
}

Task<> Domain::set_autostart(Caller caller, bool autostart) {
  auto hold = co_await slot_.acquire(job_of("set autostart", caller));
  if (!persistent_) throw operation_invalid("cannot set autostart for transient domain");
  if (autostart_ == autostart) co_return;
  auto environment = environment_;
  std::move_only_function<Done()> work = [environment, name = name_, autostart] {
    environment->definitions.set_autostart(name, autostart);
    return Done{};
  };
  co_await run_blocking<Done>(environment->store_thread, std::move(work));
  autostart_ = autostart;
  publish();
}

Task<> Domain::rename(Caller caller, std::string new_name) {
  auto hold = co_await slot_.acquire(job_of("rename", caller));
  if (!persistent_) throw operation_invalid("cannot rename a transient domain");
  if (is_active()) throw operation_invalid("cannot rename active domain");
  if (new_name == name_) throw invalid_argument("Can't rename domain to itself");
  if (!store::DocumentStore::valid_name(new_name)) {
    throw Error(VIR_ERR_XML_ERROR,
                fmt::format("name {} cannot contain '/' and must fit a file's name", new_name));
  }
  auto renamed = std::make_shared<config::DomainDefinition>(*persistent_);
  renamed->name = new_name;
  config::check_readable(*renamed);
  // The new name is taken at once, so that nobody defines it while the store works.
  const std::string old_name = name_;
  auto self = shared_from_this();
  environment_->table.rename(self, new_name);
  name_ = new_name;
  auto environment = environment_;
  std::move_only_function<Done()> work = [environment, old_name, renamed] {
    environment->definitions.rename(old_name, renamed->name,
                                    config::format_domain(*renamed, {.inactive = true, .secure = true}));
    return Done{};
  };
  std::exception_ptr failed;
  try {
    co_await run_blocking<Done>(environment->store_thread, std::move(work));
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    environment_->table.rename(self, old_name);
    name_ = old_name;
    std::rethrow_exception(failed);
  }
  slot_.set_domain_name(name_);
  environment_->events.emit({{old_name, uuid_, id_},
                             LifecycleEvent{VIR_DOMAIN_EVENT_UNDEFINED, VIR_DOMAIN_EVENT_UNDEFINED_RENAMED}});
  persistent_ = std::move(renamed);
  publish();
  emit(VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_DEFINED_RENAMED);
}

Task<> Domain::modify(Caller caller, std::string job, unsigned int flags, Change change,
                      std::optional<decltype(DomainEvent::body)> event, Apply apply) {
  auto hold = co_await slot_.acquire(job_of(std::move(job), caller));
  if (!persistent_ && !live_) throw no_domain(uuid_, name_);
  Affected affected = affected_by(*snapshot_, flags);
  std::shared_ptr<config::DomainDefinition> live, persistent;
  // Both are made before either is used: a refusal changes nothing.
  if (affected.live) {
    live = std::make_shared<config::DomainDefinition>(*live_);
    change(*live, true);
  }
  if (affected.persistent) {
    persistent = std::make_shared<config::DomainDefinition>(*persistent_);
    change(*persistent, false);
    config::fill_defaults(*persistent, environment_->facts);
  }
  const bool was_live = live != nullptr;
  Act act;
  if (live) act = [this, live = std::move(live), &apply] { return change_live(live, apply); };
  co_await commit(std::move(persistent), std::move(act));
  if (event && (was_live || !std::holds_alternative<TunableEvent>(*event))) emit(std::move(*event));
}

// `persistent` is stored first: a running machine is harder to bring back than a file.
Task<> Domain::commit(DefinitionPointer persistent, Act act) {
  const DefinitionPointer before = persistent_;
  if (persistent) co_await store(persistent);
  std::exception_ptr failed;
  try {
    if (act) co_await act();
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    if (persistent) co_await undo(store(before));
    std::rethrow_exception(failed);
  }
  if (persistent) {
    persistent_ = std::move(persistent);
    is_updated_ = is_active();
  }
  publish();
}

// The running machine, and what is written of it.
Task<> Domain::change_live(DefinitionPointer live, const Apply& apply) {
  const DefinitionPointer before = live_;
  std::exception_ptr failed;
  try {
    if (apply) co_await apply(*live);
    live_ = live;
    co_await write_status();
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    live_ = before;
    if (apply) co_await undo(apply(*live_));
    std::rethrow_exception(failed);
  }
}

// The way back from a failure, which is told whatever becomes of this.
Task<> Domain::undo(Task<> way_back) {
  try {
    co_await std::move(way_back);
  } catch (const std::exception& error) {
    log(LogPriority::error, fmt::format("a change that failed cannot be undone: {}", error.what()));
  }
}

}  // namespace warren::driver::domain
