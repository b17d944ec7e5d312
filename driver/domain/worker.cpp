#include "driver/domain/worker.h"

#include <utility>

#include <fmt/format.h>
#include <sys/wait.h>

namespace warren::driver::domain {

namespace control = vmm::control;

std::shared_ptr<Worker> Worker::make(asio::io_context& loop, WorkerProcess process,
                                     vmm::FileDescriptor socket, Handlers handlers) {
  auto worker = std::make_shared<Worker>(loop, std::move(process));
  worker->handlers_ = std::move(handlers);
  worker->watch_process();
  worker->connect(std::move(socket));
  return worker;
}

Worker::Worker(asio::io_context& loop, WorkerProcess process)
    : loop_(loop),
      process_(std::move(process)),
      pidfd_(std::make_shared<asio::posix::stream_descriptor>(loop, process_.pidfd.duplicate().release())),
      end_timer_(loop) {}

Worker::~Worker() = default;

void Worker::set_deadline(std::chrono::milliseconds deadline) noexcept {
  if (client_) client_->set_deadline(deadline);
}

void Worker::let_go() noexcept {
  const auto self = shared_from_this();
  silence();
  if (client_) client_->abandon();
}

void Worker::set_handlers(Handlers handlers) {
  handlers_ = std::move(handlers);
  if (!has_ended_ || !handlers_.ended) return;
  asio::post(loop_, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (self && self->handlers_.ended) self->handlers_.ended();
  });
}

void Worker::connect(vmm::FileDescriptor socket) {
  if (!socket) return;
  std::weak_ptr<Worker> weak = weak_from_this();
  const auto pass_on = [weak](auto Handlers::* handler) {
    return [weak, handler](const auto& news) {
      auto self = weak.lock();
      if (self && self->handlers_.*handler) (self->handlers_.*handler)(news);
    };
  };
  control::Client::Handlers handlers;
  handlers.hello = pass_on(&Handlers::hello);
  handlers.state_changed = pass_on(&Handlers::state_changed);
  handlers.port_changed = pass_on(&Handlers::port_changed);
  handlers.tray_moved = pass_on(&Handlers::tray_moved);
  handlers.clock_set = pass_on(&Handlers::clock_set);
  handlers.disk_fault = pass_on(&Handlers::disk_fault);
  handlers.disk_threshold = pass_on(&Handlers::disk_threshold);
  handlers.block_job_changed = pass_on(&Handlers::block_job_changed);
  handlers.device_unplugged = pass_on(&Handlers::device_unplugged);
  handlers.device_kept = pass_on(&Handlers::device_kept);
  handlers.interface_lost = pass_on(&Handlers::interface_lost);
  handlers.memory_resized = pass_on(&Handlers::memory_resized);
  handlers.vsock_connection_wanted = pass_on(&Handlers::vsock_connection_wanted);
  handlers.vcpu_unplugged = pass_on(&Handlers::vcpu_unplugged);
  handlers.vcpu_kept = pass_on(&Handlers::vcpu_kept);
  handlers.balloon_changed = pass_on(&Handlers::balloon_changed);
  handlers.watchdog_expired = pass_on(&Handlers::watchdog_expired);
  handlers.memory_failed = pass_on(&Handlers::memory_failed);
  handlers.closed = [weak](const std::string& reason) {
    auto self = weak.lock();
    if (!self) return;
    self->is_connected_ = false;
    if (self->handlers_.connection_lost) {
      self->handlers_.connection_lost(reason.empty() ? "the worker closed its control socket" : reason);
    }
  };
  client_ = std::make_unique<control::Client>(loop_, std::move(socket), std::move(handlers));
  is_connected_ = true;
}

namespace {
std::string describe_end(const siginfo_t& information) {
  if (information.si_pid == 0) return "ended unexpectedly";
  if (information.si_code == CLD_EXITED) {
    return fmt::format("ended unexpectedly with exit status {}", information.si_status);
  }
  return fmt::format("was killed by signal {}", information.si_status);
}
}  // namespace

void Worker::watch_process() {
  // The wait keeps its descriptor: a process whose domain has let go of it meanwhile is reaped all the same.
  pidfd_->async_wait(asio::posix::stream_descriptor::wait_read, [weak = weak_from_this(), pidfd = pidfd_](
                                                                    boost::system::error_code failed) {
    if (failed) return;
    // Reaps our own child; an adopted worker is init's and answers ECHILD.
    siginfo_t information{};
    ::waitid(P_PIDFD, static_cast<id_t>(pidfd->native_handle()), &information, WEXITED | WNOHANG);
    auto self = weak.lock();
    if (!self) return;
    self->how_it_ended_ = describe_end(information);
    self->has_ended_ = true;
    self->end_timer_.cancel();
    if (self->handlers_.ended) self->handlers_.ended();
  });
}

