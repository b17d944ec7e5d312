// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/snapshot.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<DomainSnapshotCreateXmlArgs, DomainSnapshotCreateXmlResult>(185, "DOMAIN_SNAPSHOT_CREATE_XML", kLow | kWrite, "domain:snapshot domain:fs_freeze:VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE"),
    missing<DomainSnapshotGetXmlDescArgs, DomainSnapshotGetXmlDescResult>(186, "DOMAIN_SNAPSHOT_GET_XML_DESC", kHigh, "domain:read domain:read_secure:VIR_DOMAIN_SNAPSHOT_XML_SECURE"),
    missing<DomainSnapshotNumArgs, DomainSnapshotNumResult>(187, "DOMAIN_SNAPSHOT_NUM", kHigh, "domain:read"),
    missing<DomainSnapshotListNamesArgs, DomainSnapshotListNamesResult>(188, "DOMAIN_SNAPSHOT_LIST_NAMES", kHigh, "domain:read"),
    missing<DomainSnapshotLookupByNameArgs, DomainSnapshotLookupByNameResult>(189, "DOMAIN_SNAPSHOT_LOOKUP_BY_NAME", kHigh, "domain:read"),
    missing<DomainHasCurrentSnapshotArgs, DomainHasCurrentSnapshotResult>(190, "DOMAIN_HAS_CURRENT_SNAPSHOT", kLow, "domain:read"),
    missing<DomainSnapshotCurrentArgs, DomainSnapshotCurrentResult>(191, "DOMAIN_SNAPSHOT_CURRENT", kLow, "domain:read"),
    missing<DomainRevertToSnapshotArgs, Nothing>(192, "DOMAIN_REVERT_TO_SNAPSHOT", kLow | kWrite, "domain:snapshot"),
    missing<DomainSnapshotDeleteArgs, Nothing>(193, "DOMAIN_SNAPSHOT_DELETE", kLow | kWrite, "domain:snapshot"),
    missing<DomainSnapshotGetParentArgs, DomainSnapshotGetParentResult>(244, "DOMAIN_SNAPSHOT_GET_PARENT", kHigh, "domain:read"),
    missing<DomainSnapshotNumChildrenArgs, DomainSnapshotNumChildrenResult>(246, "DOMAIN_SNAPSHOT_NUM_CHILDREN", kHigh, "domain:read"),
    missing<DomainSnapshotListChildrenNamesArgs, DomainSnapshotListChildrenNamesResult>(247, "DOMAIN_SNAPSHOT_LIST_CHILDREN_NAMES", kHigh, "domain:read"),
    missing<DomainSnapshotIsCurrentArgs, DomainSnapshotIsCurrentResult>(271, "DOMAIN_SNAPSHOT_IS_CURRENT", kLow, "domain:read"),
    missing<DomainSnapshotHasMetadataArgs, DomainSnapshotHasMetadataResult>(272, "DOMAIN_SNAPSHOT_HAS_METADATA", kLow, "domain:read"),
    missing<DomainListAllSnapshotsArgs, DomainListAllSnapshotsResult>(274, "DOMAIN_LIST_ALL_SNAPSHOTS", kHigh, "domain:read"),
    missing<DomainSnapshotListAllChildrenArgs, DomainSnapshotListAllChildrenResult>(275, "DOMAIN_SNAPSHOT_LIST_ALL_CHILDREN", kHigh, "domain:read"),
};

}  // namespace

std::span<const Procedure> snapshot_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
