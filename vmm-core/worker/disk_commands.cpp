// Disks of a running machine: what is changed of them, and what their faults do to the machine.
#include <cstring>

#include "vmm-core/os/error.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

virtio::OnBlockError policy_of(control::DiskErrorPolicy policy) {
  switch (policy) {
    case control::DiskErrorPolicy::report:
      return virtio::OnBlockError::report;
    case control::DiskErrorPolicy::stop:
      return virtio::OnBlockError::stop;
    case control::DiskErrorPolicy::ignore:
      return virtio::OnBlockError::ignore;
    case control::DiskErrorPolicy::enospace:
      return virtio::OnBlockError::stop_for_no_space;
  }
  return virtio::OnBlockError::report;
}

control::DiskFaultAction action_of(virtio::BlockFault::Action action) {
  switch (action) {
    case virtio::BlockFault::Action::ignore:
      return control::DiskFaultAction::ignore;
    case virtio::BlockFault::Action::report:
      return control::DiskFaultAction::report;
    case virtio::BlockFault::Action::stop:
      return control::DiskFaultAction::stop;
  }
  return control::DiskFaultAction::report;
}

virtio::BlockOptions::Flush flush_of(control::FlushPolicy policy) {
  switch (policy) {
    case control::FlushPolicy::honour:
      return virtio::BlockOptions::Flush::honour;
    case control::FlushPolicy::always:
      return virtio::BlockOptions::Flush::always;
    case control::FlushPolicy::ignore:
      return virtio::BlockOptions::Flush::ignore;
  }
  return virtio::BlockOptions::Flush::honour;
}

}  // namespace

virtio::BlockOptions Worker::options_of(const control::DiskSpecification& disk) {
  virtio::BlockOptions options;
  options.flush = flush_of(disk.flush);
  options.discard = disk.discard;
  options.detect_zeroes =
      disk.detect_zeroes == control::DetectZeroes::off  ? virtio::BlockOptions::DetectZeroes::off
      : disk.detect_zeroes == control::DetectZeroes::on ? virtio::BlockOptions::DetectZeroes::on
                                                        : virtio::BlockOptions::DetectZeroes::unmap;
  options.read_error = policy_of(disk.read_error);
  options.write_error = policy_of(disk.write_error);
  options.packed = disk.packed;
  options.queues = disk.queues;
  options.queue_size = disk.queue_size;
  options.logical_block_size = disk.logical_block_size;
  options.physical_block_size = disk.physical_block_size;
  options.serial = disk.serial;
  options.listener = &disks_;
  options.throttle = &disks_.throttle_for(disk.id, disk.limits);
  return options;
}

void Worker::resize_disk(const control::ResizeDisk& command) {
  disks_.find(command.id).resize(command.bytes);
}

void Worker::set_disk_limits(const control::SetDiskLimits& command) {
  disks_.find(command.id);
  disks_.throttle_for(command.id, command.limits);
}

void Worker::set_disk_threshold(const control::SetDiskThreshold& command) {
  disks_.find(command.id).set_threshold(command.bytes);
}

void Worker::disk_has_news(virtio::Block& device) {
  const virtio::BlockNews news = device.take_news();
  if (news.crossed && surroundings_.disk_threshold)
    surroundings_.disk_threshold({device.name(), news.crossed->threshold, news.crossed->excess});
  if (!news.fault) return;
  const virtio::BlockFault& fault = *news.fault;
  if (surroundings_.disk_fault)
    surroundings_.disk_fault({device.name(), fault.writes, fault.error, action_of(fault.action)});
  if (fault.action != virtio::BlockFault::Action::stop || state_ != control::MachineState::running) return;
  machine_->pause();
  enter(control::MachineState::paused, control::StateCause::host_error,
        "disk " + device.name() + ": a " + (fault.writes ? "write" : "read") +
            " failed: " + std::generic_category().message(fault.error));
}

}  // namespace warren::vmm::worker
