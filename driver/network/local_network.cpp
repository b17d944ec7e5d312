#include "driver/network/local_network.h"

#include <algorithm>

#include <fmt/format.h>

#include "driver/network/system_host.h"

namespace warren::driver::network {

namespace asio = boost::asio;

namespace {

// Whether a pair of "is" and "is not" bits lets something through; neither bit and both bits let all.
bool admits(unsigned int flags, unsigned int is, unsigned int is_not, bool value) {
  return (flags & (is | is_not)) == 0 || (flags & (value ? is : is_not)) != 0;
}

}  // namespace

void require_active(const Network& network) {
  if (!network.is_active) {
    throw network_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("network '{}' is not active", network.definition.name));
  }
}

std::unique_ptr<LocalNetworks> make_network_driver(asio::io_context& loop, NetworkSettings settings) {
  NameServiceSettings names{.files = {.run_directory = settings.service_directory,
                                      .lease_directory = settings.state_directory,
                                      .user = {}},
                            .report = settings.report};
  auto host = std::make_unique<SystemHost>(loop, std::move(names));
  return std::make_unique<LocalNetworkDriver>(loop, std::move(settings), std::move(host));
}

LocalNetworkDriver::LocalNetworkDriver(asio::io_context& loop, NetworkSettings settings,
                                       std::unique_ptr<NetworkHost> host)
    : loop_(loop),
      settings_(std::move(settings)),
      host_(std::move(host)),
      subscriptions_(loop),
      definitions_(settings_.configuration_directory),
      statuses_(settings_.runtime_directory / "active") {
  read_documents();
  watch_leases();
  if (settings_.watch == nullptr) return;
  watching_ = settings_.watch->subscribe(
      {.links = [this](const std::vector<link::LinkEvent>& events) { links_changed(events); },
       .rules =
           [this](const std::string& table) {
             if (table == watch::kNetworkTable) rules_changed();
           }});
}

LocalNetworkDriver::~LocalNetworkDriver() {
  if (settings_.watch != nullptr) settings_.watch->unsubscribe(watching_);
  host_thread_.join();
  store_thread_.join();
}

void LocalNetworkDriver::read_documents() {
  const auto name_of = [](std::string_view text) { return parse_network(text, false).name; };
  const auto report = [this](const store::LoadReport& loaded) {
    for (const store::BrokenDocument& broken : loaded.broken)
      settings_.report(fmt::format("{} is set aside: {}", broken.file, broken.reason));
  };
  const auto add = [this](const store::StoredDocument& document, bool is_persistent) -> NetworkPointer {
    auto network = std::make_shared<Network>(loop_);
    network->definition = parse_network(document.text, false);
    network->is_persistent = is_persistent;
    network->autostart = document.autostart;
    if (table_.find(network->definition.uuid) != nullptr) {
      settings_.report(
          fmt::format("network '{}' is not used: another one has its UUID", network->definition.name));
      return nullptr;
    }
    table_.add(network);
    return network;
  };
  const store::LoadReport definitions = definitions_.load_all(name_of);
  for (const store::StoredDocument& document : definitions.documents) {
    const NetworkPointer network = add(document, true);
    // One that was put there by hand or by a package gets its UUID and its bridge's address for good.
    if (network == nullptr) continue;
    const NetworkDefinition given = network->definition;
    fill_defaults(network->definition);
    if (given == network->definition && document.text.find("<uuid>") != std::string::npos) continue;
    try {
      definitions_.write(document.name, format_network(network->definition, nullptr));
    } catch (const std::exception& error) {
      settings_.report(fmt::format("network '{}' is not written down: {}", document.name, error.what()));
    }
  }
  report(definitions);
  const store::LoadReport statuses = statuses_.load_all(name_of);
  for (const store::StoredDocument& document : statuses.documents) {
    NetworkDefinition live = parse_network(document.text, false);
    NetworkPointer network = table_.find(live.uuid);
    if (network == nullptr) {
      network = add(document, false);
    } else if (network->definition.name == live.name) {
      // What it was started with stands until it is stopped.
      const NetworkDefinition stored = std::exchange(network->definition, std::move(live));
      if (!(stored == network->definition)) network->next = stored;
    } else {
      continue;
    }
    active_before_.insert(network->definition.uuid);
    read_ports(network);
  }
  report(statuses);
}

std::filesystem::path LocalNetworkDriver::ports_directory(const Network& network) const {
  return settings_.runtime_directory / "ports" / network.definition.uuid.to_string();
}

