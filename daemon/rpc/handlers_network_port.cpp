#include "daemon/rpc/handlers_network_port.h"

#include "daemon/rpc/completion.h"
#include "daemon/rpc/list.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

protocol::NetworkPort port_to_protocol(const driver::NetworkPortHandle& handle) {
  return {.net = {.name = handle.network.name, .uuid = handle.network.uuid.bytes}, .uuid = handle.uuid.bytes};
}

}  // namespace

NetworkListAllPortsResult network_list_all_ports(Call& call, const NetworkListAllPortsArgs& arguments) {
  Session& session = call.session();
  return list_all(
      session.networks().list_ports(session.caller(), to_driver(arguments.network.uuid), arguments.flags),
      arguments.need_results, &NetworkListAllPortsResult::ports, &port_to_protocol, "network ports");
}

NetworkPortLookupByUuidResult network_port_lookup_by_uuid(Call& call,
                                                          const NetworkPortLookupByUuidArgs& arguments) {
  Session& session = call.session();
  return {port_to_protocol(session.networks().port_by_uuid(
      session.caller(), to_driver(arguments.network.uuid), to_driver(arguments.uuid)))};
}

NetworkPortGetXmlDescResult network_port_get_xml_desc(Call& call,
                                                      const NetworkPortGetXmlDescArgs& arguments) {
  Session& session = call.session();
  return {session.networks().port_xml(session.caller(), to_driver(arguments.port.net.uuid),
                                      to_driver(arguments.port.uuid), arguments.flags)};
}

// DEVNOTE: all of them at once, and nparams stays 0: unlike the older calls for parameters, this one is not
// asked for their number first.
NetworkPortGetParametersResult network_port_get_parameters(Call& call,
                                                           const NetworkPortGetParametersArgs& arguments) {
  Session& session = call.session();
  NetworkPortGetParametersResult result;
  for (const driver::TypedParameter& parameter :
       session.networks().port_parameters(session.caller(), to_driver(arguments.port.net.uuid),
                                          to_driver(arguments.port.uuid), arguments.flags))
    result.params.push_back(to_protocol(parameter));
  return result;
}

void network_port_create_xml(Call& call, const NetworkPortCreateXmlArgs& arguments,
                             Reply<NetworkPortCreateXmlResult> reply) {
  Session& session = call.session();
  session.networks().create_port(session.caller(), to_driver(arguments.network.uuid), arguments.xml,
                                 arguments.flags,
                                 when_done<NetworkPortCreateXmlResult, driver::NetworkPortHandle>(
                                     std::move(reply), [](const driver::NetworkPortHandle& handle) {
                                       return NetworkPortCreateXmlResult{port_to_protocol(handle)};
                                     }));
}

void network_port_set_parameters(Call& call, const NetworkPortSetParametersArgs& arguments,
                                 Reply<Nothing> reply) {
  Session& session = call.session();
  session.networks().set_port_parameters(session.caller(), to_driver(arguments.port.net.uuid),
                                         to_driver(arguments.port.uuid), to_driver(arguments.params),
                                         arguments.flags, when_done(std::move(reply)));
}

void network_port_delete(Call& call, const NetworkPortDeleteArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.networks().delete_port(session.caller(), to_driver(arguments.port.net.uuid),
                                 to_driver(arguments.port.uuid), arguments.flags,
                                 when_done(std::move(reply)));
}

}  // namespace warren::daemon::rpc::handlers
