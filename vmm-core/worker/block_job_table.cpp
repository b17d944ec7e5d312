#include "vmm-core/worker/block_job_table.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/os/error.h"

namespace warren::vmm::worker {
namespace {

control::BlockJobState state_of(block::job::State state) {
  switch (state) {
    case block::job::State::running:
      return control::BlockJobState::running;
    case block::job::State::ready:
      return control::BlockJobState::ready;
    case block::job::State::completing:
      return control::BlockJobState::completing;
    case block::job::State::completed:
      return control::BlockJobState::completed;
    case block::job::State::cancelled:
      return control::BlockJobState::cancelled;
    case block::job::State::failed:
      return control::BlockJobState::failed;
  }
  return control::BlockJobState::failed;
}

}  // namespace

void BlockJobTable::begin(const std::string& disk, control::BlockJobKind kind,
                          std::unique_ptr<block::job::Work> work, std::uint64_t speed) {
  jobs_.erase(disk);
  jobs_[disk] = {kind, std::make_unique<block::job::Job>(
                           disk, std::move(work), speed, [this, disk] { tell(disk); }, job_started_)};
  tell(disk);
}

void BlockJobTable::tell(const std::string& disk) noexcept {
  try {
    boost::asio::post(loop_, [this, disk] {
      if (jobs_.contains(disk)) changed_(disk);
    });
  } catch (const std::exception&) {
    // No memory for one small message: whoever asks is told all the same.
  }
}

void BlockJobTable::require_none(const std::string& disk) const {
  const auto found = jobs_.find(disk);
  if (found != jobs_.end() && !found->second.job->has_ended())
    throw Error(std::errc::device_or_resource_busy, "disk '" + disk + "' has a block job");
}

block::job::Job& BlockJobTable::find(const std::string& disk) const {
  const auto found = jobs_.find(disk);
  if (found == jobs_.end()) throw Error(std::errc::no_such_device, "disk '" + disk + "' has no block job");
  return *found->second.job;
}

control::BlockJob BlockJobTable::status(const std::string& disk) const {
  const block::job::Status now = find(disk).status();
  return {.id = disk,
          .kind = jobs_.at(disk).kind,
          .state = state_of(now.state),
          .pivoted = now.pivoted,
          .speed = now.speed,
          .current = now.current,
          .end = now.end,
          .error = now.error,
          .message = now.message};
}

std::vector<control::BlockJob> BlockJobTable::all() const {
  std::vector<control::BlockJob> list;
  for (const auto& [disk, entry] : jobs_) list.push_back(status(disk));
  return list;
}

void BlockJobTable::inspect(InspectNode& node) const {
  for (const auto& [disk, entry] : jobs_) entry.job->inspect(node.child(disk));
}

}  // namespace warren::vmm::worker
