#include "driver/domain/local_driver.h"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>

#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"
#include "driver/domain/stray_ports.h"

namespace warren::driver::domain {

namespace {

// Exists once autostart has been done since the host booted (the runtime directory does not survive a boot).
constexpr const char* kAutostartMark = "autostarted";

Uuid uuid_of(const config::DomainDefinition& definition) {
  return definition.uuid.value();
}

}  // namespace

std::unique_ptr<DomainDriver> make_domain_driver(asio::io_context& loop, DriverSettings settings,
                                                 config::HostFacts facts) {
  return std::make_unique<LocalDriver>(loop, std::move(settings), std::move(facts));
}

LocalDriver::LocalDriver(asio::io_context& loop, DriverSettings settings, config::HostFacts facts)
    : environment_(std::make_shared<Environment>(loop, std::move(settings), std::move(facts))) {
  for (const auto& directory :
       {environment_->settings.runtime_directory, environment_->settings.log_directory}) {
    std::error_code failed;
    std::filesystem::create_directories(directory, failed);
    if (failed) throw system_error(failed.value(), fmt::format("make directory '{}'", directory.string()));
  }
}

// What pool threads still hand back must find the loop there, so they end before the caller can destroy it.
LocalDriver::~LocalDriver() {
  if (networks_followed_) environment_->settings.networks->unsubscribe(*networks_followed_);
  environment_->store_thread.join();
  environment_->io_threads.join();
  // A copy: a job may have the last hold of a domain that is leaving the table.
  const auto domains = environment_->table.all();
  for (const auto& [name, domain] : domains) domain->let_go();
  environment_->table.clear();
  environment_->cgroups.remove_if_empty();
}

bool LocalDriver::is_busy() const {
  if (running_changes_ > 0) return true;
  const auto& all = environment_->table.all();
  return std::any_of(all.begin(), all.end(), [](const auto& entry) {
    return entry.second->job() || (entry.second->snapshot() && entry.second->snapshot()->is_active());
  });
}

void LocalDriver::load(Completion<void> completion) {
  run<void>(load_task(), std::move(completion));
}

void LocalDriver::load_definitions() {
  auto& environment = *environment_;
  auto name_of = [](std::string_view text) { return config::parse_domain(text).name; };
  store::LoadReport report = environment.definitions.load_all(name_of);
  for (const auto& broken : report.broken) {
    environment.log(LogPriority::error,
                    fmt::format("definition {} is broken: {}{}", broken.file, broken.reason,
                                broken.set_aside.empty() ? "" : "; kept as " + broken.set_aside));
  }
  for (const auto& document : report.documents) {
    try {
      auto definition = std::make_shared<config::DomainDefinition>(config::parse_domain(document.text));
      config::fill_defaults(*definition, environment.facts);
      auto domain = std::make_shared<Domain>(environment_, uuid_of(*definition), definition->name);
      environment.table.add(domain);
      domain->restore_definition(std::move(definition), document.autostart);
    } catch (const std::exception& error) {
      environment.log(LogPriority::error,
                      fmt::format("definition {} is not used: {}", document.name, error.what()));
    }
  }
}

Task<> LocalDriver::load_task() {
  // Nothing else runs yet and every definition has to be known before the first answer: read on this thread.
  load_definitions();
  follow_networks();
  auto report = environment_->statuses.load_all([](std::string_view text) {
    LiveStatus status = parse_status(text);
    return status.live.uuid->to_string();
  });
  for (const auto& broken : report.broken) {
    environment_->log(LogPriority::error, fmt::format("status {} is broken: {}", broken.file, broken.reason));
  }
  std::vector<std::pair<std::shared_ptr<Domain>, LiveStatus>> found;
  for (const auto& document : report.documents) {
    LiveStatus status = parse_status(document.text);
    environment_->next_id = std::max(environment_->next_id, status.live.id.value_or(0) + 1);
    try {
      auto domain = find_or_make(status.live);
      environment_->table.add(domain);
      found.emplace_back(std::move(domain), std::move(status));
    } catch (const std::exception& error) {
      environment_->log(LogPriority::error,
                        fmt::format("status {} is not used: {}", document.name, error.what()));
    }
  }
  // All at once: a worker that hangs must not hold the others up.
  auto left = std::make_shared<std::size_t>(found.size());
  auto all_done =
      std::make_shared<asio::steady_timer>(environment_->loop, asio::steady_timer::time_point::max());
  for (auto& [domain, status] : found) {
    run_task<void>(environment_->loop, domain->adopt(std::move(status)),
                   [left, all_done, domain = domain](std::expected<void, Error>) {
                     if (--*left == 0) all_done->cancel();
                   });
  }
  if (*left > 0) {
    auto initiate = [all_done](auto handler) {
      all_done->async_wait(
          [handler = std::move(handler)](boost::system::error_code) mutable { std::move(handler)(); });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate, asio::use_awaitable);
  }
  std::optional<Error> failed;
  try {
    co_await delete_stray_ports(environment_);
    co_await delete_stray_switch_ports(environment_);
  } catch (const Error& error) {
    failed = error;
  }
  if (failed)
    environment_->log(LogPriority::warning, fmt::format("ports of networks: {}", failed->message()));
  co_await autostart_domains();
}

void LocalDriver::follow_networks() {
  NetworkDriver* networks = environment_->settings.networks;
  if (networks == nullptr) return;
  networks_followed_ = networks->subscribe(
      VIR_NETWORK_EVENT_ID_LIFECYCLE, std::nullopt, [environment = environment_](const NetworkEvent& event) {
        if (event.event != VIR_NETWORK_EVENT_STARTED) return;
        const auto domains = environment->table.all();  // a copy: they may come and go
        for (const auto& [name, domain] : domains) domain->network_started(event.network.name);
      });
}

Task<> LocalDriver::autostart_domains() {
  auto mark = environment_->settings.runtime_directory / kAutostartMark;
  if (std::filesystem::exists(mark)) co_return;
  std::ofstream(mark).flush();
  std::vector<std::shared_ptr<Domain>> chosen;
  for (const auto& [name, domain] : environment_->table.all()) {
    const auto& snapshot = domain->snapshot();
    if (snapshot && snapshot->autostart && !snapshot->is_active()) chosen.push_back(domain);
  }
  for (const auto& domain : chosen) {
    run<DomainHandle>(domain->start({}, nullptr, 0), [environment = environment_,
                                                      domain](std::expected<DomainHandle, Error> started) {
      if (started) return;
      environment->log(LogPriority::error, fmt::format("domain {}: autostart failed: {}", domain->name(),
                                                       started.error().what()));
    });
  }
}

std::shared_ptr<Domain> LocalDriver::find(const Uuid& uuid) const {
  auto domain = environment_->table.by_uuid(uuid);
  if (!domain || !domain->snapshot()) throw no_domain_with_uuid(uuid);
  return domain;
}

std::shared_ptr<Domain> LocalDriver::find_or_make(const config::DomainDefinition& definition) {
  if (!store::DocumentStore::valid_name(definition.name)) {
    throw Error(VIR_ERR_XML_ERROR,
                fmt::format("name {} cannot contain '/' and must fit a file's name", definition.name),
                VIR_FROM_DOMAIN);
  }
  Uuid uuid = uuid_of(definition);
  if (auto domain = environment_->table.find_or_conflict(uuid, definition.name)) return domain;
  return std::make_shared<Domain>(environment_, uuid, definition.name);
}

Task<std::shared_ptr<const config::DomainDefinition>> LocalDriver::parse(std::string xml,
                                                                         bool validate) const {
  // A usual document takes less time than a hand-over between threads; a huge one would hold up everybody.
  constexpr std::size_t kSmall = std::size_t{32} << 10;
  const bool is_small = !validate && xml.size() <= kSmall;
  auto environment = environment_;
  std::move_only_function<std::shared_ptr<const config::DomainDefinition>()> work =
      [environment, xml = std::move(xml), validate] {
        auto definition = std::make_shared<config::DomainDefinition>(
            config::parse_domain(xml, {.inactive = true, .validate = validate}));
        config::fill_defaults(*definition, environment->facts);
        return std::shared_ptr<const config::DomainDefinition>(std::move(definition));
      };
  if (is_small) co_return work();
  co_return co_await run_blocking<std::shared_ptr<const config::DomainDefinition>>(environment->io_threads,
                                                                                   std::move(work));
}

}  // namespace warren::driver::domain
