#include "daemon/rpc/handlers_nwfilter.h"

#include "daemon/rpc/completion.h"
#include "daemon/rpc/list.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

protocol::Nwfilter to_protocol(const driver::FilterHandle& handle) {
  return {.name = handle.name, .uuid = handle.uuid.bytes};
}

protocol::NwfilterBinding to_protocol(const driver::FilterBindingHandle& handle) {
  return {.portdev = handle.port_device, .filtername = handle.filter};
}

// A change that gives the filter it worked on.
template <class Result>
driver::Completion<driver::FilterHandle> when_filter(Reply<Result> reply) {
  return when_done<Result, driver::FilterHandle>(
      std::move(reply), [](const driver::FilterHandle& handle) { return Result{to_protocol(handle)}; });
}

}  // namespace

ConnectNumOfNwfiltersResult connect_num_of_nwfilters(Call& call, const Nothing&) {
  Session& session = call.session();
  return {.num =
              static_cast<std::int32_t>(session.network_filters().list_filters(session.caller(), 0).size())};
}

ConnectListNwfiltersResult connect_list_nwfilters(Call& call, const ConnectListNwfiltersArgs& arguments) {
  Session& session = call.session();
  ConnectListNwfiltersResult result;
  take_names(session.network_filters().list_filters(session.caller(), 0), arguments.maxnames, result.names);
  return result;
}

ConnectListAllNwfiltersResult connect_list_all_nwfilters(Call& call,
                                                         const ConnectListAllNwfiltersArgs& arguments) {
  Session& session = call.session();
  return list_all(session.network_filters().list_filters(session.caller(), arguments.flags),
                  arguments.need_results, &ConnectListAllNwfiltersResult::filters, &to_protocol,
                  "network filters");
}

NwfilterLookupByNameResult nwfilter_lookup_by_name(Call& call, const NwfilterLookupByNameArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.network_filters().filter_by_name(session.caller(), arguments.name))};
}

NwfilterLookupByUuidResult nwfilter_lookup_by_uuid(Call& call, const NwfilterLookupByUuidArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.network_filters().filter_by_uuid(session.caller(), to_driver(arguments.uuid)))};
}

NwfilterGetXmlDescResult nwfilter_get_xml_desc(Call& call, const NwfilterGetXmlDescArgs& arguments) {
  Session& session = call.session();
  return {session.network_filters().filter_xml(session.caller(), to_driver(arguments.nwfilter.uuid),
                                               arguments.flags)};
}

void nwfilter_define_xml(Call& call, const NwfilterDefineXmlArgs& arguments,
                         Reply<NwfilterDefineXmlResult> reply) {
  Session& session = call.session();
  session.network_filters().define_filter(session.caller(), arguments.xml, 0, when_filter(std::move(reply)));
}

void nwfilter_define_xml_flags(Call& call, const NwfilterDefineXmlFlagsArgs& arguments,
                               Reply<NwfilterDefineXmlFlagsResult> reply) {
  Session& session = call.session();
  session.network_filters().define_filter(session.caller(), arguments.xml, arguments.flags,
                                          when_filter(std::move(reply)));
}

void nwfilter_undefine(Call& call, const NwfilterUndefineArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.network_filters().undefine_filter(session.caller(), to_driver(arguments.nwfilter.uuid),
                                            when_done(std::move(reply)));
}

ConnectListAllNwfilterBindingsResult connect_list_all_nwfilter_bindings(
    Call& call, const ConnectListAllNwfilterBindingsArgs& arguments) {
  Session& session = call.session();
  return list_all(session.network_filters().list_bindings(session.caller(), arguments.flags),
                  arguments.need_results, &ConnectListAllNwfilterBindingsResult::bindings, &to_protocol,
                  "network filter bindings");
}

NwfilterBindingLookupByPortDevResult nwfilter_binding_lookup_by_port_dev(
    Call& call, const NwfilterBindingLookupByPortDevArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.network_filters().binding_by_port_device(session.caller(), arguments.name))};
}

NwfilterBindingGetXmlDescResult nwfilter_binding_get_xml_desc(
    Call& call, const NwfilterBindingGetXmlDescArgs& arguments) {
  Session& session = call.session();
  return {
      session.network_filters().binding_xml(session.caller(), arguments.nwfilter.portdev, arguments.flags)};
}

void nwfilter_binding_create_xml(Call& call, const NwfilterBindingCreateXmlArgs& arguments,
                                 Reply<NwfilterBindingCreateXmlResult> reply) {
  Session& session = call.session();
  session.network_filters().create_binding(
      session.caller(), arguments.xml, arguments.flags,
      when_done<NwfilterBindingCreateXmlResult, driver::FilterBindingHandle>(
          std::move(reply), [](const driver::FilterBindingHandle& handle) {
            return NwfilterBindingCreateXmlResult{to_protocol(handle)};
          }));
}

void nwfilter_binding_delete(Call& call, const NwfilterBindingDeleteArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.network_filters().delete_binding(session.caller(), arguments.nwfilter.portdev, std::nullopt,
                                           when_done(std::move(reply)));
}

}  // namespace warren::daemon::rpc::handlers
