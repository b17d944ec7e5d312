// What block jobs mean for the images of a disk: which are asked for, and what the chain is afterwards.
// Images are told apart by their places in the chain: 0 is the one that the guest writes, 1 what that is
// backed by.
//
// Pure; any thread. Refusals are libvirt's, in its words (virStorageSourceChainLookup,
// qemuDomainBlockCommit).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "driver/config/disk.h"
#include "driver/contract/domain_block_jobs.h"

namespace warren::driver::config {
struct DomainDefinition;
}

namespace warren::driver::domain {

// The image at a place of the chain of a running disk.
config::BackingImage image_at(const config::Disk& disk, std::uint32_t place);
inline std::uint32_t chain_length(const config::Disk& disk) {
  return static_cast<std::uint32_t>(disk.backing.size()) + 1;
}

// By path, which may be relative to the image above, or by number ("vda[3]"); without a name the bottom of
// the chain. Only what is below the place `above` is looked at, if that is given. Throws INVALID_ARG.
std::uint32_t find_image(const config::Disk& disk, const std::optional<std::string>& name,
                         std::optional<std::uint32_t> above);

struct CommitPlan {
  std::uint32_t top = 0, base = 0;
};
// `flags` are VIR_DOMAIN_BLOCK_COMMIT_*. Throws INVALID_ARG.
CommitPlan plan_commit(const config::Disk& disk, const BlockCommit& commit, unsigned int flags);

// Bytes a second of MiB a second, unless `is_bytes`. Throws VIR_ERR_OVERFLOW.
std::uint64_t speed_of(std::uint64_t bandwidth, bool is_bytes);
// And back: MiB are rounded up. Throws VIR_ERR_OVERFLOW.
std::uint64_t bandwidth_of(std::uint64_t speed, bool is_bytes);

// The chain of a running disk after a job.
void end_commit(config::Disk& disk, std::uint32_t top, std::uint32_t base);
void end_pull(config::Disk& disk, std::optional<std::uint32_t> base);
// The mirror becomes the disk.
void pivot(config::Disk& disk);
// That what a running domain will be once `mirror` has become its disk can be written and read back. Throws
// the parser's reason.
void check_pivot(const config::DomainDefinition& live, const std::string& target,
                 const config::DiskMirror& mirror);

// The same for the stored definition of a disk that was `live` until now. False: it is none of it, and stays
// as it is. A chain that is declared there and is not the running disk's is given up: the headers of the
// images say how it goes on.
bool end_commit_stored(config::Disk& stored, const config::Disk& live, std::uint32_t top, std::uint32_t base);
bool end_pull_stored(config::Disk& stored, const config::Disk& live, std::optional<std::uint32_t> base);
bool pivot_stored(config::Disk& stored, const config::Disk& live);

}  // namespace warren::driver::domain
