// clang-format off: one line per procedure
#include <libvirt/virterror.h>

#include "daemon/rpc/handlers_domain.h"
#include "daemon/rpc/handlers_domain_disk.h"
#include "daemon/rpc/handlers_domain_tuning.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/domain_tuning.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::domain_pin_vcpu>(26, "DOMAIN_PIN_VCPU", kLow | kWrite, "domain:write"),
    served<&handlers::domain_get_scheduler_type>(56, "DOMAIN_GET_SCHEDULER_TYPE", kLow, "domain:read"),
    served<&handlers::domain_get_scheduler_parameters>(57, "DOMAIN_GET_SCHEDULER_PARAMETERS", kLow, "domain:read"),
    served<&handlers::domain_set_scheduler_parameters>(58, "DOMAIN_SET_SCHEDULER_PARAMETERS", kLow | kWrite, "domain:read"),
    served<&handlers::domain_set_memory_parameters>(197, "DOMAIN_SET_MEMORY_PARAMETERS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_memory_parameters>(198, "DOMAIN_GET_MEMORY_PARAMETERS", kLow, "domain:read"),
    served<&handlers::domain_set_blkio_parameters>(205, "DOMAIN_SET_BLKIO_PARAMETERS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_blkio_parameters>(206, "DOMAIN_GET_BLKIO_PARAMETERS", kLow, "domain:read"),
    served<&handlers::domain_set_scheduler_parameters_flags>(219, "DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_scheduler_parameters_flags>(223, "DOMAIN_GET_SCHEDULER_PARAMETERS_FLAGS", kLow, "domain:read"),
    served<&handlers::domain_pin_vcpu_flags>(225, "DOMAIN_PIN_VCPU_FLAGS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_vcpu_pin_info>(230, "DOMAIN_GET_VCPU_PIN_INFO", kLow, "domain:read"),
    served<&handlers::domain_set_block_io_tune>(252, "DOMAIN_SET_BLOCK_IO_TUNE", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_block_io_tune>(253, "DOMAIN_GET_BLOCK_IO_TUNE", kLow, "domain:read"),
    served<&handlers::domain_set_numa_parameters>(254, "DOMAIN_SET_NUMA_PARAMETERS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_numa_parameters>(255, "DOMAIN_GET_NUMA_PARAMETERS", kLow, "domain:read"),
    served<&handlers::domain_set_interface_parameters>(256, "DOMAIN_SET_INTERFACE_PARAMETERS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_interface_parameters>(257, "DOMAIN_GET_INTERFACE_PARAMETERS", kLow, "domain:read"),
    served<&handlers::domain_pin_emulator>(279, "DOMAIN_PIN_EMULATOR", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_emulator_pin_info>(280, "DOMAIN_GET_EMULATOR_PIN_INFO", kLow, "domain:read"),
    served<&handlers::domain_set_memory_stats_period>(308, "DOMAIN_SET_MEMORY_STATS_PERIOD", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_iothread_info>(351, "DOMAIN_GET_IOTHREAD_INFO", kLow, "domain:read"),
    served<&handlers::domain_pin_iothread>(352, "DOMAIN_PIN_IOTHREAD", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_add_iothread>(355, "DOMAIN_ADD_IOTHREAD", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_del_iothread>(356, "DOMAIN_DEL_IOTHREAD", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_set_block_threshold>(386, "DOMAIN_SET_BLOCK_THRESHOLD", kLow | kWrite, "domain:write"),
    declined<DomainSetIothreadParamsArgs, Nothing>(402, "DOMAIN_SET_IOTHREAD_PARAMS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG", VIR_ERR_OPERATION_UNSUPPORTED, "IOThreads of Warren sleep until there is work: there is no polling to tune"),
};

}  // namespace

std::span<const Procedure> domain_tuning_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
