#include "daemon/rpc/handlers_domain_inspection.h"

#include <algorithm>

#include <fmt/format.h>

#include "daemon/rpc/completion.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

constexpr std::uint32_t kCpuStatsCpusMax = 128;  // REMOTE_DOMAIN_GET_CPU_STATS_NCPUS_MAX

using Bytes = std::vector<std::uint8_t>;

template <class Result>
driver::Completion<Bytes> when_bytes(Reply<Result> reply) {
  return when_done<Result, Bytes>(std::move(reply), [](const Bytes& bytes) {
    Result result;
    result.buffer.resize(bytes.size());
    std::copy(bytes.begin(), bytes.end(), result.buffer.begin());
    return result;
  });
}

// The sizes of libvirt's wire protocol. True when the call has been refused.
template <class Result>
bool refuse_size(std::uint32_t size, std::uint32_t most, Reply<Result>& reply) {
  if (size <= most) return false;
  reply(std::unexpected(
      driver::Error(VIR_ERR_RPC, fmt::format("size > maximum buffer size {}", most), VIR_FROM_RPC)));
  return true;
}

}  // namespace

DomainGetCpuStatsResult domain_get_cpu_stats(Call& call, const DomainGetCpuStatsArgs& arguments) {
  Session& session = call.session();
  const driver::Uuid uuid = to_driver(arguments.dom.uuid);
  constexpr std::int32_t kTotal = -1;
  if (arguments.nparams > kNodeCpuStatsMax || arguments.ncpus > kCpuStatsCpusMax)
    throw driver::Error(VIR_ERR_RPC, "nparams or ncpus too large", VIR_FROM_RPC);
  if (arguments.start_cpu != kTotal) {
    // For each host CPU: either how many there are, or the figures.
    const auto each = session.hypervisor().host_cpu_statistics(session.caller(), uuid, arguments.flags);
    DomainGetCpuStatsResult result;
    if (arguments.ncpus == 0) return {.params = {}, .nparams = static_cast<std::int32_t>(each.size())};
    result.nparams = each.empty() ? 0 : static_cast<std::int32_t>(each.front().size());
    if (arguments.nparams == 0) return result;
    result.nparams = std::min(result.nparams, static_cast<std::int32_t>(arguments.nparams));
    for (std::size_t cpu = static_cast<std::size_t>(std::max(arguments.start_cpu, 0));
         cpu < each.size() && cpu - static_cast<std::size_t>(arguments.start_cpu) < arguments.ncpus; ++cpu) {
      for (std::int32_t i = 0; i < result.nparams; ++i)
        result.params.push_back(to_protocol(each[cpu][static_cast<std::size_t>(i)]));
    }
    return result;
  }
  const auto total = session.hypervisor().total_cpu_statistics(session.caller(), uuid, arguments.flags);
  DomainGetCpuStatsResult result;
  result.nparams = static_cast<std::int32_t>(total.size());
  if (arguments.nparams == 0) return result;
  result.nparams = std::min(result.nparams, static_cast<std::int32_t>(arguments.nparams));
  for (std::int32_t i = 0; i < result.nparams; ++i)
    result.params.push_back(to_protocol(total[static_cast<std::size_t>(i)]));
  return result;
}

DomainGetDiskErrorsResult domain_get_disk_errors(Call& call, const DomainGetDiskErrorsArgs& arguments) {
  Session& session = call.session();
  if (arguments.maxerrors > kDomainDiskErrorsMax)
    throw driver::Error(VIR_ERR_RPC, "maxerrors too large", VIR_FROM_RPC);
  const auto found =
      session.hypervisor().disk_errors(session.caller(), to_driver(arguments.dom.uuid), arguments.flags);
  DomainGetDiskErrorsResult result{.errors = {}, .nerrors = static_cast<std::int32_t>(found.size())};
  const std::size_t count = std::min<std::size_t>(found.size(), arguments.maxerrors);
  for (std::size_t i = 0; i < count; ++i)
    result.errors.push_back({.disk = found[i].disk, .error = found[i].error});
  return result;
}

DomainGetJobStatsResult domain_get_job_stats(Call& call, const DomainGetJobStatsArgs& arguments) {
  Session& session = call.session();
  const auto found =
      session.hypervisor().job_statistics(session.caller(), to_driver(arguments.dom.uuid), arguments.flags);
  DomainGetJobStatsResult result{.type = found.type, .params = {}};
  for (const driver::TypedParameter& parameter : found.parameters)
    result.params.push_back(to_protocol(parameter));
  return result;
}

void domain_abort_job_flags(Call& call, const DomainAbortJobFlagsArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().abort_job(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                                 when_done(std::move(reply)));
}

void domain_start_dirty_rate_calc(Call& call, const DomainStartDirtyRateCalcArgs& arguments,
                                  Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().start_dirty_rate(session.caller(), to_driver(arguments.dom.uuid), arguments.seconds,
                                        arguments.flags, when_done(std::move(reply)));
}

