// Changes of a domain's disks, and what its worker tells of them.
#include <cerrno>
#include <ctime>
#include <system_error>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "driver/domain/disk_parameters.h"
#include "driver/domain/domain.h"
#include "driver/domain/machine_translation.h"
#include "driver/domain/vhost_user_disk.h"

namespace warren::driver::domain {

namespace control = vmm::control;

namespace {

int error_kind(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT ? VIR_DOMAIN_DISK_ERROR_NO_SPACE
                                                          : VIR_DOMAIN_DISK_ERROR_UNSPEC;
}

const config::Disk* disk_with_alias(const config::DomainDefinition& live, const std::string& alias) {
  for (const config::Disk& disk : live.devices.disks)
    if (disk.info.alias == alias) return &disk;
  return nullptr;
}

int action_of(control::DiskFaultAction action) {
  switch (action) {
    case control::DiskFaultAction::ignore:
      return VIR_DOMAIN_EVENT_IO_ERROR_NONE;
    case control::DiskFaultAction::report:
      return VIR_DOMAIN_EVENT_IO_ERROR_REPORT;
    case control::DiskFaultAction::stop:
      return VIR_DOMAIN_EVENT_IO_ERROR_PAUSE;
  }
  return VIR_DOMAIN_EVENT_IO_ERROR_NONE;
}

}  // namespace

Task<> Domain::set_io_tune(Caller caller, std::string disk, TypedParameters parameters, unsigned int flags) {
  if (!snapshot_) throw no_domain(uuid_, name_);
  const config::Disk& tuned = find_disk(snapshot_->current(), disk);
  require_own(tuned, "block I/O tune");
  std::string target = tuned.target;
  TunableEvent event{tunable_parameters(target, parameters)};
  Change change = [disk, parameters = std::move(parameters)](config::DomainDefinition& definition, bool) {
    change_io_tune(definition, disk, parameters);
  };
  Apply apply = [this, target](const config::DomainDefinition& live) { return apply_io_tune(target, live); };
  std::optional<decltype(DomainEvent::body)> body(std::move(event));
  co_await modify(std::move(caller), "block I/O tune", flags, std::move(change), std::move(body),
                  std::move(apply));
}

Task<> Domain::apply_io_tune(std::string target, config::DomainDefinition live) {
  Worker& worker = require_worker();
  const config::Disk& changed = find_disk(live, target);
  for (const config::Disk& disk : live.devices.disks) {
    const bool shares = !changed.tune.group_name.empty() && disk.tune.group_name == changed.tune.group_name;
    if (disk.target != target && !shares) continue;
    Request<void> request =
        [&worker, command = control::SetDiskLimits{disk.info.alias, limits_of(disk.tune)}](auto reply) {
          worker.client().set_disk_limits(command, std::move(reply));
        };
    co_await worker.ask<void>(std::move(request),
                              fmt::format("limit disk {} of domain '{}'", disk.target, name_));
  }
}

Task<> Domain::resize_disk(Caller caller, std::string name, std::uint64_t bytes) {
  auto hold = co_await slot_.acquire(job_of("block resize", caller));
  Worker& worker = require_worker();
  const config::Disk& disk = find_disk(*live_, name);
  require_own(disk, "block resize");
  require_no_block_job(disk);
  if (disk.read_only)
    throw operation_invalid(fmt::format("can't resize empty or readonly disk '{}'", disk.target));
  // Whole blocks, never fewer than were asked for.
  const std::uint64_t block = disk.block_sizes.logical.value_or(512);
  if (__builtin_add_overflow(bytes, block - 1, &bytes))
    throw Error(VIR_ERR_OVERFLOW, fmt::format("disk {}: the size does not fit", disk.target));
  const control::ResizeDisk command{disk.info.alias, bytes / block * block};
  Request<void> request = [&worker, command](auto reply) {
    worker.client().resize_disk(command, std::move(reply));
  };
  co_await worker.ask<void>(std::move(request),
                            fmt::format("resize disk {} of domain '{}'", disk.target, name_));
}

Task<> Domain::set_disk_threshold(Caller caller, std::string name, std::uint64_t threshold) {
  auto hold = co_await slot_.acquire(job_of("block threshold", caller));
  Worker& worker = require_worker();
  const config::Disk& disk = find_disk(*live_, name);
  require_own(disk, "block threshold");
  Request<void> request = [&worker, command = control::SetDiskThreshold{disk.info.alias, threshold}](
                              auto reply) { worker.client().set_disk_threshold(command, std::move(reply)); };
  co_await worker.ask<void>(std::move(request),
                            fmt::format("watch disk {} of domain '{}'", disk.target, name_));
}

Task<BlockInfo> Domain::measure_remote_disk(std::string name) {
  if (!is_active())
    throw operation_invalid(
        fmt::format("disk {} is on a server, which is asked while the domain runs", name));
  Worker& worker = require_worker();
  const std::string alias = find_disk(*live_, name).info.alias;
  Request<control::DiskSizes> request = [&worker](auto reply) {
    worker.client().disk_sizes(std::move(reply));
  };
  const auto sizes =
      co_await worker.ask<control::DiskSizes>(std::move(request), fmt::format("measure disk {}", name));
  for (const control::DiskSize& size : sizes.disks)
    if (size.id == alias) co_return BlockInfo{size.bytes, size.bytes, size.bytes};
  throw operation_failed(fmt::format("disk {} is there no more", name));
}

Task<> Domain::disk_failed(std::weak_ptr<Worker> from, control::DiskFault fault) {
  auto hold = co_await slot_.acquire(job_of("failure of a disk", {}), JobSlot::Urgency::urgent);
  auto worker = from.lock();
  if (!worker || worker != worker_ || !is_active()) co_return;
  const config::Disk* disk = disk_with_alias(*live_, fault.id);
  if (disk == nullptr) co_return;
  const std::string why = std::generic_category().message(fault.error);
  const std::string& path = disk->caged      ? disk->caged->path
                            : disk->is_own() ? disk->source
                                             : disk->vhost_user;
  if (disk->is_own()) {
    log(LogPriority::error, fmt::format("disk {}: a {} of '{}' failed: {}", disk->target,
                                        fault.writes ? "write" : "read", path, why));
  } else {
    log(LogPriority::error,
        fmt::format("disk {}: the {} '{}' is lost ({}): the guest's requests stay unanswered; a "
                    "restart of the domain, or the disk detached and attached, connects to it again",
                    disk->target, disk->caged ? "storage daemon of" : "back end at", path, why));
  }
  disk_messages_[disk->target] =
      fmt::format("I/O error: disk='{}', path='{}', timestamp='{:%Y-%m-%d %H:%M:%S}+0000', message='{}'",
                  disk->target, path, fmt::gmtime(std::time(nullptr)), why);
  if (fault.action == control::DiskFaultAction::stop) note_stalled({{fault.id, fault.error}});
  publish();
  const bool no_space = error_kind(fault.error) == VIR_DOMAIN_DISK_ERROR_NO_SPACE;
  emit(IoErrorEvent{path, disk->info.alias, action_of(fault.action), no_space ? "enospc" : ""});
}

void Domain::note_stalled(const std::vector<control::StalledDisk>& disks) {
  for (const control::StalledDisk& stalled : disks) {
    const config::Disk* disk = disk_with_alias(*live_, stalled.id);
    if (disk == nullptr) continue;
    std::erase_if(disk_errors_, [&](const DiskError& each) { return each.disk == disk->target; });
    disk_errors_.push_back({.disk = disk->target, .error = error_kind(stalled.error)});
  }
}

void Domain::disk_went_beyond(const control::DiskThresholdCrossed& crossed) {
  if (!is_active()) return;
  const config::Disk* disk = disk_with_alias(*live_, crossed.id);
  if (disk == nullptr) return;
  emit(BlockThresholdEvent{disk->target, disk->source, crossed.threshold, crossed.excess});
}

}  // namespace warren::driver::domain
