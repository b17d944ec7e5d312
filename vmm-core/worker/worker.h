// The worker: one machine and what the control socket asks of it.
//
// Everything runs on the control thread (the io_context's), but for the guest's own events, which come from
// vCPU threads and are passed on to it.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "vmm-core/block/chain.h"
#include "vmm-core/control/server.h"
#include "vmm-core/devices/ahci_controller.h"
#include "vmm-core/machine/core_dump.h"
#include "vmm-core/machine/machine.h"
#include "vmm-core/os/event_thread.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/state/counters.h"
#include "vmm-core/vfio/container.h"
#include "vmm-core/virtio/console.h"
#include "vmm-core/virtio/input.h"
#include "vmm-core/virtio/memory_device.h"
#include "vmm-core/virtio/net.h"
#include "vmm-core/virtio/scsi.h"
#include "vmm-core/virtio/vsock.h"
#include "vmm-core/worker/balloon_watch.h"
#include "vmm-core/worker/block_job_table.h"
#include "vmm-core/worker/disk_table.h"
#include "vmm-core/worker/evdev_source.h"
#include "vmm-core/worker/port_table.h"

namespace boost::asio {
class io_context;
}

namespace warren::vmm::worker {

// The descriptor of that name, which is in the set no more. Throws Error.
FileDescriptor take(control::DescriptorSet& descriptors, const std::string& name);

class Worker final : public control::Commands {
 public:
  struct Surroundings {
    FileDescriptor kvm;  // an open /dev/kvm
    // For a character device of kind "terminal"; a worker under a daemon has none.
    FileDescriptor terminal_input, terminal_output;
    FileDescriptor memory_errors;  // of follow_memory_errors(); or none
    std::function<void(ThreadKind)> thread_started;
    // A change of state, whoever caused it; and quit().
    std::function<void(const control::StateChanged&)> changed;
    std::function<void(const control::ClockSet&)> clock_set = {};
    std::function<void(const control::DiskFault&)> disk_fault = {};
    std::function<void(const control::DiskThresholdCrossed&)> disk_threshold = {};
    std::function<void(const control::BlockJob&)> block_job_changed = {};
    std::function<void(const control::TrayMoved&)> tray_moved = {};
    std::function<void(const control::PortChanged&)> port_changed = {};
    std::function<void(const control::BalloonChanged&)> balloon_changed = {};
    std::function<void(const control::WatchdogExpired&)> watchdog_expired = {};
    std::function<void(const control::MemoryFailed&)> memory_failed = {};
    std::function<void(const control::DeviceName&)> device_unplugged = {};
    std::function<void(const control::DeviceName&)> device_kept = {};
    std::function<void(const control::DeviceName&)> interface_lost = {};
    std::function<void(const control::MemoryResized&)> memory_resized = {};
    // False when nobody is there who could answer.
    std::function<bool(const control::VsockConnectionWanted&)> vsock_connection_wanted = {};
    std::function<void(const control::VcpuNumber&)> vcpu_unplugged = {};
    std::function<void(const control::VcpuNumber&)> vcpu_kept = {};
    std::function<void()> quit;
  };

  // Throws Error.
  Worker(boost::asio::io_context& loop, Surroundings surroundings);
  ~Worker();

  void configure(const control::MachineSpecification& specification,
                 control::DescriptorSet descriptors) override;
  void start(bool paused) override;
  void pause() override;
  void resume() override;
  void reset() override;
  void power_button() override;
  void ctrl_alt_del() override;
  void wake() override;
  control::Status status() const override;
  void inspect(InspectNode& root) const override;
  FileDescriptor counters() const override;
  void quit() override;
  void resize_disk(const control::ResizeDisk& command) override;
  void set_disk_limits(const control::SetDiskLimits& command) override;
  void set_disk_threshold(const control::SetDiskThreshold& command) override;
  control::DiskSizes disk_sizes() const override { return disks_.sizes(); }
  void set_balloon(const control::SetBalloon& command) override;
  void set_balloon_statistics_period(const control::SetBalloonStatisticsPeriod& command) override;