void domain_set_lifecycle_action(Call& call, const DomainSetLifecycleActionArgs& arguments,
                                 Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_lifecycle_action(session.caller(), to_driver(arguments.dom.uuid), arguments.type,
                                            arguments.action, arguments.flags, when_done(std::move(reply)));
}

void domain_inject_nmi(Call& call, const DomainInjectNmiArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().inject_nmi(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                                  when_done(std::move(reply)));
}

void domain_send_key(Call& call, const DomainSendKeyArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  driver::KeyPress keys{.code_set = arguments.codeset, .hold_ms = arguments.holdtime, .codes = {}};
  keys.codes.assign(arguments.keycodes.begin(), arguments.keycodes.end());
  session.hypervisor().send_key(session.caller(), to_driver(arguments.dom.uuid), std::move(keys),
                                arguments.flags, when_done(std::move(reply)));
}

void domain_pm_suspend_for_duration(Call& call, const DomainPmSuspendForDurationArgs& arguments,
                                    Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().suspend_guest(session.caller(), to_driver(arguments.dom.uuid), arguments.target,
                                     arguments.duration, arguments.flags, when_done(std::move(reply)));
}

void domain_pm_wakeup(Call& call, const DomainPmWakeupArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().wake_guest(session.caller(), to_driver(arguments.dom.uuid), arguments.flags,
                                  when_done(std::move(reply)));
}

void domain_block_peek(Call& call, const DomainBlockPeekArgs& arguments, Reply<DomainBlockPeekResult> reply) {
  Session& session = call.session();
  if (refuse_size(arguments.size, kDomainBlockPeekBufferMax, reply)) return;
  session.hypervisor().block_peek(session.caller(), to_driver(arguments.dom.uuid), arguments.path,
                                  arguments.offset, arguments.size, arguments.flags,
                                  when_bytes<DomainBlockPeekResult>(std::move(reply)));
}

void domain_memory_peek(Call& call, const DomainMemoryPeekArgs& arguments,
                        Reply<DomainMemoryPeekResult> reply) {
  Session& session = call.session();
  constexpr std::uint32_t kMost = 65'536;  // what a worker gives at once
  if (refuse_size(arguments.size, kMost, reply)) return;
  session.hypervisor().memory_peek(session.caller(), to_driver(arguments.dom.uuid), arguments.offset,
                                   arguments.size, arguments.flags,
                                   when_bytes<DomainMemoryPeekResult>(std::move(reply)));
}

void domain_core_dump(Call& call, const DomainCoreDumpArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().core_dump(session.caller(), to_driver(arguments.dom.uuid), arguments.to,
                                 VIR_DOMAIN_CORE_DUMP_FORMAT_RAW, arguments.flags,
                                 when_done(std::move(reply)));
}

void domain_core_dump_with_format(Call& call, const DomainCoreDumpWithFormatArgs& arguments,
                                  Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().core_dump(session.caller(), to_driver(arguments.dom.uuid), arguments.to,
                                 arguments.dumpformat, arguments.flags, when_done(std::move(reply)));
}

// Labels end with a NUL on the wire.
DomainGetSecurityLabelResult domain_get_security_label(Call& call,
                                                       const DomainGetSecurityLabelArgs& arguments) {
  Session& session = call.session();
  session.hypervisor().lookup_by_uuid(session.caller(), to_driver(arguments.dom.uuid));
  DomainGetSecurityLabelResult result;
  result.label.push_back('\0');
  return result;
}

DomainGetSecurityLabelListResult domain_get_security_label_list(
    Call& call, const DomainGetSecurityLabelListArgs& arguments) {
  Session& session = call.session();
  session.hypervisor().lookup_by_uuid(session.caller(), to_driver(arguments.dom.uuid));
  return {};
}

DomainGetLaunchSecurityInfoResult domain_get_launch_security_info(
    Call& call, const DomainGetLaunchSecurityInfoArgs& arguments) {
  Session& session = call.session();
  driver::check_flags(arguments.flags, VIR_TYPED_PARAM_STRING_OKAY, "virDomainGetLaunchSecurityInfo");
  session.hypervisor().lookup_by_uuid(session.caller(), to_driver(arguments.dom.uuid));
  return {};
}

void domain_monitor_command(Call& call, const DomainMonitorCommandArgs& arguments,
                            Reply<DomainMonitorCommandResult> reply) {
  Session& session = call.session();
  session.hypervisor().monitor_command(
      session.caller(), to_driver(arguments.dom.uuid), arguments.cmd, arguments.flags,
      when_done<DomainMonitorCommandResult, std::string>(std::move(reply), [](const std::string& text) {
        return DomainMonitorCommandResult{.result = text};
      }));
}

}  // namespace warren::daemon::rpc::handlers
