// One domain: its definitions, its state, its worker, and every change of them. Implementation header (Asio).
//
// A change is a coroutine that holds the domain's job slot from its first look at the state to the moment its
// result is published, so changes never interleave. Getters read snapshot() and never wait. Whoever starts
// one of the tasks keeps the domain alive until it ends. One thread (the loop's).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "driver/config/device_change.h"
#include "driver/config/domain_definition.h"
#include "driver/contract/caller.h"
#include "driver/contract/domain_block_jobs.h"
#include "driver/contract/domain_configuration.h"
#include "driver/contract/networks.h"
#include "driver/domain/block_job.h"
#include "driver/domain/console_stream.h"
#include "driver/domain/descriptor_groups.h"
#include "driver/domain/domain_agent.h"
#include "driver/domain/environment.h"
#include "driver/domain/host_devices.h"
#include "driver/domain/job_slot.h"
#include "driver/domain/live_status.h"
#include "driver/domain/long_job.h"
#include "driver/domain/perf_counters.h"
#include "driver/domain/resources.h"
#include "driver/domain/snapshot.h"
#include "driver/domain/worker.h"

namespace warren::driver::domain {

struct MonitorInput;

using DefinitionPointer = std::shared_ptr<const config::DomainDefinition>;

// An interface on a virtual network, with its DHCP leases.
struct LeasedInterface {
  std::string target, mac;
  std::vector<DhcpLease> leases;
};

class Domain : public std::enable_shared_from_this<Domain> {
 public:
  Domain(std::shared_ptr<Environment> environment, Uuid uuid, std::string name);
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;
  ~Domain();

  const Uuid& uuid() const noexcept { return uuid_; }
  const std::string& name() const noexcept { return name_; }
  // Null until the change that makes the domain is done: it does not exist before.
  const std::shared_ptr<const Snapshot>& snapshot() const noexcept { return snapshot_; }
  const std::optional<Job>& job() const noexcept { return slot_.current(); }

  // The daemon ends: jobs are destroyed where they stand, and with them what they hold of this domain.
  void let_go() noexcept;

  // As it was stored: at start-up, before anything else.
  void restore_definition(DefinitionPointer definition, bool autostart);

  // domain_definition.cpp
  Task<DomainHandle> define(Caller caller, DefinitionPointer definition);
  Task<> undefine(Caller caller);
  Task<> set_autostart(Caller caller, bool autostart);
  Task<> rename(Caller caller, std::string new_name);
  // Applies `change` to a copy of each definition that `flags` (VIR_DOMAIN_AFFECT_*) mean; `change` throws to
  // refuse.
  using Change = std::move_only_function<void(config::DomainDefinition& definition, bool is_live)>;
  // Makes the running machine what its new definition says; throws to refuse. Called again with the old
  // definition when the change fails after that.
  using Apply = std::function<Task<>(const config::DomainDefinition& live)>;
  Task<> modify(Caller caller, std::string job, unsigned int flags, Change change,
                std::optional<decltype(DomainEvent::body)> event = std::nullopt, Apply apply = nullptr);

  // Descriptors that clients lend the disks.
  DescriptorGroups& descriptor_groups() noexcept { return descriptor_groups_; }

  // domain_tuning.cpp
  // modify() for what the host gives; the event is told when the running machine was changed.
  Task<> tune(Caller caller, std::string job, unsigned int flags, Change change,
              std::optional<TunableEvent> event = std::nullopt);
  Task<> add_iothread(Caller caller, std::uint32_t id, unsigned int flags);
  Task<> delete_iothread(Caller caller, std::uint32_t id, unsigned int flags);

  // domain_devices.cpp, hot_plug.cpp
  // `xml` is an element of <devices>; `flags` are VIR_DOMAIN_AFFECT_*, and VIR_DOMAIN_DEVICE_MODIFY_FORCE of
  // an update.
  Task<> attach_device(Caller caller, std::string xml, unsigned int flags);
  Task<> detach_device(Caller caller, std::string xml, unsigned int flags);
  Task<> detach_device_by_alias(Caller caller, std::string alias, unsigned int flags);
  Task<> update_device(Caller caller, std::string xml, unsigned int flags);