  // block_jobs.cpp
  void start_block_commit(const control::StartBlockCommit& command,
                          control::DescriptorSet descriptors) override;
  void start_block_pull(const control::StartBlockPull& command) override;
  void start_block_copy(const control::StartBlockCopy& command, control::DescriptorSet descriptors) override;
  void set_block_job_speed(const control::SetBlockJobSpeed& command) override;
  void complete_block_job(const control::CompleteBlockJob& command) override;
  void cancel_block_job(const control::BlockJobName& command) override;
  void dismiss_block_job(const control::BlockJobName& command) override;
  control::BlockJobs block_jobs() const override { return {block_jobs_.all()}; }

  // media.cpp
  void change_medium(const control::ChangeMedium& command, control::DescriptorSet descriptors) override;

  // hot_plug.cpp
  void plug_device(const control::PlugDevice& command, control::DescriptorSet descriptors) override;
  void unplug_device(const control::DeviceName& command) override;
  void set_link(const control::SetLink& command) override;
  void reconnect_interface(const control::ReconnectInterface& command,
                           control::DescriptorSet descriptors) override;

  // console_ports.cpp
  void plug_port(const control::PlugPort& command, control::DescriptorSet descriptors) override;
  void unplug_port(const control::DeviceName& command) override;

  // vsock.cpp
  void answer_vsock(const control::AnswerVsock& answer, FileDescriptor socket) override;
  // vcpus.cpp
  void plug_vcpus(const control::VcpuNumbers& numbers) override;
  void unplug_vcpus(const control::VcpuNumbers& numbers) override;

  // memory_devices.cpp
  void request_memory(const control::RequestMemory& command) override;
  void plug_dimm(const control::PlugDimm& command) override;
  void unplug_dimm(const control::UnplugDimm& command) override;

  // inputs.cpp
  void send_keys(const control::SendKeys& keys) override;
  void send_input(const control::SendInput& input) override;

  // probes.cpp
  void inject_nmi() override;
  void set_reset_action(control::GuestAction action) override;
  std::vector<std::byte> read_memory(const control::ReadMemory& range) override;
  void dump(const control::BeginDump& how, FileDescriptor file) override;
  control::DumpStatus dump_status() const override;
  void abort_dump() override;
  void add_iothread(std::uint32_t id) override;
  void delete_iothread(std::uint32_t id) override;
  void start_dirty_rate(std::uint32_t seconds) override;
  control::DirtyRateStatus dirty_rate() const override { return dirty_rate_; }
  control::KvmStatisticsFiles kvm_statistics() override;

 private:
  void guest_event(const machine::GuestEvent& event);
  void enter(control::MachineState state, control::StateCause cause, const std::string& detail = {});
  void require(bool holds, const char* command) const;
  // For a thread of the I/O kind, first thing on it.
  std::function<void()> io_thread_hook() const;
  EventThread& make_thread(const std::string& name);
  // The IOThread that the device of that id names, or one of its own for 0.
  EventThread& thread_of(const std::string& id, std::uint32_t iothread);
  // Those of a disk's queues, in turn.
  std::vector<EventThread*> threads_of(const control::DiskSpecification& disk);
  machine::MachineConfiguration translate(const control::MachineSpecification& specification,
                                          control::DescriptorSet& descriptors);
  std::unique_ptr<DescriptorBackend> make_backend(const control::CharacterSpecification& character,
                                                  control::DescriptorSet& descriptors);
  DescriptorBackend& add_backend(machine::MachineConfiguration& configuration,
                                 const control::CharacterSpecification& character,
                                 control::DescriptorSet& descriptors);
  block::DiskOptions options_of(const control::DiskSpecification& disk);
  void disk_has_news(block::Disk& device);
  block::ChainImage& chain_of(const std::string& disk);
  void block_job_changed(const std::string& disk);
  void add_serial_controllers(machine::MachineConfiguration& configuration,
                              const control::MachineSpecification& specification,
                              control::DescriptorSet& descriptors, EventThread& thread);
  machine::PciDeviceConfiguration watchdog_device(const control::WatchdogSpecification& watchdog);
  machine::TcoConfiguration tco_watchdog(const control::TcoWatchdogSpecification& watchdog);
  std::function<void()> on_expiry(control::WatchdogAction action);
  void watchdog_expired(control::WatchdogAction action);
  void guest_was_reset();
  // memory_failures.cpp
  void follow_memory_errors();
  void memory_failed(std::uintptr_t address, std::optional<std::size_t> vcpu, bool action_required);
  void tell_memory_failure(control::MemoryFailureRecipient recipient, control::MemoryFailureAction action,
                           bool action_required, bool recursive = false);
  void guest_may_wake();
  void wake_guest(control::StateCause cause);
  void add_devices(machine::MachineConfiguration& configuration,
                   const control::MachineSpecification& specification, control::DescriptorSet& descriptors);

