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
  active_before_.clear();
  if (is_first) std::ofstream(autostarted).put('\n');
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
    co_return;
  }
  if (network->definition.owns_bridge())
    network->name_service = co_await host_->serve(network->definition, true);
  co_await write_status(network, true);
  co_await find_functions(network);
}

Task<> LocalNetworkDriver::start_by_itself(NetworkPointer network) {
  const loop::Turn::Hold turn = co_await network->turn.take();
  if (!network->is_active) co_await bring_up(network);
}

// With all that is chosen when it is defined: the address and the name of its bridge.
Task<NetworkDefinition> LocalNetworkDriver::complete(NetworkDefinition definition) {
  fill_defaults(definition);
  const bool is_pattern = definition.bridge.name.find('%') != std::string::npos;
  if (definition.owns_bridge() && (definition.bridge.name.empty() || is_pattern))
    definition.bridge.name = co_await choose_bridge(definition);
  co_return definition;
}

Task<std::string> LocalNetworkDriver::choose_bridge(const NetworkDefinition& definition) {
  std::string pattern = definition.bridge.name;
  if (pattern.empty()) pattern = kDefaultBridge;
  const std::size_t at = pattern.find(kNumber);
  if (at == std::string::npos || pattern.find('%', at + 1) != std::string::npos) {
    throw network_error(VIR_ERR_XML_ERROR,
                        fmt::format("network '{}': bridge name '{}' may hold one %d and no other '%'",
                                    definition.name, pattern));
  }
  // It keeps the one that it has.
  const NetworkPointer known = table_.find(definition.uuid);
  if (known && definition.bridge.name.empty() && known->stored().owns_bridge())
    co_return known->stored().bridge.name;
  for (unsigned i = 0; i <= kMostBridges; ++i) {
    std::string name = pattern;
    name.replace(at, kNumber.size(), std::to_string(i));
    if (table_.has_bridge(name, definition.uuid)) continue;
    std::move_only_function<bool()> look = [this, name] { return host_->has_link(name); };
    if (!co_await on_host<bool>(std::move(look))) co_return name;
  }
  throw network_error(VIR_ERR_INTERNAL_ERROR,
                      fmt::format("Bridge generation exceeded max id {}", kMostBridges));
}

Task<NetworkHandle> LocalNetworkDriver::define(std::string xml, unsigned int flags) {
  check_flags(flags, VIR_NETWORK_DEFINE_VALIDATE, "virNetworkDefineXML");
  NetworkDefinition parsed = parse_network(xml, (flags & VIR_NETWORK_DEFINE_VALIDATE) != 0);
  table_.check_new(parsed, false);
  const NetworkDefinition definition = co_await complete(std::move(parsed));
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
  const NetworkDefinition definition = co_await complete(std::move(parsed));
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
    network->definition = co_await complete(network->definition);
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
    co_await find_functions(network);
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