  // domain_disks.cpp
  Task<> set_io_tune(Caller caller, std::string disk, TypedParameters parameters, unsigned int flags);
  Task<> resize_disk(Caller caller, std::string disk, std::uint64_t bytes);
  Task<> set_disk_threshold(Caller caller, std::string disk, std::uint64_t threshold);
  // Of a disk that is on a server: what its worker was told of it.
  Task<BlockInfo> measure_remote_disk(std::string disk);

  // domain_block_jobs.cpp
  // Speeds are in bytes a second, 0: no limit. `flags` are those of the contract (domain_block_jobs.h).
  Task<> block_commit(Caller caller, BlockCommit commit, std::uint64_t speed, unsigned int flags);
  // Down to what is above `base`, or all; `relative`: the header names the base so.
  Task<> block_pull(Caller caller, std::string disk, std::optional<std::string> base, std::uint64_t speed,
                    bool relative);
  // Of `destination` the source and the format are looked at.
  Task<> block_copy(Caller caller, std::string disk, config::Disk destination, std::uint64_t speed,
                    unsigned int flags);
  Task<> abort_block_job(Caller caller, std::string disk, unsigned int flags);
  Task<> set_block_job_speed(Caller caller, std::string disk, std::uint64_t speed);
  // With a bandwidth in bytes. Never waits.
  std::optional<BlockJobInfo> block_job_info(const std::string& disk) const;

  // domain_small_devices.cpp
  // The guest is asked to have `kib` of its memory. `flags` are VIR_DOMAIN_AFFECT_*.
  Task<> set_memory(Caller caller, std::uint64_t kib, unsigned int flags);
  Task<> set_statistics_period(Caller caller, std::uint32_t seconds, unsigned int flags);

  // domain_vcpus.cpp
  // `flags` are VIR_DOMAIN_AFFECT_* for all of them; vCPUs that come to a definition alone can go at run time
  // if they are `hot_pluggable`.
  Task<> set_vcpu_count(Caller caller, std::uint32_t count, bool hot_pluggable, unsigned int flags);
  Task<> set_vcpu_maximum(Caller caller, std::uint32_t maximum, unsigned int flags);
  Task<> set_vcpu_states(Caller caller, config::CpuSet vcpus, bool online, unsigned int flags);

  // domain_launch.cpp
  // `transient` is what to run, or null for the persistent definition. `flags` are VIR_DOMAIN_START_*.
  Task<DomainHandle> start(Caller caller, DefinitionPointer transient, unsigned int flags);

  // domain_probes.cpp
  Task<> inject_nmi(Caller caller);
  Task<> send_keys(Caller caller, vmm::control::SendKeys keys);
  Task<std::string> answer_monitor_input(Caller caller, MonitorInput input);
  Task<std::vector<std::uint8_t>> read_memory(Caller caller, vmm::control::ReadMemory range);
  Task<> set_lifecycle_action(Caller caller, unsigned int type, config::LifecycleAction action,
                              unsigned int flags);

  // domain_dump.cpp
  // `flags` are VIR_DUMP_*.
  Task<> core_dump(Caller caller, std::string path, unsigned int flags);
  // Begins to measure; what comes of it is published when it is known.
  Task<> start_dirty_rate(Caller caller, std::uint32_t seconds);
  // Marks the domain as one that somebody drove by the monitor.
  void taint_by_monitor() noexcept { tainted_by_monitor_ = true; }
  bool is_tainted_by_monitor() const noexcept { return tainted_by_monitor_; }

  // Of the long job there is, or that was last. They throw, and never wait.
  void abort_job();
  JobInfo job_info() const;
  JobStatistics job_statistics(bool completed, bool keep);