  // Devices as the machine is to build them; what they need of the worker is made, and goes with
  // forget_device().
  machine::PciDeviceConfiguration disk_device(const control::DiskSpecification& disk,
                                              control::DescriptorSet& descriptors);
  machine::PciDeviceConfiguration sata_controller(const control::SataControllerSpecification& controller,
                                                  const control::MachineSpecification& specification,
                                                  control::DescriptorSet& descriptors);
  AhciController::DriveConfiguration sata_drive(const control::DiskSpecification& disk,
                                                control::DescriptorSet& descriptors);
  // scsi.cpp
  machine::PciDeviceConfiguration scsi_controller(const control::ScsiControllerSpecification& controller,
                                                  std::span<const control::DiskSpecification> disks,
                                                  control::DescriptorSet& descriptors);
  virtio::Scsi::UnitConfiguration scsi_unit(const control::DiskSpecification& disk,
                                            control::DescriptorSet& descriptors);
  void remember_scsi_unit(const control::DiskSpecification& disk);
  virtio::Scsi& scsi_device(const std::string& id) const;
  void plug_scsi_unit(const control::DiskSpecification& disk, control::DescriptorSet& descriptors);
  void unplug_scsi_unit(const std::string& id);
  std::vector<std::string> scsi_units_of(const std::string& controller) const;
  // media.cpp
  std::function<void(bool open)> tray_listener(const std::string& id);
  void tray_moved(const std::string& id, bool open);
  // interfaces.cpp
  machine::PciDeviceConfiguration interface_device(const control::InterfaceSpecification& interface,
                                                   control::DescriptorSet& descriptors);
  machine::PciDeviceConfiguration user_interface(const control::InterfaceSpecification& interface,
                                                 NetCounters& counters, EventThread& thread,
                                                 control::DescriptorSet& descriptors);
  machine::PciDeviceConfiguration stream_interface(const control::InterfaceSpecification& interface,
                                                   NetCounters& counters, EventThread* thread,
                                                   control::DescriptorSet& descriptors);
  void stream_lost(const std::string& interface) noexcept;
  std::vector<std::string> lost_interfaces() const;
  std::vector<EventThread*> interface_threads(const control::InterfaceSpecification& interface);
  machine::PciDeviceConfiguration rng_device(const control::RngSpecification& rng);
  // vsock.cpp
  machine::PciDeviceConfiguration vsock_device(const control::VsockSpecification& vsock,
                                               control::DescriptorSet& descriptors);
  void ask_for_connection(const std::string& id, const virtio::VsockQuestion& question) noexcept;
  // vhost_user.cpp
  machine::PciDeviceConfiguration vhost_user_disk(const control::VhostUserDiskSpecification& disk,
                                                  control::DescriptorSet& descriptors);
  void back_end_lost(const std::string& disk, int error) noexcept;
  // Throws unless the back ends of disks and interfaces can be told of one more region of memory, that of
  // `device`.
  void require_memory_for_back_ends(const std::string& device) const;
  // inputs.cpp
  machine::PciDeviceConfiguration input_device(const control::InputSpecification& input,
                                               control::DescriptorSet& descriptors);
  // The one whose driver came last, of those that take it and are no device of the host; or null.
  virtio::Input* input_for(std::uint16_t type, std::uint16_t code) const;
  void add_evdevs(const control::MachineSpecification& specification, control::DescriptorSet& descriptors);
  void release_keys_later(const control::SendKeys& keys, const std::string& keyboard);
  // host_devices.cpp
  machine::PciDeviceConfiguration host_device(const control::HostDeviceSpecification& device,
                                              const control::HostAccessSpecification& access,
                                              control::DescriptorSet& descriptors);
  void add_host_devices(machine::MachineConfiguration& configuration,
                        const control::MachineSpecification& specification,
                        control::DescriptorSet& descriptors);
  void host_wants_back(const std::string& id);
  void host_device_failed(const std::string& id, const std::string& host_address);
  // memory_devices.cpp
  machine::DeviceMemoryConfiguration virtio_memory(const control::VirtioMemorySpecification& device);
  machine::PciDeviceConfiguration virtio_memory_device(const control::VirtioMemorySpecification& device);
  void add_memory_devices(machine::MachineConfiguration& configuration,
                          const control::MachineSpecification& specification);
  void plug_virtio_memory(const control::VirtioMemorySpecification& device);
  // Throws unless the guest has given all of it back, and is asked for nothing; for other devices nothing.
  void require_given_back(const std::string& id) const;
  void dimm_released(std::uint32_t slot);
  std::vector<control::MemoryDeviceStatus> memory_device_status() const;
  EventThread& shared_thread();
  EventThread& own_thread(const std::string& id);
  BlockCounters& block_counters(const std::string& id);
  NetCounters& net_counters(const std::string& id);
  void device_released(std::uint8_t bus);
  void follow_vcpus(machine::MachineConfiguration& configuration);
  void vcpu_released(std::uint32_t vcpu);
  void forget_device(const std::string& id);
  void tell_unplugged(const std::string& id);

