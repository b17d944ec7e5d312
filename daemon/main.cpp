// virtwarrend: puts the daemon together from its parts and runs its loop.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config/configuration.h"
#include "daemon/instance_lock.h"
#include "daemon/log/log.h"
#include "daemon/options.h"
#include "daemon/rpc/administration.h"
#include "daemon/rpc/procedure.h"
#include "daemon/rpc/server.h"
#include "daemon/service_manager.h"
#include "daemon/worker_settings.h"
#include "driver/domain/driver.h"
#include "driver/domain/link_loss.h"
#include "driver/domain/native_format.h"
#include "driver/host/driver.h"
#include "driver/interface/driver.h"
#include "driver/network/driver.h"
#include "driver/nwfilter/driver.h"
#include "driver/secret/driver.h"
#include "driver/storage/driver.h"
#include "driver/watch/host_watch.h"
#include "vmm-core/os/error.h"

namespace warren::daemon {
namespace {

namespace asio = boost::asio;

void print_procedures() {
  for (const rpc::Program& program : rpc::programs()) {
    for (const rpc::Procedure* procedure : program.procedures()) {
      if (procedure == nullptr) continue;
      fmt::print("{} {} {} {}\n", program.name(), procedure->number, procedure->name,
                 to_string(procedure->support));
    }
  }
}

std::string environment_variable(const char* name) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

Directories choose_directories(const Options& options) {
  if (!options.session) return system_directories(options.root.value_or("/"));
  std::string home = environment_variable("HOME");
  if (home.empty()) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
    if (const passwd* user = ::getpwuid(::geteuid())) home = user->pw_dir;
  }
  return session_directories(home, &environment_variable);
}

Configuration load_configuration(const Options& options, const Directories& directories) {
  std::filesystem::path path = options.configuration.value_or(directories.configuration / "warren.conf");
  std::ifstream file(path);
  if (!file) {
    // Only the file that was asked for has to be there.
    if (!options.configuration && !std::filesystem::exists(path)) return {};
    vmm::throw_errno(fmt::format("configuration file {}", path.native()));
  }
  std::string text{std::istreambuf_iterator<char>(file), {}};
  return read_configuration(path.native(), text);
}

std::unique_ptr<Log> open_log(const Options& options, const Configuration& configuration) {
  auto level = static_cast<LogLevel>(configuration.log_level);
  if (options.verbose) level = std::min(level, LogLevel::info);
  if (configuration.log_file.empty()) return std::make_unique<Log>(level);
  return std::make_unique<Log>(level, configuration.log_file);
}

LogLevel to_level(driver::domain::LogPriority priority) {
  switch (priority) {
    case driver::domain::LogPriority::debug:
      return LogLevel::debug;
    case driver::domain::LogPriority::information:
      return LogLevel::info;
    case driver::domain::LogPriority::warning:
      return LogLevel::warning;
    case driver::domain::LogPriority::error:
      return LogLevel::error;
  }
  return LogLevel::error;
}

// The daemon in service: from the stored state to the last client.
class Daemon {
 public:
  Daemon(const Options& options, const Directories& directories, const Configuration& configuration, Log& log)
      : options_(options),
        directories_(directories),
        configuration_(configuration),
        log_(log),
        signals_(loop_, SIGTERM, SIGINT, SIGHUP),
        timeout_(loop_),
        facts_(gather_facts(configuration)),
        host_(driver::host::make_host_driver(loop_, facts_)),
        secrets_(driver::secret::make_secret_driver(loop_, secret_settings())),
        storage_(driver::storage::make_storage_driver(loop_, storage_settings())),
        interfaces_(driver::interface::make_interface_driver(loop_, interface_settings())),
        watch_(loop_, [this](std::string_view text) { log_.write(LogLevel::warning, text, "driver.watch"); }),
        network_filters_(driver::nwfilter::make_filter_driver(loop_, filter_settings())),
        networks_(driver::network::make_network_driver(loop_, network_settings())),
        driver_(driver::domain::make_domain_driver(loop_, driver_settings(), facts_)),
        link_loss_(driver::domain::watch_links(*driver_, watch_)),
        native_formats_(driver::domain::make_native_formats(loop_, facts_)),
        server_(loop_, session_services(nullptr), server_settings("virtwarrend")),
        admin_server_(loop_, session_services(&administration_), server_settings("admin")) {}