  // domain_agent.cpp
  // Waits for its turn and throws as the contract says; the domain outlives the session.
  Task<AgentSession> agent_session(Caller caller, std::string job);
  // domain_networks.cpp: what its networks have given its interfaces.
  bool has_port(const Uuid& port) const;
  bool has_switch_port(const std::string& link) const;
  Task<std::vector<LeasedInterface>> leased_interfaces();
  // It lost its bridge and its ports when it was stopped: the guest's interfaces are plugged in again.
  void network_started(const std::string& network);
  bool has_agent() const noexcept;
  Task<> set_agent_timeout(Caller caller, int timeout);
  Task<> shutdown_by_agent(Caller caller, std::string job, bool then_restart);

  // domain_sleep.cpp
  // `target` is a virNodeSuspendTarget. The guest's agent has the guest put itself to sleep.
  Task<> sleep_by_agent(Caller caller, unsigned int target);
  Task<> wake(Caller caller);

  // domain_lifecycle.cpp
  Task<> shutdown(Caller caller, std::string job, bool then_restart);
  Task<> reset(Caller caller);
  Task<> suspend(Caller caller);
  Task<> resume(Caller caller);
  Task<> destroy(Caller caller, bool graceful);
  // The connection whose end ends the domain; 0 for none.
  std::uint64_t autodestroy_connection() const noexcept { return autodestroy_connection_; }

  // adoption.cpp
  // Takes over what an earlier daemon left, or rolls it back. Never throws.
  Task<> adopt(LiveStatus status);

  // domain_streams.cpp
  // A console's or channel's stream; see DomainConsole.
  std::unique_ptr<Stream> open_channel(const std::optional<std::string>& name, unsigned int flags);
  std::unique_ptr<Stream> open_console(const std::optional<std::string>& device, unsigned int flags);

 private:
  struct Launched;
  // A pool thread's making ready of a launch. It goes on when nobody waits for it any more; whoever gives it
  // up says so before he removes what it may have written, and it writes no more.
  struct Preparation {
    std::atomic<bool> given_up = false;
  };

  bool is_active() const noexcept { return live_ != nullptr; }
  void require_active() const;
  Worker& require_worker() const;
  Job job_of(std::string name, Caller caller) const { return {std::move(name), std::move(caller)}; }

  // Makes what the members say now what everybody reads.
  void publish();
  void set_state(int state, int reason);
  void emit(int event, int detail);
  void emit(decltype(DomainEvent::body) body);
  void drop_if_gone();

  // Durable, and of the running machine.
  Task<> store(DefinitionPointer definition);
  // Everything or nothing: stores `persistent`, then acts on the running machine, and publishes; where the
  // act fails, what was stored before is stored again. Either may be none. The caller has the job slot, and
  // the act leaves no trace if it throws.
  using Act = std::move_only_function<Task<>()>;
  Task<> commit(DefinitionPointer persistent, Act act);
  Task<> change_live(DefinitionPointer live, const Apply& apply);
  Task<> undo(Task<> way_back);
  // False: it could not be written, which is logged.
  Task<bool> write_status(LiveStatus::Phase phase = LiveStatus::Phase::running);
  Task<> remove_status();
  LiveStatus status_now(LiveStatus::Phase phase) const;
  std::filesystem::path runtime_directory() const;
  void log(LogPriority priority, const std::string& message) const;

  // domain_agent.cpp
  // `reason` is a virConnectDomainEventAgentLifecycleReason.
  void open_agent(int reason);
  // What the live definition says of its channel has changed.
  void follow_agent();
  void tell_agent_state(int reason);
  void close_agent();
  std::shared_ptr<GuestAgent> require_agent() const;
  // domain_streams.cpp
  // Whoever has the device's stream loses it, or throws.
  void make_way(const std::string& alias, bool by_force, const char* what);

  // domain_probes.cpp
  Task<> fetch_statistics();
  Task<> follow_dirty_rate(std::weak_ptr<Worker> from, std::uint32_t seconds);
  Task<> clock_was_set(std::weak_ptr<Worker> from, std::int64_t offset_seconds);
  Task<> set_reset_action(config::DomainDefinition live);

  // domain_dump.cpp
  Task<> write_core(std::string path, bool drop_cache);
  Task<> follow_dump(vmm::FileDescriptor file);
  Task<> run_again(std::string doing);
  // Pause and resume as somebody asked for them.
  Task<> change_machine(Worker::Command command, std::string doing);
  Task<> machine_changed_late(vmm::control::MachineState state);
  void begin_long_job(int operation);
  void end_long_job(const std::optional<Error>& failure);

