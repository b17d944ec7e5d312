// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/migration.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    refused<DomainMigratePrepareArgs, DomainMigratePrepareResult>(61, "DOMAIN_MIGRATE_PREPARE", kLow | kWrite, "domain:migrate domain:start domain:write"),
    refused<DomainMigratePerformArgs, Nothing>(62, "DOMAIN_MIGRATE_PERFORM", kLow | kWrite, "domain:migrate"),
    refused<DomainMigrateFinishArgs, DomainMigrateFinishResult>(63, "DOMAIN_MIGRATE_FINISH", kLow | kWrite, "domain:migrate"),
    refused<DomainMigratePrepare2Args, DomainMigratePrepare2Result>(108, "DOMAIN_MIGRATE_PREPARE2", kLow | kWrite, "domain:migrate domain:start domain:write"),
    refused<DomainMigrateFinish2Args, DomainMigrateFinish2Result>(109, "DOMAIN_MIGRATE_FINISH2", kLow | kWrite, "domain:migrate"),
    refused<DomainMigratePrepareTunnelArgs, Nothing>(148, "DOMAIN_MIGRATE_PREPARE_TUNNEL", kLow | kWrite | kStreamToServer, "domain:migrate domain:start domain:write"),
    missing<DomainMigrateSetMaxDowntimeArgs, Nothing>(166, "DOMAIN_MIGRATE_SET_MAX_DOWNTIME", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateSetMaxSpeedArgs, Nothing>(207, "DOMAIN_MIGRATE_SET_MAX_SPEED", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateBegin3Args, DomainMigrateBegin3Result>(213, "DOMAIN_MIGRATE_BEGIN3", kLow | kWrite, "domain:migrate"),
    missing<DomainMigratePrepare3Args, DomainMigratePrepare3Result>(214, "DOMAIN_MIGRATE_PREPARE3", kLow | kWrite, "domain:migrate domain:start domain:write"),
    refused<DomainMigratePrepareTunnel3Args, DomainMigratePrepareTunnel3Result>(215, "DOMAIN_MIGRATE_PREPARE_TUNNEL3", kLow | kWrite | kStreamToServer, "domain:migrate domain:start domain:write"),
    missing<DomainMigratePerform3Args, DomainMigratePerform3Result>(216, "DOMAIN_MIGRATE_PERFORM3", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateFinish3Args, DomainMigrateFinish3Result>(217, "DOMAIN_MIGRATE_FINISH3", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateConfirm3Args, Nothing>(218, "DOMAIN_MIGRATE_CONFIRM3", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateGetMaxSpeedArgs, DomainMigrateGetMaxSpeedResult>(242, "DOMAIN_MIGRATE_GET_MAX_SPEED", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateGetCompressionCacheArgs, DomainMigrateGetCompressionCacheResult>(299, "DOMAIN_MIGRATE_GET_COMPRESSION_CACHE", kLow, "domain:migrate"),
    missing<DomainMigrateSetCompressionCacheArgs, Nothing>(300, "DOMAIN_MIGRATE_SET_COMPRESSION_CACHE", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateBegin3ParamsArgs, DomainMigrateBegin3ParamsResult>(302, "DOMAIN_MIGRATE_BEGIN3_PARAMS", kLow | kWrite, "domain:migrate"),
    missing<DomainMigratePrepare3ParamsArgs, DomainMigratePrepare3ParamsResult>(303, "DOMAIN_MIGRATE_PREPARE3_PARAMS", kLow | kWrite, "domain:migrate domain:start domain:write"),
    refused<DomainMigratePrepareTunnel3ParamsArgs, DomainMigratePrepareTunnel3ParamsResult>(304, "DOMAIN_MIGRATE_PREPARE_TUNNEL3_PARAMS", kLow | kWrite, "domain:migrate domain:start domain:write"),
    missing<DomainMigratePerform3ParamsArgs, DomainMigratePerform3ParamsResult>(305, "DOMAIN_MIGRATE_PERFORM3_PARAMS", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateFinish3ParamsArgs, DomainMigrateFinish3ParamsResult>(306, "DOMAIN_MIGRATE_FINISH3_PARAMS", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateConfirm3ParamsArgs, Nothing>(307, "DOMAIN_MIGRATE_CONFIRM3_PARAMS", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateStartPostCopyArgs, Nothing>(364, "DOMAIN_MIGRATE_START_POST_COPY", kLow | kWrite, "domain:migrate"),
    missing<DomainMigrateGetMaxDowntimeArgs, DomainMigrateGetMaxDowntimeResult>(387, "DOMAIN_MIGRATE_GET_MAX_DOWNTIME", kLow, "domain:migrate"),
};

}  // namespace

std::span<const Procedure> migration_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
