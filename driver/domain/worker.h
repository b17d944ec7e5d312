// A running worker as the daemon sees it: its control connection and its process. Implementation header
// (Asio). One thread (the loop's).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "driver/domain/task.h"
#include "driver/domain/worker_process.h"
#include "vmm-core/control/client.h"

namespace warren::driver::domain {

class Worker : public std::enable_shared_from_this<Worker> {
 public:
  // None of them is called from within a call of the worker.
  struct Handlers {
    std::function<void(const vmm::control::Status&)> hello;
    std::function<void(const vmm::control::StateChanged&)> state_changed;
    std::function<void(const vmm::control::ClockSet&)> clock_set = {};
    std::function<void(const vmm::control::DiskFault&)> disk_fault = {};
    std::function<void(const vmm::control::DiskThresholdCrossed&)> disk_threshold = {};
    std::function<void(const vmm::control::BlockJob&)> block_job_changed = {};
    std::function<void(const vmm::control::PortChanged&)> port_changed = {};
    std::function<void(const vmm::control::TrayMoved&)> tray_moved = {};
    std::function<void(const vmm::control::DeviceName&)> device_unplugged = {};
    std::function<void(const vmm::control::DeviceName&)> device_kept = {};
    std::function<void(const vmm::control::DeviceName&)> interface_lost = {};
    std::function<void(const vmm::control::MemoryResized&)> memory_resized = {};
    std::function<void(const vmm::control::VcpuNumber&)> vcpu_unplugged = {};
    std::function<void(const vmm::control::VcpuNumber&)> vcpu_kept = {};
    std::function<void(const vmm::control::BalloonChanged&)> balloon_changed = {};
    std::function<void(const vmm::control::VsockConnectionWanted&)> vsock_connection_wanted = {};
    std::function<void(const vmm::control::WatchdogExpired&)> watchdog_expired = {};
    std::function<void(const vmm::control::MemoryFailed&)> memory_failed = {};
    std::function<void(const std::string& reason)> connection_lost;  // the process may live
    std::function<void()> ended;                                     // the process; last, once
  };

  // What the machine is built of. The first call on a fresh worker.
  struct Machine {
    vmm::control::MachineSpecification specification;
    std::vector<std::string> names;
    std::vector<vmm::FileDescriptor> descriptors;
  };

  // Without a socket it can only be waited for and killed.
  static std::shared_ptr<Worker> make(asio::io_context& loop, WorkerProcess process,
                                      vmm::FileDescriptor socket, Handlers handlers);
  Worker(asio::io_context& loop, WorkerProcess process);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  // leaves the process alone

  pid_t pid() const noexcept { return process_.pid; }
  std::uint64_t start_time() const noexcept { return process_.start_time; }
  bool has_ended() const noexcept { return has_ended_; }
  // Completes "worker 1234 …" once it has ended; who killed an adopted worker, init alone knows.
  const std::string& how_it_ended() const noexcept { return how_it_ended_; }
  bool is_connected() const noexcept { return is_connected_; }

  // Configures and starts; returns the descriptor of the counters page. One round trip: everything is sent at
  // once, and the first refusal is the one thrown.
  Task<vmm::FileDescriptor> start_machine(Machine machine, bool paused);

  using Command = void (vmm::control::Client::*)(vmm::control::Client::Reply<void>);
  // Throws Error: VIR_ERR_OPERATION_TIMEOUT when the worker does not answer in time, OPERATION_FAILED with
  // its refusal. `doing` completes "cannot … domain".
  Task<> command(Command command, std::string doing);
  // The same for a request with arguments or an answer of its own.
  template <typename T>
  Task<T> ask(Request<T> request, std::string doing);
  // Throws as command().
  Task<> plug_device(vmm::control::PlugDevice device, std::vector<std::string> names,
                     std::vector<vmm::FileDescriptor> descriptors, std::string doing);
  Task<> plug_port(vmm::control::PlugPort port, std::vector<std::string> names,
                   std::vector<vmm::FileDescriptor> descriptors, std::string doing);
  // False when the guest has locked the tray. Throws as command(). Without `medium` the drive is emptied.
  Task<bool> change_medium(vmm::control::ChangeMedium change, vmm::FileDescriptor medium, std::string doing);
  // Of a worker that is connected; see ask().
  vmm::control::Client& client() noexcept { return *client_; }
  Task<vmm::control::Status> status();
  Task<vmm::FileDescriptor> counters();

  // False when the deadline passes first. One waiter at a time.
  Task<bool> wait_end(std::chrono::milliseconds deadline);
  // SIGKILL: for a worker that does not end by itself, or must not.
  void kill() noexcept { process_.kill(); }
  // Those of make() are replaced; a process that has ended already is told of again.
  void set_handlers(Handlers handlers);
  // No handler is called any more.
  void silence() noexcept { handlers_ = {}; }
  void set_deadline(std::chrono::milliseconds deadline) noexcept;
  // The daemon ends, the worker does not: the jobs that wait for it are destroyed where they stand.
  void let_go() noexcept;

 private:
  void connect(vmm::FileDescriptor socket);
  void watch_process();
  void require_connection() const;
  Error error_of_command(const vmm::Error& error, const std::string& doing) const;

  asio::io_context& loop_;
  WorkerProcess process_;
  std::string how_it_ended_ = "ended unexpectedly";
  std::shared_ptr<asio::posix::stream_descriptor> pidfd_;
  asio::steady_timer end_timer_;
  Handlers handlers_;
  std::unique_ptr<vmm::control::Client> client_;
  bool is_connected_ = false;
  bool has_ended_ = false;
};

template <typename T>
Task<T> Worker::ask(Request<T> request, std::string doing) {
  require_connection();
  auto answer = co_await await_reply<T>(std::move(request));
  if (!answer) throw error_of_command(answer.error(), doing);
  if constexpr (!std::is_void_v<T>) co_return std::move(*answer);
}

}  // namespace warren::driver::domain