  // domain_tuning.cpp
  // `before` is what the machine was given until now; null for a new one.
  Task<> apply_tuning(config::DomainDefinition live, DefinitionPointer before);
  Task<> limit_ports(const config::DomainDefinition& live, const config::DomainDefinition& before);
  Task<> set_iothread(std::uint32_t id, config::DomainDefinition live);

  // hot_plug.cpp
  // Either may be none. The caller has the job slot.
  Task<> plug(std::optional<config::Device> device, DefinitionPointer persistent);
  Task<> plug_controllers_for(config::Device device);
  struct Opened;
  Task<std::shared_ptr<Opened>> open_device(config::Device device);
  Task<> hand_over(DefinitionPointer live, std::shared_ptr<Opened> opened);
  // Which device of a definition is meant; throws for none.
  using Choice = std::function<config::Device(const config::DomainDefinition& definition, bool is_live)>;
  Task<> remove_device(Caller caller, Choice choice, unsigned int flags, bool waits);
  Task<> ask_to_let_go(std::string alias, bool dimm);
  Task<> remove_port(std::string alias);
  bool is_agent_channel(const std::string& alias) const;
  Task<> wait_for_removal(std::string alias);
  void end_removals();
  Task<> device_unplugged(std::weak_ptr<Worker> from, std::string alias);
  bool drop_device(const std::string& alias);
  void forget_devices_but(const vmm::control::Status& found);

  // domain_host_devices.cpp
  struct OpenedHostDevice {
    HostAccess access;
    std::vector<std::string> names;
    std::vector<vmm::FileDescriptor> descriptors;
  };
  // For a device that is to be plugged in: the host gives it up. What failed leaves nothing that
  // give_back_host_devices() does not undo.
  Task<std::shared_ptr<OpenedHostDevice>> take_host_device(config::HostDevice device);
  // Those that the live definition does not name (any more); where there is none, all.
  Task<> give_back_host_devices();
  Task<> adopt_host_devices(std::vector<BoundDevice> bound);
  // Of a start that was interrupted.
  Task<> roll_back_host_devices(std::vector<BoundDevice> bound);
  std::shared_ptr<HeldHostDevices> hold_host_devices(std::vector<BoundDevice> before) const;
  void allow_locking(Worker& worker, const config::DomainDefinition& live) const;

  // One of: a port of a network, a filter on a tap, a macvtap, a tap in Open vSwitch, a passt (passt_name()).
  struct Attachment {
    std::string network;
    Uuid port{};
    std::string filtered, macvtap, switched, passt;
  };
  // Asks its network for a port, and is plugged in where that says. What failed leaves nothing that
  // give_back_networks() does not undo, as the next.
  Task<> take_port(config::Interface& interface);
  Task<> take_ports(config::DomainDefinition& definition);
  // Macvtaps and passts are the domain's from now on.
  void own_links(std::span<const config::Interface> interfaces,
                 std::vector<std::shared_ptr<link::HalfMadeLink>>& links);
  Task<> filter_interface(const config::Interface& interface);
  Task<> filter_interfaces(const config::DomainDefinition& definition);
  // domain_switches.cpp: once the link of the interface has its name, likewise.
  Task<> plug_into_switch(const config::Interface& interface);
  Task<> plug_into_switches(const config::DomainDefinition& definition);
  Task<> unplug_from_switch(std::string link);
  // What the live definition does not name (any more); where there is none, all.
  Task<> give_back_networks();
  Task<> give_back_attachment(Attachment attachment);
  bool is_attached(const Attachment& attachment) const;
  Task<> adopt_networks();
  Task<> plug_in_again(std::string network);
  Task<> plug_in(DefinitionPointer live, std::optional<std::string> network);
  Task<> plug_back(const config::Interface& interface);
  void note_attachments(const config::DomainDefinition& definition);
  Task<> reclaim_port(const config::Interface& interface);
  // Of a start that was interrupted.
  Task<> roll_back_networks(const config::DomainDefinition& started);
  // Host devices and places in networks.
  Task<> give_back_to_host();

