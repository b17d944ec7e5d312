// A core of the guest in a file: a long job.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace control = vmm::control;

namespace {

constexpr std::chrono::milliseconds kProgressInterval{50};

vmm::FileDescriptor create_core(const std::string& path) {
  vmm::FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) throw system_error(errno, fmt::format("create core file '{}'", path));
  return file;
}

// On disk, and out of the page cache if that is wished.
void finish_core(const std::string& path, bool drop_cache) {
  vmm::FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file || ::fdatasync(file.get()) != 0)
    throw system_error(errno, fmt::format("flush core file '{}'", path));
  if (drop_cache) ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
}

}  // namespace

Task<> Domain::core_dump(Caller caller, std::string path, unsigned int flags) {
  auto hold = co_await slot_.acquire(job_of("dump", caller));
  require_worker();
  // The dump keeps the slot, which the end of a pivot waits for.
  require_no_pivot();
  const bool live = (flags & VIR_DUMP_LIVE) != 0;
  const bool was_running = state_ == VIR_DOMAIN_RUNNING;
  if (was_running && !live) {
    co_await change_machine(&control::Client::pause, fmt::format("pause domain '{}'", name_));
    set_state(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_DUMP);
    co_await write_status();
    publish();
    emit(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED);
  }
  begin_long_job(VIR_DOMAIN_JOB_OPERATION_DUMP);
  std::optional<Error> failure;
  try {
    co_await write_core(path, (flags & VIR_DUMP_BYPASS_CACHE) != 0);
  } catch (...) {
    failure = error_of(std::current_exception());
  }
  end_long_job(failure);
  // Who ends closes its socket a moment before its pidfd tells.
  if (auto ending = worker_; failure && ending && !ending->is_connected())
    co_await ending->wait_end(environment_->quit_deadline);
  if (!is_active() || !worker_ || worker_->has_ended())
    throw Error(VIR_ERR_OPERATION_ABORTED, "the domain ended during its dump");
  if (!failure && (flags & VIR_DUMP_CRASH) != 0) {
    co_await end_worker(false);
    emit(VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED);
    co_await stop(VIR_DOMAIN_SHUTOFF_CRASHED, VIR_DOMAIN_EVENT_STOPPED_CRASHED);
    co_return;
  }
  if (!failure && (flags & VIR_DUMP_RESET) != 0) {
    co_await worker_->command(&control::Client::reset, fmt::format("reset domain '{}'", name_));
    if (state_ == VIR_DOMAIN_PMSUSPENDED) co_await guest_woke();
    guest_was_reset();
  }
  if (was_running && !live) co_await run_again("resuming after dump failed");
  if (failure) throw *failure;
}

Task<> Domain::run_again(std::string doing) {
  co_await change_machine(&control::Client::resume, fmt::format("resume domain '{}': {}", name_, doing));
  set_state(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED);
  co_await write_status();
  publish();
  emit(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED);
}

Task<> Domain::write_core(std::string path, bool drop_cache) {
  std::move_only_function<std::shared_ptr<vmm::FileDescriptor>()> create = [path] {
    return std::make_shared<vmm::FileDescriptor>(create_core(path));
  };
  auto file = co_await run_blocking<std::shared_ptr<vmm::FileDescriptor>>(environment_->io_threads,
                                                                          std::move(create));
  std::optional<Error> failure;
  try {
    co_await follow_dump(std::move(*file));
  } catch (...) {
    failure = error_of(std::current_exception());
  }
  std::move_only_function<Done()> finish = [path, drop_cache, failed = failure.has_value()] {
    if (failed) {
      ::unlink(path.c_str());
    } else {
      finish_core(path, drop_cache);
    }
    return Done{};
  };
  co_await run_blocking<Done>(environment_->io_threads, std::move(finish));
  if (failure) throw *failure;
}

// The worker writes; its progress becomes the job's until it is done, has failed, or was told to stop.
Task<> Domain::follow_dump(vmm::FileDescriptor file) {
  auto worker = worker_;
  const bool runs = state_ == VIR_DOMAIN_RUNNING;
  auto shared = std::make_shared<vmm::FileDescriptor>(std::move(file));
  Request<void> begin = [worker, shared, runs](auto reply) {
    worker->client().dump({.live = runs}, std::move(*shared), std::move(reply));
  };
  co_await worker->ask<void>(std::move(begin), fmt::format("dump domain '{}'", name_));
  asio::steady_timer timer(environment_->loop);
  bool told_to_stop = false;
  for (;;) {
    Request<control::DumpStatus> look = [worker](auto reply) {
      worker->client().dump_status(std::move(reply));
    };
    const auto status =
        co_await worker->ask<control::DumpStatus>(std::move(look), fmt::format("dump domain '{}'", name_));
    long_job_->memory_total = status.total_bytes;
    long_job_->memory_processed = status.written_bytes;
    if (status.state == control::DumpState::complete) co_return;
    if (status.state == control::DumpState::aborted)
      throw Error(VIR_ERR_OPERATION_ABORTED, "domain core dump job: canceled by client");
    if (status.state != control::DumpState::active)
      throw operation_failed(fmt::format("dump of domain '{}': {}", name_, status.error));
    if (long_job_->abort_requested && !std::exchange(told_to_stop, true))
      co_await worker->command(&control::Client::abort_dump, fmt::format("abort the dump of '{}'", name_));
    timer.expires_after(kProgressInterval);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

void Domain::begin_long_job(int operation) {
  long_job_.emplace();
  long_job_->operation = operation;
  long_job_->since = std::chrono::steady_clock::now();
}

void Domain::end_long_job(const std::optional<Error>& failure) {
  const auto now = std::chrono::steady_clock::now();
  int type = VIR_DOMAIN_JOB_COMPLETED;
  if (failure)
    type = failure->code() == VIR_ERR_OPERATION_ABORTED ? VIR_DOMAIN_JOB_CANCELLED : VIR_DOMAIN_JOB_FAILED;
  JobStatistics done = long_job_->statistics(type, now);
  done.parameters.push_back({VIR_DOMAIN_JOB_SUCCESS, !failure.has_value()});
  if (failure) done.parameters.push_back({VIR_DOMAIN_JOB_ERRMSG, failure->message()});
  long_job_.reset();
  emit(JobCompletedEvent{done.parameters});
  completed_job_ = std::move(done);
}

void Domain::abort_job() {
  require_active();
  if (!long_job_) throw operation_invalid("no job is active on the domain");
  long_job_->abort_requested = true;
}

JobInfo Domain::job_info() const {
  require_active();
  if (!long_job_) return {.type = VIR_DOMAIN_JOB_NONE};
  return long_job_->info(VIR_DOMAIN_JOB_BOUNDED, std::chrono::steady_clock::now());
}

JobStatistics Domain::job_statistics(bool completed, bool keep) {
  if (!completed) {
    require_active();
    if (!long_job_) return {.type = VIR_DOMAIN_JOB_NONE};
    return long_job_->statistics(VIR_DOMAIN_JOB_BOUNDED, std::chrono::steady_clock::now());
  }
  if (!completed_job_) return {.type = VIR_DOMAIN_JOB_NONE};
  JobStatistics result = *completed_job_;
  if (!keep) completed_job_.reset();
  return result;
}

}  // namespace warren::driver::domain
