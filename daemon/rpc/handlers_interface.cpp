#include "daemon/rpc/handlers_interface.h"

#include "daemon/rpc/completion.h"
#include "daemon/rpc/list.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

using Handles = std::vector<driver::InterfaceHandle>;

protocol::Interface to_protocol(const driver::InterfaceHandle& handle) {
  return {.name = handle.name, .mac = handle.mac};
}

// A call that gives the interface it is about.
template <class Result>
driver::Completion<driver::InterfaceHandle> when_interface(Reply<Result> reply) {
  return when_done<Result, driver::InterfaceHandle>(
      std::move(reply), [](const driver::InterfaceHandle& handle) { return Result{to_protocol(handle)}; });
}

template <class Result>
void count(Call& call, unsigned int flags, Reply<Result> reply) {
  Session& session = call.session();
  session.interfaces().list_interfaces(
      session.caller(), flags, when_done<Result, Handles>(std::move(reply), [](const Handles& handles) {
        return Result{.num = static_cast<std::int32_t>(handles.size())};
      }));
}

template <class Result>
void list_names(Call& call, unsigned int flags, std::int32_t most, Reply<Result> reply) {
  Session& session = call.session();
  session.interfaces().list_interfaces(
      session.caller(), flags, when_done<Result, Handles>(std::move(reply), [most](const Handles& handles) {
        Result result;
        take_names(handles, most, result.names);
        return result;
      }));
}

}  // namespace

void connect_num_of_interfaces(Call& call, const Nothing&, Reply<ConnectNumOfInterfacesResult> reply) {
  count(call, VIR_CONNECT_LIST_INTERFACES_ACTIVE, std::move(reply));
}

void connect_list_interfaces(Call& call, const ConnectListInterfacesArgs& arguments,
                             Reply<ConnectListInterfacesResult> reply) {
  list_names(call, VIR_CONNECT_LIST_INTERFACES_ACTIVE, arguments.maxnames, std::move(reply));
}

void connect_num_of_defined_interfaces(Call& call, const Nothing&,
                                       Reply<ConnectNumOfDefinedInterfacesResult> reply) {
  count(call, VIR_CONNECT_LIST_INTERFACES_INACTIVE, std::move(reply));
}

void connect_list_defined_interfaces(Call& call, const ConnectListDefinedInterfacesArgs& arguments,
                                     Reply<ConnectListDefinedInterfacesResult> reply) {
  list_names(call, VIR_CONNECT_LIST_INTERFACES_INACTIVE, arguments.maxnames, std::move(reply));
}

void connect_list_all_interfaces(Call& call, const ConnectListAllInterfacesArgs& arguments,
                                 Reply<ConnectListAllInterfacesResult> reply) {
  Session& session = call.session();
  session.interfaces().list_interfaces(
      session.caller(), arguments.flags,
      [reply = std::move(reply),
       need_results = arguments.need_results](std::expected<Handles, driver::Error> handles) mutable {
        if (!handles) return reply(std::unexpected(handles.error()));
        try {
          reply(list_all(*handles, need_results, &ConnectListAllInterfacesResult::ifaces, &to_protocol,
                         "interfaces"));
        } catch (const driver::Error& error) {
          reply(std::unexpected(error));
        }
      });
}

void interface_lookup_by_name(Call& call, const InterfaceLookupByNameArgs& arguments,
                              Reply<InterfaceLookupByNameResult> reply) {
  Session& session = call.session();
  session.interfaces().interface_by_name(session.caller(), arguments.name, when_interface(std::move(reply)));
}

void interface_lookup_by_mac_string(Call& call, const InterfaceLookupByMacStringArgs& arguments,
                                    Reply<InterfaceLookupByMacStringResult> reply) {
  Session& session = call.session();
  session.interfaces().interface_by_mac(session.caller(), arguments.mac, when_interface(std::move(reply)));
}

void interface_get_xml_desc(Call& call, const InterfaceGetXmlDescArgs& arguments,
                            Reply<InterfaceGetXmlDescResult> reply) {
  Session& session = call.session();
  session.interfaces().interface_xml(
      session.caller(), arguments.iface.name, arguments.flags,
      when_done<InterfaceGetXmlDescResult, std::string>(
          std::move(reply), [](std::string& xml) { return InterfaceGetXmlDescResult{std::move(xml)}; }));
}

void interface_is_active(Call& call, const InterfaceIsActiveArgs& arguments,
                         Reply<InterfaceIsActiveResult> reply) {
  Session& session = call.session();
  session.interfaces().interface_is_active(
      session.caller(), arguments.iface.name,
      when_done<InterfaceIsActiveResult, bool>(
          std::move(reply), [](bool active) { return InterfaceIsActiveResult{.active = active ? 1 : 0}; }));
}

void interface_define_xml(Call& call, const InterfaceDefineXmlArgs& arguments,
                          Reply<InterfaceDefineXmlResult> reply) {
  Session& session = call.session();
  session.interfaces().define_interface(session.caller(), arguments.xml, arguments.flags,
                                        when_interface(std::move(reply)));
}

void interface_undefine(Call& call, const InterfaceUndefineArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.interfaces().undefine_interface(session.caller(), arguments.iface.name,
                                          when_done(std::move(reply)));
}

void interface_create(Call& call, const InterfaceCreateArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.interfaces().start_interface(session.caller(), arguments.iface.name, arguments.flags,
                                       when_done(std::move(reply)));
}

void interface_destroy(Call& call, const InterfaceDestroyArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.interfaces().stop_interface(session.caller(), arguments.iface.name, arguments.flags,
                                      when_done(std::move(reply)));
}

void interface_change_begin(Call& call, const InterfaceChangeBeginArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.interfaces().begin_change(session.caller(), arguments.flags, when_done(std::move(reply)));
}

void interface_change_commit(Call& call, const InterfaceChangeCommitArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.interfaces().commit_change(session.caller(), arguments.flags, when_done(std::move(reply)));
}

void interface_change_rollback(Call& call, const InterfaceChangeRollbackArgs& arguments,
                               Reply<Nothing> reply) {
  Session& session = call.session();
  session.interfaces().roll_back_change(session.caller(), arguments.flags, when_done(std::move(reply)));
}

}  // namespace warren::daemon::rpc::handlers
