// The block jobs of the machine's disks, and how news of them gets from their threads to the control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vmm-core/block/job/job.h"
#include "vmm-core/control/block_jobs.h"

namespace boost::asio {
class io_context;
}

namespace warren::vmm::worker {

// Control thread only.
class BlockJobTable {
 public:
  using ChangeHandler = std::function<void(const std::string& disk)>;
  // `job_started` is called first thing on each job's thread.
  BlockJobTable(boost::asio::io_context& loop, ChangeHandler changed, std::function<void()> job_started)
      : loop_(loop), changed_(std::move(changed)), job_started_(std::move(job_started)) {}

  // Begins a job, in place of one of the same disk that has ended. Throws Error.
  void begin(const std::string& disk, control::BlockJobKind kind, std::unique_ptr<block::job::Work> work,
             std::uint64_t speed);
  // Throws Error when the disk has a job that has not ended.
  void require_none(const std::string& disk) const;
  // Throws Error when the disk has no job.
  block::job::Job& find(const std::string& disk) const;
  control::BlockJob status(const std::string& disk) const;
  std::vector<control::BlockJob> all() const;
  // Cancels what has not ended, and waits for that.
  void forget(const std::string& disk) { jobs_.erase(disk); }
  void clear() { jobs_.clear(); }
  void inspect(InspectNode& node) const;

 private:
  struct Entry {
    control::BlockJobKind kind;
    std::unique_ptr<block::job::Job> job;
  };
  void tell(const std::string& disk) noexcept;

  boost::asio::io_context& loop_;
  ChangeHandler changed_;
  std::function<void()> job_started_;
  std::map<std::string, Entry> jobs_;  // by disk
};

}  // namespace warren::vmm::worker
