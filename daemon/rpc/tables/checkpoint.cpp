// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/checkpoint.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<DomainCheckpointCreateXmlArgs, DomainCheckpointCreateXmlResult>(411, "DOMAIN_CHECKPOINT_CREATE_XML", kLow | kWrite, "domain:checkpoint domain:fs_freeze:VIR_DOMAIN_CHECKPOINT_CREATE_QUIESCE"),
    missing<DomainCheckpointGetXmlDescArgs, DomainCheckpointGetXmlDescResult>(412, "DOMAIN_CHECKPOINT_GET_XML_DESC", kLow, "domain:read domain:read_secure:VIR_DOMAIN_CHECKPOINT_XML_SECURE"),
    missing<DomainListAllCheckpointsArgs, DomainListAllCheckpointsResult>(413, "DOMAIN_LIST_ALL_CHECKPOINTS", kHigh, "domain:read"),
    missing<DomainCheckpointListAllChildrenArgs, DomainCheckpointListAllChildrenResult>(414, "DOMAIN_CHECKPOINT_LIST_ALL_CHILDREN", kHigh, "domain:read"),
    missing<DomainCheckpointLookupByNameArgs, DomainCheckpointLookupByNameResult>(415, "DOMAIN_CHECKPOINT_LOOKUP_BY_NAME", kHigh, "domain:read"),
    missing<DomainCheckpointGetParentArgs, DomainCheckpointGetParentResult>(416, "DOMAIN_CHECKPOINT_GET_PARENT", kHigh, "domain:read"),
    missing<DomainCheckpointDeleteArgs, Nothing>(417, "DOMAIN_CHECKPOINT_DELETE", kLow | kWrite, "domain:checkpoint"),
    missing<DomainBackupBeginArgs, Nothing>(421, "DOMAIN_BACKUP_BEGIN", kLow | kWrite, "domain:checkpoint domain:block_write"),
    missing<DomainBackupGetXmlDescArgs, DomainBackupGetXmlDescResult>(422, "DOMAIN_BACKUP_GET_XML_DESC", kHigh, "domain:read"),
};

}  // namespace

std::span<const Procedure> checkpoint_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
