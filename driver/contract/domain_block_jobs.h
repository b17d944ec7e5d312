// Block jobs: long work on the images of a running domain's disks, while its guest uses them.
//
// A disk is named by its target ("vda") or its source; an image of its chain by its path or by its number in
// the live document ("vda[3]"). A disk has one job at a time; a job lasts beyond the call that began it, and
// is no change that others wait for. Its end, and that its mirror is ready, are told by BlockJobEvents.
// Loop's thread; throws Error, or completes with one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/handle.h"
#include "driver/contract/typed_parameter.h"

namespace warren::driver {

struct BlockCommit {
  std::string disk;
  std::optional<std::string> base;  // none: the bottom of the chain, or with …_SHALLOW what is below `top`
  std::optional<std::string> top;   // none: the disk's own image
  std::uint64_t bandwidth = 0;      // MiB a second, or bytes; 0: no limit. As in what follows.
};

struct BlockJobInfo {
  int type = 0;                 // virDomainBlockJobType
  std::uint64_t bandwidth = 0;  // MiB a second, or bytes
  // In units of the job's own; equal when the job is ready or done, and not before.
  std::uint64_t current = 0;
  std::uint64_t end = 0;
};

class DomainBlockJobs {
 public:
  // `flags` are VIR_DOMAIN_BLOCK_COMMIT_*.
  virtual void block_commit(const Caller& caller, const Uuid& domain, BlockCommit commit, unsigned int flags,
                            Completion<void> completion) = 0;
  // `flags` are VIR_DOMAIN_BLOCK_PULL_*.
  virtual void block_pull(const Caller& caller, const Uuid& domain, std::string disk, std::uint64_t bandwidth,
                          unsigned int flags, Completion<void> completion) = 0;
  // `flags` are VIR_DOMAIN_BLOCK_REBASE_*: a pull that ends above `base`, or with …_COPY a copy to `base`.
  virtual void block_rebase(const Caller& caller, const Uuid& domain, std::string disk,
                            std::optional<std::string> base, std::uint64_t bandwidth, unsigned int flags,
                            Completion<void> completion) = 0;
  // To the source of a <disk>; VIR_DOMAIN_BLOCK_COPY_BANDWIDTH (bytes), …_GRANULARITY and …_BUF_SIZE. `flags`
  // are VIR_DOMAIN_BLOCK_COPY_*.
  virtual void block_copy(const Caller& caller, const Uuid& domain, std::string disk, std::string xml,
                          TypedParameters parameters, unsigned int flags, Completion<void> completion) = 0;
  // `flags` are VIR_DOMAIN_BLOCK_JOB_ABORT_*. Without …_ASYNC it completes when the job has ended.
  virtual void abort_block_job(const Caller& caller, const Uuid& domain, std::string disk, unsigned int flags,
                               Completion<void> completion) = 0;
  // None: the disk has no job. `flags` are VIR_DOMAIN_BLOCK_JOB_INFO_*.
  virtual std::optional<BlockJobInfo> block_job_info(const Caller& caller, const Uuid& domain,
                                                     const std::string& disk, unsigned int flags) const = 0;
  // `flags` are VIR_DOMAIN_BLOCK_JOB_SPEED_*.
  virtual void set_block_job_speed(const Caller& caller, const Uuid& domain, std::string disk,
                                   std::uint64_t bandwidth, unsigned int flags,
                                   Completion<void> completion) = 0;

 protected:
  ~DomainBlockJobs() = default;
};

}  // namespace warren::driver
