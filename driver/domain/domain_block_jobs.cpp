// Block jobs of a running domain: how they begin, and what is asked of them. How they end: block_job_end.cpp.
#include <algorithm>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "driver/config/domain_defaults.h"
#include "driver/domain/block_job_plan.h"
#include "driver/domain/copy_target.h"
#include "driver/domain/disk_chain.h"
#include "driver/domain/disk_parameters.h"
#include "driver/domain/disk_volume.h"
#include "driver/domain/domain.h"
#include "driver/domain/vhost_user_disk.h"

namespace warren::driver::domain {

namespace control = vmm::control;

namespace {

constexpr std::chrono::milliseconds kProgressInterval{250};

// The worker has not answered: it may still do what it was told.
bool is_timeout(const std::exception_ptr& failure) {
  return failure && error_of(failure).code() == VIR_ERR_OPERATION_TIMEOUT;
}

// What a job's command names, with the descriptors.
struct JobImages {
  std::vector<std::string> names;
  std::vector<vmm::FileDescriptor> descriptors;

  control::BackingSpecification add(ChainImage image, const std::string& name) {
    control::BackingSpecification result{.descriptor = name,
                                         .format = image.description.format == config::DiskFormat::qcow2
                                                       ? control::ImageFormat::qcow2
                                                       : control::ImageFormat::raw,
                                         .data_descriptor = image.data.file ? name + "-data" : "",
                                         .direct = image.image.direct,
                                         .direct_alignment = image.image.direct_alignment};
    if (image.description.server) result.nbd = control::NbdSpecification{image.description.source};
    names.push_back(name);
    descriptors.push_back(std::move(image.image.file));
    if (!image.data.file) return result;
    names.push_back(result.data_descriptor);
    descriptors.push_back(std::move(image.data.file));
    return result;
  }
};

struct OpenedCommit {
  ChainImage base;
  std::optional<ChainImage> overlay;  // of the top, where that is not the disk's own image
  std::string name;                   // of the base, in its new overlay's header
};

std::shared_ptr<OpenedCommit> open_commit(const config::Disk& disk, CommitPlan plan, bool relative) {
  auto opened = std::make_shared<OpenedCommit>();
  if (plan.top > 0) {
    opened->name =
        relative ? relative_backing_name(disk, plan.top - 1, plan.base) : image_at(disk, plan.base).source;
  }
  opened->base = reopen_chain_image(disk, image_at(disk, plan.base));
  if (plan.top > 1) opened->overlay = reopen_chain_image(disk, image_at(disk, plan.top - 1));
  return opened;
}

void note_unmarked(const ChainImage& image, std::vector<UnmarkedImage>& list) {
  if (image.image.lacks_mark) list.push_back({image.description.source, image.description.format});
  if (image.data.lacks_mark) list.push_back({image.data_path, config::DiskFormat::raw});
}

void require_images(const config::Disk& disk, const char* what) {
  require_own(disk, "a block job");
  if (!disk.has_source())
    throw operation_invalid(fmt::format("disk {} has no source file to be {}", disk.target, what));
  if (disk.device == config::DiskDevice::cdrom)
    throw operation_unsupported(fmt::format("block jobs are not supported on the drive '{}'", disk.target));
}

std::string format_text(config::DiskFormat format) {
  return std::string(config::disk_format_name(format));
}

}  // namespace

Task<> Domain::block_commit(Caller caller, BlockCommit commit, std::uint64_t speed, unsigned int flags) {
  auto hold = co_await slot_.acquire(job_of("block commit", caller));
  require_worker();
  const config::Disk disk = find_disk(*live_, commit.disk);
  require_images(disk, "committed");
  require_no_block_job(disk);
  const CommitPlan plan = plan_commit(disk, commit, flags);
  const bool relative = (flags & VIR_DOMAIN_BLOCK_COMMIT_RELATIVE) != 0;
  std::move_only_function<std::shared_ptr<OpenedCommit>()> work = [disk, plan, relative] {
    return open_commit(disk, plan, relative);
  };
  auto opened = co_await run_blocking<std::shared_ptr<OpenedCommit>>(environment_->io_threads,
                                                                     std::move(work), &image_wait_);
  std::vector<UnmarkedImage> unmarked;
  note_unmarked(opened->base, unmarked);
  declare_formats(unmarked);
  const config::BackingImage base = image_at(disk, plan.base);
  auto images = std::make_shared<JobImages>();
  control::StartBlockCommit command{.id = disk.info.alias,
                                    .top = plan.top,
                                    .base = plan.base,
                                    .base_image = images->add(std::move(opened->base), "job-base"),
                                    .backing = {},
                                    .overlay_image = {},
                                    .speed = speed};
  if (plan.top > 0) command.backing = control::BackingName{opened->name, format_text(base.format)};
  if (opened->overlay) command.overlay_image = images->add(std::move(*opened->overlay), "job-overlay");
  BlockJobRecord record{
      .disk = disk.target,
      .type = plan.top == 0 ? VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT : VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT,
      .top = plan.top,
      .base = plan.base,
      .deletes_images = (flags & VIR_DOMAIN_BLOCK_COMMIT_DELETE) != 0};
  std::optional<config::DiskMirror> mirror;
  if (plan.top == 0)
    mirror = config::DiskMirror{.job = config::MirrorJob::active_commit, .image = base, .backing = {}};
  Request<void> request = [worker = worker_, images, command = std::move(command)](auto reply) {
    worker->client().add_descriptors(std::move(images->names), std::move(images->descriptors), [](auto) {});
    worker->client().start_block_commit(command, std::move(reply));
  };
  co_await begin_block_job(std::move(record), std::move(mirror), std::move(request), speed);
}

Task<> Domain::block_pull(Caller caller, std::string name, std::optional<std::string> base_name,
                          std::uint64_t speed, bool relative) {
  auto hold = co_await slot_.acquire(job_of("block pull", caller));
  require_worker();
  const config::Disk disk = find_disk(*live_, name);
  require_images(disk, "pulled into");
  require_no_block_job(disk);
  std::optional<std::uint32_t> base;
  if (base_name) base = find_image(disk, base_name, 0);
  BlockJobRecord record{.disk = disk.target, .type = VIR_DOMAIN_BLOCK_JOB_TYPE_PULL, .top = 0, .base = base};
  if (disk.backing.empty() || base == 1) {
    // All of it is there: a job that is done before it begins.
    emit(BlockJobEvent{disk.target, disk.source, record.type, VIR_DOMAIN_BLOCK_JOB_COMPLETED});
    co_return;
  }
  control::StartBlockPull command{.id = disk.info.alias, .base = base, .backing = {}, .speed = speed};
  if (base) {
    std::string in_header = image_at(disk, *base).source;
    if (relative) {
      std::move_only_function<std::string()> work = [disk, place = *base] {
        return relative_backing_name(disk, 0, place);
      };
      in_header = co_await run_blocking<std::string>(environment_->io_threads, std::move(work), &image_wait_);
    }
    command.backing = {in_header, format_text(image_at(disk, *base).format)};
  }
  Request<void> request = [worker = worker_, command = std::move(command)](auto reply) {
    worker->client().start_block_pull(command, std::move(reply));
  };
  co_await begin_block_job(std::move(record), std::nullopt, std::move(request), speed);
}

Task<> Domain::block_copy(Caller caller, std::string name, config::Disk destination, std::uint64_t speed,
                          unsigned int flags) {
  auto hold = co_await slot_.acquire(job_of("block copy", caller));
  require_worker();
  const config::Disk disk = find_disk(*live_, name);
  require_images(disk, "copied");
  require_no_block_job(disk);
  // As qemu:///system has it: the job does not outlive the guest, and who means that says so.
  if (persistent_ && (flags & VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB) == 0)
    throw operation_invalid("domain is not transient");
  find_volume(environment_->settings.volumes, destination);
  require_own(destination, "a copy to it");
  if (!destination.has_source()) throw invalid_argument("the destination of the copy has no <source>");
  const bool shallow = (flags & VIR_DOMAIN_BLOCK_COPY_SHALLOW) != 0 && !disk.backing.empty();
  CopyRequest wanted{.source_type = destination.source_type,
                     .path = destination.source,
                     .server = destination.server,
                     .format = destination.driver.format,
                     .reuse = (flags & VIR_DOMAIN_BLOCK_COPY_REUSE_EXT) != 0,
                     .shallow = shallow};
  std::move_only_function<std::shared_ptr<CopyTarget>()> work = [disk, wanted = std::move(wanted)] {
    return std::make_shared<CopyTarget>(open_copy_target(disk, wanted));
  };
  auto target = co_await run_blocking<std::shared_ptr<CopyTarget>>(environment_->io_threads, std::move(work),
                                                                   &image_wait_);
  std::vector<UnmarkedImage> unmarked;
  if (target->image.lacks_mark) unmarked.push_back({target->description.source, target->description.format});
  declare_formats(unmarked);
  target->description.source_index = config::next_image_number(live_->devices);
  config::DiskMirror mirror{.job = config::MirrorJob::copy, .image = target->description, .backing = {}};
  if (shallow) mirror.backing = disk.backing;
  check_pivot(*live_, disk.target, mirror);
  auto images = std::make_shared<JobImages>();
  ChainImage image{
      .image = std::move(target->image), .description = target->description, .data = {}, .data_path = {}};
  control::StartBlockCopy command{.id = disk.info.alias,
                                  .target = images->add(std::move(image), "job-target"),
                                  .shallow = shallow,
                                  .speed = speed};
  if (target->is_new) {
    command.make.emplace();
    if (shallow) command.make->backing = {disk.backing[0].source, format_text(disk.backing[0].format)};
  }
  Request<void> request = [worker = worker_, images, command = std::move(command)](auto reply) {
    worker->client().add_descriptors(std::move(images->names), std::move(images->descriptors), [](auto) {});
    worker->client().start_block_copy(command, std::move(reply));
  };
  BlockJobRecord record{.disk = disk.target, .type = VIR_DOMAIN_BLOCK_JOB_TYPE_COPY, .base = {}};
  std::exception_ptr failed;
  try {
    co_await begin_block_job(std::move(record), std::move(mirror), std::move(request), speed);
  } catch (...) {
    failed = std::current_exception();
  }
  std::vector<std::string> made{target->created.keep()};
  if (!failed) co_return;
  if (!made.front().empty() && !is_timeout(failed)) co_await remove_files(std::move(made));
  std::rethrow_exception(failed);
}

// Known and written down before the worker has it: a daemon that comes back believes the worker (T14).
Task<> Domain::begin_block_job(BlockJobRecord record, std::optional<config::DiskMirror> mirror,
                               Request<void> request, std::uint64_t speed) {
  const std::string target = record.disk;
  const DefinitionPointer before = live_;
  auto job = std::make_shared<BlockJob>(environment_->loop, std::move(record));
  job->speed = speed;
  set_mirror(target, std::move(mirror));
  block_jobs_[target] = job;
  co_await write_status();
  std::exception_ptr failed;
  try {
    co_await require_worker().ask<void>(
        std::move(request), fmt::format("begin a block job on disk {} of domain '{}'", target, name_));
  } catch (...) {
    failed = std::current_exception();
  }
  job->is_doubtful = is_timeout(failed);
  if (failed && !job->is_doubtful) {
    block_jobs_.erase(target);
    live_ = before;
    co_await write_status();
    std::rethrow_exception(failed);
  }
  publish();
  run_internal(follow_progress(job), "follow a block job");
  if (failed) std::rethrow_exception(failed);
}

// Getters read what this finds.
Task<> Domain::follow_progress(std::shared_ptr<BlockJob> job) {
  const std::weak_ptr<Worker> from = worker_;
  asio::steady_timer timer(environment_->loop);
  for (;;) {
    timer.expires_after(kProgressInterval);
    co_await timer.async_wait(asio::use_awaitable);
    auto worker = from.lock();
    if (job->has_ended || !worker || worker != worker_ || !worker->is_connected()) co_return;
    const bool was_doubtful = job->is_doubtful;
    Request<control::BlockJobs> request = [worker](auto reply) {
      worker->client().block_jobs(std::move(reply));
    };
    const auto found = co_await await_reply<control::BlockJobs>(std::move(request));
    if (!found) continue;
    for (const control::BlockJob& each : found->jobs) note_progress(each);
    if (!was_doubtful) continue;
    auto hold = co_await slot_.acquire(job_of("block job", {}), JobSlot::Urgency::urgent);
    if (job->is_doubtful && worker == worker_ && is_active()) co_await settle_block_job(job, found->jobs);
  }
}

void Domain::note_progress(const control::BlockJob& found) {
  for (const auto& [target, job] : block_jobs_) {
    if (!is_active() || alias_of_disk(target) != found.id) continue;
    job->speed = found.speed;
    job->current = found.current;
    job->end = found.end;
  }
}

Task<> Domain::set_block_job_speed(Caller caller, std::string name, std::uint64_t speed) {
  auto hold = co_await slot_.acquire(job_of("block job speed", caller));
  require_worker();
  const config::Disk& disk = find_disk(*live_, name);
  auto job = require_block_job(disk);
  const control::SetBlockJobSpeed command{disk.info.alias, speed};
  Request<void> request = [worker = worker_, command](auto reply) {
    worker->client().set_block_job_speed(command, std::move(reply));
  };
  co_await worker_->ask<void>(
      std::move(request), fmt::format("limit the block job on disk {} of domain '{}'", disk.target, name_));
  job->speed = speed;
}

std::optional<BlockJobInfo> Domain::block_job_info(const std::string& name) const {
  require_active();
  const config::Disk& disk = find_disk(*live_, name);
  const auto found = block_jobs_.find(disk.target);
  if (found == block_jobs_.end()) return std::nullopt;
  const BlockJob& job = *found->second;
  const bool is_ready =
      job.record.stage == BlockJobStage::ready || job.record.stage == BlockJobStage::pivoting;
  BlockJobInfo info{.type = job.record.type, .bandwidth = job.speed, .current = job.current, .end = job.end};
  // Clients take equal figures for "ready", and pivot.
  if (is_ready) {
    info.end = std::max<std::uint64_t>(info.end, 1);
    info.current = info.end;
  } else if (info.current >= info.end) {
    if (info.end == 0) info.end = 1;
    info.current = info.end - 1;
  }
  return info;
}

Task<> Domain::abort_block_job(Caller caller, std::string name, unsigned int flags) {
  auto hold = co_await slot_.acquire(job_of("abort block job", caller));
  require_worker();
  const config::Disk disk = find_disk(*live_, name);
  auto job = require_block_job(disk);
  BlockJobRecord& record = job->record;
  const bool pivots = (flags & VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT) != 0;
  if (record.stage == BlockJobStage::pivoting || record.stage == BlockJobStage::aborting)
    throw operation_invalid(fmt::format("block job on disk '{}' is still being ended", disk.target));
  if (pivots && !disk.mirror)
    throw operation_invalid(fmt::format("job on disk '{}' does not support pivot", disk.target));
  if (pivots && record.stage != BlockJobStage::ready) {
    throw Error(VIR_ERR_BLOCK_COPY_ACTIVE,
                fmt::format("block job on disk '{}' not ready for pivot yet", disk.target));
  }
  co_await ask_for_end(job, pivots);
  hold.release();
  if ((flags & VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC) != 0) co_return;
  const auto under_way = block_jobs_.find(disk.target);
  if (under_way != block_jobs_.end() && under_way->second == job) {
    boost::system::error_code ended;
    co_await job->over.async_wait(asio::redirect_error(asio::use_awaitable, ended));
  }
  if (pivots && !job->failure.empty()) {
    throw operation_failed(
        fmt::format("block job on disk '{}' failed while pivoting: {}", disk.target, job->failure));
  }
}

Task<> Domain::ask_for_end(std::shared_ptr<BlockJob> job, bool pivots) {
  const std::string target = job->record.disk;
  const BlockJobStage stage = job->record.stage;
  job->record.stage = pivots ? BlockJobStage::pivoting : BlockJobStage::aborting;
  job->record.holds_guest = pivots && state_ == VIR_DOMAIN_RUNNING;
  set_mirror_state(target, pivots ? config::MirrorState::pivot : config::MirrorState::abort);
  co_await write_status();
  const std::string alias = alias_of_disk(target);
  // One that is ready leaves its target as the disk is at that moment; what is there before says nothing.
  const bool completes = pivots || stage == BlockJobStage::ready;
  Request<void> request = [worker = worker_, alias, completes, pivots](auto reply) {
    if (completes) {
      worker->client().complete_block_job({alias, pivots}, std::move(reply));
    } else {
      worker->client().cancel_block_job({alias}, std::move(reply));
    }
  };
  std::exception_ptr failed;
  bool is_asked = false;
  try {
    co_await hold_guest(job);
    is_asked = true;
    co_await require_worker().ask<void>(
        std::move(request), fmt::format("end the block job on disk {} of domain '{}'", target, name_));
  } catch (...) {
    failed = std::current_exception();
  }
  // It may pivot yet, and the guest stands still until that is known.
  job->is_doubtful = is_asked && is_timeout(failed);
  if (failed && !job->is_doubtful) co_await give_up_ending(job, stage);
  publish();
  if (failed) std::rethrow_exception(failed);
}

Task<> Domain::give_up_ending(std::shared_ptr<BlockJob> job, BlockJobStage stage) {
  co_await let_guest_go(std::exchange(job->record.holds_guest, false));
  job->record.stage = stage;
  set_mirror_state(job->record.disk,
                   stage == BlockJobStage::ready ? config::MirrorState::ready : config::MirrorState::running);
  co_await write_status();
  publish();
}

Task<> Domain::hold_guest(std::shared_ptr<BlockJob> job) {
  if (!job->record.holds_guest) co_return;
  std::exception_ptr failed;
  try {
    co_await require_worker().command(&control::Client::pause,
                                      fmt::format("hold the guest of domain '{}'", name_));
  } catch (...) {
    failed = std::current_exception();
  }
  // By the pivot of another disk, or by the daemon that was there before.
  if (!failed || (co_await require_worker().status()).state == control::MachineState::paused) co_return;
  std::rethrow_exception(failed);
}

Task<> Domain::let_guest_go(bool was_held) {
  // With another disk's pivot under way it goes on after that one.
  if (!was_held || is_guest_held() || state_ != VIR_DOMAIN_RUNNING || !worker_) co_return;
  try {
    co_await worker_->command(&control::Client::resume, fmt::format("let the guest of '{}' go on", name_));
  } catch (const Error& error) {
    log(LogPriority::error, error.what());
  }
}

bool Domain::is_guest_held() const noexcept {
  return std::ranges::any_of(block_jobs_, [](const auto& each) { return each.second->record.holds_guest; });
}

// Between the command of a pivot and what is written down of it the vCPUs are nobody else's.
void Domain::require_no_pivot() const {
  const bool pivots = std::ranges::any_of(
      block_jobs_, [](const auto& each) { return each.second->record.stage == BlockJobStage::pivoting; });
  if (pivots) throw operation_invalid("a block job on one of its disks is still being ended");
}

Task<> Domain::remove_files(std::vector<std::string> paths) {
  std::move_only_function<std::vector<std::string>()> work = [paths = std::move(paths)] {
    std::vector<std::string> left;
    for (const std::string& path : paths)
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) left.push_back(path);
    return left;
  };
  const auto left =
      co_await run_blocking<std::vector<std::string>>(environment_->io_threads, std::move(work));
  for (const std::string& path : left) log(LogPriority::warning, fmt::format("cannot remove '{}'", path));
}

}  // namespace warren::driver::domain