  // Returns the process's exit status.
  int run() {
    wait_for_signal();
    // The pools first: domains that start by themselves may have their volumes.
    storage_->load([this](std::expected<void, driver::Error>) { load_networks(); });
    loop_.run();
    log_.info("virtwarrend has ended");
    return status_;
  }

 private:
  void load_networks() {
    networks_->load([this](std::expected<void, driver::Error> outcome) {
      if (!outcome) log_.error(fmt::format("networks: {}", outcome.error().message()));
      load_domains();
    });
  }

  void load_domains() {
    driver_->load([this](std::expected<void, driver::Error> outcome) {
      if (outcome) return begin_to_listen();
      log_.error(fmt::format("cannot load the stored state: {}", outcome.error().message()));
      fail();
    });
  }

  static driver::config::HostFacts gather_facts(const Configuration& configuration) {
    driver::config::HostFacts facts = driver::config::gather_host_facts();
    facts.emulator = find_worker_program(configuration).string();
    return facts;
  }

  driver::domain::DriverSettings driver_settings() {
    driver::domain::DriverSettings settings{.configuration_directory = directories_.configuration,
                                            .runtime_directory = directories_.runtime,
                                            .log_directory = directories_.log,
                                            .dump_directory = directories_.state / "dump",
                                            .worker_program = find_worker_program(configuration_)};
    WorkerIdentity identity = find_worker_identity(configuration_);
    settings.worker_user = identity.user;
    settings.worker_group = identity.group;
    settings.worker_sandbox = configuration_.worker_sandbox;
    settings.job_timeout = configuration_.job_timeout;
    settings.cage_program = find_cage();
    settings.volumes = storage_.get();
    settings.networks = networks_.get();
    settings.filters = network_filters_.get();
    settings.secret_value = [this](const driver::Uuid& secret) { return secrets_->value_for_use(secret); };
    settings.log = [this](driver::domain::LogPriority priority, std::string_view text) {
      log_.write(to_level(priority), text, "driver.domain");
    };
    return settings;
  }

  driver::secret::SecretSettings secret_settings() {
    driver::secret::SecretSettings settings{
        .directory = directories_.configuration / "secrets",
        .keys = {.key_file = directories_.state / "secrets-encryption-key"},
        .report = [this](std::string_view text) { log_.write(LogLevel::error, text, "driver.secret"); }};
    // systemd.exec(5), LoadCredentialEncrypted=
    std::string credentials = environment_variable("CREDENTIALS_DIRECTORY");
    if (!credentials.empty())
      settings.keys.credential = std::filesystem::path(credentials) / "secrets-encryption-key";
    return settings;
  }

  driver::storage::StorageSettings storage_settings() {
    driver::storage::StorageSettings settings{
        .configuration_directory = directories_.configuration / "storage",
        .runtime_directory = directories_.runtime / "storage",
        .state_directory = directories_.state / "storage",
        .helper_program = find_storage_helper()};
    settings.secret = [this](const std::string& uuid, const std::string& usage, int type) {
      return secret_value(uuid, usage, type);
    };
    settings.report = [this](std::string_view text) {
      log_.write(LogLevel::warning, text, "driver.storage");
    };
    return settings;
  }

  driver::network::NetworkSettings network_settings() {
    driver::network::NetworkSettings settings{
        .configuration_directory = directories_.configuration / "networks",
        .runtime_directory = directories_.runtime / "network",
        .service_directory = directories_.runtime / "dnsmasq",
        .state_directory = directories_.state / "dnsmasq"};
    settings.report = [this](std::string_view text) {
      log_.write(LogLevel::warning, text, "driver.network");
    };
    settings.watch = &watch_;
    return settings;
  }

