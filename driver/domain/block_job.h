// A block job as the daemon knows it: what it needs to finish it, and what is written down of it so that the
// next daemon can. The worker does the work (vmm-core/control/block_jobs.h). Values; loop's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <libvirt/libvirt.h>

namespace warren::driver::domain {

enum class BlockJobStage {
  running,
  ready,     // the mirror equals the disk, and is kept so
  pivoting,  // it was told to put the mirror in the disk's place
  aborting,
};

struct BlockJobRecord {
  std::string disk;                              // target
  int type = VIR_DOMAIN_BLOCK_JOB_TYPE_UNKNOWN;  // virDomainBlockJobType
  BlockJobStage stage = BlockJobStage::running;
  // Places in the disk's chain, 0 the one that the guest writes. A commit goes from `top` down to `base`;
  // what a pull leaves below the disk begins at `base`, or is nothing.
  std::uint32_t top = 0;
  std::optional<std::uint32_t> base;
  bool deletes_images = false;  // those that a commit has emptied
  bool holds_guest = false;     // its vCPUs stand still until a pivot is written down

  bool operator==(const BlockJobRecord&) const = default;
};

}  // namespace warren::driver::domain
