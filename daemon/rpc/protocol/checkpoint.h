// Arguments and results of the calls for checkpoints and backup.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct DomainCheckpointCreateXmlArgs {
  Domain dom;
  std::string xml_desc;
  std::uint32_t flags = 0;
};

struct DomainCheckpointCreateXmlResult {
  DomainCheckpoint checkpoint;
};

struct DomainCheckpointGetXmlDescArgs {
  DomainCheckpoint checkpoint;
  std::uint32_t flags = 0;
};

struct DomainCheckpointGetXmlDescResult {
  std::string xml;
};

struct DomainListAllCheckpointsArgs {
  Domain dom;
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct DomainListAllCheckpointsResult {
  Array<DomainCheckpoint, kDomainCheckpointListMax> checkpoints;
  std::int32_t ret = 0;
};

struct DomainCheckpointListAllChildrenArgs {
  DomainCheckpoint checkpoint;
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct DomainCheckpointListAllChildrenResult {
  Array<DomainCheckpoint, kDomainCheckpointListMax> checkpoints;
  std::int32_t ret = 0;
};

struct DomainCheckpointLookupByNameArgs {
  Domain dom;
  std::string name;
  std::uint32_t flags = 0;
};

struct DomainCheckpointLookupByNameResult {
  DomainCheckpoint checkpoint;
};

struct DomainCheckpointGetParentArgs {
  DomainCheckpoint checkpoint;
  std::uint32_t flags = 0;
};

struct DomainCheckpointGetParentResult {
  DomainCheckpoint parent;
};

struct DomainCheckpointDeleteArgs {
  DomainCheckpoint checkpoint;
  std::uint32_t flags = 0;
};

struct DomainBackupBeginArgs {
  Domain dom;
  std::string backup_xml;
  std::optional<std::string> checkpoint_xml;
  std::uint32_t flags = 0;
};

struct DomainBackupGetXmlDescArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainBackupGetXmlDescResult {
  std::string xml;
};

}  // namespace warren::daemon::rpc::protocol