void LocalNetworkDriver::read_ports(const NetworkPointer& network) {
  const std::filesystem::path directory = ports_directory(*network);
  std::error_code ignored;
  if (!std::filesystem::exists(directory, ignored)) return;
  store::DocumentStore store(directory);
  const store::LoadReport loaded = store.load_all(
      [](std::string_view text) { return config::parse_network_port(text, false).uuid.to_string(); });
  for (const store::StoredDocument& document : loaded.documents) {
    config::NetworkPort port = config::parse_network_port(document.text, false);
    network->ports.emplace(port.uuid, std::move(port));
  }
  for (const store::BrokenDocument& broken : loaded.broken)
    settings_.report(fmt::format("network '{}': port {} is set aside: {}", network->definition.name,
                                 broken.file, broken.reason));
}

template <typename T>
void LocalNetworkDriver::run(Task<T> task, Completion<T> completion) {
  loop::run_task(loop_, std::move(task), std::move(completion));
}
template void LocalNetworkDriver::run(Task<void>, Completion<void>);
template void LocalNetworkDriver::run(Task<NetworkHandle>, Completion<NetworkHandle>);
template void LocalNetworkDriver::run(Task<NetworkPortHandle>, Completion<NetworkPortHandle>);
template void LocalNetworkDriver::run(Task<std::vector<DhcpLease>>, Completion<std::vector<DhcpLease>>);

template <typename T>
Task<T> LocalNetworkDriver::on_host(std::move_only_function<T()> work) {
  co_return co_await loop::run_blocking<T>(host_thread_, std::move(work));
}
template Task<loop::Done> LocalNetworkDriver::on_host(std::move_only_function<loop::Done()>);
template Task<std::vector<std::string>> LocalNetworkDriver::on_host(
    std::move_only_function<std::vector<std::string>()>);
template Task<bool> LocalNetworkDriver::on_host(std::move_only_function<bool()>);
template Task<std::vector<DhcpLease>> LocalNetworkDriver::on_host(
    std::move_only_function<std::vector<DhcpLease>()>);
template Task<std::vector<config::PciAddress>> LocalNetworkDriver::on_host(
    std::move_only_function<std::vector<config::PciAddress>()>);

Task<> LocalNetworkDriver::on_disk(std::move_only_function<void()> write) {
  std::move_only_function<loop::Done()> work = [write = std::move(write)]() mutable {
    write();
    return loop::Done{};
  };
  co_await loop::run_blocking<loop::Done>(store_thread_, std::move(work));
}

Task<> LocalNetworkDriver::write_definition(NetworkDefinition definition) {
  std::move_only_function<void()> write = [this, name = definition.name,
                                           text = format_network(definition, nullptr)] {
    definitions_.write(name, text);
  };
  co_await on_disk(std::move(write));
}

// Of one that is to be active before anything of it is there: the next daemon looks after what a start left.
Task<> LocalNetworkDriver::write_status(NetworkPointer network, bool is_active) {
  std::move_only_function<void()> write = [this, active = is_active, name = network->definition.name,
                                           ports = ports_directory(*network),
                                           text = format_network(network->definition, nullptr)] {
    if (active) return statuses_.write(name, text);
    statuses_.remove(name);
    std::error_code ignored;
    std::filesystem::remove_all(ports, ignored);
  };
  co_await on_disk(std::move(write));
}

void LocalNetworkDriver::emit(const Network& network, int event) {
  subscriptions_.emit(VIR_NETWORK_EVENT_ID_LIFECYCLE, network.definition.uuid,
                      {.network = network.definition.handle(), .event = event});
}

LocalNetworkDriver::SubscriptionId LocalNetworkDriver::subscribe(int event_id, std::optional<Uuid> network,
                                                                 Handler handler) {
  if (event_id != VIR_NETWORK_EVENT_ID_LIFECYCLE)
    throw network_error(VIR_ERR_INVALID_ARG,
                        fmt::format("there is no network event with the id {}", event_id));
  return subscriptions_.add(event_id, network, std::move(handler));
}

void LocalNetworkDriver::unsubscribe(SubscriptionId id) noexcept {
  subscriptions_.remove(id);
}

