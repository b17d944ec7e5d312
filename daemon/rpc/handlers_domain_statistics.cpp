#include <algorithm>

#include "daemon/rpc/completion.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/handlers_domain.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {

void domain_get_block_info(Call& call, const DomainGetBlockInfoArgs& arguments,
                           Reply<DomainGetBlockInfoResult> reply) {
  Session& session = call.session();
  session.hypervisor().block_info(
      session.caller(), to_driver(arguments.dom.uuid), arguments.path, arguments.flags,
      when_done<DomainGetBlockInfoResult, driver::BlockInfo>(
          std::move(reply), [](const driver::BlockInfo& info) {
            return DomainGetBlockInfoResult{
                .allocation = info.allocation, .capacity = info.capacity, .physical = info.physical};
          }));
}

DomainBlockStatsResult domain_block_stats(Call& call, const DomainBlockStatsArgs& arguments) {
  Session& session = call.session();
  driver::BlockStatistics found =
      session.hypervisor().block_statistics(session.caller(), to_driver(arguments.dom.uuid), arguments.path);
  return {.rd_req = found.read_requests,
          .rd_bytes = found.read_bytes,
          .wr_req = found.write_requests,
          .wr_bytes = found.write_bytes,
          .errs = found.errors};
}

DomainBlockStatsFlagsResult domain_block_stats_flags(Call& call, const DomainBlockStatsFlagsArgs& arguments) {
  Session& session = call.session();
  if (arguments.nparams < 0 ||
      static_cast<std::uint32_t>(arguments.nparams) > kDomainBlockStatsParametersMax) {
    throw driver::Error(VIR_ERR_RPC, "nparams too large", VIR_FROM_RPC);
  }
  // Every client takes string parameters by now; there are none here.
  unsigned int flags = arguments.flags & ~static_cast<unsigned int>(VIR_TYPED_PARAM_STRING_OKAY);
  driver::TypedParameters found = session.hypervisor().block_statistics_parameters(
      session.caller(), to_driver(arguments.dom.uuid), arguments.path, flags);
  // The first call of two asks only how many there are.
  if (arguments.nparams == 0) return {.nparams = static_cast<std::int32_t>(found.size())};
  found.resize(std::min(found.size(), static_cast<std::size_t>(arguments.nparams)));
  DomainBlockStatsFlagsResult result;
  for (const driver::TypedParameter& parameter : found) result.params.push_back(to_protocol(parameter));
  return result;
}

DomainInterfaceStatsResult domain_interface_stats(Call& call, const DomainInterfaceStatsArgs& arguments) {
  Session& session = call.session();
  driver::InterfaceStatistics found = session.hypervisor().interface_statistics(
      session.caller(), to_driver(arguments.dom.uuid), arguments.device);
  return {.rx_bytes = found.receive_bytes,
          .rx_packets = found.receive_packets,
          .rx_errs = found.receive_errors,
          .rx_drop = found.receive_drops,
          .tx_bytes = found.transmit_bytes,
          .tx_packets = found.transmit_packets,
          .tx_errs = found.transmit_errors,
          .tx_drop = found.transmit_drops};
}

DomainMemoryStatsResult domain_memory_stats(Call& call, const DomainMemoryStatsArgs& arguments) {
  Session& session = call.session();
  if (arguments.max_stats > kDomainMemoryStatsMax) {
    throw driver::Error(VIR_ERR_RPC, "maxStats > REMOTE_DOMAIN_MEMORY_STATS_MAX", VIR_FROM_RPC);
  }
  std::vector<driver::MemoryStatistic> found = session.hypervisor().memory_statistics(
      session.caller(), to_driver(arguments.dom.uuid), arguments.flags);
  found.resize(std::min<std::size_t>(found.size(), arguments.max_stats));
  DomainMemoryStatsResult result;
  for (const driver::MemoryStatistic& statistic : found) {
    result.stats.push_back({.tag = statistic.tag, .val = statistic.value});
  }
  return result;
}

void connect_get_all_domain_stats(Call& call, const ConnectGetAllDomainStatsArgs& arguments,
                                  Reply<ConnectGetAllDomainStatsResult> reply) {
  using Records = std::vector<driver::DomainStatistics>;
  Session& session = call.session();
  std::vector<driver::Uuid> domains;
  for (const Domain& domain : arguments.doms) domains.push_back(to_driver(domain.uuid));
  session.hypervisor().domain_statistics(
      session.caller(), std::move(domains), arguments.stats, arguments.flags,
      when_done<ConnectGetAllDomainStatsResult, Records>(std::move(reply), [](const Records& records) {
        ConnectGetAllDomainStatsResult result;
        for (const driver::DomainStatistics& record : records) {
          DomainStatsRecord& made = result.ret_stats.emplace_back();
          made.dom = to_protocol(record.domain);
          for (const driver::TypedParameter& parameter : record.parameters) {
            made.params.push_back(to_protocol(parameter));
          }
        }
        return result;
      }));
}

void domain_open_console(Call& call, const DomainOpenConsoleArgs& arguments) {
  Session& session = call.session();
  call.open_stream(session.hypervisor().open_console(session.caller(), to_driver(arguments.dom.uuid),
                                                     arguments.dev_name, arguments.flags));
}

void domain_open_channel(Call& call, const DomainOpenChannelArgs& arguments) {
  Session& session = call.session();
  call.open_stream(session.hypervisor().open_channel(session.caller(), to_driver(arguments.dom.uuid),
                                                     arguments.name, arguments.flags));
}

}  // namespace warren::daemon::rpc::handlers
