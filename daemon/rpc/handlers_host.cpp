#include "daemon/rpc/handlers_host.h"

#include <algorithm>

#include <fmt/format.h>

#include "daemon/rpc/completion.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

// Two-step lists: asked with no room, only the number of entries is told; else there must be room for just
// as many.
template <class Result>
Result list_statistics(const std::vector<driver::NodeStatistic>& statistics, std::int32_t room) {
  Result result{.nparams = static_cast<std::int32_t>(statistics.size())};
  if (room == 0) return result;
  if (room != result.nparams)
    throw driver::invalid_argument(
        fmt::format("nparams is {} and must be {}, or 0 to learn it", room, result.nparams));
  for (const driver::NodeStatistic& statistic : statistics)
    result.params.push_back({.field = statistic.name, .value = statistic.value});
  return result;
}

driver::DomainCapabilitiesQuery query_of(const auto& arguments) {
  return {.emulator = arguments.emulator,
          .architecture = arguments.arch,
          .machine = arguments.machine,
          .virtualization_type = arguments.virttype};
}

}  // namespace

ConnectGetMaxVcpusResult connect_get_max_vcpus(Call& call, const ConnectGetMaxVcpusArgs& arguments) {
  return {.max_vcpus = call.session().host().maximum_vcpus(call.session().caller(), arguments.type)};
}

ConnectGetCapabilitiesResult connect_get_capabilities(Call& call, const Nothing&) {
  return {.capabilities = call.session().host().capabilities_xml(call.session().caller())};
}

ConnectGetDomainCapabilitiesResult connect_get_domain_capabilities(
    Call& call, const ConnectGetDomainCapabilitiesArgs& arguments) {
  driver::DomainCapabilitiesQuery query{.emulator = arguments.emulatorbin,
                                        .architecture = arguments.arch,
                                        .machine = arguments.machine,
                                        .virtualization_type = arguments.virttype};
  return {.capabilities =
              call.session().host().domain_capabilities_xml(call.session().caller(), query, arguments.flags)};
}

NodeGetInfoResult node_get_info(Call& call, const Nothing&) {
  driver::NodeInfo info = call.session().host().node_info(call.session().caller());
  NodeGetInfoResult result{.memory = info.memory_kib,
                           .cpus = static_cast<std::int32_t>(info.cpus),
                           .mhz = static_cast<std::int32_t>(info.mhz),
                           .nodes = static_cast<std::int32_t>(info.nodes),
                           .sockets = static_cast<std::int32_t>(info.sockets),
                           .cores = static_cast<std::int32_t>(info.cores),
                           .threads = static_cast<std::int32_t>(info.threads)};
  // The last character stays NUL: clients print it as a C string.
  std::copy_n(info.model.begin(), std::min(info.model.size(), result.model.size() - 1), result.model.begin());
  return result;
}

NodeGetCpuMapResult node_get_cpu_map(Call& call, const NodeGetCpuMapArgs& arguments) {
  driver::NodeCpuMap map = call.session().host().node_cpu_map(call.session().caller(), arguments.flags);
  NodeGetCpuMapResult result;
  if (arguments.need_map != 0) result.cpumap.assign(map.map.begin(), map.map.end());
  if (arguments.need_online != 0) result.online = map.online;
  result.ret = static_cast<std::int32_t>(map.present);
  return result;
}

NodeGetFreeMemoryResult node_get_free_memory(Call& call, const Nothing&) {
  return {.free_mem = call.session().host().free_memory_bytes(call.session().caller())};
}

ConnectGetSysinfoResult connect_get_sysinfo(Call& call, const ConnectGetSysinfoArgs& arguments) {
  return {.sysinfo = call.session().host().sysinfo_xml(call.session().caller(), arguments.flags)};
}

ConnectGetCpuModelNamesResult connect_get_cpu_model_names(Call& call,
                                                          const ConnectGetCpuModelNamesArgs& arguments) {
  Session& session = call.session();
  auto names = session.host().model_names(session.caller(), arguments.arch, arguments.flags);
  ConnectGetCpuModelNamesResult result{.ret = static_cast<std::int32_t>(names.size())};
  if (arguments.need_results != 0) result.models.assign(names.begin(), names.end());
  return result;
}

ConnectCompareCpuResult connect_compare_cpu(Call& call, const ConnectCompareCpuArgs& arguments) {
  Session& session = call.session();
  return {.result = session.host().compare(session.caller(), arguments.xml, arguments.flags)};
}

ConnectBaselineCpuResult connect_baseline_cpu(Call& call, const ConnectBaselineCpuArgs& arguments) {
  Session& session = call.session();
  return {.cpu = session.host().baseline(session.caller(), arguments.xml_cpus, arguments.flags)};
}

