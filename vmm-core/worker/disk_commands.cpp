// Disks of a running machine: what is changed of them, and what their faults do to the machine.
#include <cstring>

#include "vmm-core/os/error.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

block::OnDiskError policy_of(control::DiskErrorPolicy policy) {
  switch (policy) {
    case control::DiskErrorPolicy::report:
      return block::OnDiskError::report;
    case control::DiskErrorPolicy::stop:
      return block::OnDiskError::stop;
    case control::DiskErrorPolicy::ignore:
      return block::OnDiskError::ignore;
    case control::DiskErrorPolicy::enospace:
      return block::OnDiskError::stop_for_no_space;
  }
  return block::OnDiskError::report;
}

control::DiskFaultAction action_of(block::DiskFault::Action action) {
  switch (action) {
    case block::DiskFault::Action::ignore:
      return control::DiskFaultAction::ignore;
    case block::DiskFault::Action::report:
      return control::DiskFaultAction::report;
    case block::DiskFault::Action::stop:
      return control::DiskFaultAction::stop;
  }
  return control::DiskFaultAction::report;
}

block::DiskOptions::Flush flush_of(control::FlushPolicy policy) {
  switch (policy) {
    case control::FlushPolicy::honour:
      return block::DiskOptions::Flush::honour;
    case control::FlushPolicy::always:
      return block::DiskOptions::Flush::always;
    case control::FlushPolicy::ignore:
      return block::DiskOptions::Flush::ignore;
  }
  return block::DiskOptions::Flush::honour;
}

}  // namespace

block::DiskOptions Worker::options_of(const control::DiskSpecification& disk) {
  block::DiskOptions options;
  options.flush = flush_of(disk.flush);
  options.discard = disk.discard;
  options.detect_zeroes =
      disk.detect_zeroes == control::DetectZeroes::off  ? block::DiskOptions::DetectZeroes::off
      : disk.detect_zeroes == control::DetectZeroes::on ? block::DiskOptions::DetectZeroes::on
                                                        : block::DiskOptions::DetectZeroes::unmap;
  options.read_error = policy_of(disk.read_error);
  options.write_error = policy_of(disk.write_error);
  options.logical_block_size = disk.logical_block_size;
  options.physical_block_size = disk.physical_block_size;
  options.serial = disk.serial;
  options.rotation_rate = disk.rotation_rate;
  options.wwn = disk.identity.wwn;
  options.listener = &disks_;
  options.throttle = &disks_.throttle_for(disk.id, disk.limits);
  return options;
}

void Worker::resize_disk(const control::ResizeDisk& command) {
  block::Disk& disk = disks_.find(command.id);
  block_jobs_.require_none(command.id);
  disk.resize(command.bytes);
}

void Worker::set_disk_limits(const control::SetDiskLimits& command) {
  disks_.find(command.id);
  disks_.throttle_for(command.id, command.limits);
}

void Worker::set_disk_threshold(const control::SetDiskThreshold& command) {
  disks_.find(command.id).set_threshold(command.bytes);
}

void Worker::disk_has_news(block::Disk& device) {
  const block::DiskNews news = device.take_news();
  if (news.crossed && surroundings_.disk_threshold)
    surroundings_.disk_threshold({device.name(), news.crossed->threshold, news.crossed->excess});
  if (!news.fault) return;
  const block::DiskFault& fault = *news.fault;
  if (surroundings_.disk_fault)
    surroundings_.disk_fault({device.name(), fault.writes, fault.error, action_of(fault.action)});
  if (fault.action != block::DiskFault::Action::stop || state_ != control::MachineState::running) return;
  machine_->pause();
  enter(control::MachineState::paused, control::StateCause::host_error,
        "disk " + device.name() + ": a " + (fault.writes ? "write" : "read") +
            " failed: " + std::generic_category().message(fault.error));
}

}  // namespace warren::vmm::worker
