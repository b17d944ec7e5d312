// How block jobs of a running domain end: what its worker tells of them, and what a daemon finds that comes
// back.
#include <algorithm>

#include <fmt/format.h>

#include "driver/domain/block_job_plan.h"
#include "driver/domain/domain.h"
#include "driver/domain/hot_plug.h"

namespace warren::driver::domain {

namespace control = vmm::control;
using control::BlockJobState;

namespace {

// Null: there is none.
template <typename Definition>
auto* disk_with_target(Definition& definition, const std::string& target) {
  auto& disks = definition.devices.disks;
  const auto found = std::ranges::find(disks, target, &config::Disk::target);
  return found == disks.end() ? nullptr : &*found;
}

// The files that a commit has emptied.
std::vector<std::string> emptied_files(const config::Disk& disk, const BlockJobRecord& record) {
  std::vector<std::string> files;
  if (!record.deletes_images || !record.base) return files;
  for (std::uint32_t place = record.top; place < *record.base; ++place) {
    const config::BackingImage image = image_at(disk, place);
    if (image.source_type == config::DiskSourceType::file) files.push_back(image.source);
  }
  return files;
}

bool has_ended(BlockJobState state) {
  return state == BlockJobState::completed || state == BlockJobState::cancelled ||
         state == BlockJobState::failed;
}

control::BlockJob never_begun(const std::string& alias) {
  return {.id = alias, .state = BlockJobState::failed, .message = "it was never begun"};
}

int event_status(BlockJobState state, BlockJobStage stage) {
  // One that was told to end without a pivot was given up, however whole its copy may be.
  if (state == BlockJobState::cancelled || stage == BlockJobStage::aborting)
    return VIR_DOMAIN_BLOCK_JOB_CANCELED;
  return state == BlockJobState::failed ? VIR_DOMAIN_BLOCK_JOB_FAILED : VIR_DOMAIN_BLOCK_JOB_COMPLETED;
}

}  // namespace

void Domain::require_no_block_job(const config::Disk& disk) const {
  if (!block_jobs_.contains(disk.target)) return;
  throw Error(disk.mirror ? VIR_ERR_BLOCK_COPY_ACTIVE : VIR_ERR_OPERATION_UNSUPPORTED,
              fmt::format("disk '{}' already in active block job", disk.target));
}

std::shared_ptr<Domain::BlockJob> Domain::require_block_job(const config::Disk& disk) const {
  const auto found = block_jobs_.find(disk.target);
  if (found == block_jobs_.end())
    throw invalid_argument(fmt::format("disk {} does not have an active block job", disk.target));
  return found->second;
}

std::string Domain::alias_of_disk(const std::string& target) const {
  for (const config::Disk& disk : live_->devices.disks)
    if (disk.target == target) return disk.info.alias;
  return {};
}

void Domain::set_mirror(const std::string& target, std::optional<config::DiskMirror> mirror) {
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  if (config::Disk* disk = disk_with_target(*live, target)) disk->mirror = std::move(mirror);
  live_ = std::move(live);
}

void Domain::set_mirror_state(const std::string& target, config::MirrorState state) {
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  config::Disk* disk = disk_with_target(*live, target);
  if (disk != nullptr && disk->mirror) disk->mirror->state = state;
  live_ = std::move(live);
}

Task<> Domain::block_job_changed(std::weak_ptr<Worker> from, control::BlockJob change) {
  auto hold = co_await slot_.acquire(job_of("change of a block job", {}), JobSlot::Urgency::urgent);
  auto worker = from.lock();
  if (!worker || worker != worker_ || !is_active()) co_return;
  note_progress(change);
  const auto jobs = block_jobs_;
  bool is_known = false;
  for (const auto& [target, job] : jobs) {
    if (alias_of_disk(target) != change.id) continue;
    is_known = true;
    co_await follow_block_job(job, change);
  }
  // One that nobody knew was told to end.
  if (!is_known && has_ended(change.state)) co_await dismiss_block_job(change.id);
}

Task<> Domain::settle_block_job(std::shared_ptr<BlockJob> job, std::vector<control::BlockJob> found) {
  if (job->has_ended) co_return;
  const std::string alias = alias_of_disk(job->record.disk);
  const auto known = std::ranges::find(found, alias, &control::BlockJob::id);
  job->is_doubtful = false;
  if (known == found.end()) {
    co_await end_block_job(std::move(job), never_begun(alias));
    co_return;
  }
  const BlockJobStage stage = job->record.stage;
  const bool is_asked = stage == BlockJobStage::pivoting || stage == BlockJobStage::aborting;
  const bool is_ready = known->state == BlockJobState::ready;
  // The worker answers in order: it was refused.
  if (is_asked && (is_ready || known->state == BlockJobState::running))
    co_await give_up_ending(std::move(job), is_ready ? BlockJobStage::ready : BlockJobStage::running);
}

Task<> Domain::follow_block_job(std::shared_ptr<BlockJob> job, control::BlockJob change) {
  if (has_ended(change.state)) {
    co_await end_block_job(std::move(job), std::move(change));
    co_return;
  }
  if (change.state != BlockJobState::ready || job->record.stage != BlockJobStage::running) co_return;
  job->record.stage = BlockJobStage::ready;
  set_mirror_state(job->record.disk, config::MirrorState::ready);
  co_await write_status();
  publish();
  const config::Disk* disk = disk_with_target(*live_, job->record.disk);
  emit(BlockJobEvent{job->record.disk, disk->source, job->record.type, VIR_DOMAIN_BLOCK_JOB_READY});
}

DefinitionPointer Domain::change_chain(const BlockJobRecord& record, bool pivoted) {
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  config::Disk& disk = *disk_with_target(*live, record.disk);
  const config::Disk before = disk;
  std::shared_ptr<config::DomainDefinition> persistent;
  if (persistent_) persistent = std::make_shared<config::DomainDefinition>(*persistent_);
  config::Disk* stored = persistent ? disk_with_target(*persistent, record.disk) : nullptr;
  bool is_stored = false;
  switch (record.type) {
    case VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT:
      end_commit(disk, record.top, record.base.value());
      is_stored = stored != nullptr && end_commit_stored(*stored, before, record.top, *record.base);
      break;
    case VIR_DOMAIN_BLOCK_JOB_TYPE_PULL:
      end_pull(disk, record.base);
      is_stored = stored != nullptr && end_pull_stored(*stored, before, record.base);
      break;
    default:
      if (!pivoted) break;
      pivot(disk);
      is_stored = stored != nullptr && pivot_stored(*stored, before);
  }
  disk.mirror.reset();
  live_ = std::move(live);
  return is_stored ? persistent : nullptr;
}

// The definitions are true before anybody is told. The worker forgets the job, and the images that it has
// emptied go, when both are written down; else it tells the next daemon.
Task<> Domain::end_block_job(std::shared_ptr<BlockJob> job, control::BlockJob change) {
  const BlockJobRecord record = job->record;
  const std::string alias = alias_of_disk(record.disk);
  std::vector<std::string> emptied;
  DefinitionPointer persistent;
  if (change.state == BlockJobState::completed) {
    if (change.pivoted || record.type != VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT)
      emptied = emptied_files(*disk_with_target(*live_, record.disk), record);
    persistent = change_chain(record, change.pivoted);
  } else {
    set_mirror(record.disk, std::nullopt);
  }
  if (change.state == BlockJobState::failed) {
    job->failure = change.message.empty() ? "it has failed" : change.message;
    log(LogPriority::error, fmt::format("disk {}: block job: {}", record.disk, job->failure));
  }
  // Clients see it until they see what has become of it.
  job->has_ended = true;
  job->record.holds_guest = false;
  bool is_written = true;
  if (persistent) {
    try {
      co_await store(persistent);
    } catch (const std::exception& error) {
      log(LogPriority::error,
          fmt::format("disk {} has another image now, and its definition cannot be stored: {}", record.disk,
                      error.what()));
      is_written = false;
    }
    persistent_ = persistent;
    is_updated_ = true;
  }
  const bool is_noted = co_await write_status();
  co_await let_guest_go(record.holds_guest);
  block_jobs_.erase(record.disk);
  publish();
  job->over.cancel();
  emit(BlockJobEvent{record.disk, disk_with_target(*live_, record.disk)->source, record.type,
                     event_status(change.state, record.stage)});
  if (!is_written || !is_noted) co_return;
  co_await dismiss_block_job(alias);
  if (!emptied.empty()) co_await remove_files(std::move(emptied));
}

Task<> Domain::dismiss_block_job(std::string alias) {
  Request<void> request = [worker = worker_, alias](auto reply) {
    worker->client().dismiss_block_job({alias}, std::move(reply));
  };
  try {
    co_await require_worker().ask<void>(std::move(request), "forget a block job");
  } catch (const Error& error) {
    log(LogPriority::debug, error.what());
  }
}

Task<> Domain::catch_up_block_jobs(std::vector<control::BlockJob> found) {
  const auto jobs = block_jobs_;
  for (const auto& [target, job] : jobs) {
    const std::string alias = alias_of_disk(target);
    const auto known = std::ranges::find(found, alias, &control::BlockJob::id);
    if (known == found.end()) {
      co_await end_block_job(job, never_begun(alias));
      continue;
    }
    const control::BlockJob state = *known;
    found.erase(known);
    note_progress(state);
    co_await follow_block_job(job, state);
    if (job->has_ended) continue;
    run_internal(follow_progress(job), "follow a block job");
    // Somebody asked for its end, and the daemon ended before the worker was told.
    const BlockJobStage stage = job->record.stage;
    const bool is_asked = stage == BlockJobStage::pivoting || stage == BlockJobStage::aborting;
    if (!is_asked || state.state == BlockJobState::completing) continue;
    job->record.stage = state.state == BlockJobState::ready ? BlockJobStage::ready : BlockJobStage::running;
    try {
      co_await ask_for_end(job, stage == BlockJobStage::pivoting);
    } catch (const Error& error) {
      log(LogPriority::error, error.what());
    }
  }
  for (const control::BlockJob& other : found) {
    if (!has_ended(other.state)) {
      co_await cancel_block_job(other.id);
      continue;
    }
    // Its end was written down, by a daemon that ended before it let the guest go.
    if (other.pivoted) co_await let_guest_go(true);
    co_await dismiss_block_job(other.id);
  }
}

Task<> Domain::cancel_block_job(std::string alias) {
  Request<void> request = [worker = worker_, alias](auto reply) {
    worker->client().cancel_block_job({alias}, std::move(reply));
  };
  try {
    co_await require_worker().ask<void>(std::move(request), "end a block job that nobody knows");
  } catch (const Error& error) {
    log(LogPriority::error, error.what());
  }
}

void Domain::forget_block_jobs() {
  for (const auto& [target, job] : std::exchange(block_jobs_, {})) {
    set_mirror(target, std::nullopt);
    job->has_ended = true;
    job->failure = "the domain's worker has ended";
    job->over.cancel();
  }
}

}  // namespace warren::driver::domain
