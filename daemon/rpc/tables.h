// The procedure tables, one per group of calls; procedure.h assembles them into programs.
#pragma once

#include <span>

#include "daemon/rpc/procedure.h"

namespace warren::daemon::rpc {

std::span<const Procedure> admin_procedures();
std::span<const Procedure> authentication_procedures();
std::span<const Procedure> block_job_procedures();
std::span<const Procedure> checkpoint_procedures();
std::span<const Procedure> connect_procedures();
std::span<const Procedure> domain_procedures();
std::span<const Procedure> domain_statistics_procedures();
std::span<const Procedure> domain_tuning_procedures();
std::span<const Procedure> event_procedures();
std::span<const Procedure> guest_agent_procedures();
std::span<const Procedure> host_procedures();
std::span<const Procedure> interface_procedures();
std::span<const Procedure> lxc_procedures();
std::span<const Procedure> migration_procedures();
std::span<const Procedure> network_procedures();
std::span<const Procedure> node_device_procedures();
std::span<const Procedure> nwfilter_procedures();
std::span<const Procedure> qemu_procedures();
std::span<const Procedure> secret_procedures();
std::span<const Procedure> snapshot_procedures();
std::span<const Procedure> storage_pool_procedures();
std::span<const Procedure> storage_volume_procedures();
std::span<const Procedure> stream_procedures();

}  // namespace warren::daemon::rpc
