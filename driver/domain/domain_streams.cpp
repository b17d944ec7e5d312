// Consoles and channels of a running domain: clients' streams, one for each at a time, and which channels the
// guest has open.
#include <algorithm>

#include <fmt/format.h>

#include "driver/domain/character_file.h"
#include "driver/domain/domain.h"

namespace warren::driver::domain {

void Domain::make_way(const std::string& alias, bool by_force, const char* what) {
  auto other = consoles_[alias].lock();
  if (!other || !other->is_open()) return;
  if (!by_force) {
    throw operation_failed(fmt::format("Active {} session exists for this domain (device {})", what, alias));
  }
  other->take_away(operation_failed(fmt::format("another client took {} {} over", what, alias)));
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
  make_way(alias, (flags & VIR_DOMAIN_CONSOLE_FORCE) != 0, "console");
  OpenedConsole opened = make_console_stream(environment_->loop, open_slave(path));
  consoles_[alias] = opened.session;
  return std::move(opened.stream);
}

std::unique_ptr<Stream> Domain::open_channel(const std::optional<std::string>& name, unsigned int flags) {
  require_active();
  const auto& channels = live_->devices.channels;
  const auto channel = std::find_if(channels.begin(), channels.end(), [&](const config::Channel& each) {
    return !name || *name == each.info.alias || *name == each.name;
  });
  if (channel == channels.end()) {
    throw name ? internal_error(fmt::format("cannot find channel {}", *name))
               : internal_error(fmt::format("domain '{}' has no channel", name_));
  }
  const std::string& alias = channel->info.alias;
  const config::CharacterBackend& backend = channel->backend;
  const bool is_pty = backend.type == config::CharacterBackendType::pty;
  if (!is_pty && own_socket(backend).empty()) {
    throw operation_unsupported(
        fmt::format("channel {} is on neither a pseudo terminal nor a socket in mode 'bind'", alias));
  }
  if (&*channel == agent_channel_of(*live_) && agent_ && agent_->is_open()) {
    throw operation_failed(fmt::format(
        "channel {} is in use for the guest agent; ask that with virDomainQemuAgentCommand", alias));
  }
  make_way(alias, (flags & VIR_DOMAIN_CHANNEL_FORCE) != 0, "channel");
  OpenedConsole opened = make_console_stream(
      environment_->loop, is_pty ? open_slave(backend.path) : connect_character_socket(backend.path));
  consoles_[alias] = opened.session;
  return std::move(opened.stream);
}

bool Domain::set_open_channels(const std::vector<std::string>& aliases) {
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  bool is_changed = false;
  for (config::Channel& channel : live->devices.channels) {
    const bool is_open = std::find(aliases.begin(), aliases.end(), channel.info.alias) != aliases.end();
    is_changed = is_changed || channel.connected != is_open;
    channel.connected = is_open;
  }
  if (is_changed) live_ = std::move(live);
  return is_changed;
}

Task<> Domain::fetch_open_channels() {
  if (live_->devices.channels.empty()) co_return;
  const auto worker = worker_;
  try {
    const vmm::control::Status found = co_await worker->status();
    set_open_channels(found.open_ports);
  } catch (const std::exception& error) {
    // A worker that has ended is looked after by whoever is told of its end.
    log(LogPriority::warning, fmt::format("cannot learn which channels are open: {}", error.what()));
  }
}

Task<> Domain::port_changed(std::weak_ptr<Worker> from, vmm::control::PortChanged change) {
  auto hold = co_await slot_.acquire(job_of("channel state", {}), JobSlot::Urgency::urgent);
  const auto worker = from.lock();
  if (!is_active() || !worker || worker != worker_) co_return;
  std::vector<std::string> open;
  for (const config::Channel& channel : live_->devices.channels) {
    const std::string& alias = channel.info.alias;
    if (alias == change.id ? change.open : channel.connected.value_or(false)) open.push_back(alias);
  }
  if (!set_open_channels(open)) co_return;
  co_await write_status();
  publish();
  follow_agent();
}

}  // namespace warren::driver::domain