ConnectCompareHypervisorCpuResult connect_compare_hypervisor_cpu(
    Call& call, const ConnectCompareHypervisorCpuArgs& arguments) {
  Session& session = call.session();
  return {.result = session.host().compare_with_hypervisor(session.caller(), query_of(arguments),
                                                           arguments.xml_cpu, arguments.flags)};
}

ConnectBaselineHypervisorCpuResult connect_baseline_hypervisor_cpu(
    Call& call, const ConnectBaselineHypervisorCpuArgs& arguments) {
  Session& session = call.session();
  return {.cpu = session.host().baseline_with_hypervisor(session.caller(), query_of(arguments),
                                                         arguments.xml_cpus, arguments.flags)};
}

NodeGetSecurityModelResult node_get_security_model(Call& call, const Nothing&) {
  driver::SecurityModel model = call.session().host().security_model(call.session().caller());
  NodeGetSecurityModelResult result;
  result.model.assign(model.model);
  result.doi.assign(model.doi);
  return result;
}

NodeGetCpuStatsResult node_get_cpu_stats(Call& call, const NodeGetCpuStatsArgs& arguments) {
  Session& session = call.session();
  return list_statistics<NodeGetCpuStatsResult>(
      session.host().cpu_statistics(session.caller(), arguments.cpu_num, arguments.flags), arguments.nparams);
}

NodeGetMemoryStatsResult node_get_memory_stats(Call& call, const NodeGetMemoryStatsArgs& arguments) {
  Session& session = call.session();
  return list_statistics<NodeGetMemoryStatsResult>(
      session.host().memory_statistics(session.caller(), arguments.cell_num, arguments.flags),
      arguments.nparams);
}

NodeGetCellsFreeMemoryResult node_get_cells_free_memory(Call& call,
                                                        const NodeGetCellsFreeMemoryArgs& arguments) {
  Session& session = call.session();
  auto bytes = session.host().cells_free_memory(session.caller(), arguments.start_cell, arguments.maxcells);
  NodeGetCellsFreeMemoryResult result;
  result.cells.assign(bytes.begin(), bytes.end());
  return result;
}

NodeGetFreePagesResult node_get_free_pages(Call& call, const NodeGetFreePagesArgs& arguments) {
  Session& session = call.session();
  auto counts = session.host().free_pages(session.caller(), arguments.pages, arguments.start_cell,
                                          arguments.cell_count, arguments.flags);
  NodeGetFreePagesResult result;
  result.counts.assign(counts.begin(), counts.end());
  return result;
}

void node_alloc_pages(Call& call, const NodeAllocPagesArgs& arguments, Reply<NodeAllocPagesResult> reply) {
  Session& session = call.session();
  session.host().allocate_pages(session.caller(),
                                {.sizes_kib = arguments.page_sizes,
                                 .counts = arguments.page_counts,
                                 .first_cell = arguments.start_cell,
                                 .cells = arguments.cell_count},
                                arguments.flags,
                                when_done<NodeAllocPagesResult, int>(std::move(reply), [](int changed) {
                                  return NodeAllocPagesResult{.ret = changed};
                                }));
}

NodeGetMemoryParametersResult node_get_memory_parameters(Call& call,
                                                         const NodeGetMemoryParametersArgs& arguments) {
  Session& session = call.session();
  auto parameters = session.host().memory_parameters(session.caller(), arguments.flags);
  NodeGetMemoryParametersResult result;
  if (arguments.nparams == 0) {
    result.nparams = static_cast<std::int32_t>(parameters.size());
    return result;
  }
  for (const driver::TypedParameter& parameter : parameters) {
    if (std::cmp_equal(result.params.size(), arguments.nparams)) break;
    result.params.push_back(to_protocol(parameter));
  }
  return result;
}

void node_set_memory_parameters(Call& call, const NodeSetMemoryParametersArgs& arguments,
                                Reply<Nothing> reply) {
  Session& session = call.session();
  driver::TypedParameters parameters;
  for (const TypedParam& parameter : arguments.params)
    parameters.push_back({.field = parameter.field, .value = parameter.value});
  session.host().set_memory_parameters(session.caller(), std::move(parameters), arguments.flags,
                                       when_done(std::move(reply)));
}

void node_suspend_for_duration(Call& call, const NodeSuspendForDurationArgs& arguments) {
  Session& session = call.session();
  session.host().suspend(session.caller(), arguments.target, arguments.duration, arguments.flags);
}

// As a libvirt that drives a QEMU without it.
NodeGetSevInfoResult node_get_sev_info(Call&, const NodeGetSevInfoArgs&) {
  throw driver::operation_unsupported("Warren has no guests with encrypted memory (SEV)");
}

}  // namespace warren::daemon::rpc::handlers
