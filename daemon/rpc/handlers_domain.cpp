#include "daemon/rpc/handlers_domain.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "daemon/rpc/convert.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

// The older list calls say how many entries the client has room for.
std::size_t checked_room(std::int32_t room) {
  if (room < 0 || static_cast<std::uint32_t>(room) > kDomainListMax) {
    throw driver::Error(
        VIR_ERR_RPC, fmt::format("too many domains '{}' for limit '{}'", room, kDomainListMax), VIR_FROM_RPC);
  }
  return static_cast<std::size_t>(room);
}

void check_list_size(std::size_t size) {
  if (size > kDomainListMax) {
    throw driver::Error(
        VIR_ERR_RPC, fmt::format("Too many domains '{}' for limit '{}'", size, kDomainListMax), VIR_FROM_RPC);
  }
}

template <class Value>
Value clamped(std::uint64_t value) {
  return static_cast<Value>(std::min<std::uint64_t>(value, std::numeric_limits<Value>::max()));
}

}  // namespace

DomainLookupByIdResult domain_lookup_by_id(Call& call, const DomainLookupByIdArgs& arguments) {
  Session& session = call.session();
  return {.dom = to_protocol(session.hypervisor().lookup_by_id(session.caller(), arguments.id))};
}

DomainLookupByNameResult domain_lookup_by_name(Call& call, const DomainLookupByNameArgs& arguments) {
  Session& session = call.session();
  return {.dom = to_protocol(session.hypervisor().lookup_by_name(session.caller(), arguments.name))};
}

DomainLookupByUuidResult domain_lookup_by_uuid(Call& call, const DomainLookupByUuidArgs& arguments) {
  Session& session = call.session();
  return {.dom =
              to_protocol(session.hypervisor().lookup_by_uuid(session.caller(), to_driver(arguments.uuid)))};
}

ConnectListAllDomainsResult connect_list_all_domains(Call& call, const ConnectListAllDomainsArgs& arguments) {
  Session& session = call.session();
  std::vector<driver::DomainHandle> domains = session.hypervisor().list(session.caller(), arguments.flags);
  check_list_size(domains.size());
  ConnectListAllDomainsResult result{.ret = static_cast<std::uint32_t>(domains.size())};
  if (arguments.need_results == 0) return result;
  result.domains.reserve(domains.size());
  for (const driver::DomainHandle& domain : domains) result.domains.push_back(to_protocol(domain));
  return result;
}

ConnectListDomainsResult connect_list_domains(Call& call, const ConnectListDomainsArgs& arguments) {
  Session& session = call.session();
  std::size_t room = checked_room(arguments.maxids);
  std::vector<int> ids = session.hypervisor().active_ids(session.caller());
  ids.resize(std::min(ids.size(), room));
  ConnectListDomainsResult result;
  result.ids.assign(ids.begin(), ids.end());
  return result;
}

ConnectNumOfDomainsResult connect_num_of_domains(Call& call, const Nothing&) {
  Session& session = call.session();
  return {.num = static_cast<std::int32_t>(session.hypervisor().active_ids(session.caller()).size())};
}

ConnectListDefinedDomainsResult connect_list_defined_domains(Call& call,
                                                             const ConnectListDefinedDomainsArgs& arguments) {
  Session& session = call.session();
  std::size_t room = checked_room(arguments.maxnames);
  std::vector<std::string> names = session.hypervisor().inactive_names(session.caller());
  names.resize(std::min(names.size(), room));
  ConnectListDefinedDomainsResult result;
  result.names.assign(names.begin(), names.end());
  return result;
}

ConnectNumOfDefinedDomainsResult connect_num_of_defined_domains(Call& call, const Nothing&) {
  Session& session = call.session();
  return {.num = static_cast<std::int32_t>(session.hypervisor().inactive_names(session.caller()).size())};
}

DomainGetInfoResult domain_get_info(Call& call, const DomainGetInfoArgs& arguments) {
  Session& session = call.session();
  driver::DomainInfo info = session.hypervisor().info(session.caller(), to_driver(arguments.dom.uuid));
  return {.state = static_cast<std::uint8_t>(info.state),
          .max_mem = info.maximum_memory_kib,
          .memory = info.memory_kib,
          .nr_virt_cpu = clamped<std::uint16_t>(info.vcpus),
          .cpu_time = info.cpu_time_ns};
}

