// Media of CD/DVD drives: their change, and what the guest does to a tray.
#include <algorithm>
#include <chrono>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "driver/domain/disk_image.h"
#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace control = vmm::control;

namespace {

// How long a guest that has locked its tray has to open it, as libvirt's qemu driver gives it.
constexpr std::chrono::seconds kTrayPatience{5};

}  // namespace

bool is_same_medium(const config::Disk& one, const config::Disk& other) {
  return one.source == other.source && one.descriptor_group == other.descriptor_group &&
         (one.source.empty() || one.source_type == other.source_type);
}

// Asked twice where the tray was locked: the first time the worker asks the guest to open it.
Task<> Domain::change_medium(config::Disk drive, bool by_force) {
  std::shared_ptr<DiskImage> image;
  if (!drive.source.empty()) {
    DescriptorGroupMap groups = descriptor_groups_.named_by(std::span(&drive, 1));
    std::move_only_function<std::shared_ptr<DiskImage>()> work = [drive, groups = std::move(groups)] {
      return std::make_shared<DiskImage>(open_disk_image(drive, groups));
    };
    image = co_await run_blocking<std::shared_ptr<DiskImage>>(environment_->io_threads, std::move(work),
                                                              &image_wait_);
  }
  const std::string alias = drive.info.alias;
  const std::string doing = fmt::format("change the medium of {} of domain '{}'", drive.target, name_);
  control::ChangeMedium command{.id = alias, .force = by_force, .descriptor = {}};
  if (image) {
    command.descriptor = "medium";
    command.direct = image->direct;
    command.direct_alignment = image->direct_alignment;
  }
  for (int attempt = 0;; ++attempt) {
    vmm::FileDescriptor medium;
    if (image) medium = image->file.duplicate();
    if (co_await require_worker().change_medium(command, std::move(medium), doing)) co_return;
    if (attempt > 0 || !co_await tray_opens(alias)) {
      throw operation_failed(fmt::format(
          "cannot {}: its tray is locked by the guest, which was asked to open it and did not; unmount the "
          "medium there, or use --force",
          doing));
    }
  }
}

// Ends when the guest has opened it, or nobody waits any longer.
Task<bool> Domain::tray_opens(std::string alias) {
  if (open_trays_.contains(alias)) co_return true;
  auto timer = std::make_shared<asio::steady_timer>(environment_->loop, kTrayPatience);
  tray_timers_[alias] = timer;
  boost::system::error_code ended;
  co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ended));
  tray_timers_.erase(alias);
  co_return open_trays_.contains(alias);
}

// At once, for whoever waits for it with the job slot in hand; the definition follows when it is free.
void Domain::note_tray(const control::TrayMoved& moved) {
  if (moved.open) {
    open_trays_.insert(moved.id);
  } else {
    open_trays_.erase(moved.id);
  }
  const auto waiting = tray_timers_.find(moved.id);
  if (waiting != tray_timers_.end()) waiting->second->cancel();
}

Task<> Domain::tray_moved(std::weak_ptr<Worker> from, control::TrayMoved moved) {
  auto hold = co_await slot_.acquire(job_of("move of a tray", {}), JobSlot::Urgency::urgent);
  auto worker = from.lock();
  if (!worker || worker != worker_ || !is_active()) co_return;
  if (set_tray(moved.id, moved.open)) {
    co_await write_status();
    publish();
  }
  emit(TrayChangeEvent{moved.id,
                       moved.open ? VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN : VIR_DOMAIN_EVENT_TRAY_CHANGE_CLOSE});
}

// False when the live definition says so already, or has no such drive.
bool Domain::set_tray(const std::string& alias, bool open) {
  auto live = std::make_shared<config::DomainDefinition>(*live_);
  for (config::Disk& disk : live->devices.disks) {
    if (disk.info.alias != alias || disk.device != config::DiskDevice::cdrom || disk.tray_open == open)
      continue;
    disk.tray_open = open;
    live_ = std::move(live);
    return true;
  }
  return false;
}

// As a worker tells it whose events nobody followed.
void Domain::set_open_trays(const std::vector<std::string>& aliases) {
  open_trays_ = {aliases.begin(), aliases.end()};
  const DefinitionPointer live = live_;
  for (const config::Disk& disk : live->devices.disks)
    if (disk.device == config::DiskDevice::cdrom)
      set_tray(disk.info.alias, open_trays_.contains(disk.info.alias));
}

}  // namespace warren::driver::domain