  // domain_passt.cpp
  Task<> interface_lost(std::weak_ptr<Worker> from, std::string alias);
  Task<> restart_passt(Worker& worker, config::Interface interface);
  bool may_restart_passt(const std::string& alias);

  // domain_disks.cpp
  Task<> apply_io_tune(std::string target, config::DomainDefinition live);
  Task<> disk_failed(std::weak_ptr<Worker> from, vmm::control::DiskFault fault);
  void disk_went_beyond(const vmm::control::DiskThresholdCrossed& crossed);
  void note_stalled(const std::vector<vmm::control::StalledDisk>& disks);

  // domain_block_jobs.cpp
  struct BlockJob {
    BlockJob(asio::io_context& loop, BlockJobRecord begun)
        : record(std::move(begun)), over(loop, std::chrono::steady_clock::time_point::max()) {}
    BlockJobRecord record;
    std::uint64_t speed = 0, current = 0, end = 0;  // as the worker told them last
    bool has_ended = false;
    bool is_doubtful = false;  // the worker has not answered in time what it was told last
    std::string failure;       // why it has failed; empty: it has not
    asio::steady_timer over;   // cancelled when it has ended
  };
  Task<> begin_block_job(BlockJobRecord record, std::optional<config::DiskMirror> mirror,
                         Request<void> request, std::uint64_t speed);
  Task<> ask_for_end(std::shared_ptr<BlockJob> job, bool pivots);
  // Of a guest that goes on writing to the new image alone a crash would leave the old one, which is what the
  // definition says until it is stored: its vCPUs stand still from the pivot's command to then.
  Task<> hold_guest(std::shared_ptr<BlockJob> job);
  Task<> let_guest_go(bool was_held);
  bool is_guest_held() const noexcept;
  void require_no_pivot() const;  // who stops its vCPUs now, or lets them go, does so too early
  Task<> follow_progress(std::shared_ptr<BlockJob> job);
  void note_progress(const vmm::control::BlockJob& found);
  Task<> remove_files(std::vector<std::string> paths);
  // block_job_end.cpp
  Task<> block_job_changed(std::weak_ptr<Worker> from, vmm::control::BlockJob change);
  Task<> follow_block_job(std::shared_ptr<BlockJob> job, vmm::control::BlockJob change);
  Task<> end_block_job(std::shared_ptr<BlockJob> job, vmm::control::BlockJob change);
  // The chains in both definitions, of a job that has completed. Returns what is to be stored, if anything.
  DefinitionPointer change_chain(const BlockJobRecord& record, bool pivoted);
  Task<> dismiss_block_job(std::string alias);
  Task<> cancel_block_job(std::string alias);
  // What has become of a command that was not answered in time, by what the worker says of its jobs since.
  Task<> settle_block_job(std::shared_ptr<BlockJob> job, std::vector<vmm::control::BlockJob> found);
  Task<> give_up_ending(std::shared_ptr<BlockJob> job, BlockJobStage stage);
  // What a daemon that comes back finds of them.
  Task<> catch_up_block_jobs(std::vector<vmm::control::BlockJob> found);
  // Their worker is no more: none of them goes on, or is waited for.
  void forget_block_jobs();
  void require_no_block_job(const config::Disk& disk) const;
  std::shared_ptr<BlockJob> require_block_job(const config::Disk& disk) const;
  std::string alias_of_disk(const std::string& target) const;
  void set_mirror(const std::string& target, std::optional<config::DiskMirror> mirror);
  void set_mirror_state(const std::string& target, config::MirrorState state);