DomainGetStateResult domain_get_state(Call& call, const DomainGetStateArgs& arguments) {
  Session& session = call.session();
  driver::DomainState state =
      session.hypervisor().state(session.caller(), to_driver(arguments.dom.uuid), arguments.flags);
  return {.state = state.state, .reason = state.reason};
}

DomainGetXmlDescResult domain_get_xml_desc(Call& call, const DomainGetXmlDescArgs& arguments) {
  Session& session = call.session();
  if (session.caller().read_only &&
      (arguments.flags & (VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE)) != 0) {
    throw driver::Error(VIR_ERR_OPERATION_DENIED, "virDomainGetXMLDesc with secure flag", VIR_FROM_DOMAIN);
  }
  return {.xml = session.hypervisor().xml(session.caller(), to_driver(arguments.dom.uuid), arguments.flags)};
}

DomainGetOsTypeResult domain_get_os_type(Call& call, const DomainGetOsTypeArgs& arguments) {
  Session& session = call.session();
  return {.type = session.hypervisor().os_type(session.caller(), to_driver(arguments.dom.uuid))};
}

DomainIsActiveResult domain_is_active(Call& call, const DomainIsActiveArgs& arguments) {
  Session& session = call.session();
  return {.active = session.hypervisor().is_active(session.caller(), to_driver(arguments.dom.uuid)) ? 1 : 0};
}

DomainIsPersistentResult domain_is_persistent(Call& call, const DomainIsPersistentArgs& arguments) {
  Session& session = call.session();
  return {.persistent =
              session.hypervisor().is_persistent(session.caller(), to_driver(arguments.dom.uuid)) ? 1 : 0};
}

DomainIsUpdatedResult domain_is_updated(Call& call, const DomainIsUpdatedArgs& arguments) {
  Session& session = call.session();
  return {.updated =
              session.hypervisor().is_updated(session.caller(), to_driver(arguments.dom.uuid)) ? 1 : 0};
}

DomainHasManagedSaveImageResult domain_has_managed_save_image(
    Call& call, const DomainHasManagedSaveImageArgs& arguments) {
  Session& session = call.session();
  bool saved =
      session.hypervisor().has_managed_save(session.caller(), to_driver(arguments.dom.uuid), arguments.flags);
  return {.result = saved ? 1 : 0};
}

DomainGetAutostartResult domain_get_autostart(Call& call, const DomainGetAutostartArgs& arguments) {
  Session& session = call.session();
  return {.autostart =
              session.hypervisor().autostart(session.caller(), to_driver(arguments.dom.uuid)) ? 1 : 0};
}

DomainGetMessagesResult domain_get_messages(Call& call, const DomainGetMessagesArgs& arguments) {
  Session& session = call.session();
  std::vector<std::string> messages =
      session.hypervisor().messages(session.caller(), to_driver(arguments.dom.uuid), arguments.flags);
  DomainGetMessagesResult result;
  result.msgs.assign(messages.begin(), messages.end());
  return result;
}

DomainGetControlInfoResult domain_get_control_info(Call& call, const DomainGetControlInfoArgs& arguments) {
  Session& session = call.session();
  driver::ControlInfo info =
      session.hypervisor().control_info(session.caller(), to_driver(arguments.dom.uuid), arguments.flags);
  return {.state = info.state, .details = info.details, .state_time = info.state_time_ms};
}

DomainGetJobInfoResult domain_get_job_info(Call& call, const DomainGetJobInfoArgs& arguments) {
  Session& session = call.session();
  driver::JobInfo info = session.hypervisor().job_info(session.caller(), to_driver(arguments.dom.uuid));
  return {.type = info.type,
          .time_elapsed = info.elapsed_ms,
          .time_remaining = info.remaining_ms,
          .data_total = info.memory_total,
          .data_processed = info.memory_processed,
          .data_remaining = info.memory_remaining,
          .mem_total = info.memory_total,
          .mem_processed = info.memory_processed,
          .mem_remaining = info.memory_remaining};
}

}  // namespace warren::daemon::rpc::handlers
