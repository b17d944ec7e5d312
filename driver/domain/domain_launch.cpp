// Starting a domain's worker.
#include <algorithm>
#include <ctime>
#include <filesystem>

#include <boost/asio/steady_timer.hpp>
#include <fcntl.h>
#include <fmt/format.h>

#include "driver/config/domain_defaults.h"
#include "driver/domain/cgroup.h"
#include "driver/domain/character_file.h"
#include "driver/domain/disk_volume.h"
#include "driver/domain/domain.h"
#include "driver/domain/machine_translation.h"
#include "driver/domain/memory_policy.h"
#include "driver/domain/startup_policy.h"
#include "driver/domain/worker_threads.h"
#include "vmm-core/control/client.h"

namespace warren::driver::domain {

namespace {

// A worker that nobody has taken charge of yet: it does not outlive a start that failed or was given up, and
// the loop reaps it. Destroyed on any thread.
class UnprovenWorker {
 public:
  UnprovenWorker(asio::io_context& loop, WorkerProcess started) : loop_(loop), process_(std::move(started)) {}
  UnprovenWorker(const UnprovenWorker&) = delete;
  UnprovenWorker& operator=(const UnprovenWorker&) = delete;
  ~UnprovenWorker() {
    if (!process_.pidfd) return;
    process_.kill();
    asio::post(loop_, [&loop = loop_, process = std::move(process_)]() mutable {
      Worker::make(loop, std::move(process), {}, {});
    });
  }

  const WorkerProcess& process() const noexcept { return process_; }
  WorkerProcess take() noexcept { return std::move(process_); }