  // domain_vcpus.cpp
  struct VcpuChange {
    // Which vCPUs of the running domain come or go.
    std::function<std::vector<std::uint32_t>(const config::VcpuCount&)> choose;
    std::function<void(config::VcpuCount&)> apply;  // to the persistent definition
  };
  Task<> change_vcpus(Caller caller, VcpuChange change, unsigned int flags);
  DefinitionPointer with_vcpus(const VcpuChange& change) const;
  Task<> plug_vcpus(std::vector<std::uint32_t> vcpus);
  Task<> ask_for_vcpus(std::vector<std::uint32_t> vcpus);
  Task<> wait_for_vcpus(std::vector<std::uint32_t> vcpus);
  Task<> vcpu_unplugged(std::weak_ptr<Worker> from, std::uint32_t vcpu);
  void vcpu_kept(std::uint32_t vcpu);
  void end_vcpu_removals();
  // The live definition says that these are there, and no others.
  void note_vcpus(const std::vector<std::uint32_t>& present);

  // domain_media.cpp
  // What is done and told of a drive's medium while an update is applied, and undone.
  struct MediumChange {
    bool by_force = false;
    std::optional<config::Disk> inside;  // what it has now, where that is not the live definition's
  };
  Task<> change_medium(config::Disk drive, bool by_force);
  Task<bool> tray_opens(std::string alias);
  void note_tray(const vmm::control::TrayMoved& moved);
  Task<> tray_moved(std::weak_ptr<Worker> from, vmm::control::TrayMoved moved);
  bool set_tray(const std::string& alias, bool open);
  void set_open_trays(const std::vector<std::string>& aliases);

  // hot_plug.cpp
  Task<> apply_update(config::Device device, config::DomainDefinition live, DefinitionPointer before,
                      std::shared_ptr<MediumChange> medium);
  Task<> apply_disk_update(config::Disk disk, config::DomainDefinition live,
                           std::shared_ptr<MediumChange> medium);

  // domain_memory.cpp
  Task<> plug_memory(config::MemoryDevice memory);
  Task<> request_memory(std::string alias, std::uint64_t kib);
  bool note_memory(const std::vector<vmm::control::MemoryDeviceStatus>& devices);
  Task<> fetch_memory();
  Task<> memory_resized(std::weak_ptr<Worker> from, vmm::control::MemoryResized resized);
  void device_kept(const std::string& alias);

  // domain_small_devices.cpp
  Task<> ask_balloon(std::uint64_t kib);
  Task<> apply_statistics_period(std::uint32_t seconds);
  Task<> balloon_changed(std::weak_ptr<Worker> from, std::uint64_t bytes);
  void vsock_connection_wanted(const vmm::control::VsockConnectionWanted& wanted);
  void release_cid() noexcept;
  // False when the live definition says so already.
  bool note_balloon(std::uint64_t bytes);
  void watchdog_expired(vmm::control::WatchdogAction action);
  void memory_failed(const vmm::control::MemoryFailed& failure);
  // The watchdog has paused or ended the machine.
  Task<> watchdog_stopped(vmm::control::StateChanged change);
  // What <watchdog action='dump'> and <on_crash>coredump-…</on_crash> leave: a core of its own, not fatal
  // when it cannot be written.
  Task<> dump_by_itself();

  // domain_launch.cpp
  Task<std::shared_ptr<Launched>> make_ready(config::DomainDefinition definition);
  Task<> launch(config::DomainDefinition definition, bool paused);
  Task<> former_launch_ended();
  // On a pool thread.
  std::shared_ptr<Launched> prepare_launch(config::DomainDefinition definition, int id,
                                           const ResourceAccess& access, std::vector<BoundDevice> bound,
                                           const Preparation& preparation) const;
  ResourceAccess resource_access(std::span<const config::Disk> disks) const;
  void note_start(const LiveStatus& status, const Preparation& preparation) const;  // pool thread
  Worker::Handlers worker_handlers();
  void set_counters(vmm::FileDescriptor page);
  // To the storage driver: what a pool's refresh must not look into.
  void declare_formats(const std::vector<UnmarkedImage>& images);

  // domain_sleep.cpp
  void require_awake() const;
  Task<> guest_suspended();
  Task<> guest_woke();
  // It has saved itself to its disk; its machine is off.
  void guest_hibernated();

