// What is done with networks.
#include <fstream>

#include <fmt/format.h>

#include "driver/network/local_network.h"

namespace warren::driver::network {

namespace {

constexpr const char* kAutostartedFile = "autostarted";
constexpr std::string_view kDefaultBridge = "virbr%d";
constexpr std::string_view kNumber = "%d";
constexpr unsigned kMostBridges = 256;

// That what was found before a turn is what is there now, or nothing is.
void require_mine(const NetworkPointer& found, const NetworkPointer& now) {
  if (now == nullptr || now == found) return;
  throw network_error(
      VIR_ERR_OPERATION_FAILED,
      fmt::format("network '{}' was replaced by another of its name", found->definition.name));
}

}  // namespace

void LocalNetworkDriver::load(Completion<void> completion) {
  run<void>(load_all(), std::move(completion));
}

Task<> LocalNetworkDriver::load_all() {
  const std::filesystem::path autostarted = settings_.runtime_directory / kAutostartedFile;
  std::error_code ignored;
  const bool is_first = !std::filesystem::exists(autostarted, ignored);
  for (const NetworkPointer& network : table_.all()) {
    const bool was_active = active_before_.contains(network->definition.uuid);
    if (!was_active && !(is_first && network->autostart)) continue;
    std::exception_ptr failed;
    try {
      if (was_active) {
        co_await adopt(network);
      } else {
        co_await start_by_itself(network);
      }
    } catch (...) {
      failed = std::current_exception();
    }
    if (failed) {
      settings_.report(
          fmt::format("network '{}': {}", network->definition.name, loop::error_of(failed).message()));
    }
  }
  if (!active_before_.empty()) co_await adopt_rules();
  active_before_.clear();
  if (is_first) std::ofstream(autostarted).put('\n');
}

// All at once: one transaction for each of many networks takes seconds. One that cannot be is not to take the
// others' along.
Task<> LocalNetworkDriver::adopt_rules() {
  std::vector<NetworkDefinition> active;
  for (const NetworkPointer& network : table_.all())
    if (network->is_active && network->definition.owns_bridge()) active.push_back(network->definition);
  std::move_only_function<std::vector<std::string>()> apply = [this, active = std::move(active)] {
    std::vector<std::string> failures;
    try {
      host_->reapply_rules();
      return failures;
    } catch (const Error& error) {
      failures.push_back(error.message());
    }
    for (const NetworkDefinition& definition : active) {
      try {
        host_->apply_rules(definition);
      } catch (const Error& error) {
        failures.push_back(fmt::format("network '{}': {}", definition.name, error.message()));
      }
    }
    return failures;
  };
  const auto failures = co_await on_host<std::vector<std::string>>(std::move(apply));
  for (const std::string& failure : failures) settings_.report(failure);
}

// A network that was active when the last daemon ended.
Task<> LocalNetworkDriver::adopt(NetworkPointer network) {
  const loop::Turn::Hold turn = co_await network->turn.take();
  bool is_there = true;
  // Until its bridge is known to be gone: guests may be on it.
  network->is_active = true;
  if (network->definition.owns_bridge()) {
    std::move_only_function<bool()> look = [this, definition = network->definition] {
      return host_->adopt(definition);
    };
    is_there = co_await on_host<bool>(std::move(look));
  }
  if (!is_there) {
    settings_.report(fmt::format("network '{}' is not active any more: its bridge '{}' is gone",
                                 network->definition.name, network->definition.bridge.name));
    co_await write_status(network, false);
    ended(network);
    if (!network->is_persistent) co_await forget(network);
    co_return;
  }
  if (network->definition.owns_bridge())
    network->name_service = co_await host_->serve(network->definition, true);
  co_await write_status(network, true);
}

Task<> LocalNetworkDriver::start_by_itself(NetworkPointer network) {
  const loop::Turn::Hold turn = co_await network->turn.take();
  if (!network->is_active) co_await bring_up(network);
}

class LocalNetworkDriver::ReservedBridge {
 public:
  ReservedBridge(std::set<std::string>& reserved, std::string name)
      : reserved_(reserved), name_(std::move(name)) {
    reserved_.insert(name_);
  }
  ReservedBridge(const ReservedBridge&) = delete;
  ReservedBridge& operator=(const ReservedBridge&) = delete;
  ~ReservedBridge() { reserved_.erase(name_); }
  const std::string& name() const { return name_; }