  boost::asio::io_context& loop_;
  Surroundings surroundings_;
  struct MemoryErrorWatch;
  std::shared_ptr<MemoryErrorWatch> memory_error_watch_;
  FileDescriptor counters_file_;
  CountersPage* counters_ = nullptr;
  DiskTable disks_;                     // before machine_, whose devices tell it of themselves
  BlockJobTable block_jobs_;            // of those disks, which outlive their jobs
  PortTable ports_;                     // likewise
  BalloonWatch balloon_watch_;          // likewise
  virtio::Balloon* balloon_ = nullptr;  // one of machine_'s devices
  control::MachineState state_ = control::MachineState::unconfigured;
  control::StateCause cause_ = control::StateCause::command;
  std::string detail_;
  control::DirtyRateStatus dirty_rate_;
  std::string uuid_;
  std::uint64_t resets_ = 0;
  control::GuestAction on_reset_ = control::GuestAction::reset;
  std::vector<std::unique_ptr<EventThread>> threads_;
  // The IOThreads of the definition, which serve the disks that name them.
  struct IoThread {
    EventThread* thread = nullptr;  // one of threads_
    std::size_t users = 0;
  };
  std::map<std::uint32_t, IoThread> iothreads_;
  EventThread* shared_thread_ = nullptr;  // one of threads_: of consoles and entropy, which are slow
  std::map<std::string, EventThread*>
      device_threads_;  // of threads_: each serves the device of that id alone, or its pair "id/number"
  std::multimap<std::string, std::uint32_t> used_iothreads_;  // by disk or controller
  std::map<std::string, virtio::Net*> interfaces_;
  std::map<std::string, virtio::Vsock*> vsocks_;
  std::map<std::string, virtio::Input*> inputs_;
  std::vector<std::shared_ptr<EvdevSource>> evdevs_;
  std::map<std::string, virtio::MemoryDevice*> memory_devices_;
  std::map<std::string, FileDescriptor> vhost_user_disks_;  // with the lifelines of their back ends, if any
  std::set<std::string> vhost_user_interfaces_;
  vfio::GroupTable host_groups_;  // before machine_, whose devices hold them
  // A CD/DVD drive, wherever it is: what AhciController and Scsi have of it.
  struct OpticalDrive {
    std::function<scsi::OpticalDrive::Opening(bool force)> open_tray;
    std::function<void()> close_tray;
    std::function<void(std::unique_ptr<block::Image>)> set_medium;
    bool use_io_uring = true;
  };
  std::map<std::string, OpticalDrive> optical_drives_;     // by disk
  std::map<std::string, virtio::Scsi*> scsi_controllers_;  // machine_'s devices
  std::map<std::string, control::ScsiPlace> scsi_units_;   // by disk
  std::set<std::string> open_trays_;
  // Consoles, and where the table has the port of each number.
  struct ConsoleDevice {
    virtio::Console* device = nullptr;
    std::span<PortTable::Place> places;  // by number
  };
  std::map<std::string, ConsoleDevice> consoles_;
  struct ConsolePortPlace {
    std::string controller;
    std::uint32_t number = 0;
    const DescriptorBackend* backend = nullptr;
  };
  std::map<std::string, ConsolePortPlace> console_ports_;  // by id
  std::unique_ptr<machine::Machine> machine_;              // before threads_ in destruction: it uses them
  std::unique_ptr<machine::CoreDump> dump_;                // before machine_, likewise
};

}  // namespace warren::vmm::worker