  // domain_lifecycle.cpp
  // Ends the worker and all that belongs to it; the domain is shut off for `reason`.
  Task<> stop(int reason, int stopped_detail);
  Task<> end_worker(bool graceful);
  Task<> restart();
  Task<> worker_changed(std::weak_ptr<Worker> from, vmm::control::StateChanged change);
  Task<> worker_ended(std::weak_ptr<Worker> from);
  Task<> worker_lost(std::weak_ptr<Worker> from, std::string reason);
  Task<> guest_shut_down(vmm::control::StateCause cause);
  Task<> guest_crashed(std::string detail);
  void guest_was_reset();
  Task<> port_changed(std::weak_ptr<Worker> from, vmm::control::PortChanged change);
  // Aliases of the channels that the guest has open. True when that was not known.
  bool set_open_channels(const std::vector<std::string>& aliases);
  // Those that it opened before the worker's events were followed.
  Task<> fetch_open_channels();
  // adoption.cpp
  Task<> catch_up(vmm::control::Status found);
  // Runs a task of the daemon's own; what it throws is logged.
  void run_internal(Task<> task, std::string what);

  std::shared_ptr<Environment> environment_;
  const Uuid uuid_;
  std::string name_;
  DefinitionPointer persistent_;
  DefinitionPointer live_;
  int state_ = VIR_DOMAIN_SHUTOFF;
  int reason_ = VIR_DOMAIN_SHUTOFF_UNKNOWN;
  std::chrono::steady_clock::time_point since_;
  bool autostart_ = false;
  bool is_updated_ = false;
  int id_ = -1;

  // Of the running machine.
  std::shared_ptr<Worker> worker_;
  std::shared_ptr<const CountersReader> counters_;
  std::shared_ptr<const PerfCounters> perf_;
  std::shared_ptr<const MachineStatistics> kvm_;
  DirtyRate dirty_rate_;
  std::string control_error_;
  bool is_state_doubtful_ = false;                    // a pause or resume was not answered in time
  std::vector<DiskError> disk_errors_;                // of disks that stopped the guest
  std::map<std::string, std::string> disk_messages_;  // the last error of each disk, by target
  std::uint64_t resets_ = 0;  // as the worker counts them: the guest's and those that were asked for
  bool reboot_requested_ = false;
  std::shared_ptr<GuestAgent> agent_;
  int agent_timeout_ = VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK;
  bool tainted_by_monitor_ = false;
  std::int64_t started_ = 0;
  std::uint64_t balloon_target_kib_ = 0;  // what the guest was asked to have last
  std::uint64_t autodestroy_connection_ = 0;
  std::map<std::string, std::weak_ptr<ConsoleSession>> consoles_;  // by alias
  std::shared_ptr<HeldHostDevices> host_devices_;                  // null: it never had one
  std::vector<Attachment> attachments_;                            // in the order in which they were taken
  // Of the last minute, by the interface's alias.
  std::map<std::string, std::deque<std::chrono::steady_clock::time_point>> passt_deaths_;
  std::map<std::string, std::shared_ptr<BlockJob>> block_jobs_;  // by the disk's target
  // Who waits until the guest has let go of a device, by its alias.
  std::map<std::string, std::shared_ptr<asio::steady_timer>> removals_;
  std::set<std::string> refused_removals_;  // of those, what the guest said it keeps
  // The same of vCPUs.
  struct VcpuRemoval;
  std::map<std::uint32_t, std::shared_ptr<VcpuRemoval>> vcpu_removals_;
  // Drives that stand open, and who waits until one does, by alias.
  std::set<std::string> open_trays_;
  std::map<std::string, std::shared_ptr<asio::steady_timer>> tray_timers_;

  DescriptorGroups descriptor_groups_;
  JobSlot slot_;
  std::optional<LongJob> long_job_;
  std::optional<JobStatistics> completed_job_;
  std::weak_ptr<Preparation> preparation_;  // expires when the pool thread of a launch has ended
  Abandonment image_wait_;                  // of the job, for a pool thread that opens images
  std::shared_ptr<const Snapshot> snapshot_;
};

// Whether two drives have the same in their trays.
bool is_same_medium(const config::Disk& one, const config::Disk& other);

}  // namespace warren::driver::domain
