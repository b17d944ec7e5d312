// What is done when somebody else removes a network's bridge or rules.
#include <variant>

#include <fmt/format.h>

#include "driver/network/local_network.h"

namespace warren::driver::network {

namespace {

// Whoever removes it more often means it.
constexpr std::size_t kRepairsPerMinute = 5;

std::optional<std::string> link_that_went(const link::LinkEvent& event) {
  if (const auto* removed = std::get_if<link::LinkRemoved>(&event)) return removed->link;
  if (const auto* renamed = std::get_if<link::LinkRenamed>(&event)) return renamed->before;
  return std::nullopt;
}

}  // namespace

// Also told of what the driver does itself, and late: whoever repairs looks again.
void LocalNetworkDriver::links_changed(const std::vector<link::LinkEvent>& events) {
  for (const link::LinkEvent& event : events) {
    const std::optional<std::string> bridge = link_that_went(event);
    const NetworkPointer network = bridge ? table_.find_by_bridge(*bridge) : nullptr;
    if (network == nullptr) continue;
    run<void>(repair(network), [this, network](std::expected<void, Error> outcome) {
      if (outcome) return;
      settings_.report(fmt::format(
          "network '{0}': its bridge '{1}' was removed and cannot be made again: {2}; guests on it are cut "
          "off until that is put right and the network is started again (virsh net-destroy {0}, then "
          "net-start {0})",
          network->definition.name, network->definition.bridge.name, outcome.error().message()));
    });
  }
}

bool LocalNetworkDriver::may_repair(Network& network) const {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(network.repairs, [now](const auto& time) { return now - time > std::chrono::minutes(1); });
  if (network.repairs.size() >= kRepairsPerMinute) return false;
  network.repairs.push_back(now);
  return true;
}

Task<> LocalNetworkDriver::repair(NetworkPointer network) {
  const loop::Turn::Hold turn = co_await network->turn.take();
  const NetworkDefinition definition = network->definition;
  // It was stopped, by us.
  if (!network->is_active || table_.find(definition.uuid) != network) co_return;
  std::move_only_function<bool()> look = [this, definition] { return host_->adopt(definition); };
  if (co_await on_host<bool>(std::move(look))) co_return;
  if (!may_repair(*network)) {
    throw network_error(
        VIR_ERR_OPERATION_FAILED,
        fmt::format("it has been made again {} times in a minute, and is removed again", kRepairsPerMinute));
  }
  co_await make_again(network);
  settings_.report(
      fmt::format("network '{}': its bridge '{}' was removed by somebody else, and has been made "
                  "again",
                  definition.name, definition.bridge.name));
}

// With its turn held. Taps are plugged in again by whoever has them.
Task<> LocalNetworkDriver::make_again(NetworkPointer network) {
  const NetworkDefinition definition = network->definition;
  std::move_only_function<std::vector<std::string>()> make = [this, definition, ports = network->ports] {
    std::vector<std::string> obstacles = host_->start(definition);
    for (const auto& [uuid, port] : ports)
      if (port.class_id != 0) host_->set_port_bandwidth(definition, port);
    return obstacles;
  };
  const auto obstacles = co_await on_host<std::vector<std::string>>(std::move(make));
  for (const std::string& obstacle : obstacles)
    settings_.report(fmt::format("network '{}': {}", definition.name, obstacle));
  // The one there listens on a link that is no more.
  if (network->name_service) co_await network->name_service->stop();
  network->name_service.reset();
  network->name_service = co_await host_->serve(definition, false);
}

void LocalNetworkDriver::rules_changed() {
  is_to_reapply_ = true;
  if (is_reapplying_) return;
  is_reapplying_ = true;
  run<void>(reapply_rules(), [this](std::expected<void, Error> outcome) {
    is_reapplying_ = false;
    if (outcome) return;
    settings_.report(
        fmt::format("the rules of networks were changed by somebody else, and cannot be put in "
                    "place again: {}; guests may be cut off, or reach what they should not, "
                    "until each network is started again (virsh net-destroy, then net-start)",
                    outcome.error().message()));
  });
}

Task<> LocalNetworkDriver::reapply_rules() {
  while (std::exchange(is_to_reapply_, false)) {
    std::move_only_function<bool()> apply = [this] { return host_->reapply_rules(); };
    if (!co_await on_host<bool>(std::move(apply))) continue;
    settings_.report("the rules of networks were changed by somebody else, and are in place again");
  }
}

}  // namespace warren::driver::network