Error Worker::error_of_command(const vmm::Error& error, const std::string& doing) const {
  if (error.code() == std::errc::timed_out) {
    return {
        VIR_ERR_OPERATION_TIMEOUT,
        fmt::format("cannot {}: worker {} does not answer; 'virsh destroy' ends it", doing, process_.pid)};
  }
  return {VIR_ERR_OPERATION_FAILED, fmt::format("cannot {}: {}", doing, error.what())};
}

void Worker::require_connection() const {
  if (!is_connected_) throw operation_failed(fmt::format("worker {} is not connected", process_.pid));
}

Task<> Worker::plug_device(control::PlugDevice device, std::vector<std::string> names,
                           std::vector<vmm::FileDescriptor> descriptors, std::string doing) {
  require_connection();
  // Answered in order: what is refused of the descriptors is missing then.
  if (!names.empty()) client_->add_descriptors(std::move(names), std::move(descriptors), [](auto) {});
  Request<void> request = [this, device = std::move(device)](auto reply) {
    client_->plug_device(device, std::move(reply));
  };
  co_await ask<void>(std::move(request), std::move(doing));
}

Task<> Worker::plug_port(control::PlugPort port, std::vector<std::string> names,
                         std::vector<vmm::FileDescriptor> descriptors, std::string doing) {
  require_connection();
  if (!names.empty()) client_->add_descriptors(std::move(names), std::move(descriptors), [](auto) {});
  Request<void> request = [this, port = std::move(port)](auto reply) {
    client_->plug_port(port, std::move(reply));
  };
  co_await ask<void>(std::move(request), std::move(doing));
}

Task<bool> Worker::change_medium(control::ChangeMedium change, vmm::FileDescriptor medium,
                                 std::string doing) {
  require_connection();
  if (medium) {
    std::vector<vmm::FileDescriptor> descriptors;
    descriptors.push_back(std::move(medium));
    client_->add_descriptors({change.descriptor}, std::move(descriptors), [](auto) {});
  }
  Request<void> request = [this, change = std::move(change)](auto reply) {
    client_->change_medium(change, std::move(reply));
  };
  auto answer = co_await await_reply<void>(std::move(request));
  if (!answer && answer.error().code() == std::errc::device_or_resource_busy) co_return false;
  if (!answer) throw error_of_command(answer.error(), doing);
  co_return true;
}

Task<vmm::FileDescriptor> Worker::start_machine(Machine machine, bool paused) {
  // The worker answers in order, so when `start` is answered the others are.
  struct Answers {
    std::optional<vmm::Error> first_refusal;
    vmm::FileDescriptor counters;
  };
  auto answers = std::make_shared<Answers>();
  auto keep = [answers](std::expected<void, vmm::Error> answer) {
    if (!answer && !answers->first_refusal) answers->first_refusal = answer.error();
  };
  client_->add_descriptors(std::move(machine.names), std::move(machine.descriptors), keep);
  client_->configure(machine.specification, keep);
  client_->counters([answers](std::expected<vmm::FileDescriptor, vmm::Error> answer) {
    if (answer) {
      answers->counters = std::move(*answer);
    } else if (!answers->first_refusal) {
      answers->first_refusal = answer.error();
    }
  });
  Request<void> request = [this, paused](auto reply) { client_->start(paused, std::move(reply)); };
  auto last = co_await await_reply<void>(std::move(request));
  keep(std::move(last));
  if (answers->first_refusal) throw error_of_command(*answers->first_refusal, "start the machine");
  co_return std::move(answers->counters);
}

Task<> Worker::command(Command request, std::string doing) {
  require_connection();
  Request<void> ask = [this, request](auto reply) { (client_.get()->*request)(std::move(reply)); };
  auto answer = co_await await_reply<void>(std::move(ask));
  if (!answer) throw error_of_command(answer.error(), doing);
}

Task<control::Status> Worker::status() {
  require_connection();
  Request<control::Status> ask = [this](auto reply) { client_->status(std::move(reply)); };
  auto answer = co_await await_reply<control::Status>(std::move(ask));
  if (!answer) throw error_of_command(answer.error(), "ask the worker for its state");
  co_return *answer;
}

Task<vmm::FileDescriptor> Worker::counters() {
  require_connection();
  Request<vmm::FileDescriptor> ask = [this](auto reply) { client_->counters(std::move(reply)); };
  auto answer = co_await await_reply<vmm::FileDescriptor>(std::move(ask));
  if (!answer) throw error_of_command(answer.error(), "get the worker's counters");
  co_return std::move(*answer);
}

Task<bool> Worker::wait_end(std::chrono::milliseconds deadline) {
  if (!has_ended_) {
    end_timer_.expires_after(deadline);
    auto initiate = [this](auto handler) {
      end_timer_.async_wait(
          [handler = std::move(handler)](boost::system::error_code) mutable { std::move(handler)(); });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate, asio::use_awaitable);
  }
  co_return has_ended_;
}

}  // namespace warren::driver::domain