 private:
  std::set<std::string>& reserved_;
  const std::string name_;
};

// With all that is chosen when it is defined: the address and the name of its bridge.
Task<LocalNetworkDriver::Completed> LocalNetworkDriver::complete(NetworkDefinition definition) {
  fill_defaults(definition);
  const bool is_pattern = definition.bridge.name.find('%') != std::string::npos;
  Completed completed{.definition = std::move(definition), .bridge = nullptr};
  if (!completed.definition.owns_bridge() || !(completed.definition.bridge.name.empty() || is_pattern))
    co_return completed;
  // It keeps the one that it has.
  const NetworkPointer known = table_.find(completed.definition.uuid);
  if (known && completed.definition.bridge.name.empty() && known->stored().owns_bridge() &&
      !known->stored().bridge.name.empty()) {
    completed.definition.bridge.name = known->stored().bridge.name;
    co_return completed;
  }
  completed.bridge = co_await choose_bridge(completed.definition);
  completed.definition.bridge.name = completed.bridge->name();
  co_return completed;
}

Task<std::shared_ptr<LocalNetworkDriver::ReservedBridge>> LocalNetworkDriver::choose_bridge(
    const NetworkDefinition& definition) {
  std::string pattern = definition.bridge.name;
  if (pattern.empty()) pattern = kDefaultBridge;
  const std::size_t at = pattern.find(kNumber);
  if (at == std::string::npos || pattern.find('%', at + 1) != std::string::npos) {
    throw network_error(VIR_ERR_XML_ERROR,
                        fmt::format("network '{}': bridge name '{}' may hold one %d and no other '%'",
                                    definition.name, pattern));
  }
  for (unsigned i = 0; i <= kMostBridges; ++i) {
    std::string name = pattern;
    name.replace(at, kNumber.size(), std::to_string(i));
    if (reserved_bridges_.contains(name) || table_.has_bridge(name, definition.uuid)) continue;
    auto reserved = std::make_shared<ReservedBridge>(reserved_bridges_, name);
    std::move_only_function<bool()> look = [this, name] { return host_->has_link(name); };
    const bool is_taken = co_await on_host<bool>(std::move(look));
    // Somebody may have asked for it by its name meanwhile.
    if (!is_taken && !table_.has_bridge(name, definition.uuid)) co_return reserved;
  }
  throw network_error(VIR_ERR_INTERNAL_ERROR,
                      fmt::format("Bridge generation exceeded max id {}", kMostBridges));
}

Task<NetworkHandle> LocalNetworkDriver::define(std::string xml, unsigned int flags) {
  check_flags(flags, VIR_NETWORK_DEFINE_VALIDATE, "virNetworkDefineXML");
  NetworkDefinition parsed = parse_network(xml, (flags & VIR_NETWORK_DEFINE_VALIDATE) != 0);
  table_.check_new(parsed, false);
  const Completed completed = co_await complete(std::move(parsed));
  const NetworkDefinition& definition = completed.definition;
  // Others may have been defined while the host was asked.
  NetworkPointer network = table_.check_new(definition, false);
  const bool is_new = network == nullptr;
  if (is_new) {
    // In the table at once, so that its name is taken while the disk is written.
    network = std::make_shared<Network>(loop_);
    network->definition = definition;
    table_.add(network);
  }
  const loop::Turn::Hold turn = co_await network->turn.take();
  require_mine(network, table_.check_new(definition, false));
  std::exception_ptr failed;
  try {
    co_await write_definition(definition);
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    if (is_new) table_.remove(definition.uuid);
    std::rethrow_exception(failed);
  }
  if (network->is_active) {
    network->next = definition;
  } else {
    network->definition = definition;
  }
  // It may have been undefined while this waited.
  table_.add(network);
  network->is_persistent = true;
  emit(*network, VIR_NETWORK_EVENT_DEFINED);
  co_return definition.handle();
}

Task<NetworkHandle> LocalNetworkDriver::create(std::string xml, unsigned int flags) {
  check_flags(flags, VIR_NETWORK_CREATE_VALIDATE, "virNetworkCreateXML");
  NetworkDefinition parsed = parse_network(xml, (flags & VIR_NETWORK_CREATE_VALIDATE) != 0);
  table_.check_new(parsed, true);
  const Completed completed = co_await complete(std::move(parsed));
  const NetworkDefinition& definition = completed.definition;
  NetworkPointer network = table_.check_new(definition, true);
  const bool is_new = network == nullptr;
  if (is_new) {
    network = std::make_shared<Network>(loop_);
    network->definition = definition;
    table_.add(network);
  }
  const loop::Turn::Hold turn = co_await network->turn.take();
  // It may have been started, stopped or undefined while this waited.
  require_mine(network, table_.check_new(definition, true));
  table_.add(network);
  std::optional<NetworkDefinition> before;
  if (!is_new) before = std::exchange(network->definition, definition);
  std::exception_ptr failed;
  try {
    co_await bring_up(network);
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    if (before) network->definition = *before;
    if (!network->is_persistent) table_.remove(definition.uuid);
    std::rethrow_exception(failed);
  }
  // Of a persistent network what was stored comes back with its stop.
  if (before && network->is_persistent) network->next = before;
  co_return definition.handle();
}

Task<> LocalNetworkDriver::start(Uuid uuid) {
  const NetworkPointer network = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await network->turn.take();
  table_.by_uuid(uuid);
  if (network->is_active) throw network_error(VIR_ERR_OPERATION_INVALID, "network is already active");
  co_await bring_up(network);
}

// With its turn held.
Task<> LocalNetworkDriver::bring_up(NetworkPointer network) {
  network->is_starting = true;
  std::exception_ptr failed;
  bool is_made = false;
  try {
    // One that was put there by hand has no name for its bridge yet.
    network->definition = (co_await complete(network->definition)).definition;
    co_await write_status(network, true);
    if (network->definition.owns_bridge()) {
      std::move_only_function<std::vector<std::string>()> make = [this, definition = network->definition] {
        return host_->start(definition);
      };
      const auto obstacles = co_await on_host<std::vector<std::string>>(std::move(make));
      for (const std::string& obstacle : obstacles)
        settings_.report(fmt::format("network '{}': {}", network->definition.name, obstacle));
      is_made = true;
      network->name_service = co_await host_->serve(network->definition, false);
    }
    network->is_active = true;
  } catch (...) {
    failed = std::current_exception();
  }
  network->is_starting = false;
  if (!failed) {
    emit(*network, VIR_NETWORK_EVENT_STARTED);
    co_return;
  }
  std::optional<Error> stuck;
  if (is_made) {
    try {
      if (network->name_service) co_await network->name_service->stop();
      network->name_service.reset();
      std::move_only_function<loop::Done()> unmake = [this, definition = network->definition] {
        host_->stop(definition);
        return loop::Done{};
      };
      co_await on_host<loop::Done>(std::move(unmake));
    } catch (const Error& error) {
      stuck = error;
    }
  }
  try {
    co_await write_status(network, false);
  } catch (const Error& error) {
    stuck = error;
  }
  if (stuck) {
    settings_.report(fmt::format("network '{}' did not start, and does not stop: {}",
                                 network->definition.name, stuck->message()));
  }
  std::rethrow_exception(failed);
}

// Of one that nobody knows any more. What stays is no reason for it not to go.
Task<> LocalNetworkDriver::forget(NetworkPointer network) {
  std::move_only_function<loop::Done()> remove = [this, definition = network->definition] {
    host_->forget(definition);
    return loop::Done{};
  };
  try {
    co_await on_host<loop::Done>(std::move(remove));
  } catch (const Error& error) {
    settings_.report(fmt::format("network '{}': {}", network->definition.name, error.message()));
  }
}

// What an inactive network is, from an active one.
void LocalNetworkDriver::ended(const NetworkPointer& network) {
  network->is_active = false;
  network->ports.clear();
  network->name_service.reset();
  if (!network->is_persistent) {
    table_.remove(network->definition.uuid);
    return;
  }
  if (network->next) network->definition = *std::exchange(network->next, std::nullopt);
}

Task<> LocalNetworkDriver::stop(Uuid uuid) {
  const NetworkPointer network = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await network->turn.take();
  table_.by_uuid(uuid);
  require_active(*network);
  if (network->name_service) co_await network->name_service->stop();
  network->name_service.reset();
  if (network->definition.owns_bridge()) {
    std::move_only_function<loop::Done()> unmake = [this, definition = network->definition] {
      host_->stop(definition);
      return loop::Done{};
    };
    co_await on_host<loop::Done>(std::move(unmake));
  }
  std::exception_ptr failed;
  try {
    co_await write_status(network, false);
  } catch (...) {
    failed = std::current_exception();
  }
  // It has stopped, whatever is written.
  ended(network);
  emit(*network, VIR_NETWORK_EVENT_STOPPED);
  if (!network->is_persistent) co_await forget(network);
  if (failed) std::rethrow_exception(failed);
}

Task<> LocalNetworkDriver::undefine(Uuid uuid) {
  const NetworkPointer network = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await network->turn.take();
  table_.by_uuid(uuid);
  if (!network->is_persistent)
    throw network_error(VIR_ERR_OPERATION_INVALID, "can't undefine transient network");
  std::move_only_function<void()> write = [this, name = network->definition.name] {
    definitions_.remove(name);
  };
  co_await on_disk(std::move(write));
  network->is_persistent = network->autostart = false;
  network->next.reset();
  if (!network->is_active) table_.remove(uuid);
  emit(*network, VIR_NETWORK_EVENT_UNDEFINED);
  if (!network->is_active) co_await forget(network);
}

Task<> LocalNetworkDriver::set_autostart(Uuid uuid, bool autostart) {
  const NetworkPointer network = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await network->turn.take();
  table_.by_uuid(uuid);
  if (!network->is_persistent)
    throw network_error(VIR_ERR_OPERATION_INVALID, "cannot set autostart for transient network");
  if (network->autostart == autostart) co_return;
  std::move_only_function<void()> write = [this, name = network->definition.name, autostart] {
    definitions_.set_autostart(name, autostart);
  };
  co_await on_disk(std::move(write));
  network->autostart = autostart;
}

Task<> LocalNetworkDriver::update(Uuid uuid, NetworkUpdate change, unsigned int flags) {
  check_flags(flags, VIR_NETWORK_UPDATE_AFFECT_LIVE | VIR_NETWORK_UPDATE_AFFECT_CONFIG, "virNetworkUpdate");
  const NetworkPointer network = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await network->turn.take();
  table_.by_uuid(uuid);
  if (flags == VIR_NETWORK_UPDATE_AFFECT_CURRENT)
    flags = network->is_active ? VIR_NETWORK_UPDATE_AFFECT_LIVE : VIR_NETWORK_UPDATE_AFFECT_CONFIG;
  const bool is_live = (flags & VIR_NETWORK_UPDATE_AFFECT_LIVE) != 0;
  const bool is_stored = (flags & VIR_NETWORK_UPDATE_AFFECT_CONFIG) != 0;
  if (is_live && !network->is_active)
    throw network_error(VIR_ERR_OPERATION_INVALID, "network is not running");
  if (is_stored && !network->is_persistent)
    throw network_error(VIR_ERR_OPERATION_INVALID, "cannot change persistent config of a transient network");
  // Both are known to be possible before either is made.
  std::optional<NetworkDefinition> live, stored;
  if (is_live) live = updated(network->definition, change);
  if (is_stored) stored = updated(network->stored(), change);
  if (live) require_devices_of(network->ports, *live);
  const NetworkDefinition before = network->stored();
  if (stored) co_await write_definition(*stored);
  std::exception_ptr failed;
  try {
    if (live) co_await update_live(network, *live);
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    if (stored) co_await write_definition(before);
    std::rethrow_exception(failed);
  }
  if (stored && network->is_active) {
    network->next = *stored;
  } else if (stored) {
    network->definition = *stored;
  } else if (network->is_persistent) {
    network->next = before;  // which the live one is not any more
  }
  if (network->next && *network->next == network->definition) network->next.reset();
}

Task<> LocalNetworkDriver::update_live(NetworkPointer network, NetworkDefinition changed) {
  const NetworkDefinition before = network->definition;
  std::exception_ptr failed;
  bool had_rules = false;
  try {
    if (changed.owns_bridge() && !(changed.forward == before.forward)) {
      std::move_only_function<loop::Done()> apply = [this, changed] {
        host_->apply_rules(changed);
        return loop::Done{};
      };
      co_await on_host<loop::Done>(std::move(apply));
      had_rules = true;
    }
    if (network->name_service) {
      co_await network->name_service->update(changed);
    } else if (changed.owns_bridge()) {
      network->name_service = co_await host_->serve(changed, true);
    }
    network->definition = std::move(changed);
    co_await write_status(network, true);
  } catch (...) {
    failed = std::current_exception();
  }
  if (!failed) co_return;
  network->definition = before;
  if (network->name_service) {
    try {
      co_await network->name_service->update(before);
    } catch (const Error&) {
      // The first failure is the one to be told of.
    }
  }
  if (had_rules) {
    std::move_only_function<loop::Done()> apply = [this, before] {
      host_->apply_rules(before);
      return loop::Done{};
    };
    co_await on_host<loop::Done>(std::move(apply));
  }
  std::rethrow_exception(failed);
}

}  // namespace warren::driver::network
