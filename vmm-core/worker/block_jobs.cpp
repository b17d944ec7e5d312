// Block jobs of the machine's disks: the commands for them.
#include "vmm-core/block/job/commit.h"
#include "vmm-core/block/job/mirror.h"
#include "vmm-core/block/job/pull.h"
#include "vmm-core/os/error.h"
#include "vmm-core/worker/disk_image.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

using control::BlockJobKind;

block::ChainImage& Worker::chain_of(const std::string& disk) {
  block_jobs_.require_none(disk);
  auto* image = dynamic_cast<block::ChainImage*>(disks_.find(disk).image());
  if (image == nullptr || optical_drives_.contains(disk))
    throw Error(std::errc::operation_not_supported,
                "disk '" + disk + "' is a drive whose medium is not copied");
  return *image;
}

void Worker::start_block_commit(const control::StartBlockCommit& command,
                                control::DescriptorSet descriptors) {
  block::ChainImage& image = chain_of(command.id);
  block::Disk& disk = disks_.find(command.id);
  block::ChainLink base = take_link(command.base_image, command.id + ", base of the commit", descriptors);
  if (command.top == 0) {
    return block_jobs_.begin(command.id, BlockJobKind::active_commit,
                             block::job::Mirror::commit(disk, image, command.base, std::move(base)),
                             command.speed);
  }
  if (!command.backing)
    throw Error(std::errc::invalid_argument,
                "disk '" + command.id + "': a commit below its first image without the name of the base");
  block::job::CommitFiles files{.base = std::move(base), .overlay = {}};
  if (command.overlay_image)
    files.overlay = take_link(*command.overlay_image, command.id + ", image above the commit", descriptors);
  block_jobs_.begin(
      command.id, BlockJobKind::commit,
      std::make_unique<block::job::Commit>(
          disk, image,
          block::job::CommitPlan{command.top, command.base, command.backing->file, command.backing->format},
          std::move(files)),
      command.speed);
}

void Worker::start_block_pull(const control::StartBlockPull& command) {
  block::ChainImage& image = chain_of(command.id);
  block::job::PullOptions options{
      .base = {}, .backing_file = command.backing.file, .backing_format = command.backing.format};
  if (command.base) options.base = *command.base;
  block_jobs_.begin(command.id, BlockJobKind::pull,
                    std::make_unique<block::job::Pull>(disks_.find(command.id), image, std::move(options)),
                    command.speed);
}

void Worker::start_block_copy(const control::StartBlockCopy& command, control::DescriptorSet descriptors) {
  block::ChainImage& image = chain_of(command.id);
  block::job::CopyOptions options{
      .target = take_link(command.target, command.id + ", target of the copy", descriptors),
      .make = {},
      .shallow = command.shallow};
  if (command.make) options.make = {command.make->backing.file, command.make->backing.format};
  block_jobs_.begin(command.id, BlockJobKind::copy,
                    block::job::Mirror::copy(disks_.find(command.id), image, std::move(options)),
                    command.speed);
}

void Worker::set_block_job_speed(const control::SetBlockJobSpeed& command) {
  block_jobs_.find(command.id).set_speed(command.speed);
}

void Worker::complete_block_job(const control::CompleteBlockJob& command) {
  block_jobs_.find(command.id).complete(command.pivot);
}

void Worker::cancel_block_job(const control::BlockJobName& command) {
  block_jobs_.find(command.id).cancel();
}

void Worker::dismiss_block_job(const control::BlockJobName& command) {
  if (!block_jobs_.find(command.id).has_ended())
    throw Error(std::errc::device_or_resource_busy,
                "the block job of disk '" + command.id + "' has not ended");
  block_jobs_.forget(command.id);
}

void Worker::block_job_changed(const std::string& disk) {
  const control::BlockJob job = block_jobs_.status(disk);
  // A target may be larger than the disk was.
  if (job.pivoted && job.state == control::BlockJobState::completed) disks_.find(disk).tell_size();
  if (surroundings_.block_job_changed) surroundings_.block_job_changed(job);
}

}  // namespace warren::vmm::worker
