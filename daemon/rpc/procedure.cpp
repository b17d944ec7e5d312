#include "daemon/rpc/procedure.h"

#include "daemon/rpc/packet.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {

std::string_view to_string(Support support) {
  switch (support) {
    case Support::implemented:
      return "implemented";
    case Support::refused:
      return "refused";
    case Support::missing:
      return "missing";
  }
  return "unknown";
}

Program::Program(std::string_view name, std::uint32_t number,
                 std::initializer_list<std::span<const Procedure>> tables)
    : name_(name), number_(number) {
  for (std::span<const Procedure> table : tables) {
    for (const Procedure& procedure : table) {
      if (procedure.number >= procedures_.size()) procedures_.resize(procedure.number + 1);
      procedures_[procedure.number] = &procedure;
    }
  }
}

std::span<const Program> programs() {
  static const Program all[] = {
      Program("REMOTE", kRemoteProgram,
              {connect_procedures(),     authentication_procedures(), host_procedures(),
               domain_procedures(),      domain_tuning_procedures(),  domain_statistics_procedures(),
               guest_agent_procedures(), block_job_procedures(),      migration_procedures(),
               snapshot_procedures(),    checkpoint_procedures(),     stream_procedures(),
               network_procedures(),     storage_pool_procedures(),   storage_volume_procedures(),
               node_device_procedures(), secret_procedures(),         interface_procedures(),
               nwfilter_procedures(),    event_procedures()}),
      Program("QEMU", kQemuProgram, {qemu_procedures()}),
      Program("LXC", kLxcProgram, {lxc_procedures()}),
      Program("ADMIN", kAdminProgram, {admin_procedures()}),
  };
  return all;
}

const Program* find_program(std::uint32_t number) {
  for (const Program& program : programs()) {
    if (program.number() == number) return &program;
  }
  return nullptr;
}

}  // namespace warren::daemon::rpc
