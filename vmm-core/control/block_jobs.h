// Block jobs: long work on the images of a running machine's disks, while its guest reads and writes them.
//
// Commands of the control protocol (protocol.h): start_block_commit(StartBlockCommit),
// start_block_pull(StartBlockPull), start_block_copy(StartBlockCopy), each with its descriptors delivered
// before by add_descriptors; set_block_job_speed(SetBlockJobSpeed), complete_block_job(CompleteBlockJob),
// cancel_block_job(BlockJobName), dismiss_block_job(BlockJobName), block_jobs→BlockJobs. Event:
// block_job_changed(BlockJob) after each change of `state`, whoever caused it; Status tells of all jobs too.
//
// A disk has one job at most. One that has ended stays, so that a daemon that was away learns its fate, until
// it is dismissed or another begins. Images are told apart by their place in the disk's chain: 0 is the one
// that the guest writes to, the next is what that is backed by. The chain is renumbered when a job has ended
// that changed it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "vmm-core/control/machine_specification.h"
#include "vmm-core/control/media.h"

namespace warren::vmm::control {

// What stands in the header of a qcow2 image about what it is backed by. For people and for other programs:
// the worker opens what it is given, whatever stands there. Both empty: the image is backed by nothing any
// more.
struct BackingName {
  std::string file;    // as it is to stand there, absolute or relative to the image's own directory
  std::string format;  // "raw" or "qcow2"
};
BOOST_DESCRIBE_STRUCT(BackingName, (), (file, format))

// The data of the images [top, base) goes down into the image `base`.
//
// top > 0: they then leave the chain, and the job completes by itself. top == 0: the guest's writes are
// followed until the job is told to complete: with `pivot` `base` is the disk's image then; without it has
// what the disk has at that moment. A base that is smaller than the disk is made larger at the start.
struct StartBlockCommit {
  std::string id;  // of the disk
  std::uint32_t top = 0, base = 1;
  BackingSpecification base_image;  // the image at `base`, opened for writing
  // top > 0: what the header of the image above `top` says from then on, which now is backed by `base`.
  std::optional<BackingName> backing;
  // top > 1: that image, at top - 1, opened for writing.
  std::optional<BackingSpecification> overlay_image;
  std::uint64_t speed = 0;  // bytes a second; 0: no limit
};
BOOST_DESCRIBE_STRUCT(StartBlockCommit, (), (id, top, base, base_image, backing, overlay_image, speed))

// What the images (0, base) have, or all below 0 without a base, goes up into the image 0; they then leave
// the chain, and the job completes by itself.
struct StartBlockPull {
  std::string id;
  std::optional<std::uint32_t> base;  // 2 or more; none: image 0 is backed by nothing then
  BackingName backing;                // what the header of image 0 says then
  std::uint64_t speed = 0;
};
BOOST_DESCRIBE_STRUCT(StartBlockPull, (), (id, base, backing, speed))

// What is made of an empty file, or over whatever a device holds.
struct NewImage {
  BackingName backing;  // what the header of a qcow2 image says; both empty: nothing
};
BOOST_DESCRIBE_STRUCT(NewImage, (), (backing))

// The disk goes to another image, and the guest's writes are followed until the job is told to complete: with
// `pivot`, and the target is the disk's image then; without, and it is a copy of the disk at that moment.
struct StartBlockCopy {
  std::string id;
  BackingSpecification target;  // opened for writing; what it holds is overwritten
  // The target is made an image of its format, as large as the disk, first; else it is one that is large
  // enough.
  std::optional<NewImage> make;
  // Only what image 0 has is copied, and the target is backed by what that is backed by. Else all is.
  bool shallow = false;
  std::uint64_t speed = 0;
};
BOOST_DESCRIBE_STRUCT(StartBlockCopy, (), (id, target, make, shallow, speed))

struct SetBlockJobSpeed {
  std::string id;
  std::uint64_t speed = 0;
};
BOOST_DESCRIBE_STRUCT(SetBlockJobSpeed, (), (id, speed))

// Of a job that is `ready`; else refused with operation_in_progress. Its end is told by the event.
struct CompleteBlockJob {
  std::string id;
  bool pivot = true;  // without: the target is as the disk is at that moment, and the disk stays where it is
};
BOOST_DESCRIBE_STRUCT(CompleteBlockJob, (), (id, pivot))

struct BlockJobName {
  std::string id;  // of the disk
};
BOOST_DESCRIBE_STRUCT(BlockJobName, (), (id))

enum class BlockJobKind { commit, active_commit, pull, copy };
BOOST_DESCRIBE_ENUM(BlockJobKind, commit, active_commit, pull, copy)

// running → ready (active_commit and copy) → completing → one of the last three, which may come at any time.
enum class BlockJobState { running, ready, completing, completed, cancelled, failed };
BOOST_DESCRIBE_ENUM(BlockJobState, running, ready, completing, completed, cancelled, failed)

struct BlockJob {
  std::string id;  // of the disk
  BlockJobKind kind = BlockJobKind::commit;
  BlockJobState state = BlockJobState::running;
  bool pivoted = false;       // the disk's image is another one; of a job that has completed
  std::uint64_t speed = 0;    // bytes a second; 0: no limit
  std::uint64_t current = 0;  // bytes that are done
  std::uint64_t end = 0;      // of so many, as far as is known; equal when it is ready or completed
  std::int32_t error = 0;     // errno, of a job that has failed
  std::string message;        // and what it was
};
BOOST_DESCRIBE_STRUCT(BlockJob, (), (id, kind, state, pivoted, speed, current, end, error, message))

struct BlockJobs {
  std::vector<BlockJob> jobs;
};
BOOST_DESCRIBE_STRUCT(BlockJobs, (), (jobs))

// Throw Error naming the member that is out of its limits.
void validate(const StartBlockCommit& command);
void validate(const StartBlockPull& command);
void validate(const StartBlockCopy& command);
std::vector<std::string> descriptor_names(const StartBlockCommit& command);
std::vector<std::string> descriptor_names(const StartBlockPull& command);
std::vector<std::string> descriptor_names(const StartBlockCopy& command);

// As Commands (server.h): what cannot be done throws Error and changes nothing: no_such_device for a disk or
// a job that is not there, device_or_resource_busy where the disk has a job already.
class BlockJobCommands {
 public:
  virtual void start_block_commit(const StartBlockCommit& command, DescriptorSet descriptors) = 0;
  virtual void start_block_pull(const StartBlockPull& command) = 0;
  virtual void start_block_copy(const StartBlockCopy& command, DescriptorSet descriptors) = 0;
  virtual void set_block_job_speed(const SetBlockJobSpeed& command) = 0;
  virtual void complete_block_job(const CompleteBlockJob& command) = 0;
  // Ends it, and the disk stays on the images that it had. What has ended already stays as it is.
  virtual void cancel_block_job(const BlockJobName& command) = 0;
  // Forgets a job that has ended.
  virtual void dismiss_block_job(const BlockJobName& command) = 0;
  virtual BlockJobs block_jobs() const = 0;

 protected:
  ~BlockJobCommands() = default;
};

}  // namespace warren::vmm::control
