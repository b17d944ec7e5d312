#include <algorithm>

#include <fmt/format.h>

#include "daemon/rpc/completion.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/handlers_domain.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

// What the client has room for: `number` CPU maps of `length` bytes each.
void check_room(std::int32_t number, std::int32_t length) {
  if (number < 0 || static_cast<std::uint32_t>(number) > kVcpuinfoMax) {
    throw driver::Error(VIR_ERR_RPC, fmt::format("maxinfo '{}' exceeds the limit '{}'", number, kVcpuinfoMax),
                        VIR_FROM_RPC);
  }
  if (length < 0 || std::int64_t{number} * length > std::int64_t{kCpumapsMax}) {
    throw driver::Error(VIR_ERR_RPC, fmt::format("maxinfo * maplen exceeds the limit '{}'", kCpumapsMax),
                        VIR_FROM_RPC);
  }
}

// Appends one CPU map in exactly `length` bytes.
void append_map(Opaque<kCpumapsMax>& maps, const std::vector<std::uint8_t>& map, std::size_t length) {
  std::size_t at = maps.size();
  maps.resize(at + length);
  std::copy_n(map.begin(), std::min(map.size(), length), maps.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

DomainGetMaxMemoryResult domain_get_max_memory(Call& call, const DomainGetMaxMemoryArgs& arguments) {
  Session& session = call.session();
  return {.memory = session.hypervisor().maximum_memory_kib(session.caller(), to_driver(arguments.dom.uuid))};
}

void domain_set_max_memory(Call& call, const DomainSetMaxMemoryArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_memory(session.caller(), to_driver(arguments.dom.uuid), arguments.memory,
                                  VIR_DOMAIN_MEM_MAXIMUM, when_done(std::move(reply)));
}

// virDomainSetMemory and virDomainSetVcpus are for the running domain only.
void domain_set_memory(Call& call, const DomainSetMemoryArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_memory(session.caller(), to_driver(arguments.dom.uuid), arguments.memory,
                                  VIR_DOMAIN_AFFECT_LIVE, when_done(std::move(reply)));
}

void domain_set_memory_flags(Call& call, const DomainSetMemoryFlagsArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_memory(session.caller(), to_driver(arguments.dom.uuid), arguments.memory,
                                  arguments.flags, when_done(std::move(reply)));
}

DomainGetMaxVcpusResult domain_get_max_vcpus(Call& call, const DomainGetMaxVcpusArgs& arguments) {
  Session& session = call.session();
  return {.num = session.hypervisor().vcpus(session.caller(), to_driver(arguments.dom.uuid),
                                            VIR_DOMAIN_VCPU_MAXIMUM | VIR_DOMAIN_VCPU_LIVE)};
}

void domain_get_vcpus_flags(Call& call, const DomainGetVcpusFlagsArgs& arguments,
                            Reply<DomainGetVcpusFlagsResult> reply) {
  Session& session = call.session();
  const driver::Uuid domain = to_driver(arguments.dom.uuid);
  if ((arguments.flags & VIR_DOMAIN_VCPU_GUEST) == 0) {
    int count = 0;
    try {
      count = session.hypervisor().vcpus(session.caller(), domain, arguments.flags);
    } catch (const driver::Error& error) {
      return reply(std::unexpected(error));
    }
    return reply(DomainGetVcpusFlagsResult{.num = count});
  }
  if (session.caller().read_only) {
    return reply(std::unexpected(driver::Error(
        VIR_ERR_OPERATION_DENIED, "read only access prevents virDomainGetVcpusFlags", VIR_FROM_DOMAIN)));
  }
  session.hypervisor().guest_vcpu_count(
      session.caller(), domain, arguments.flags,
      when_done<DomainGetVcpusFlagsResult, int>(
          std::move(reply), [](int count) { return DomainGetVcpusFlagsResult{.num = count}; }));
}

void domain_set_vcpus(Call& call, const DomainSetVcpusArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_vcpus(session.caller(), to_driver(arguments.dom.uuid), arguments.nvcpus,
                                 VIR_DOMAIN_AFFECT_LIVE, when_done(std::move(reply)));
}

void domain_set_vcpus_flags(Call& call, const DomainSetVcpusFlagsArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_vcpus(session.caller(), to_driver(arguments.dom.uuid), arguments.nvcpus,
                                 arguments.flags, when_done(std::move(reply)));
}

void domain_set_vcpu(Call& call, const DomainSetVcpuArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_vcpu_states(session.caller(), to_driver(arguments.dom.uuid), arguments.cpumap,
                                       arguments.state, arguments.flags, when_done(std::move(reply)));
}

DomainGetVcpusResult domain_get_vcpus(Call& call, const DomainGetVcpusArgs& arguments) {
  Session& session = call.session();
  check_room(arguments.maxinfo, arguments.maplen);
  std::vector<driver::VcpuInfo> vcpus =
      session.hypervisor().vcpu_info(session.caller(), to_driver(arguments.dom.uuid));
  vcpus.resize(std::min(vcpus.size(), static_cast<std::size_t>(arguments.maxinfo)));
  DomainGetVcpusResult result;
  for (const driver::VcpuInfo& vcpu : vcpus) {
    result.info.push_back(
        {.number = vcpu.number, .state = vcpu.state, .cpu_time = vcpu.cpu_time_ns, .cpu = vcpu.cpu});
    append_map(result.cpumaps, vcpu.cpu_map, static_cast<std::size_t>(arguments.maplen));
  }
  return result;
}

DomainGetVcpuPinInfoResult domain_get_vcpu_pin_info(Call& call, const DomainGetVcpuPinInfoArgs& arguments) {
  Session& session = call.session();
  check_room(arguments.ncpumaps, arguments.maplen);
  std::vector<std::vector<std::uint8_t>> maps =
      session.hypervisor().vcpu_pins(session.caller(), to_driver(arguments.dom.uuid), arguments.flags);
  maps.resize(std::min(maps.size(), static_cast<std::size_t>(arguments.ncpumaps)));
  DomainGetVcpuPinInfoResult result{.num = static_cast<std::int32_t>(maps.size())};
  for (const auto& map : maps) append_map(result.cpumaps, map, static_cast<std::size_t>(arguments.maplen));
  return result;
}

void domain_set_autostart(Call& call, const DomainSetAutostartArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_autostart(session.caller(), to_driver(arguments.dom.uuid),
                                     arguments.autostart != 0, when_done(std::move(reply)));
}

void domain_rename(Call& call, const DomainRenameArgs& arguments, Reply<DomainRenameResult> reply) {
  Session& session = call.session();
  if (!arguments.new_name) {
    reply(std::unexpected(driver::invalid_argument("new_name in virDomainRename must not be NULL")));
    return;
  }
  driver::Completion<void> done = [reply =
                                       std::move(reply)](std::expected<void, driver::Error> outcome) mutable {
    if (outcome) {
      reply(DomainRenameResult{.retcode = 0});
    } else {
      reply(std::unexpected(outcome.error()));
    }
  };
  session.hypervisor().rename(session.caller(), to_driver(arguments.dom.uuid), *arguments.new_name,
                              arguments.flags, std::move(done));
}

DomainGetMetadataResult domain_get_metadata(Call& call, const DomainGetMetadataArgs& arguments) {
  Session& session = call.session();
  return {.metadata = session.hypervisor().metadata(session.caller(), to_driver(arguments.dom.uuid),
                                                    arguments.type, arguments.uri, arguments.flags)};
}

void domain_set_metadata(Call& call, const DomainSetMetadataArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_metadata(
      session.caller(), to_driver(arguments.dom.uuid),
      {.type = arguments.type, .text = arguments.metadata, .key = arguments.key, .uri = arguments.uri},
      arguments.flags, when_done(std::move(reply)));
}

}  // namespace warren::daemon::rpc::handlers