 private:
  asio::io_context& loop_;
  WorkerProcess process_;
};

Error given_up() {
  return {VIR_ERR_OPERATION_ABORTED, "the start was given up"};
}

bool has_tuning(const config::DomainDefinition& definition) {
  const auto limited = [](const config::Interface& interface) { return interface.bandwidth.has_value(); };
  const auto& interfaces = definition.devices.interfaces;
  return has_pins(definition) || definition.cpu_tuning != config::CpuTuning{} ||
         definition.memory_tuning != config::MemoryTuning{} ||
         definition.blkio_tuning != config::BlkioTuning{} || definition.numa_tuning.mode ||
         !definition.perf.enabled.empty() || std::any_of(interfaces.begin(), interfaces.end(), limited);
}

bool is_asking_networks(const config::DomainDefinition& definition) {
  return std::ranges::any_of(definition.devices.interfaces, [](const config::Interface& interface) {
    return interface.type == config::InterfaceType::network;
  });
}

}  // namespace

// What a pool thread has made ready.
struct Domain::Launched {
  std::shared_ptr<HeldHostDevices> host_devices;  // first, so that they go back after all else is closed
  config::DomainDefinition live;
  Worker::Machine machine;
  std::shared_ptr<Preparation> preparation;  // lives as long as what was made ready
  std::optional<UnprovenWorker> worker;
  vmm::FileDescriptor control;  // connected
  std::vector<DiskChangeEvent> dropped;
  std::vector<UnmarkedImage> unmarked;
  std::vector<std::shared_ptr<link::HalfMadeLink>> half_made_links;
};

void Domain::note_start(const LiveStatus& status, const Preparation& preparation) const {
  std::string text = format_status(status);
  std::lock_guard lock(environment_->statuses_mutex);
  if (preparation.given_up) throw given_up();
  environment_->statuses.write(uuid_.to_string(), text);
}

// Everything that can block, in one go: a hand-over between threads costs more than most of its parts.
std::shared_ptr<Domain::Launched> Domain::prepare_launch(config::DomainDefinition definition, int id,
                                                         const ResourceAccess& access,
                                                         std::vector<BoundDevice> bound,
                                                         const Preparation& preparation) const {
  const DriverSettings& settings = environment_->settings;
  require_for_start(environment_->cgroups, definition);
  // Noted before there is anything, and again with the worker's pid before it is given anything: a daemon
  // that dies from here on leaves what the next one needs to roll the start back.
  auto launched = std::make_shared<Launched>();
  LiveStatus status;
  status.live = definition;
  status.live.id = id;
  if (!definition.devices.host_devices.empty()) {
    launched->host_devices = hold_host_devices(std::move(bound));
    for (const config::HostDevice& device : definition.devices.host_devices)
      launched->host_devices->take(device);
    status.bound_devices = launched->host_devices->bound();
  }
  note_start(status, preparation);
  if (launched->host_devices) launched->host_devices->bind();
  std::filesystem::create_directories(access.directory);
  std::filesystem::permissions(access.directory, std::filesystem::perms::owner_all);
  const std::string socket_path = (access.directory / "control.sock").string();
  vmm::FileDescriptor listener = vmm::control::listen_at(socket_path);
  vmm::FileDescriptor log =
      open_output_file((settings.log_directory / (definition.name + ".log")).string(), true);
  vmm::FileDescriptor kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  const MemoryPolicy memory_policy(definition.numa_tuning);
  launched->worker.emplace(environment_->loop, launch_worker({.program = settings.worker_program,
                                                              .control = &listener,
                                                              .kvm = &kvm,
                                                              .log = &log,
                                                              .user = settings.worker_user,
                                                              .group = settings.worker_group,
                                                              .sandbox = settings.worker_sandbox}));
  const WorkerProcess& process = launched->worker->process();
  DomainCgroup(environment_->cgroups, uuid_.to_string()).enter(process.pid);
  status.pid = process.pid;
  status.start_time = process.start_time;
  note_start(status, preparation);
  launched->dropped = drop_missing_sources(definition.devices);
  // The worker sets itself up while its resources are opened.
  Resources resources = open_resources(definition, access);
  for (config::Vsock& vsock : definition.devices.vsocks) open_vsock(*environment_, uuid_, vsock, resources);
  HostAccess host;
  if (launched->host_devices)
    host =
        launched->host_devices->open(definition.devices.host_devices, resources.names, resources.descriptors);
  resources.live.id = id;
  config::assign_live(definition, resources.live);
  launched->half_made_links = std::move(resources.half_made_links);
  // Links that stay when their worker goes are known to whoever rolls this back.
  if (!launched->half_made_links.empty()) {
    status.live = definition;
    note_start(status, preparation);
  }
  launched->machine.specification =
      machine_of(definition, environment_->facts, resources, std::time(nullptr), host);
  launched->unmarked = std::move(resources.unmarked);
  launched->machine.names = std::move(resources.names);
  launched->machine.descriptors = std::move(resources.descriptors);
  for (DiskChangeEvent& event : launched->dropped)
    for (const config::Disk& disk : definition.devices.disks)
      if (disk.target == event.alias) event.alias = disk.info.alias;
  launched->live = std::move(definition);
  launched->control = vmm::control::connect_to(socket_path);
  return launched;
}

// A start that was given up may still have the images locked on its pool thread. One that hangs there for
// good is not waited for: its locks are then named by the refusal.
Task<> Domain::former_launch_ended() {
  asio::steady_timer timer(environment_->loop);
  for (int waits = 0; waits < 100 && !preparation_.expired(); ++waits) {
    timer.expires_after(std::chrono::milliseconds(10));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

ResourceAccess Domain::resource_access(std::span<const config::Disk> disks) const {
  const DriverSettings& settings = environment_->settings;
  ResourceAccess access{.directory = runtime_directory(),
                        .groups = descriptor_groups_.named_by(disks),
                        .storage_daemon = {.cage_program = settings.cage_program,
                                           .program = settings.storage_daemon_program,
                                           .directory = runtime_directory(),
                                           .user = settings.worker_user,
                                           .group = settings.worker_group}};
  access.storage_daemon.place = [environment = environment_, name = uuid_.to_string()](pid_t cage) {
    DomainCgroup(environment->cgroups, name).join(cage);
  };
  for (const config::Disk& disk : disks) {
    if (!disk.caged || !disk.caged->passphrase) continue;
    if (!settings.secret_value)
      throw Error(VIR_ERR_NO_SUPPORT, "this daemon keeps no secrets to open an encrypted disk with");
    const Uuid& secret = *disk.caged->passphrase;
    access.storage_daemon.passphrases[secret] =
        std::make_shared<const SecretValue>(settings.secret_value(secret));
  }
  return access;
}

// All that the machine is made of, on a pool thread. What fails leaves nothing.
Task<std::shared_ptr<Domain::Launched>> Domain::make_ready(config::DomainDefinition definition) {
  auto self = shared_from_this();
  find_volumes(environment_->settings.volumes, definition.devices);
  ResourceAccess access = resource_access(definition.devices.disks);
  auto preparation = std::make_shared<Preparation>();
  preparation_ = preparation;
  access.storage_daemon.place = [place = std::move(access.storage_daemon.place), preparation](pid_t cage) {
    if (preparation->given_up) throw given_up();
    place(cage);
  };
  // Those of an earlier worker.
  co_await give_back_networks();
  std::shared_ptr<Launched> launched;
  std::exception_ptr failed;
  try {
    if (is_asking_networks(definition) && !persistent_) {
      // Before they have ports of a domain that nobody would know of.
      std::move_only_function<Done()> note = [self, preparation, live = definition, id = id_,
                                              bound = host_devices_ ? host_devices_->bound()
                                                                    : std::vector<BoundDevice>()]() mutable {
        LiveStatus status;
        status.live = std::move(live);
        status.live.id = id;
        status.bound_devices = std::move(bound);
        self->note_start(status, *preparation);
        return Done{};
      };
      co_await run_blocking<Done>(environment_->io_threads, std::move(note));
    }
    co_await take_ports(definition);
    std::move_only_function<std::shared_ptr<Launched>()> work =
        [self, preparation, definition = std::move(definition), access = std::move(access),
         bound = host_devices_ ? host_devices_->bound() : std::vector<BoundDevice>(), id = id_]() mutable {
          auto made = self->prepare_launch(std::move(definition), id, access, std::move(bound), *preparation);
          made->preparation = std::move(preparation);
          return made;
        };
    preparation = nullptr;
    launched = co_await run_blocking<std::shared_ptr<Launched>>(environment_->io_threads, std::move(work),
                                                                &image_wait_);
  } catch (...) {
    failed = std::current_exception();
  }
  if (!failed) co_return launched;
  co_await give_back_networks();
  std::rethrow_exception(failed);
}

Task<> Domain::launch(config::DomainDefinition definition, bool paused) {
  co_await former_launch_ended();
  const std::shared_ptr<Launched> launched = co_await make_ready(std::move(definition));
  auto worker = Worker::make(environment_->loop, launched->worker->take(), std::move(launched->control), {});
  worker->set_deadline(environment_->command_deadline);
  worker_ = worker;
  declare_formats(launched->unmarked);
  std::exception_ptr failed;
  // A start that fails from here on gives them back by itself.
  if (launched->host_devices) {
    host_devices_ = launched->host_devices;
    host_devices_->keep();
  }
  try {
    own_links(launched->live.devices.interfaces, launched->half_made_links);
    co_await filter_interfaces(launched->live);
    allow_locking(*worker, launched->live);
    auto page =
        co_await worker->start_machine(std::move(launched->machine), paused || has_tuning(launched->live));
    set_counters(std::move(page));
    dirty_rate_ = {};
    co_await fetch_statistics();
    if (has_tuning(launched->live)) {
      // Nothing of the guest runs before it has what it was given.
      perf_ = nullptr;
      co_await apply_tuning(launched->live, nullptr);
      if (!paused)
        co_await worker->command(&vmm::control::Client::resume, fmt::format("start domain '{}'", name_));
    }
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    worker->kill();
    co_await worker->wait_end(std::chrono::seconds(5));
    worker_ = nullptr;
    co_await give_back_to_host();
    std::rethrow_exception(failed);
  }
  // A guest begins with all of its memory; it gives up what it is asked to when its balloon driver is there.
  balloon_target_kib_ = balloon_target_kib(launched->live);
  launched->live.memory.current_kib =
      launched->live.memory.maximum_kib - config::virtio_memory_kib(launched->live);
  live_ = std::make_shared<config::DomainDefinition>(std::move(launched->live));
  open_trays_.clear();
  resets_ = 0;
  reboot_requested_ = false;
  control_error_.clear();
  worker->set_handlers(worker_handlers());
  co_await fetch_open_channels();
  co_await fetch_memory();
  for (DiskChangeEvent& event : launched->dropped) emit(std::move(event));
}

void Domain::declare_formats(const std::vector<UnmarkedImage>& images) {
  if (environment_->settings.volumes == nullptr) return;
  for (const UnmarkedImage& image : images) {
    environment_->settings.volumes->declare_format(image.path,
                                                   std::string(config::disk_format_name(image.format)));
  }
}

void Domain::set_counters(vmm::FileDescriptor page) {
  try {
    counters_ = std::make_shared<CountersReader>(std::move(page));
  } catch (const std::exception& error) {
    // A machine without statistics is better than none.
    counters_ = nullptr;
    log(LogPriority::warning, error.what());
  }
}

Worker::Handlers Domain::worker_handlers() {
  Worker::Handlers handlers;
  std::weak_ptr<Domain> weak = weak_from_this();
  std::weak_ptr<Worker> worker = worker_;
  handlers.state_changed = [weak, worker](const vmm::control::StateChanged& change) {
    auto self = weak.lock();
    const bool is_answer = change.cause == vmm::control::StateCause::command;
    if (self && (!is_answer || self->is_state_doubtful_)) {
      self->run_internal(self->worker_changed(worker, change), "follow the worker");
    }
  };
  handlers.port_changed = [weak, worker](const vmm::control::PortChanged& change) {
    if (auto self = weak.lock())
      self->run_internal(self->port_changed(worker, change), "follow the state of a channel");
  };
  handlers.tray_moved = [weak, worker](const vmm::control::TrayMoved& moved) {
    auto self = weak.lock();
    if (!self || worker.lock() != self->worker_) return;
    self->note_tray(moved);
    self->run_internal(self->tray_moved(worker, moved), "follow a tray");
  };
  handlers.clock_set = [weak, worker](const vmm::control::ClockSet& change) {
    if (auto self = weak.lock())
      self->run_internal(self->clock_was_set(worker, change.offset_seconds), "follow the guest's clock");
  };
  handlers.disk_fault = [weak, worker](const vmm::control::DiskFault& fault) {
    if (auto self = weak.lock()) self->run_internal(self->disk_failed(worker, fault), "follow a disk");
  };
  handlers.disk_threshold = [weak](const vmm::control::DiskThresholdCrossed& crossed) {
    if (auto self = weak.lock()) self->disk_went_beyond(crossed);
  };
  handlers.block_job_changed = [weak, worker](const vmm::control::BlockJob& change) {
    if (auto self = weak.lock())
      self->run_internal(self->block_job_changed(worker, change), "follow a block job");
  };
  handlers.device_unplugged = [weak, worker](const vmm::control::DeviceName& device) {
    if (auto self = weak.lock())
      self->run_internal(self->device_unplugged(worker, device.id), "follow a device");
  };
  handlers.vsock_connection_wanted = [weak](const vmm::control::VsockConnectionWanted& wanted) {
    if (auto self = weak.lock()) self->vsock_connection_wanted(wanted);
  };
  handlers.device_kept = [weak](const vmm::control::DeviceName& device) {
    if (auto self = weak.lock()) self->device_kept(device.id);
  };
  handlers.memory_resized = [weak, worker](const vmm::control::MemoryResized& resized) {
    if (auto self = weak.lock())
      self->run_internal(self->memory_resized(worker, resized), "follow a memory device");
  };
  handlers.vcpu_unplugged = [weak, worker](const vmm::control::VcpuNumber& number) {
    if (auto self = weak.lock())
      self->run_internal(self->vcpu_unplugged(worker, number.vcpu), "follow a vCPU");
  };
  handlers.vcpu_kept = [weak](const vmm::control::VcpuNumber& number) {
    if (auto self = weak.lock()) self->vcpu_kept(number.vcpu);
  };
  handlers.balloon_changed = [weak, worker](const vmm::control::BalloonChanged& change) {
    if (auto self = weak.lock())
      self->run_internal(self->balloon_changed(worker, change.bytes), "follow the balloon");
  };
  handlers.watchdog_expired = [weak](const vmm::control::WatchdogExpired& expired) {
    if (auto self = weak.lock()) self->watchdog_expired(expired.action);
  };
  handlers.memory_failed = [weak](const vmm::control::MemoryFailed& failure) {
    if (auto self = weak.lock()) self->memory_failed(failure);
  };
  handlers.connection_lost = [weak, worker](const std::string& reason) {
    if (auto self = weak.lock())
      self->run_internal(self->worker_lost(worker, reason), "look after the worker");
  };
  handlers.ended = [weak, worker] {
    if (auto self = weak.lock()) self->run_internal(self->worker_ended(worker), "clean up after the worker");
  };
  return handlers;
}

Task<DomainHandle> Domain::start(Caller caller, DefinitionPointer transient, unsigned int flags) {
  auto hold = co_await slot_.acquire(job_of("create", caller));
  if (is_active()) {
    throw operation_invalid(transient ? fmt::format("domain is already active as '{}'", name_)
                                      : std::string("domain is already running"));
  }
  if (transient) {
    environment_->table.add(shared_from_this());
  } else if (!persistent_) {
    throw no_domain(uuid_, name_);
  }
  const bool paused = (flags & VIR_DOMAIN_START_PAUSED) != 0;
  config::DomainDefinition definition = transient ? *transient : *persistent_;
  id_ = environment_->next_id++;
  started_ = std::time(nullptr);
  std::exception_ptr failed;
  try {
    co_await launch(std::move(definition), paused);
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    id_ = -1;
    co_await remove_status();
    drop_if_gone();
    std::rethrow_exception(failed);
  }
  autodestroy_connection_ = (flags & VIR_DOMAIN_START_AUTODESTROY) != 0 ? caller.connection_id : 0;
  set_state(paused ? VIR_DOMAIN_PAUSED : VIR_DOMAIN_RUNNING,
            paused ? int{VIR_DOMAIN_PAUSED_USER} : int{VIR_DOMAIN_RUNNING_BOOTED});
  environment_->table.set_id(shared_from_this(), id_);
  co_await write_status();
  publish();
  emit(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_BOOTED);
  open_agent(VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_DOMAIN_STARTED);
  if (paused) emit(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED);
  co_return snapshot_->handle;
}

}  // namespace warren::driver::domain
