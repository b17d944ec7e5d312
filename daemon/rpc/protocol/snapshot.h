// Arguments and results of the calls for snapshots.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct DomainSnapshotCreateXmlArgs {
  Domain dom;
  std::string xml_desc;
  std::uint32_t flags = 0;
};

struct DomainSnapshotCreateXmlResult {
  DomainSnapshot snap;
};

struct DomainSnapshotGetXmlDescArgs {
  DomainSnapshot snap;
  std::uint32_t flags = 0;
};

struct DomainSnapshotGetXmlDescResult {
  std::string xml;
};

struct DomainSnapshotNumArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainSnapshotNumResult {
  std::int32_t num = 0;
};

struct DomainSnapshotListNamesArgs {
  Domain dom;
  std::int32_t maxnames = 0;
  std::uint32_t flags = 0;
};

struct DomainSnapshotListNamesResult {
  Array<std::string, kDomainSnapshotListMax> names;
};

struct DomainSnapshotLookupByNameArgs {
  Domain dom;
  std::string name;
  std::uint32_t flags = 0;
};

struct DomainSnapshotLookupByNameResult {
  DomainSnapshot snap;
};

struct DomainHasCurrentSnapshotArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainHasCurrentSnapshotResult {
  std::int32_t result = 0;
};

struct DomainSnapshotCurrentArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainSnapshotCurrentResult {
  DomainSnapshot snap;
};

struct DomainRevertToSnapshotArgs {
  DomainSnapshot snap;
  std::uint32_t flags = 0;
};

struct DomainSnapshotDeleteArgs {
  DomainSnapshot snap;
  std::uint32_t flags = 0;
};

struct DomainSnapshotGetParentArgs {
  DomainSnapshot snap;
  std::uint32_t flags = 0;
};

struct DomainSnapshotGetParentResult {
  DomainSnapshot snap;
};

struct DomainSnapshotNumChildrenArgs {
  DomainSnapshot snap;
  std::uint32_t flags = 0;
};

struct DomainSnapshotNumChildrenResult {
  std::int32_t num = 0;
};

struct DomainSnapshotListChildrenNamesArgs {
  DomainSnapshot snap;
  std::int32_t maxnames = 0;
  std::uint32_t flags = 0;
};

struct DomainSnapshotListChildrenNamesResult {
  Array<std::string, kDomainSnapshotListMax> names;
};

struct DomainSnapshotIsCurrentArgs {
  DomainSnapshot snap;
  std::uint32_t flags = 0;
};

struct DomainSnapshotIsCurrentResult {
  std::int32_t current = 0;
};

struct DomainSnapshotHasMetadataArgs {
  DomainSnapshot snap;
  std::uint32_t flags = 0;
};

struct DomainSnapshotHasMetadataResult {
  std::int32_t metadata = 0;
};

struct DomainListAllSnapshotsArgs {
  Domain dom;
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct DomainListAllSnapshotsResult {
  Array<DomainSnapshot, kDomainSnapshotListMax> snapshots;
  std::int32_t ret = 0;
};

struct DomainSnapshotListAllChildrenArgs {
  DomainSnapshot snapshot;
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct DomainSnapshotListAllChildrenResult {
  Array<DomainSnapshot, kDomainSnapshotListMax> snapshots;
  std::int32_t ret = 0;
};

}  // namespace warren::daemon::rpc::protocol
