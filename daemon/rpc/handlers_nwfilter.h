// Calls about network filters and their bindings to taps.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/nwfilter.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

ConnectNumOfNwfiltersResult connect_num_of_nwfilters(Call& call, const Nothing&);
ConnectListNwfiltersResult connect_list_nwfilters(Call& call, const ConnectListNwfiltersArgs& arguments);
ConnectListAllNwfiltersResult connect_list_all_nwfilters(Call& call,
                                                         const ConnectListAllNwfiltersArgs& arguments);
NwfilterLookupByNameResult nwfilter_lookup_by_name(Call& call, const NwfilterLookupByNameArgs& arguments);
NwfilterLookupByUuidResult nwfilter_lookup_by_uuid(Call& call, const NwfilterLookupByUuidArgs& arguments);
NwfilterGetXmlDescResult nwfilter_get_xml_desc(Call& call, const NwfilterGetXmlDescArgs& arguments);
void nwfilter_define_xml(Call& call, const NwfilterDefineXmlArgs& arguments,
                         Reply<NwfilterDefineXmlResult> reply);
void nwfilter_define_xml_flags(Call& call, const NwfilterDefineXmlFlagsArgs& arguments,
                               Reply<NwfilterDefineXmlFlagsResult> reply);
void nwfilter_undefine(Call& call, const NwfilterUndefineArgs& arguments, Reply<Nothing> reply);

ConnectListAllNwfilterBindingsResult connect_list_all_nwfilter_bindings(
    Call& call, const ConnectListAllNwfilterBindingsArgs& arguments);
NwfilterBindingLookupByPortDevResult nwfilter_binding_lookup_by_port_dev(
    Call& call, const NwfilterBindingLookupByPortDevArgs& arguments);
NwfilterBindingGetXmlDescResult nwfilter_binding_get_xml_desc(Call& call,
                                                              const NwfilterBindingGetXmlDescArgs& arguments);
void nwfilter_binding_create_xml(Call& call, const NwfilterBindingCreateXmlArgs& arguments,
                                 Reply<NwfilterBindingCreateXmlResult> reply);
void nwfilter_binding_delete(Call& call, const NwfilterBindingDeleteArgs& arguments, Reply<Nothing> reply);

}  // namespace warren::daemon::rpc::handlers
