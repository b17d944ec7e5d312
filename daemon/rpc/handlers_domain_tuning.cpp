#include "daemon/rpc/handlers_domain_tuning.h"

#include <algorithm>

#include <fmt/format.h>

#include "daemon/rpc/completion.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

using driver::TuningGroup;

template <class Arguments>
void pin(Call& call, const Arguments& arguments, driver::PinnedThreads threads, std::uint32_t number,
         unsigned int flags, Reply<Nothing> reply) {
  Session& session = call.session();
  driver::DomainTuning::Pin wanted{.threads = threads, .number = number, .cpu_map = {}};
  wanted.cpu_map.assign(arguments.cpumap.begin(), arguments.cpumap.end());
  session.hypervisor().pin(session.caller(), to_driver(arguments.dom.uuid), std::move(wanted), flags,
                           when_done(std::move(reply)));
}

void check_count(std::int32_t nparams, std::uint32_t most) {
  if (nparams < 0 || static_cast<std::uint32_t>(nparams) > most)
    throw driver::Error(VIR_ERR_RPC, "nparams too large", VIR_FROM_RPC);
}

// As many as the client has room for. With room for none it only asks how many there are.
template <class List>
void append(List& list, const driver::TypedParameters& found, std::int32_t room) {
  const auto count = std::min(found.size(), static_cast<std::size_t>(room));
  for (std::size_t i = 0; i < count; ++i) list.push_back(to_protocol(found[i]));
}

template <class Result, class Arguments>
Result get(Call& call, const Arguments& arguments, TuningGroup group, std::uint32_t most) {
  Session& session = call.session();
  check_count(arguments.nparams, most);
  const auto found =
      session.hypervisor().tuning(session.caller(), to_driver(arguments.dom.uuid), group, arguments.flags);
  Result result;
  if (arguments.nparams == 0) result.nparams = static_cast<std::int32_t>(found.size());
  append(result.params, found, arguments.nparams);
  return result;
}

template <class Arguments>
void set(Call& call, const Arguments& arguments, TuningGroup group, unsigned int flags,
         Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_tuning(session.caller(), to_driver(arguments.dom.uuid), group,
                                  to_driver(arguments.params), flags, when_done(std::move(reply)));
}

