// Arguments and results of the calls for block jobs: pull, copy, commit, rebase.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct DomainBlockJobAbortArgs {
  Domain dom;
  std::string path;
  std::uint32_t flags = 0;
};

struct DomainGetBlockJobInfoArgs {
  Domain dom;
  std::string path;
  std::uint32_t flags = 0;
};

struct DomainGetBlockJobInfoResult {
  std::int32_t found = 0;
  std::int32_t type = 0;
  std::uint64_t bandwidth = 0;
  std::uint64_t cur = 0;
  std::uint64_t end = 0;
};

struct DomainBlockJobSetSpeedArgs {
  Domain dom;
  std::string path;
  std::uint64_t bandwidth = 0;
  std::uint32_t flags = 0;
};

struct DomainBlockPullArgs {
  Domain dom;
  std::string path;
  std::uint64_t bandwidth = 0;
  std::uint32_t flags = 0;
};

struct DomainBlockRebaseArgs {
  Domain dom;
  std::string path;
  std::optional<std::string> base;
  std::uint64_t bandwidth = 0;
  std::uint32_t flags = 0;
};

struct DomainBlockCommitArgs {
  Domain dom;
  std::string disk;
  std::optional<std::string> base;
  std::optional<std::string> top;
  std::uint64_t bandwidth = 0;
  std::uint32_t flags = 0;
};

struct DomainBlockCopyArgs {
  Domain dom;
  std::string path;
  std::string destxml;
  Array<TypedParam, kDomainBlockCopyParametersMax> params;
  std::uint32_t flags = 0;
};

}  // namespace warren::daemon::rpc::protocol
