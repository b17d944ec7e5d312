// Block jobs: flags, units and parameters of the API.
#include <bit>
#include <limits>

#include <fmt/format.h>

#include "driver/config/device_change.h"
#include "driver/contract/known_parameters.h"
#include "driver/domain/block_job_plan.h"
#include "driver/domain/local_driver.h"

namespace warren::driver::domain {

namespace {

void require_disk(const std::string& disk) {
  if (disk.empty()) throw invalid_argument("the name of a disk must not be empty");
}

struct CopyParameters {
  std::uint64_t bandwidth = 0;  // bytes a second
};

constexpr KnownParameter kCopyParameters[] = {{VIR_DOMAIN_BLOCK_COPY_BANDWIDTH, VIR_TYPED_PARAM_ULLONG},
                                              {VIR_DOMAIN_BLOCK_COPY_GRANULARITY, VIR_TYPED_PARAM_UINT},
                                              {VIR_DOMAIN_BLOCK_COPY_BUF_SIZE, VIR_TYPED_PARAM_ULLONG}};

// The granularity and the size of the buffer are advice, which the worker needs none of: they are checked.
CopyParameters read_parameters(const TypedParameters& parameters) {
  check_parameters(parameters, kCopyParameters);
  CopyParameters result;
  for (const TypedParameter& parameter : parameters) {
    if (parameter.field == VIR_DOMAIN_BLOCK_COPY_BANDWIDTH) {
      result.bandwidth = speed_of(std::get<std::uint64_t>(parameter.value), true);
    } else if (parameter.field == VIR_DOMAIN_BLOCK_COPY_GRANULARITY) {
      const auto granularity = std::get<std::uint32_t>(parameter.value);
      if (granularity != 0 && !std::has_single_bit(granularity))
        throw invalid_argument("granularity must be power of 2");
    } else if (std::get<std::uint64_t>(parameter.value) > std::numeric_limits<std::int64_t>::max()) {
      throw Error(VIR_ERR_OVERFLOW, "buffer size is larger than can be");
    }
  }
  return result;
}

config::Disk parse_destination(const std::string& xml) {
  config::Device device = config::parse_device(xml, config::DeviceUse::copy, true);
  auto* disk = std::get_if<config::Disk>(&device);
  if (disk == nullptr) throw Error(VIR_ERR_XML_ERROR, "the destination of a copy is a <disk>");
  return std::move(*disk);
}

}  // namespace

void LocalDriver::block_commit(const Caller& caller, const Uuid& uuid, BlockCommit commit, unsigned int flags,
                               Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags,
                VIR_DOMAIN_BLOCK_COMMIT_SHALLOW | VIR_DOMAIN_BLOCK_COMMIT_ACTIVE |
                    VIR_DOMAIN_BLOCK_COMMIT_RELATIVE | VIR_DOMAIN_BLOCK_COMMIT_DELETE |
                    VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES,
                "virDomainBlockCommit");
    require_disk(commit.disk);
    const std::uint64_t speed =
        speed_of(commit.bandwidth, (flags & VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES) != 0);
    return domain.block_commit(caller, std::move(commit), speed, flags);
  });
}

void LocalDriver::block_pull(const Caller& caller, const Uuid& uuid, std::string disk,
                             std::uint64_t bandwidth, unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES, "virDomainBlockPull");
    require_disk(disk);
    const std::uint64_t speed = speed_of(bandwidth, flags != 0);
    return domain.block_pull(caller, std::move(disk), std::nullopt, speed, false);
  });
}