template <class Opaque>
void append_map(Opaque& maps, const std::vector<std::uint8_t>& map, std::size_t length) {
  const std::size_t at = maps.size();
  maps.resize(at + length);
  std::copy_n(map.begin(), std::min(map.size(), length), maps.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

// virDomainPinVcpu is for the running domain only.
void domain_pin_vcpu(Call& call, const DomainPinVcpuArgs& arguments, Reply<Nothing> reply) {
  pin(call, arguments, driver::PinnedThreads::vcpu, arguments.vcpu, VIR_DOMAIN_AFFECT_LIVE, std::move(reply));
}

void domain_pin_vcpu_flags(Call& call, const DomainPinVcpuFlagsArgs& arguments, Reply<Nothing> reply) {
  pin(call, arguments, driver::PinnedThreads::vcpu, arguments.vcpu, arguments.flags, std::move(reply));
}

void domain_pin_emulator(Call& call, const DomainPinEmulatorArgs& arguments, Reply<Nothing> reply) {
  pin(call, arguments, driver::PinnedThreads::emulator, 0, arguments.flags, std::move(reply));
}

void domain_pin_iothread(Call& call, const DomainPinIothreadArgs& arguments, Reply<Nothing> reply) {
  pin(call, arguments, driver::PinnedThreads::iothread, arguments.iothreads_id, arguments.flags,
      std::move(reply));
}

DomainGetEmulatorPinInfoResult domain_get_emulator_pin_info(Call& call,
                                                            const DomainGetEmulatorPinInfoArgs& arguments) {
  Session& session = call.session();
  if (arguments.maplen < 0 || static_cast<std::uint32_t>(arguments.maplen) > kCpumapsMax)
    throw driver::Error(VIR_ERR_RPC, fmt::format("maplen exceeds the limit '{}'", kCpumapsMax), VIR_FROM_RPC);
  const auto map =
      session.hypervisor().emulator_pin(session.caller(), to_driver(arguments.dom.uuid), arguments.flags);
  DomainGetEmulatorPinInfoResult result{.cpumaps = {}, .ret = 1};
  append_map(result.cpumaps, map, static_cast<std::size_t>(arguments.maplen));
  return result;
}

DomainGetSchedulerTypeResult domain_get_scheduler_type(Call& call,
                                                       const DomainGetSchedulerTypeArgs& arguments) {
  Session& session = call.session();
  constexpr std::int32_t kSchedulerParameters = 9;
  return {.type = session.hypervisor().scheduler_type(session.caller(), to_driver(arguments.dom.uuid)),
          .nparams = kSchedulerParameters};
}

DomainGetSchedulerParametersResult domain_get_scheduler_parameters(
    Call& call, const DomainGetSchedulerParametersArgs& arguments) {
  Session& session = call.session();
  check_count(arguments.nparams, kDomainSchedulerParametersMax);
  DomainGetSchedulerParametersResult result;
  append(
      result.params,
      session.hypervisor().tuning(session.caller(), to_driver(arguments.dom.uuid), TuningGroup::scheduler, 0),
      arguments.nparams);
  return result;
}

DomainGetSchedulerParametersFlagsResult domain_get_scheduler_parameters_flags(
    Call& call, const DomainGetSchedulerParametersFlagsArgs& arguments) {
  Session& session = call.session();
  check_count(arguments.nparams, kDomainSchedulerParametersMax);
  DomainGetSchedulerParametersFlagsResult result;
  append(result.params,
         session.hypervisor().tuning(session.caller(), to_driver(arguments.dom.uuid), TuningGroup::scheduler,
                                     arguments.flags),
         arguments.nparams);
  return result;
}

void domain_set_scheduler_parameters(Call& call, const DomainSetSchedulerParametersArgs& arguments,
                                     Reply<Nothing> reply) {
  set(call, arguments, TuningGroup::scheduler, VIR_DOMAIN_AFFECT_CURRENT, std::move(reply));
}

void domain_set_scheduler_parameters_flags(Call& call, const DomainSetSchedulerParametersFlagsArgs& arguments,
                                           Reply<Nothing> reply) {
  set(call, arguments, TuningGroup::scheduler, arguments.flags, std::move(reply));
}

DomainGetMemoryParametersResult domain_get_memory_parameters(Call& call,
                                                             const DomainGetMemoryParametersArgs& arguments) {
  return get<DomainGetMemoryParametersResult>(call, arguments, TuningGroup::memory,
                                              kDomainMemoryParametersMax);
}

void domain_set_memory_stats_period(Call& call, const DomainSetMemoryStatsPeriodArgs& arguments,
                                    Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_memory_statistics_period(session.caller(), to_driver(arguments.dom.uuid),
                                                    arguments.period, arguments.flags,
                                                    when_done(std::move(reply)));
}

void domain_set_memory_parameters(Call& call, const DomainSetMemoryParametersArgs& arguments,
                                  Reply<Nothing> reply) {
  set(call, arguments, TuningGroup::memory, arguments.flags, std::move(reply));
}

DomainGetBlkioParametersResult domain_get_blkio_parameters(Call& call,
                                                           const DomainGetBlkioParametersArgs& arguments) {
  return get<DomainGetBlkioParametersResult>(call, arguments, TuningGroup::blkio, kDomainBlkioParametersMax);
}

void domain_set_blkio_parameters(Call& call, const DomainSetBlkioParametersArgs& arguments,
                                 Reply<Nothing> reply) {
  set(call, arguments, TuningGroup::blkio, arguments.flags, std::move(reply));
}

DomainGetNumaParametersResult domain_get_numa_parameters(Call& call,
                                                         const DomainGetNumaParametersArgs& arguments) {
  return get<DomainGetNumaParametersResult>(call, arguments, TuningGroup::numa, kDomainNumaParametersMax);
}

void domain_set_numa_parameters(Call& call, const DomainSetNumaParametersArgs& arguments,
                                Reply<Nothing> reply) {
  set(call, arguments, TuningGroup::numa, arguments.flags, std::move(reply));
}

DomainGetPerfEventsResult domain_get_perf_events(Call& call, const DomainGetPerfEventsArgs& arguments) {
  Session& session = call.session();
  DomainGetPerfEventsResult result;
  for (const driver::TypedParameter& parameter : session.hypervisor().tuning(
           session.caller(), to_driver(arguments.dom.uuid), TuningGroup::perf, arguments.flags)) {
    result.params.push_back(to_protocol(parameter));
  }
  return result;
}

void domain_set_perf_events(Call& call, const DomainSetPerfEventsArgs& arguments, Reply<Nothing> reply) {
  set(call, arguments, TuningGroup::perf, arguments.flags, std::move(reply));
}

DomainGetInterfaceParametersResult domain_get_interface_parameters(
    Call& call, const DomainGetInterfaceParametersArgs& arguments) {
  Session& session = call.session();
  check_count(arguments.nparams, kDomainInterfaceParametersMax);
  const auto found = session.hypervisor().interface_tuning(session.caller(), to_driver(arguments.dom.uuid),
                                                           arguments.device, arguments.flags);
  DomainGetInterfaceParametersResult result;
  if (arguments.nparams == 0) result.nparams = static_cast<std::int32_t>(found.size());
  append(result.params, found, arguments.nparams);
  return result;
}

void domain_set_interface_parameters(Call& call, const DomainSetInterfaceParametersArgs& arguments,
                                     Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_interface_tuning(session.caller(), to_driver(arguments.dom.uuid), arguments.device,
                                            to_driver(arguments.params), arguments.flags,
                                            when_done(std::move(reply)));
}

DomainGetIothreadInfoResult domain_get_iothread_info(Call& call, const DomainGetIothreadInfoArgs& arguments) {
  Session& session = call.session();
  const auto threads =
      session.hypervisor().iothreads(session.caller(), to_driver(arguments.dom.uuid), arguments.flags);
  DomainGetIothreadInfoResult result{.info = {}, .ret = static_cast<std::uint32_t>(threads.size())};
  for (const driver::IoThreadInfo& thread : threads) {
    DomainIothreadInfo& info = result.info.emplace_back();
    info.iothread_id = thread.id;
    append_map(info.cpumap, thread.cpu_map, thread.cpu_map.size());
  }
  return result;
}

void domain_add_iothread(Call& call, const DomainAddIothreadArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().add_iothread(session.caller(), to_driver(arguments.dom.uuid), arguments.iothread_id,
                                    arguments.flags, when_done(std::move(reply)));
}

void domain_del_iothread(Call& call, const DomainDelIothreadArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().delete_iothread(session.caller(), to_driver(arguments.dom.uuid), arguments.iothread_id,
                                       arguments.flags, when_done(std::move(reply)));
}

}  // namespace warren::daemon::rpc::handlers
