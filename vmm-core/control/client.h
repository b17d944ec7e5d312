// The daemon's side of a worker's control socket.
//
// Asynchronous and one-threaded: everything is called from, and calls back on, the io_context's thread. Each
// reply comes exactly once: with the worker's answer, its refusal, ETIMEDOUT when the deadline passes (a late
// answer is then dropped), or ECONNABORTED when the connection or the client goes first.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "vmm-core/control/block_jobs.h"
#include "vmm-core/control/hot_plug.h"
#include "vmm-core/control/media.h"
#include "vmm-core/control/memory_failure.h"
#include "vmm-core/control/probes.h"
#include "vmm-core/control/protocol.h"
#include "vmm-core/control/small_devices.h"
#include "vmm-core/control/vcpus.h"
#include "vmm-core/control/vsock.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace boost::asio {
class io_context;
}

namespace warren::vmm::control {

class Client {
 public:
  template <typename T>
  using Reply = std::move_only_function<void(std::expected<T, Error>)>;

  // What the worker tells by itself. Any of them may destroy the client.
  struct Handlers {
    std::function<void(const Status&)> hello;  // first, once
    std::function<void(const StateChanged&)> state_changed;
    std::function<void(const ClockSet&)> clock_set;
    std::function<void(const std::string& reason)> closed;  // last, once; empty reason: closed in order
    std::function<void(const DiskFault&)> disk_fault = {};
    std::function<void(const DiskThresholdCrossed&)> disk_threshold = {};
    std::function<void(const BlockJob&)> block_job_changed = {};
    std::function<void(const PortChanged&)> port_changed;
    std::function<void(const TrayMoved&)> tray_moved = {};
    std::function<void(const BalloonChanged&)> balloon_changed = {};
    std::function<void(const WatchdogExpired&)> watchdog_expired = {};
    std::function<void(const DeviceName&)> device_unplugged = {};
    std::function<void(const VsockConnectionWanted&)> vsock_connection_wanted = {};
    std::function<void(const VcpuNumber&)> vcpu_unplugged = {};
    std::function<void(const VcpuNumber&)> vcpu_kept = {};
    std::function<void(const DeviceName&)> device_kept = {};
    std::function<void(const DeviceName&)> interface_lost = {};
    std::function<void(const MemoryResized&)> memory_resized = {};
    std::function<void(const MemoryFailed&)> memory_failed = {};
  };

  static constexpr std::chrono::milliseconds kDefaultDeadline{10'000};

  Client(boost::asio::io_context& loop, FileDescriptor socket, Handlers handlers);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();  // what waits for an answer is told that the connection is gone

  // What waits for an answer is destroyed instead; no handler is called any more.
  void abandon() noexcept;

  // How long each later request may take.
  void set_deadline(std::chrono::milliseconds deadline) noexcept;

  // Requests may be sent one after the other without waiting: the worker answers them in order. Any number of
  // descriptors; more than one message takes are sent in several.
  void add_descriptors(std::vector<std::string> names, std::vector<FileDescriptor> descriptors,
                       Reply<void> reply);
  void configure(const MachineSpecification& machine, Reply<void> reply);
  void start(bool paused, Reply<void> reply);
  void pause(Reply<void> reply);
  void resume(Reply<void> reply);
  void reset(Reply<void> reply);
  void power_button(Reply<void> reply);
  void ctrl_alt_del(Reply<void> reply);
  void wake(Reply<void> reply);
  void quit(Reply<void> reply);
  // probes.h
  void inject_nmi(Reply<void> reply);
  void send_keys(const SendKeys& keys, Reply<void> reply);
  void send_input(const SendInput& input, Reply<void> reply);
  void set_reset_action(GuestAction action, Reply<void> reply);
  void read_memory(const ReadMemory& range, Reply<std::vector<std::uint8_t>> reply);
  void dump(const BeginDump& how, FileDescriptor file, Reply<void> reply);
  void dump_status(Reply<DumpStatus> reply);
  void abort_dump(Reply<void> reply);
  void add_iothread(std::uint32_t id, Reply<void> reply);
  void delete_iothread(std::uint32_t id, Reply<void> reply);
  void start_dirty_rate(std::uint32_t seconds, Reply<void> reply);
  void dirty_rate(Reply<DirtyRateStatus> reply);
  void kvm_statistics(Reply<KvmStatisticsFiles> reply);
  void resize_disk(const ResizeDisk& command, Reply<void> reply);
  void set_disk_limits(const SetDiskLimits& command, Reply<void> reply);
  void set_disk_threshold(const SetDiskThreshold& command, Reply<void> reply);
  void disk_sizes(Reply<DiskSizes> reply);
  void set_balloon(const SetBalloon& command, Reply<void> reply);
  void set_balloon_statistics_period(const SetBalloonStatisticsPeriod& command, Reply<void> reply);
  // hot_plug.h
  void plug_device(const PlugDevice& command, Reply<void> reply);
  void unplug_device(const DeviceName& command, Reply<void> reply);
  void plug_port(const PlugPort& command, Reply<void> reply);
  void unplug_port(const DeviceName& command, Reply<void> reply);
  void set_link(const SetLink& command, Reply<void> reply);
  void reconnect_interface(const ReconnectInterface& command, FileDescriptor stream, Reply<void> reply);
  // No socket: the host refuses.
  void answer_vsock(const AnswerVsock& answer, FileDescriptor socket, Reply<void> reply);
  void change_medium(const ChangeMedium& command, Reply<void> reply);  // media.h
  // vcpus.h
  void plug_vcpus(const VcpuNumbers& numbers, Reply<void> reply);
  void unplug_vcpus(const VcpuNumbers& numbers, Reply<void> reply);
  // memory_devices.h
  void request_memory(const RequestMemory& command, Reply<void> reply);
  void plug_dimm(const PlugDimm& command, Reply<void> reply);
  void unplug_dimm(const UnplugDimm& command, Reply<void> reply);
  // block_jobs.h
  void start_block_commit(const StartBlockCommit& command, Reply<void> reply);
  void start_block_pull(const StartBlockPull& command, Reply<void> reply);
  void start_block_copy(const StartBlockCopy& command, Reply<void> reply);
  void set_block_job_speed(const SetBlockJobSpeed& command, Reply<void> reply);
  void complete_block_job(const CompleteBlockJob& command, Reply<void> reply);
  void cancel_block_job(const BlockJobName& command, Reply<void> reply);
  void dismiss_block_job(const BlockJobName& command, Reply<void> reply);
  void block_jobs(Reply<BlockJobs> reply);
  void status(Reply<Status> reply);
  void inspect(Reply<std::string> reply);      // the tree as JSON text
  void counters(Reply<FileDescriptor> reply);  // of a CountersPage (vmm-core/state/counters.h)

 private:
  class Implementation;
  std::shared_ptr<Implementation> implementation_;
};

// A listening unix socket at `path`, mode 0600, in place of whatever socket was there; and a connection to a
// control socket. Paths longer than sockaddr_un allows are fine. Throw Error.
FileDescriptor listen_at(const std::string& path, int type = SOCK_STREAM);
FileDescriptor connect_to(const std::string& path);

}  // namespace warren::vmm::control
