// warren-vmm: runs one virtual machine, for a daemon or by itself.
#include <array>
#include <csignal>
#include <cstdio>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm-core/control/server.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/memory_error.h"
#include "vmm-core/sandbox/filter.h"
#include "vmm-core/sandbox/isolation.h"
#include "vmm-core/worker/options.h"
#include "vmm-core/worker/standalone.h"
#include "vmm-core/worker/terminal.h"
#include "vmm-core/worker/version.h"
#include "vmm-core/worker/worker.h"

// What a sanitizer finds ends the worker; its environment is empty, so nobody else can say so.
#if defined(__SANITIZE_ADDRESS__)
extern "C" const char* __ubsan_default_options() {
  return "halt_on_error=1:print_stacktrace=1";
}
#elif defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_options() {
  return "halt_on_error=1";
}
#endif

namespace {

using namespace warren::vmm;
using worker::Options;

enum ExitCode { kShutDown = 0, kFailed = 1, kCrashed = 2, kReset = 3 };

FileDescriptor open_kvm(int given) {
  if (given >= 0) return FileDescriptor(given);
  FileDescriptor kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!kvm) throw_errno("/dev/kvm");
  return kvm;
}

// Returns the pipe of follow_memory_errors().
FileDescriptor lock_in(const Options& options, const FileDescriptor& listener, const FileDescriptor& kvm) {
  const std::array keep = {STDIN_FILENO,   STDOUT_FILENO, STDERR_FILENO,
                           listener.get(), kvm.get(),     options.network};
  close_descriptors_except(std::span(keep).first(options.network >= 0 ? 6 : 5));
  FileDescriptor memory_errors = follow_memory_errors();
  if (!options.sandbox) return memory_errors;
  IsolationOptions isolation;
  isolation.user = options.user;
  isolation.group = options.group;
  isolation.network_namespace = options.network;
  enter_isolation(isolation);
  if (options.network >= 0) ::close(options.network);
  install_filter(ThreadKind::control);
  return memory_errors;
}

int serve(const Options& options) {
  FileDescriptor listener(options.control);
  FileDescriptor kvm = open_kvm(options.kvm);
  FileDescriptor memory_errors = lock_in(options, listener, kvm);

  boost::asio::io_context loop(1);
  std::optional<control::Server> server;
  const bool filtered = options.sandbox;
  worker::Worker machine(
      loop,
      {.kvm = std::move(kvm),
       .memory_errors = std::move(memory_errors),
       .thread_started =
           [filtered](ThreadKind kind) {
             if (filtered) install_filter(kind);
           },
       .changed = [&](const control::StateChanged& change) { server->announce(change); },
       .clock_set = [&](const control::ClockSet& change) { server->announce(change); },
       .disk_fault = [&](const control::DiskFault& fault) { server->announce(fault); },
       .disk_threshold = [&](const control::DiskThresholdCrossed& crossed) { server->announce(crossed); },
       .block_job_changed = [&](const control::BlockJob& job) { server->announce(job); },
       .tray_moved = [&](const control::TrayMoved& moved) { server->announce(moved); },
       .port_changed = [&](const control::PortChanged& change) { server->announce(change); },
       .balloon_changed = [&](const control::BalloonChanged& change) { server->announce(change); },
       .watchdog_expired = [&](const control::WatchdogExpired& expired) { server->announce(expired); },
       .memory_failed = [&](const control::MemoryFailed& failure) { server->announce(failure); },
       .device_unplugged = [&](const control::DeviceName& device) { server->announce_unplugged(device); },
       .device_kept = [&](const control::DeviceName& device) { server->announce_kept(device); },
       .interface_lost = [&](const control::DeviceName& interface) { server->announce_lost(interface); },
       .memory_resized = [&](const control::MemoryResized& resized) { server->announce(resized); },
       .vsock_connection_wanted =
           [&](const control::VsockConnectionWanted& wanted) { return server->announce(wanted); },
       .vcpu_unplugged = [&](const control::VcpuNumber& vcpu) { server->announce_unplugged(vcpu); },
       .vcpu_kept = [&](const control::VcpuNumber& vcpu) { server->announce_kept(vcpu); },
       // The answer is sent before the loop comes to this.
       .quit = [&] { boost::asio::post(loop, [&] { loop.stop(); }); }});
  server.emplace(loop, std::move(listener), machine);
  loop.run();
  server.reset();
  return kShutDown;
}

void print_inspection(const worker::Worker& machine) {
  InspectNode root;
  machine.inspect(root);
  std::fprintf(stderr, "%s\r\n", control::format_inspection(root).c_str());
}

int run(const Options& options) {
  const auto standalone = worker::read_standalone_machine(options.file);
  boost::asio::io_context loop(1);
  int result = kShutDown;
  worker::Worker* shown = nullptr;
  worker::Terminal terminal(loop, [&](char key) {
    if (key == 'x') loop.stop();
    if (key == 'i' && shown != nullptr) print_inspection(*shown);
  });
  worker::Worker machine(loop, {.kvm = open_kvm(options.kvm),
                                .terminal_input = terminal.take_input(),
                                .terminal_output = terminal.take_output(),
                                .changed =
                                    [&](const control::StateChanged& change) {
                                      if (change.state == control::MachineState::crashed) {
                                        std::fprintf(stderr, "crashed: %s\r\n", change.detail.c_str());
                                        result = kCrashed;
                                      } else if (change.state == control::MachineState::paused) {
                                        // By a disk; nobody is there to let it go on.
                                        std::fprintf(stderr, "paused: %s\r\n", change.detail.c_str());
                                        result = kCrashed;
                                      } else if (change.state != control::MachineState::shut_down) {
                                        return;
                                      } else if (change.cause == control::StateCause::guest_reset) {
                                        result = kReset;
                                      }
                                      loop.stop();
                                    },
                                .quit = [&] { loop.stop(); }});
  shown = &machine;
  boost::asio::signal_set signals(loop, SIGINT, SIGTERM, SIGHUP);
  signals.async_wait([&](boost::system::error_code failed, int) {
    if (!failed) loop.stop();
  });
  machine.configure(standalone.machine, worker::open_resources(standalone.descriptors));
  machine.start(false);
  loop.run();
  terminal.flush();
  if (options.inspect_at_end) print_inspection(machine);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  // A peer or reader that goes away is an error of the call, not the end of the guest.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const Options options = worker::parse_options(argc, argv);
    switch (options.mode) {
      case Options::Mode::serve:
        return serve(options);
      case Options::Mode::run:
        return run(options);
      case Options::Mode::version:
        std::printf("warren-vmm %s\n", worker::kVersion);
        return kShutDown;
      case Options::Mode::help:
        std::fputs(worker::usage(), stdout);
        return kShutDown;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "warren-vmm: %s\n", error.what());
    return kFailed;
  }
}
