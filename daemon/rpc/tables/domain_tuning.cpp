// clang-format off: one line per procedure
#include "daemon/rpc/handlers_domain.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/domain_tuning.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<DomainPinVcpuArgs, Nothing>(26, "DOMAIN_PIN_VCPU", kLow | kWrite, "domain:write"),
    missing<DomainGetSchedulerTypeArgs, DomainGetSchedulerTypeResult>(56, "DOMAIN_GET_SCHEDULER_TYPE", kLow, "domain:read"),
    missing<DomainGetSchedulerParametersArgs, DomainGetSchedulerParametersResult>(57, "DOMAIN_GET_SCHEDULER_PARAMETERS", kLow, "domain:read"),
    missing<DomainSetSchedulerParametersArgs, Nothing>(58, "DOMAIN_SET_SCHEDULER_PARAMETERS", kLow | kWrite, "domain:read"),
    missing<DomainSetMemoryParametersArgs, Nothing>(197, "DOMAIN_SET_MEMORY_PARAMETERS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainGetMemoryParametersArgs, DomainGetMemoryParametersResult>(198, "DOMAIN_GET_MEMORY_PARAMETERS", kLow, "domain:read"),
    missing<DomainSetBlkioParametersArgs, Nothing>(205, "DOMAIN_SET_BLKIO_PARAMETERS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainGetBlkioParametersArgs, DomainGetBlkioParametersResult>(206, "DOMAIN_GET_BLKIO_PARAMETERS", kLow, "domain:read"),
    missing<DomainSetSchedulerParametersFlagsArgs, Nothing>(219, "DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainGetSchedulerParametersFlagsArgs, DomainGetSchedulerParametersFlagsResult>(223, "DOMAIN_GET_SCHEDULER_PARAMETERS_FLAGS", kLow, "domain:read"),
    missing<DomainPinVcpuFlagsArgs, Nothing>(225, "DOMAIN_PIN_VCPU_FLAGS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_vcpu_pin_info>(230, "DOMAIN_GET_VCPU_PIN_INFO", kLow, "domain:read"),
    missing<DomainSetBlockIoTuneArgs, Nothing>(252, "DOMAIN_SET_BLOCK_IO_TUNE", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainGetBlockIoTuneArgs, DomainGetBlockIoTuneResult>(253, "DOMAIN_GET_BLOCK_IO_TUNE", kLow, "domain:read"),
    missing<DomainSetNumaParametersArgs, Nothing>(254, "DOMAIN_SET_NUMA_PARAMETERS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainGetNumaParametersArgs, DomainGetNumaParametersResult>(255, "DOMAIN_GET_NUMA_PARAMETERS", kLow, "domain:read"),
    missing<DomainSetInterfaceParametersArgs, Nothing>(256, "DOMAIN_SET_INTERFACE_PARAMETERS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainGetInterfaceParametersArgs, DomainGetInterfaceParametersResult>(257, "DOMAIN_GET_INTERFACE_PARAMETERS", kLow, "domain:read"),
    missing<DomainPinEmulatorArgs, Nothing>(279, "DOMAIN_PIN_EMULATOR", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainGetEmulatorPinInfoArgs, DomainGetEmulatorPinInfoResult>(280, "DOMAIN_GET_EMULATOR_PIN_INFO", kLow, "domain:read"),
    missing<DomainSetMemoryStatsPeriodArgs, Nothing>(308, "DOMAIN_SET_MEMORY_STATS_PERIOD", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainGetIothreadInfoArgs, DomainGetIothreadInfoResult>(351, "DOMAIN_GET_IOTHREAD_INFO", kLow, "domain:read"),
    missing<DomainPinIothreadArgs, Nothing>(352, "DOMAIN_PIN_IOTHREAD", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainAddIothreadArgs, Nothing>(355, "DOMAIN_ADD_IOTHREAD", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainDelIothreadArgs, Nothing>(356, "DOMAIN_DEL_IOTHREAD", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainSetBlockThresholdArgs, Nothing>(386, "DOMAIN_SET_BLOCK_THRESHOLD", kLow | kWrite, "domain:write"),
    missing<DomainSetIothreadParamsArgs, Nothing>(402, "DOMAIN_SET_IOTHREAD_PARAMS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
};

}  // namespace

std::span<const Procedure> domain_tuning_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