  driver::interface::InterfaceSettings interface_settings() const {
    driver::interface::InterfaceSettings settings;
    settings.change = directories_.state / "interface-change";
    return settings;
  }

  driver::nwfilter::FilterSettings filter_settings() {
    driver::nwfilter::FilterSettings settings{.directory = directories_.configuration / "nwfilter",
                                              .run_directory = directories_.runtime / "nwfilter"};
    settings.report = [this](std::string_view text) {
      log_.write(LogLevel::warning, text, "driver.nwfilter");
    };
    settings.watch = &watch_;
    return settings;
  }

  // As the daemon itself, which may read private ones too.
  std::string secret_value(const std::string& uuid, const std::string& usage, int type) {
    const driver::Caller self;
    driver::Uuid secret = driver::Uuid::parse(uuid).value_or(driver::Uuid{});
    if (uuid.empty()) secret = secrets_->lookup_by_usage(self, type, usage).uuid;
    const driver::SecretValue value = secrets_->value_for_use(secret);
    return {value.bytes().begin(), value.bytes().end()};
  }

  rpc::SessionServices session_services(rpc::Administration* administration) {
    return {.hypervisor = *driver_,
            .host = *host_,
            .secrets = secrets_.get(),
            .storage = storage_.get(),
            .native_formats = native_formats_.get(),
            .networks = networks_.get(),
            .interfaces = interfaces_.get(),
            .network_filters = network_filters_.get(),
            .administration = administration,
            .session_mode = options_.session,
            .max_client_requests = configuration_.max_client_requests,
            .keepalive_count = configuration_.keepalive_count,
            .report = [this](std::string_view text) {
              log_.limited(client_lines_, LogLevel::warning, text, "rpc");
            }};
  }

  rpc::ServerSettings server_settings(std::string name) const {
    return {.name = std::move(name),
            .max_clients = configuration_.max_clients,
            .max_anonymous_clients = configuration_.max_anonymous_clients,
            .keepalive_interval = configuration_.keepalive_interval};
  }

  // On the socket that the service manager opened for us, if it did.
  void listen(rpc::Server& server, const std::string& name, bool read_only) {
    std::filesystem::path path = directories_.sockets / name;
    if (auto found = inherited_.sockets.extract(path)) {
      server.listen_on(std::move(found.mapped()), path, read_only);
    } else {
      server.listen(path, read_only);
    }
  }

  void begin_to_listen() {
    try {
      listen(server_, "virtwarrend-sock", false);
      if (!options_.session) listen(server_, "virtwarrend-sock-ro", true);
      if (configuration_.compat_qemu) {
        for (const char* name : {"virtqemud-sock", "libvirt-sock"}) {
          listen(server_, name, false);
          if (!options_.session) listen(server_, fmt::format("{}-ro", name), true);
        }
      }
      listen(admin_server_, "virtwarrend-admin-sock", false);
    } catch (const vmm::Error& error) {
      log_.error(error.what());
      fail();
      return;
    }
    for (const auto& [path, socket] : inherited_.sockets)
      log_.warning(
          fmt::format("socket {} of the service manager is none of ours: not served", path.native()));
    if (inherited_.ignored > 0)
      log_.warning(fmt::format("{} descriptors of the service manager are no listening Unix sockets",
                               inherited_.ignored));
    inherited_.sockets.clear();
    log_.info(fmt::format("serving {}", (directories_.sockets / "virtwarrend-sock").native()));
    server_.on_idle([this] { idle(); });
    admin_server_.on_idle([this] { idle(); });
    notify_ready();
    idle();
  }

  std::size_t client_count() const { return server_.client_count() + admin_server_.client_count(); }

  // No client is left: the end, if it was asked for; else the timeout begins.
  void idle() {
    if (client_count() > 0) return;  // of the other server
    if (stopping_) {
      loop_.stop();
      return;
    }
    if (idle_timeout_.count() == 0) return;
    timeout_.expires_after(idle_timeout_);
    timeout_.async_wait([this](boost::system::error_code error) {
      if (error || stopping_ || client_count() > 0) return;  // idle() follows the last client
      if (driver_->is_busy() || networks_->is_busy()) {
        idle();
        return;
      }
      log_.info("no clients, no running domains and no active networks: ending");
      stop();
    });
  }