std::vector<NetworkHandle> LocalNetworkDriver::list_networks(const Caller&, unsigned int flags) const {
  check_flags(flags,
              VIR_CONNECT_LIST_NETWORKS_ACTIVE | VIR_CONNECT_LIST_NETWORKS_INACTIVE |
                  VIR_CONNECT_LIST_NETWORKS_PERSISTENT | VIR_CONNECT_LIST_NETWORKS_TRANSIENT |
                  VIR_CONNECT_LIST_NETWORKS_AUTOSTART | VIR_CONNECT_LIST_NETWORKS_NO_AUTOSTART,
              "virConnectListAllNetworks");
  std::vector<NetworkHandle> handles;
  for (const NetworkPointer& network : table_.all()) {
    if (admits(flags, VIR_CONNECT_LIST_NETWORKS_ACTIVE, VIR_CONNECT_LIST_NETWORKS_INACTIVE,
               network->is_active) &&
        admits(flags, VIR_CONNECT_LIST_NETWORKS_PERSISTENT, VIR_CONNECT_LIST_NETWORKS_TRANSIENT,
               network->is_persistent) &&
        admits(flags, VIR_CONNECT_LIST_NETWORKS_AUTOSTART, VIR_CONNECT_LIST_NETWORKS_NO_AUTOSTART,
               network->autostart))
      handles.push_back(network->definition.handle());
  }
  return handles;
}

bool LocalNetworkDriver::is_busy() const {
  return std::ranges::any_of(table_.all(), [](const NetworkPointer& network) { return network->is_active; });
}

NetworkHandle LocalNetworkDriver::network_by_name(const Caller&, const std::string& name) const {
  return table_.by_name(name)->definition.handle();
}

NetworkHandle LocalNetworkDriver::network_by_uuid(const Caller&, const Uuid& uuid) const {
  return table_.by_uuid(uuid)->definition.handle();
}

std::string LocalNetworkDriver::network_xml(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, VIR_NETWORK_XML_INACTIVE, "virNetworkGetXMLDesc");
  const NetworkPointer network = table_.by_uuid(uuid);
  if ((flags & VIR_NETWORK_XML_INACTIVE) != 0) return format_network(network->stored(), nullptr);
  if (!network->is_active) return format_network(network->definition, nullptr);
  const LiveFigures figures = network->figures();
  return format_network(network->definition, &figures);
}

std::string LocalNetworkDriver::network_bridge(const Caller&, const Uuid& uuid) const {
  const NetworkPointer network = table_.by_uuid(uuid);
  if (network->definition.bridge.name.empty()) {
    throw network_error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("network '{}' does not have a bridge name.", network->definition.name));
  }
  return network->definition.bridge.name;
}

bool LocalNetworkDriver::network_is_active(const Caller&, const Uuid& network) const {
  return table_.by_uuid(network)->is_active;
}

bool LocalNetworkDriver::network_is_persistent(const Caller&, const Uuid& network) const {
  return table_.by_uuid(network)->is_persistent;
}

bool LocalNetworkDriver::network_autostart(const Caller&, const Uuid& uuid) const {
  // Of a transient network, which cannot have it: false.
  return table_.by_uuid(uuid)->autostart;
}

void LocalNetworkDriver::create_network(const Caller&, std::string xml, unsigned int flags,
                                        Completion<NetworkHandle> completion) {
  run<NetworkHandle>(create(std::move(xml), flags), std::move(completion));
}
void LocalNetworkDriver::define_network(const Caller&, std::string xml, unsigned int flags,
                                        Completion<NetworkHandle> completion) {
  run<NetworkHandle>(define(std::move(xml), flags), std::move(completion));
}
void LocalNetworkDriver::undefine_network(const Caller&, const Uuid& network, Completion<void> completion) {
  run<void>(undefine(network), std::move(completion));
}
void LocalNetworkDriver::start_network(const Caller&, const Uuid& network, Completion<void> completion) {
  run<void>(start(network), std::move(completion));
}
void LocalNetworkDriver::stop_network(const Caller&, const Uuid& network, Completion<void> completion) {
  run<void>(stop(network), std::move(completion));
}
void LocalNetworkDriver::set_network_autostart(const Caller&, const Uuid& network, bool autostart,
                                               Completion<void> completion) {
  run<void>(set_autostart(network, autostart), std::move(completion));
}
void LocalNetworkDriver::update_network(const Caller&, const Uuid& network, NetworkUpdate change,
                                        unsigned int flags, Completion<void> completion) {
  run<void>(update(network, std::move(change), flags), std::move(completion));
}

}  // namespace warren::driver::network