void LocalDriver::block_rebase(const Caller& caller, const Uuid& uuid, std::string disk,
                               std::optional<std::string> base, std::uint64_t bandwidth, unsigned int flags,
                               Completion<void> completion) {
  constexpr unsigned int kCopyFlags = VIR_DOMAIN_BLOCK_REBASE_SHALLOW | VIR_DOMAIN_BLOCK_REBASE_REUSE_EXT |
                                      VIR_DOMAIN_BLOCK_REBASE_COPY_RAW | VIR_DOMAIN_BLOCK_REBASE_COPY_DEV;
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags,
                kCopyFlags | VIR_DOMAIN_BLOCK_REBASE_COPY | VIR_DOMAIN_BLOCK_REBASE_RELATIVE |
                    VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES,
                "virDomainBlockRebase");
    require_disk(disk);
    const std::uint64_t speed = speed_of(bandwidth, (flags & VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES) != 0);
    const bool relative = (flags & VIR_DOMAIN_BLOCK_REBASE_RELATIVE) != 0;
    if ((flags & VIR_DOMAIN_BLOCK_REBASE_COPY) == 0) {
      if ((flags & kCopyFlags) != 0)
        throw invalid_argument("use of flags in virDomainBlockRebase requires a copy job");
      if (relative && !base) {
        throw invalid_argument("flag VIR_DOMAIN_BLOCK_REBASE_RELATIVE is valid only with non-null base");
      }
      return domain.block_pull(caller, std::move(disk), std::move(base), speed, relative);
    }
    if (relative) throw invalid_argument("a copy has no relative names: VIR_DOMAIN_BLOCK_REBASE_RELATIVE");
    if (!base || !base->starts_with('/'))
      throw invalid_argument("the destination of a copy must be an absolute path");
    config::Disk destination;
    destination.source = *base;
    if ((flags & VIR_DOMAIN_BLOCK_REBASE_COPY_DEV) != 0)
      destination.source_type = config::DiskSourceType::block;
    if ((flags & VIR_DOMAIN_BLOCK_REBASE_COPY_RAW) != 0) destination.driver.format = config::DiskFormat::raw;
    // The first two flags are the same in both calls.
    static_assert(int{VIR_DOMAIN_BLOCK_REBASE_SHALLOW} == int{VIR_DOMAIN_BLOCK_COPY_SHALLOW} &&
                  int{VIR_DOMAIN_BLOCK_REBASE_REUSE_EXT} == int{VIR_DOMAIN_BLOCK_COPY_REUSE_EXT});
    const unsigned int copy_flags = flags & (VIR_DOMAIN_BLOCK_COPY_SHALLOW | VIR_DOMAIN_BLOCK_COPY_REUSE_EXT);
    return domain.block_copy(caller, std::move(disk), std::move(destination), speed, copy_flags);
  });
}

void LocalDriver::block_copy(const Caller& caller, const Uuid& uuid, std::string disk, std::string xml,
                             TypedParameters parameters, unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    if ((flags & VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES) != 0)
      throw operation_unsupported("a copy that holds up the guest's writes is not supported");
    check_flags(
        flags,
        VIR_DOMAIN_BLOCK_COPY_SHALLOW | VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB,
        "virDomainBlockCopy");
    require_disk(disk);
    const CopyParameters read = read_parameters(parameters);
    return domain.block_copy(caller, std::move(disk), parse_destination(xml), read.bandwidth, flags);
  });
}

void LocalDriver::abort_block_job(const Caller& caller, const Uuid& uuid, std::string disk,
                                  unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC | VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT,
                "virDomainBlockJobAbort");
    require_disk(disk);
    return domain.abort_block_job(caller, std::move(disk), flags);
  });
}

std::optional<BlockJobInfo> LocalDriver::block_job_info(const Caller&, const Uuid& uuid,
                                                        const std::string& disk, unsigned int flags) const {
  check_flags(flags, VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES, "virDomainGetBlockJobInfo");
  auto info = find(uuid)->block_job_info(disk);
  if (info) info->bandwidth = bandwidth_of(info->bandwidth, flags != 0);
  return info;
}

void LocalDriver::set_block_job_speed(const Caller& caller, const Uuid& uuid, std::string disk,
                                      std::uint64_t bandwidth, unsigned int flags,
                                      Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES, "virDomainBlockJobSetSpeed");
    require_disk(disk);
    return domain.set_block_job_speed(caller, std::move(disk), speed_of(bandwidth, flags != 0));
  });
}

}  // namespace warren::driver::domain