  void set_timeout(std::chrono::seconds timeout) {
    idle_timeout_ = timeout;
    timeout_.cancel();
    idle();
  }

  void wait_for_signal() {
    signals_.async_wait([this](boost::system::error_code error, int number) {
      if (error) return;
      if (number != SIGHUP) {
        stop();
        return;
      }
      try {
        log_.reopen();
      } catch (const vmm::Error& failure) {
        log_.error(failure.what());
      }
      wait_for_signal();
    });
  }

  void stop() {
    stopping_ = true;
    server_.stop();
    admin_server_.stop();
    if (client_count() == 0) loop_.stop();
  }

  void fail() {
    status_ = EXIT_FAILURE;
    stop();
  }

  const Options& options_;
  const Directories& directories_;
  const Configuration& configuration_;
  Log& log_;
  LogSite client_lines_;
  InheritedSockets inherited_ = take_inherited_sockets();  // before there are threads
  asio::io_context loop_{1};
  asio::signal_set signals_;
  asio::steady_timer timeout_;
  const driver::config::HostFacts facts_;
  std::unique_ptr<driver::HostDriver> host_;
  std::unique_ptr<driver::SecretDriver> secrets_;
  std::unique_ptr<driver::storage::LocalStorage> storage_;
  std::unique_ptr<driver::InterfaceDriver> interfaces_;
  driver::watch::HostWatch watch_;
  std::unique_ptr<driver::nwfilter::FilterDriver> network_filters_;
  std::unique_ptr<driver::network::LocalNetworks> networks_;
  std::unique_ptr<driver::domain::DomainDriver> driver_;  // uses the pools and the networks
  std::unique_ptr<driver::domain::LinkLoss> link_loss_;
  std::unique_ptr<driver::NativeFormats> native_formats_;
  rpc::Server server_;
  rpc::Administration administration_{
      .servers = {&server_, &admin_server_},
      .log = log_,
      .set_timeout = [this](std::chrono::seconds timeout) { set_timeout(timeout); }};
  rpc::Server admin_server_;
  std::chrono::seconds idle_timeout_{options_.timeout.value_or(std::chrono::seconds(0))};
  bool stopping_ = false;
  int status_ = EXIT_SUCCESS;
};

int serve(const Options& options) {
  Directories directories = choose_directories(options);
  Configuration configuration = load_configuration(options, directories);
  std::unique_ptr<Log> log = open_log(options, configuration);
  ::umask(022);
  for (const auto& directory : {directories.configuration, directories.runtime, directories.sockets}) {
    std::filesystem::create_directories(directory);
  }
  InstanceLock lock(directories.runtime / "virtwarrend.pid");
  std::signal(SIGPIPE, SIG_IGN);  // a closed standard error is no reason to die
  return Daemon(options, directories, configuration, *log).run();
}

int run(int argc, char** argv) {
  Options options = parse_options(argc, argv, ::geteuid() == 0);
  switch (options.action) {
    case Options::Action::help:
      fmt::print("{}", help_text());
      return EXIT_SUCCESS;
    case Options::Action::version:
      fmt::print("virtwarrend (Warren) {}\n", WARREN_VERSION);
      return EXIT_SUCCESS;
    case Options::Action::print_procedures:
      print_procedures();
      return EXIT_SUCCESS;
    case Options::Action::serve:
      return serve(options);
  }
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace warren::daemon

int main(int argc, char** argv) {
  try {
    return warren::daemon::run(argc, argv);
  } catch (const warren::daemon::UsageError& error) {
    fmt::print(stderr, "virtwarrend: {}\n{}", error.what(), warren::daemon::help_text());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "virtwarrend: error: {}\n", error.what());
    return EXIT_FAILURE;
  }
}
